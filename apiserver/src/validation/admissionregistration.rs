//! Webhook configurations and admission policies. Expressions are only required here, not compiled.
//!
//! Upstream: `pkg/apis/admissionregistration/v1/defaults.go`, `pkg/apis/admissionregistration/validation/validation.go`.

use serde_json::Value;

use super::edit::{Fields, each, object, set_absent, within, within_new};
use super::field::{Error, Errors};
use super::node::Node;
use super::{formats, meta, webhooks};

const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
const MUTATING_OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "UPDATE"];
const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
const REINVOCATION_POLICIES: &[&str] = &["IfNeeded", "Never"];
const NO_SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun"];
const SIDE_EFFECTS: &[&str] = &["None", "NoneOnDryRun", "Some", "Unknown"];
const REVIEW_VERSIONS: &[&str] = &["v1", "v1beta1"];

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

/// Which of the rules that came after the first servers hold: an update may keep what broke them before.
#[derive(Clone, Copy)]
struct Strictness {
    no_side_effects: bool,
    known_review_version: bool,
    unique_names: bool,
}

/// Judges new webhooks of either configuration.
pub fn create_webhooks(configuration: &Node<'_>, errors: &mut Errors) {
    let strict = Strictness { no_side_effects: true, known_review_version: true, unique_names: true };
    judge_webhooks(configuration, strict, errors);
}

/// Judges changed webhooks of either configuration.
pub fn update_webhooks(configuration: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    let hooks: Vec<_> = old.at("webhooks").items().collect();
    let known = |hook: &Node<'_>| {
        let versions = hook.at("admissionReviewVersions");
        versions.is_empty() || versions.strings().any(|version| REVIEW_VERSIONS.contains(&version))
    };
    let names: Vec<_> = hooks.iter().map(|hook| hook.text("name")).collect();
    let strict = Strictness {
        no_side_effects: hooks.iter().all(|hook| NO_SIDE_EFFECTS.contains(&hook.text("sideEffects"))),
        known_review_version: hooks.iter().all(known),
        unique_names: names.iter().enumerate().all(|(i, name)| names.iter().take(i).all(|other| other != name)),
    };
    judge_webhooks(configuration, strict, errors);
}

fn judge_webhooks(configuration: &Node<'_>, strict: Strictness, errors: &mut Errors) {
    meta::validate(&configuration.at("metadata"), false, formats::subdomain_name, errors);
    let mut names = Vec::new();
    for hook in configuration.at("webhooks").items() {
        webhook(&hook, strict, errors);
        review_versions(&hook.at("admissionReviewVersions"), strict.known_review_version, errors);
        let name = hook.at("name");
        if strict.unique_names && !name.is_empty() {
            if names.contains(&name.str()) {
                errors.push(name.duplicate());
            }
            names.push(name.str());
        }
    }
}

/// Requires one of the choices if a choice was made.
fn choice(node: &Node<'_>, supported: &[&str], errors: &mut Errors) {
    if node.present() {
        node.one_of(supported, errors);
    }
}

fn webhook(hook: &Node<'_>, strict: Strictness, errors: &mut Errors) {
    formats::fully_qualified_name(&hook.at("name"), errors);
    for rule in hook.at("rules").items() {
        rule_with_operations(&rule, errors);
    }
    choice(&hook.at("failurePolicy"), FAILURE_POLICIES, errors);
    choice(&hook.at("matchPolicy"), MATCH_POLICIES, errors);
    let allowed = if strict.no_side_effects { NO_SIDE_EFFECTS } else { SIDE_EFFECTS };
    let effects = hook.at("sideEffects");
    if effects.present() {
        effects.one_of(allowed, errors);
    } else {
        errors.push(effects.required(format!("must specify one of {}", allowed.join(", "))));
    }
    let timeout = hook.at("timeoutSeconds");
    if timeout.present() && !(1..=30).contains(&timeout.int()) {
        errors.push(timeout.invalid_int("the timeout value must be between 1 and 30 seconds"));
    }
    meta::label_selector(&hook.at("namespaceSelector"), errors);
    meta::label_selector(&hook.at("objectSelector"), errors);
    choice(&hook.at("reinvocationPolicy"), REINVOCATION_POLICIES, errors);
    let config = hook.at("clientConfig");
    if config.has("url") == config.has("service") {
        errors.push(config.required("exactly one of url or service is required"));
    } else if config.has("url") {
        webhooks::url(&config.at("url"), errors);
    } else {
        webhooks::service(&config.at("service"), errors);
    }
    match_conditions(&hook.at("matchConditions"), errors);
}

fn review_versions(versions: &Node<'_>, known: bool, errors: &mut Errors) {
    let accepted = REVIEW_VERSIONS.join(", ");
    if versions.is_empty() {
        errors.push(versions.required(format!("must specify one of {accepted}")));
        return;
    }
    let mut seen = Vec::new();
    for version in versions.items() {
        if seen.contains(&version.str()) {
            errors.push(version.invalid_text("duplicate version"));
            continue;
        }
        seen.push(version.str());
        version.format(formats::dns1035_label(version.str()), errors);
    }
    if known && !seen.iter().any(|version| REVIEW_VERSIONS.contains(version)) {
        errors.push(versions.invalid(format!("must include at least one of {accepted}")));
    }
}

fn wildcard(list: &Node<'_>) -> bool {
    list.strings().any(|text| text == "*")
}

/// Requires a wildcard to be the only item of a list.
fn alone(list: &Node<'_>, what: &str, errors: &mut Errors) {
    if list.len() > 1 && wildcard(list) {
        errors.push(list.invalid(format!("if '*' is present, must not specify other {what}")));
    }
}

fn filled(list: &Node<'_>, errors: &mut Errors) {
    if list.is_empty() {
        errors.push(list.required(""));
    }
}

fn rule_with_operations(rule: &Node<'_>, errors: &mut Errors) {
    let operations = rule.at("operations");
    filled(&operations, errors);
    alone(&operations, "operations", errors);
    for operation in operations.items() {
        operation.one_of(OPERATIONS, errors);
    }
    let (groups, versions) = (rule.at("apiGroups"), rule.at("apiVersions"));
    filled(&groups, errors);
    alone(&groups, "API groups", errors);
    filled(&versions, errors);
    alone(&versions, "API versions", errors);
    for version in versions.items() {
        filled(&version, errors);
    }
    resources(&rule.at("resources"), errors);
    choice(&rule.at("scope"), &["*", "Cluster", "Namespaced"], errors);
}

fn resources(resources: &Node<'_>, errors: &mut Errors) {
    filled(resources, errors);
    let (mut all_subresources, mut of_all_resources) = (Vec::new(), Vec::new());
    let mut plain = false;
    for resource in resources.items() {
        let text = resource.str();
        if text.is_empty() {
            errors.push(resource.required(""));
            continue;
        }
        let Some((name, subresource)) = text.split_once('/') else {
            plain = text != "*";
            continue;
        };
        if all_subresources.contains(&name) {
            errors.push(resource.invalid_text(format!("if '{name}/*' is present, must not specify {text}")));
        }
        if of_all_resources.contains(&subresource) {
            errors.push(resource.invalid_text(format!("if '*/{subresource}' is present, must not specify {text}")));
        }
        if subresource == "*" {
            all_subresources.push(name);
        }
        if name == "*" {
            of_all_resources.push(subresource);
        }
    }
    if resources.len() > 1 && resources.strings().any(|resource| resource == "*/*") {
        errors.push(resources.invalid("if '*/*' is present, must not specify other resources"));
    }
    if wildcard(resources) && plain {
        let detail = "if '*' is present, must not specify other resources without subresources";
        errors.push(resources.invalid(detail));
    }
}

fn match_conditions(conditions: &Node<'_>, errors: &mut Errors) {
    if conditions.len() > 64 {
        errors.push(Error::too_many(&conditions.path, conditions.len(), 64));
    }
    let mut names = Vec::new();
    for condition in conditions.items() {
        expression(&condition.at("expression"), "", errors);
        let name = condition.at("name");
        if name.is_empty() {
            errors.push(name.required(""));
            continue;
        }
        name.format(formats::label_key(name.str()), errors);
        if names.contains(&name.str()) {
            errors.push(name.duplicate());
        }
        names.push(name.str());
    }
}

/// Requires an expression.
fn expression(expression: &Node<'_>, detail: &str, errors: &mut Errors) {
    if expression.str().trim().is_empty() {
        errors.push(expression.required(detail));
    }
}

fn match_resources(resources: &Node<'_>, errors: &mut Errors) {
    if !resources.present() {
        return;
    }
    let policy = resources.at("matchPolicy");
    if policy.present() {
        policy.one_of(MATCH_POLICIES, errors);
    } else {
        errors.push(policy.required(""));
    }
    for name in ["namespaceSelector", "objectSelector"] {
        let selector = resources.at(name);
        if selector.present() {
            meta::label_selector(&selector, errors);
        } else {
            errors.push(selector.required(""));
        }
    }
    for list in ["resourceRules", "excludeResourceRules"] {
        for rule in resources.at(list).items() {
            let mut names = Vec::new();
            for name in rule.at("resourceNames").items() {
                name.format(formats::path_segment(name.str(), false), errors);
                if names.contains(&name.str()) {
                    errors.push(name.duplicate());
                }
                names.push(name.str());
            }
            rule_with_operations(&rule, errors);
        }
    }
}

/// Deletions cannot be mutated.
fn mutating_operations(resources: &Node<'_>, errors: &mut Errors) {
    let path = resources.at("resourceRules").path.child("operations");
    for rule in resources.at("resourceRules").items() {
        for operation in rule.at("operations").strings().filter(|it| !MUTATING_OPERATIONS.contains(it)) {
            errors.push(Error::not_supported(&path, operation, MUTATING_OPERATIONS));
        }
    }
}

fn param_kind(kind: &Node<'_>, errors: &mut Errors) {
    let version = kind.at("apiVersion");
    match version.str().split('/').collect::<Vec<_>>()[..] {
        _ if version.is_empty() => errors.push(version.required("")),
        _ if version.str() == "/" => errors.push(version.invalid_text("version must be specified")),
        [number] => group_version(&version, "", number, errors),
        [group, number] => group_version(&version, group, number, errors),
        _ => errors.push(version.invalid_text(format!("unexpected GroupVersion string: {}", version.str()))),
    }
    let name = kind.at("kind");
    if name.is_empty() {
        errors.push(name.required(""));
        return;
    }
    let messages = formats::dns1035_label(&name.str().to_lowercase());
    if !messages.is_empty() {
        let detail = format!("may have mixed case, but should otherwise match: {}", messages.join(","));
        errors.push(name.invalid_text(detail));
    }
}

fn group_version(node: &Node<'_>, group: &str, version: &str, errors: &mut Errors) {
    let mut judge = |value: &str, messages: Vec<String>| {
        if !messages.is_empty() {
            errors.push(Error::invalid(&node.path, value, messages.join(",")));
        }
    };
    if !group.is_empty() {
        judge(group, formats::dns_subdomain(group));
    }
    if version.is_empty() {
        judge(node.str(), vec!["version must be specified".to_owned()]);
    } else {
        judge(version, formats::dns1035_label(version));
    }
}

/// What policies of both kinds have first.
fn policy_head(spec: &Node<'_>, errors: &mut Errors) {
    let policy = spec.at("failurePolicy");
    if policy.present() {
        policy.one_of(FAILURE_POLICIES, errors);
    } else {
        errors.push(policy.required(""));
    }
    if let Some(kind) = spec.at("paramKind").some() {
        param_kind(&kind, errors);
    }
    let constraints = spec.at("matchConstraints");
    if constraints.present() {
        match_resources(&constraints, errors);
        filled(&constraints.at("resourceRules"), errors);
    } else {
        errors.push(constraints.required(""));
    }
}

fn is_identifier(name: &str) -> bool {
    const RESERVED: &[&str] = &[
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    ];
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
        && !RESERVED.contains(&name)
}

fn variables(spec: &Node<'_>, errors: &mut Errors) {
    for variable in spec.at("variables").items() {
        let name = variable.at("name");
        if name.str().trim().is_empty() {
            errors.push(name.required("name is not specified"));
        } else if !is_identifier(name.str()) {
            errors.push(name.invalid_text("must be a valid CEL identifier"));
        }
        expression(&variable.at("expression"), "expression is not specified", errors);
    }
}

/// Judges a new validating admission policy.
pub fn create_validating_policy(policy: &Node<'_>, errors: &mut Errors) {
    let (metadata, spec) = (policy.at("metadata"), policy.at("spec"));
    meta::validate(&metadata, false, formats::subdomain_name, errors);
    policy_head(&spec, errors);
    match_conditions(&spec.at("matchConditions"), errors);
    variables(&spec, errors);
    let (validations, audits) = (spec.at("validations"), spec.at("auditAnnotations"));
    if validations.is_empty() && audits.is_empty() {
        let detail = "validations or auditAnnotations must contain at least one item";
        errors.push(validations.required(detail));
        errors.push(audits.required(detail));
        return;
    }
    for validation in validations.items() {
        judge_validation(&validation, errors);
    }
    audit_annotations(&audits, metadata.text("name"), errors);
}

/// Judges a changed validating admission policy.
pub fn update_validating_policy(policy: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_validating_policy(policy, errors);
}

fn judge_validation(validation: &Node<'_>, errors: &mut Errors) {
    expression(&validation.at("expression"), "expression is not specified", errors);
    let (shown, message) = (validation.at("messageExpression"), validation.at("message"));
    let blank = |node: &Node<'_>| !node.is_empty() && node.str().trim().is_empty();
    if blank(&shown) {
        errors.push(shown.invalid_text("must be non-empty if specified"));
    }
    if blank(&message) {
        errors.push(message.invalid_text("must be non-empty if specified"));
    } else if message.str().trim().contains(['\n', '\r']) {
        errors.push(message.invalid_text("must not contain line breaks"));
    }
    choice(&validation.at("reason"), &["Forbidden", "Invalid", "RequestEntityTooLarge"], errors);
}

fn audit_annotations(audits: &Node<'_>, policy: &str, errors: &mut Errors) {
    const MAX_EXPRESSION: usize = 5 * 1024;
    if audits.len() > 20 {
        errors.push(audits.invalid("must not have more than 20 auditAnnotations"));
    }
    let mut keys = Vec::new();
    for audit in audits.items() {
        let (key, value) = (audit.at("key"), audit.at("valueExpression"));
        if policy.is_empty() {
            errors.push(key.invalid_text("requires metadata.name be non-empty"));
        } else {
            let name = format!("{policy}/{}", key.str());
            errors.extend(
                formats::label_key(&name).into_iter().map(|message| Error::invalid(&key.path, name.as_str(), message)),
            );
        }
        expression(&value, "valueExpression is not specified", errors);
        if value.str().trim().len() > MAX_EXPRESSION {
            errors.push(value.required(format!("must not exceed {MAX_EXPRESSION} bytes in length")));
        }
        if keys.contains(&key.str()) {
            errors.push(Error::duplicate(&key.path, key.str()));
        }
        keys.push(key.str());
    }
}

/// Judges a changed status of a validating admission policy.
pub fn status_validating_policy(policy: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    let status = policy.at("status");
    for warning in status.at("typeChecking").at("expressionWarnings").items() {
        filled(&warning.at("warning"), errors);
        expression(&warning.at("fieldRef"), "", errors);
    }
    meta::conditions(&status.at("conditions"), errors);
}

/// Judges a new mutating admission policy.
pub fn create_mutating_policy(policy: &Node<'_>, errors: &mut Errors) {
    let spec = policy.at("spec");
    meta::validate(&policy.at("metadata"), false, formats::subdomain_name, errors);
    policy_head(&spec, errors);
    mutating_operations(&spec.at("matchConstraints"), errors);
    match_conditions(&spec.at("matchConditions"), errors);
    variables(&spec, errors);
    let mutations = spec.at("mutations");
    if mutations.is_empty() {
        errors.push(mutations.required("mutations must contain at least one item"));
    }
    for mutation in mutations.items() {
        judge_mutation(&mutation, errors);
    }
    let reinvocation = spec.at("reinvocationPolicy");
    if reinvocation.is_empty() {
        errors.push(reinvocation.required(""));
    } else {
        reinvocation.one_of(REINVOCATION_POLICIES, errors);
    }
}

/// Judges a changed mutating admission policy.
pub fn update_mutating_policy(policy: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_mutating_policy(policy, errors);
}

fn judge_mutation(mutation: &Node<'_>, errors: &mut Errors) {
    let ty = mutation.at("patchType");
    let (used, unused) = match ty.str() {
        "" => {
            errors.push(ty.required(""));
            return;
        }
        "JSONPatch" => ("jsonPatch", "applyConfiguration"),
        "ApplyConfiguration" => ("applyConfiguration", "jsonPatch"),
        _ => {
            errors.push(ty.not_supported(&["ApplyConfiguration", "JSONPatch"]));
            return;
        }
    };
    if mutation.has(used) {
        expression(&mutation.at(used).at("expression"), "", errors);
    } else {
        errors.push(mutation.at(used).required(format!("must be specified when patchType is {}", ty.str())));
    }
    if mutation.has(unused) {
        let detail = format!("must not be specified when patchType is {}", ty.str());
        errors.push(Error::invalid(&mutation.at(unused).path, format!("{{{unused}}}"), detail));
    }
}

/// Judges a new binding of a validating admission policy.
pub fn create_validating_binding(binding: &Node<'_>, errors: &mut Errors) {
    policy_binding(binding, errors);
    let actions = binding.at("spec").at("validationActions");
    let mut seen = Vec::new();
    for action in actions.items() {
        action.one_of(&["Audit", "Deny", "Warn"], errors);
        if seen.contains(&action.str()) {
            errors.push(action.duplicate());
        }
        seen.push(action.str());
    }
    if seen.contains(&"Deny") && seen.contains(&"Warn") {
        let detail = "must not contain both Deny and Warn (repeating the same validation failure information in the \
                      API response and headers serves no purpose)";
        errors.push(actions.invalid(detail));
    }
    if seen.is_empty() {
        errors.push(actions.required("at least one validation action is required"));
    }
}

/// Judges a changed binding of a validating admission policy.
pub fn update_validating_binding(binding: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_validating_binding(binding, errors);
}

/// Judges a new binding of a mutating admission policy.
pub fn create_mutating_binding(binding: &Node<'_>, errors: &mut Errors) {
    policy_binding(binding, errors);
    mutating_operations(&binding.at("spec").at("matchResources"), errors);
}

/// Judges a changed binding of a mutating admission policy.
pub fn update_mutating_binding(binding: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_mutating_binding(binding, errors);
}

fn policy_binding(binding: &Node<'_>, errors: &mut Errors) {
    meta::validate(&binding.at("metadata"), false, formats::subdomain_name, errors);
    let spec = binding.at("spec");
    let policy = spec.at("policyName");
    if policy.is_empty() {
        errors.push(policy.required(""));
    } else {
        policy.format(formats::dns_subdomain(policy.str()), errors);
    }
    if let Some(param) = spec.at("paramRef").some() {
        param_ref(&param, errors);
    }
    match_resources(&spec.at("matchResources"), errors);
}

fn param_ref(param: &Node<'_>, errors: &mut Errors) {
    const EXCLUSIVE: &str = "name and selector are mutually exclusive";
    let (name, selector, action) = (param.at("name"), param.at("selector"), param.at("parameterNotFoundAction"));
    if !name.is_empty() {
        name.format(formats::path_segment(name.str(), false), errors);
        if selector.present() {
            errors.push(name.forbidden(EXCLUSIVE));
        }
    }
    if selector.present() {
        meta::label_selector(&selector, errors);
        if !name.is_empty() {
            errors.push(selector.forbidden(EXCLUSIVE));
        }
    }
    if name.is_empty() && !selector.present() {
        errors.push(param.required("one of name or selector must be specified"));
    }
    if action.is_empty() {
        errors.push(action.required(""));
    } else {
        action.one_of(&["Deny", "Allow"], errors);
    }
}
