//! Flow schemas and priority levels.
//!
//! Upstream: `pkg/apis/flowcontrol/v1/defaults.go`, `pkg/apis/flowcontrol/validation/validation.go`.

use serde_json::{Value, json};

use super::edit::{object, set_absent, set_empty, within};
use super::field::{Error, Errors};
use super::node::Node;
use super::{formats, go_struct, meta};

const MAX_QUEUES: i64 = 10_000_000;
/// How many bits of a hash shuffle sharding may use.
const MAX_HASH_BITS: f64 = 60.0;

/// Defaults of a flow schema.
pub fn default_flow_schema(schema: &mut Value) {
    object(schema, |schema| within(schema, "spec", |spec| set_empty(spec, "matchingPrecedence", 1000)));
}

/// Defaults of a priority level.
pub fn default_priority_level(level: &mut Value) {
    object(level, |level| {
        within(level, "spec", |spec| {
            within(spec, "exempt", |exempt| {
                set_absent(exempt, "nominalConcurrencyShares", 0);
                set_absent(exempt, "lendablePercent", 0);
            });
            within(spec, "limited", |limited| {
                set_absent(limited, "nominalConcurrencyShares", 30);
                set_absent(limited, "lendablePercent", 0);
                within(limited, "limitResponse", |response| {
                    within(response, "queuing", |queuing| {
                        set_empty(queuing, "handSize", 8);
                        set_empty(queuing, "queues", 64);
                        set_empty(queuing, "queueLengthLimit", 50);
                    });
                });
            });
        });
    });
}

/// What the objects that every server has must be; none for others.
fn fixed_schema(name: &str) -> Option<Value> {
    let schema = |level: &str, precedence: i64, groups: &[&str]| {
        let subjects: Vec<Value> =
            groups.iter().map(|group| json!({"kind": "Group", "group": {"name": group}})).collect();
        json!({
            "priorityLevelConfiguration": {"name": level},
            "matchingPrecedence": precedence,
            "rules": [{
                "subjects": subjects,
                "resourceRules": [{
                    "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "clusterScope": true, "namespaces": ["*"],
                }],
                "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
            }],
        })
    };
    match name {
        "exempt" => Some(schema("exempt", 1, &["system:masters"])),
        "catch-all" => {
            let mut fixed = schema("catch-all", 10000, &["system:unauthenticated", "system:authenticated"]);
            fixed["distinguisherMethod"] = json!({"type": "ByUser"});
            Some(fixed)
        }
        _ => None,
    }
}

/// Judges a new flow schema.
pub fn create_flow_schema(schema: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&schema.at("metadata"), false, formats::subdomain_name, errors);
    flow_schema(schema, errors);
}

/// Judges a changed flow schema.
pub fn update_flow_schema(schema: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_flow_schema(schema, errors);
}

fn flow_schema(schema: &Node<'_>, errors: &mut Errors) {
    let (spec, name) = (schema.at("spec"), schema.at("metadata").text("name"));
    let precedence = spec.at("matchingPrecedence");
    if precedence.int() <= 0 {
        errors.push(precedence.invalid_int("must be a positive value"));
    }
    if precedence.int() > 10000 {
        errors.push(precedence.invalid_int("must not be greater than 10000"));
    }
    if precedence.int() == 1 && name != "exempt" {
        errors.push(precedence.invalid_int("only the schema named 'exempt' may have matchingPrecedence 1"));
    }
    if let Some(method) = spec.at("distinguisherMethod").some() {
        let supported = ["ByNamespace", "ByUser"];
        if !supported.contains(&method.text("type")) {
            let shown = go_struct::value("io.k8s.api.flowcontrol.v1.FlowDistinguisherMethod", method.value);
            errors.push(Error::not_supported(&method.at("type").path, shown, &supported));
        }
    }
    let level = spec.at("priorityLevelConfiguration").at("name");
    if level.is_empty() {
        errors.push(level.required("must reference a priority level"));
    } else {
        level.format(formats::dns_subdomain(level.str()), errors);
    }
    for rule in spec.at("rules").items() {
        flow_rule(&rule, errors);
    }
    if fixed_schema(name).is_some_and(|fixed| fixed != *spec.value) {
        let shown = go_struct::value("io.k8s.api.flowcontrol.v1.FlowSchemaSpec", spec.value);
        errors.push(Error::invalid(&spec.path, shown, format!("spec of '{name}' must equal the fixed value")));
    }
    conditions(&schema.at("status"), errors);
}

/// Judges a changed status of a flow schema or priority level.
pub fn status(object: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    conditions(&object.at("status"), errors);
}

fn conditions(status: &Node<'_>, errors: &mut Errors) {
    let mut seen = Vec::new();
    for condition in status.at("conditions").items() {
        let ty = condition.at("type");
        if seen.contains(&ty.str()) {
            errors.push(Error::duplicate(&ty.path, ty.str()));
        }
        seen.push(ty.str());
        if ty.is_empty() {
            errors.push(ty.required(""));
        }
    }
}

fn flow_rule(rule: &Node<'_>, errors: &mut Errors) {
    let subjects = rule.at("subjects");
    if subjects.is_empty() {
        errors.push(subjects.required("subjects must contain at least one value"));
    }
    for subject in subjects.items() {
        flow_subject(&subject, errors);
    }
    let (resources, others) = (rule.at("resourceRules"), rule.at("nonResourceRules"));
    if resources.is_empty() && others.is_empty() {
        errors.push(rule.required("at least one of resourceRules and nonResourceRules has to be non-empty"));
    }
    for rule in resources.items() {
        resource_rule(&rule, errors);
    }
    for rule in others.items() {
        verbs(&rule, errors);
        let urls = rule.at("nonResourceURLs");
        if urls.is_empty() {
            errors.push(urls.required("nonResourceURLs must contain at least one value"));
        } else if wildcard(&urls) {
            alone(&urls, "non-resource URLs", errors);
        } else {
            urls.items().for_each(|url| url_path(&url, errors));
        }
    }
}

fn flow_subject(subject: &Node<'_>, errors: &mut Errors) {
    let kinds = [("ServiceAccount", "serviceAccount"), ("User", "user"), ("Group", "group")];
    let Some((kind, name)) = kinds.into_iter().find(|(kind, _)| *kind == subject.text("kind")) else {
        errors.push(subject.at("kind").not_supported(&["Group", "ServiceAccount", "User"]));
        return;
    };
    match subject.at(name).some() {
        None => errors.push(subject.at(name).required(format!("{name} is required when subject kind is '{kind}'"))),
        Some(inner) => {
            let (name, namespace) = (inner.at("name"), inner.at("namespace"));
            if name.is_empty() {
                errors.push(name.required(""));
            } else if kind == "ServiceAccount" && name.str() != "*" {
                name.format(formats::subdomain_name(name.str(), false), errors);
            }
            if kind == "ServiceAccount" && namespace.is_empty() {
                errors.push(namespace.required("must specify namespace for service account"));
            } else if kind == "ServiceAccount" {
                namespace.format(formats::label_name(namespace.str(), false), errors);
            }
        }
    }
    for (other_kind, other) in kinds {
        if other != name && subject.has(other) {
            let detail = format!("{other} is forbidden when subject kind is not '{other_kind}'");
            errors.push(subject.at(other).forbidden(detail));
        }
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

fn verbs(rule: &Node<'_>, errors: &mut Errors) {
    let supported = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
    let verbs = rule.at("verbs");
    if verbs.is_empty() {
        errors.push(verbs.required("verbs must contain at least one value"));
    } else if wildcard(&verbs) {
        alone(&verbs, "verbs", errors);
    } else if verbs.strings().any(|verb| !supported.contains(&verb)) {
        errors.push(Error::not_supported(&verbs.path, verbs.value, &supported));
    }
}

fn resource_rule(rule: &Node<'_>, errors: &mut Errors) {
    verbs(rule, errors);
    let (groups, resources, namespaces) = (rule.at("apiGroups"), rule.at("resources"), rule.at("namespaces"));
    if groups.is_empty() {
        errors.push(groups.required("resource rules must supply at least one api group"));
    }
    alone(&groups, "api groups", errors);
    if resources.is_empty() {
        errors.push(resources.required("resource rules must supply at least one resource"));
    }
    alone(&resources, "resources", errors);
    if namespaces.is_empty() && !rule.flag("clusterScope") {
        let detail = "resource rules that are not cluster scoped must supply at least one namespace";
        errors.push(namespaces.required(detail));
    } else if wildcard(&namespaces) {
        alone(&namespaces, "namespaces", errors);
    } else {
        for namespace in namespaces.items() {
            for message in formats::label_name(namespace.str(), false) {
                let detail = format!("each member of this list must be '*' or a DNS-1123 label; {message}");
                errors.push(namespace.invalid_text(detail));
            }
        }
    }
}

fn url_path(url: &Node<'_>, errors: &mut Errors) {
    let path = url.str();
    let wildcards = path.matches('*').count();
    let detail = if path.is_empty() {
        "must not be empty"
    } else if path == "/" {
        return;
    } else if !path.starts_with('/') {
        "must start with slash"
    } else if path.contains(' ') {
        "must not contain white-space"
    } else if path.contains("//") {
        "must not contain double slash"
    } else if wildcards > 1 || (wildcards == 1 && !path.ends_with("/*")) {
        "wildcard can only do suffix matching"
    } else {
        return;
    };
    errors.push(url.invalid_text(detail));
}

/// Judges a new priority level.
pub fn create_priority_level(level: &Node<'_>, errors: &mut Errors) {
    const ROUND_TRIP: &str = "flowcontrol.k8s.io/v1beta3-preserve-zero-concurrency-shares";
    let meta = level.at("metadata");
    meta::validate_kube(&meta, false, formats::subdomain_name, errors);
    let annotations = meta.at("annotations");
    if annotations.has(ROUND_TRIP) {
        errors.push(annotations.forbidden(format!("annotation '{ROUND_TRIP}' is forbidden")));
    }
    let (spec, name) = (level.at("spec"), meta.text("name"));
    level_spec(&spec, name, errors);
    fixed_level(&spec, name, errors);
    conditions(&level.at("status"), errors);
}

/// Judges a changed priority level.
pub fn update_priority_level(level: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_priority_level(level, errors);
}

fn fixed_level(spec: &Node<'_>, name: &str, errors: &mut Errors) {
    let (fixed, but) = match name {
        "exempt" => (spec.text("type") == "Exempt" && !spec.has("limited"), " except the 'spec.exempt' field"),
        "catch-all" => {
            let fixed = json!({"type": "Limited", "limited": {
                "nominalConcurrencyShares": 5, "lendablePercent": 0, "limitResponse": {"type": "Reject"},
            }});
            (fixed == *spec.value, "")
        }
        _ => return,
    };
    if !fixed {
        let shown = go_struct::value("io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec", spec.value);
        let detail = format!("spec of '{name}'{but} must equal the fixed value");
        errors.push(Error::invalid(&spec.path, shown, detail));
    }
}

fn level_spec(spec: &Node<'_>, name: &str, errors: &mut Errors) {
    let (ty, exempt, limited) = (spec.at("type"), spec.at("exempt"), spec.at("limited"));
    if (name == "exempt") != (ty.str() == "Exempt") {
        errors.push(ty.invalid_text("must be 'Exempt' if and only if `name` is 'exempt'"));
    }
    match ty.str() {
        "Exempt" => {
            if limited.present() {
                errors.push(limited.forbidden("must be nil if the type is not Limited"));
            }
            if exempt.present() {
                shares(&exempt, errors);
                lendable(&exempt, errors);
            }
        }
        "Limited" => {
            if exempt.present() {
                errors.push(exempt.forbidden("must be nil if the type is Limited"));
            }
            if limited.present() {
                limited_level(&limited, errors);
            } else {
                errors.push(limited.required("must not be empty when type is Limited"));
            }
        }
        _ => errors.push(ty.not_supported(&["Exempt", "Limited"])),
    }
}

fn shares(level: &Node<'_>, errors: &mut Errors) {
    let shares = level.at("nominalConcurrencyShares");
    if shares.int() < 0 {
        errors.push(shares.invalid_int("must be a non-negative integer"));
    }
}

fn lendable(level: &Node<'_>, errors: &mut Errors) {
    let percent = level.at("lendablePercent");
    if !(0..=100).contains(&percent.int()) {
        errors.push(percent.invalid_int("must be between 0 and 100, inclusive"));
    }
}

fn limited_level(level: &Node<'_>, errors: &mut Errors) {
    shares(level, errors);
    let response = level.at("limitResponse");
    let queuing = response.at("queuing");
    match response.text("type") {
        "Reject" if queuing.present() => {
            errors.push(queuing.forbidden("must be nil if limited.limitResponse.type is not Limited"));
        }
        "Reject" => {}
        "Queue" if queuing.present() => queues(&queuing, errors),
        "Queue" => errors.push(queuing.required("must not be empty if limited.limitResponse.type is Limited")),
        _ => errors.push(response.at("type").not_supported(&["Queue", "Reject"])),
    }
    lendable(level, errors);
    let borrowing = level.at("borrowingLimitPercent");
    if borrowing.int() < 0 {
        errors.push(borrowing.invalid_int("if specified, must be a non-negative integer"));
    }
}

fn queues(queuing: &Node<'_>, errors: &mut Errors) {
    let (limit, queues, hand) = (queuing.at("queueLengthLimit"), queuing.at("queues"), queuing.at("handSize"));
    if limit.int() <= 0 {
        errors.push(limit.invalid_int("must be positive"));
    }
    if queues.int() <= 0 {
        errors.push(queues.invalid_int("must be positive"));
    } else if queues.int() > MAX_QUEUES {
        errors.push(queues.invalid_int(format!("must not be greater than {MAX_QUEUES}")));
    }
    let (deck, size) = (queues.int(), hand.int());
    if size <= 0 {
        errors.push(hand.invalid_int("must be positive"));
    } else if size > deck {
        errors.push(hand.invalid_int(format!("should not be greater than queues ({deck})")));
    } else if entropy_bits(deck, size) > MAX_HASH_BITS {
        errors.push(hand.invalid_int(format!(
            "required entropy bits of deckSize {deck} and handSize {size} should not be greater than {MAX_HASH_BITS}"
        )));
    }
}

/// A slightly conservative estimate of the bits of a hash that dealing a hand takes.
#[allow(clippy::cast_precision_loss, reason = "both are small enough to be exact: queues are 32 bits wide")]
fn entropy_bits(deck: i64, hand: i64) -> f64 {
    ((deck as f64).log2() * hand as f64).ceil()
}
