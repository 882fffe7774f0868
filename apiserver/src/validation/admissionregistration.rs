//! Webhook configurations and admission policies: defaults.
//!
//! Upstream: `pkg/apis/admissionregistration/v1/defaults.go`.

use serde_json::Value;

use super::edit::{Fields, each, object, set_absent, within, within_new};

/// Defaults of a validating webhook configuration.
pub fn default_validating_webhooks(configuration: &mut Value) {
    object(configuration, |configuration| each(configuration, "webhooks", default_webhook));
}

/// Defaults of a mutating webhook configuration.
pub fn default_mutating_webhooks(configuration: &mut Value) {
    object(configuration, |configuration| {
        each(configuration, "webhooks", |webhook| {
            default_webhook(webhook);
            set_absent(webhook, "reinvocationPolicy", "Never");
        });
    });
}

fn default_webhook(webhook: &mut Fields) {
    set_absent(webhook, "failurePolicy", "Fail");
    default_matching(webhook);
    set_absent(webhook, "timeoutSeconds", 10);
    within(webhook, "clientConfig", default_client_config);
    each(webhook, "rules", default_rule);
}

/// Defaults of where a webhook is called.
pub fn default_client_config(config: &mut Fields) {
    within(config, "service", |service| set_absent(service, "port", 443));
}

fn default_rule(rule: &mut Fields) {
    set_absent(rule, "scope", "*");
}

fn default_matching(fields: &mut Fields) {
    set_absent(fields, "matchPolicy", "Equivalent");
    within_new(fields, "namespaceSelector", |_| ());
    within_new(fields, "objectSelector", |_| ());
}

fn default_match_resources(resources: &mut Fields) {
    default_matching(resources);
    each(resources, "resourceRules", default_rule);
    each(resources, "excludeResourceRules", default_rule);
}

/// Defaults of a validating or mutating admission policy.
pub fn default_policy(policy: &mut Value) {
    object(policy, |policy| {
        within(policy, "spec", |spec| {
            set_absent(spec, "failurePolicy", "Fail");
            within(spec, "matchConstraints", default_match_resources);
        });
    });
}

/// Defaults of a binding of a validating or mutating admission policy.
pub fn default_policy_binding(binding: &mut Value) {
    object(binding, |binding| {
        within(binding, "spec", |spec| within(spec, "matchResources", default_match_resources));
    });
}
