//! Network policies, ingresses and their classes, service address ranges: defaults.
//!
//! Upstream: `pkg/apis/networking/v1/defaults.go`.

use serde_json::{Value, json};

use super::edit::{each, is_empty, object, set, set_absent, within};

/// Defaults of a network policy.
pub fn default_network_policy(policy: &mut Value) {
    object(policy, |policy| {
        within(policy, "spec", |spec| {
            for rules in ["ingress", "egress"] {
                each(spec, rules, |rule| each(rule, "ports", |port| set_absent(port, "protocol", "TCP")));
            }
            if is_empty(spec, "policyTypes") {
                let types = if is_empty(spec, "egress") { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
                set(spec, "policyTypes", types);
            }
        });
    });
}

/// Defaults of an ingress class.
pub fn default_ingress_class(class: &mut Value) {
    object(class, |class| {
        within(class, "spec", |spec| {
            within(spec, "parameters", |parameters| set_absent(parameters, "scope", "Cluster"));
        });
    });
}
