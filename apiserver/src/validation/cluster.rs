//! Namespaces, nodes, limit ranges and resource quotas.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go` and `conversion.go`, `pkg/apis/core/validation/validation.go`.

use serde_json::{Value, json};

use super::edit::{Fields, add_missing, each, is_empty, object, set, set_empty, text, within, within_new};
use super::field::{Error, Errors, Path};
use super::node::Node;
use super::quantity::Quantity;
use super::{addresses, formats, go_struct, meta, pod, resources};
use crate::go_syntax::go_quote;

/// The label by which every namespace can be selected by name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Defaults of a namespace. One whose name is yet to be generated is labelled once it is.
pub fn default_namespace(namespace: &mut Value) {
    object(namespace, |namespace| {
        within(namespace, "metadata", |meta| {
            let name = text(meta, "name").to_owned();
            if !name.is_empty() {
                within_new(meta, "labels", |labels| set(labels, NAME_LABEL, name));
            }
        });
        within(namespace, "status", |status| set_empty(status, "phase", "Active"));
    });
}

/// Defaults of a node.
pub fn default_node(node: &mut Value) {
    object(node, |node| {
        within(node, "status", |status| {
            if is_empty(status, "allocatable") {
                add_missing(status, "allocatable", "capacity");
            }
        });
        within(node, "spec", reconcile_pod_cidrs);
    });
}

/// Reconciles a node's one range of pod addresses with its list of ranges: the single one rules.
fn reconcile_pod_cidrs(spec: &mut Fields) {
    let cidr = text(spec, "podCIDR").to_owned();
    let first = spec.get("podCIDRs").and_then(|cidrs| cidrs.get(0)?.as_str()).map(str::to_owned);
    match first {
        Some(first) if cidr.is_empty() && !first.is_empty() => set(spec, "podCIDR", first),
        _ if cidr.is_empty() => {}
        Some(first) if first == cidr => {}
        _ => set(spec, "podCIDRs", json!([cidr])),
    }
}

/// Defaults of a limit range: for containers, limits come from maxima and requests from limits and minima.
pub fn default_limit_range(range: &mut Value) {
    object(range, |range| {
        within(range, "spec", |spec| {
            each(spec, "limits", |limit| {
                if text(limit, "type") == "Container" {
                    add_missing(limit, "default", "max");
                    add_missing(limit, "defaultRequest", "default");
                    add_missing(limit, "defaultRequest", "min");
                }
            });
        });
    });
}

/// Judges a new namespace.
pub fn create_namespace(namespace: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&namespace.at("metadata"), false, formats::label_name, errors);
    let finalizers = namespace.at("spec").at("finalizers");
    for finalizer in finalizers.items() {
        let finalizer = Node { value: finalizer.value, path: finalizers.path.clone() };
        meta::finalizer_name(finalizer.str(), &finalizers.path, errors);
        meta::kube_finalizer(&finalizer, errors);
    }
}

/// Judges a namespace's changed status.
pub fn status_namespace(namespace: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&namespace.at("metadata"), &old.at("metadata"), errors);
    let deleted = namespace.at("metadata").has("deletionTimestamp");
    let phase =
        Node { value: namespace.at("status").get("phase"), path: namespace.path.child("status").child("Phase") };
    if !deleted && phase.str() != "Active" {
        errors.push(phase.invalid_text("may only be 'Active' if `deletionTimestamp` is empty"));
    } else if deleted && phase.str() != "Terminating" {
        errors.push(phase.invalid_text("may only be 'Terminating' if `deletionTimestamp` is not empty"));
    }
}

/// Judges a namespace changed through its finalize subresource.
pub fn finalize_namespace(namespace: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&namespace.at("metadata"), &old.at("metadata"), errors);
    for finalizer in namespace.at("spec").at("finalizers").items() {
        meta::finalizer_name(finalizer.str(), &finalizer.path, errors);
        meta::kube_finalizer(&finalizer, errors);
    }
}

fn taints(taints: &Node<'_>, errors: &mut Errors) {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (i, taint) in taints.items().enumerate() {
        // Upstream reports the taints of the spec under the metadata.
        let taint = Node { value: taint.value, path: Path::new("metadata").child("taints").index(i) };
        meta::label_key(&taint.at("key"), errors);
        let value = taint.at("value");
        let messages = formats::label_value(value.str());
        if !messages.is_empty() {
            errors.push(value.invalid_text(messages.join(";")));
        }
        pod::taint_effect(&taint.at("effect"), errors);
        let key = (taint.text("key"), taint.text("effect"));
        if seen.contains(&key) {
            let mut error = Error::duplicate(&taint.path, go_struct::value("io.k8s.api.core.v1.Taint", taint.value));
            "taints must be unique by key and effect pair".clone_into(&mut error.detail);
            errors.push(error);
        }
        seen.push(key);
    }
}

fn declared_features(node: &Node<'_>, errors: &mut Errors) {
    let mut previous = None;
    for feature in node.at("status").at("declaredFeatures").items() {
        let name = feature.str();
        let word = |word: &str| {
            word.starts_with(|c: char| c.is_ascii_alphabetic()) && word.chars().all(|c| c.is_ascii_alphanumeric())
        };
        let problem = if name.len() > formats::DNS_SUBDOMAIN_MAX_BYTES {
            Some(format!("must be no more than {} characters", formats::DNS_SUBDOMAIN_MAX_BYTES))
        } else if !(name.starts_with(|c: char| c.is_ascii_uppercase()) && name.split('/').all(word)) {
            Some(
                "must start with an UpperCamelCase segment, with subsequent segments separated by '/' (e.g., MyFeature \
                 or MyFeature/mySubFeature), and contain only alphanumeric characters and slashes"
                    .to_owned(),
            )
        } else {
            None
        };
        match previous {
            Some(previous) if previous == name => errors.push(feature.duplicate()),
            Some(previous) if previous > name => {
                errors.push(feature.invalid_text("list must be sorted alphabetically"));
            }
            _ => {}
        }
        if let Some(problem) = problem {
            errors.push(feature.invalid_text(format!("invalid feature name {}: {problem}", go_quote(name))));
        }
        previous = Some(name);
    }
}

fn node_resources(node: &Node<'_>, errors: &mut Errors) {
    for name in ["capacity", "allocatable"] {
        let amounts = node.at("status").at(name);
        for (resource, amount) in amounts.entries() {
            let amount = Node { value: amount.value, path: amounts.path.annotation(resource) };
            resources::quantity(resource, &amount, errors);
        }
    }
}

/// Judges a new node.
pub fn create_node(node: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&node.at("metadata"), false, formats::subdomain_name, errors);
    let spec = node.at("spec");
    taints(&spec.at("taints"), errors);
    node_resources(node, errors);
    declared_features(node, errors);
    let cidrs = spec.at("podCIDRs");
    for cidr in cidrs.items() {
        addresses::legacy_cidr(&cidr, errors);
    }
    if cidrs.len() > 1 {
        let parsed: Vec<_> = cidrs.strings().map(addresses::parse_cidr).collect();
        if parsed.iter().any(Option::is_none) {
            let invalid = cidrs.strings().find(|cidr| addresses::parse_cidr(cidr).is_none()).unwrap_or_default();
            let message = format!(
                "invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[0]: <nil> (invalid CIDR address: {invalid})"
            );
            errors.push(Error::internal(&cidrs.path, message));
        }
        let v6 = parsed.iter().flatten().filter(|(address, _)| address.is_ipv6()).count();
        if v6 == 0 || v6 == parsed.len() || cidrs.len() > 2 {
            errors.push(cidrs.invalid("may specify no more than one CIDR for each IP family"));
        }
    }
}

/// Judges a changed node.
pub fn update_node(node: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_node(node, errors);
    status_node(node, old, errors);
}

/// Judges a changed status of a node.
pub fn status_node(node: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&node.at("metadata"), &old.at("metadata"), errors);
    node_resources(node, errors);
    declared_features(node, errors);
    let (spec, old_spec) = (node.at("spec"), old.at("spec"));
    let addresses = node.at("status").at("addresses");
    for (i, address) in addresses.items().enumerate() {
        if addresses.items().take(i).any(|other| other.value == address.value) {
            errors.push(Error::duplicate(
                &address.path,
                go_struct::value("io.k8s.api.core.v1.NodeAddress", address.value),
            ));
        }
    }
    let (cidrs, old_cidrs) = (spec.at("podCIDRs"), old_spec.at("podCIDRs"));
    if !old_cidrs.is_empty() {
        let changed = if cidrs.len() == old_cidrs.len() {
            cidrs.strings().zip(old_cidrs.strings()).filter(|(new, old)| new != old).count()
        } else {
            1
        };
        for _ in 0..changed {
            errors.push(cidrs.forbidden("node updates may not change podCIDR except from \"\" to valid"));
        }
    }
    let provider = spec.at("providerID");
    if !old_spec.text("providerID").is_empty() && provider.str() != old_spec.text("providerID") {
        errors.push(provider.forbidden("node updates may not change providerID except from \"\" to valid"));
    }
    taints(&spec.at("taints"), errors);
    if spec.text("externalID") != old_spec.text("externalID") {
        errors.push(spec.at("externalID").forbidden("may not be updated"));
    }
}

/// Judges a limit range, new or changed.
pub fn create_limit_range(range: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&range.at("metadata"), true, formats::subdomain_name, errors);
    let mut kinds: Vec<&str> = Vec::new();
    for limit in range.at("spec").at("limits").items() {
        let kind = limit.at("type");
        let messages = formats::label_key(kind.str());
        if !messages.is_empty() {
            kind.format(messages, errors);
        } else if !kind.str().contains('/') && !matches!(kind.str(), "Pod" | "Container" | "PersistentVolumeClaim") {
            errors.push(kind.invalid_text("must be a standard limit type or fully qualified"));
        }
        if kinds.contains(&kind.str()) {
            errors.push(kind.duplicate());
        }
        kinds.push(kind.str());
        validate_limit(&limit, kind.str(), errors);
    }
}

/// Judges a changed limit range.
pub fn update_limit_range(range: &Node<'_>, _old: &Node<'_>, errors: &mut Errors) {
    create_limit_range(range, errors);
}

fn validate_limit(limit: &Node<'_>, kind: &str, errors: &mut Errors) {
    let name_rule = if matches!(kind, "Pod" | "Container") { resources::container_name } else { resources::name };
    let names = |list: &'static str, errors: &mut Errors| {
        for (resource, amount) in limit.at(list).entries() {
            name_rule(resource, &amount, errors);
        }
    };
    names("max", errors);
    names("min", errors);
    let is_pod = kind == "Pod";
    for list in ["default", "defaultRequest"] {
        if !is_pod {
            names(list, errors);
        } else if !limit.at(list).is_empty() {
            errors.push(limit.at(list).forbidden("may not be specified when `type` is 'Pod'"));
        }
    }
    if kind == "PersistentVolumeClaim" && !limit.at("min").has("storage") && !limit.at("max").has("storage") {
        let message = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(limit.at("limits").required(message));
    }
    names("maxLimitRequestRatio", errors);
    let mut resources: Vec<&str> = ["max", "min", "default", "defaultRequest", "maxLimitRequestRatio"]
        .into_iter()
        .filter(|list| !(is_pod && list.starts_with("default")))
        .flat_map(|list| limit.at(list).texts().map(|(resource, _)| resource).collect::<Vec<_>>())
        .collect();
    resources.sort_unstable();
    resources.dedup();
    for resource in resources {
        compare_limits(limit, resource, is_pod, errors);
    }
}

fn compare_limits(limit: &Node<'_>, resource: &str, is_pod: bool, errors: &mut Errors) {
    let of = |list: &'static str| {
        let text = limit.at(list).get(resource).as_str()?;
        (!(is_pod && list.starts_with("default"))).then_some((text, Quantity::parse(text).unwrap_or_default()))
    };
    let (min, max, ratio) = (of("min"), of("max"), of("maxLimitRequestRatio"));
    let (default, request) = (of("default"), of("defaultRequest"));
    let mut check =
        |low: Option<(&str, Quantity)>, high: Option<(&str, Quantity)>, list, shown_low: bool, names: (&str, &str)| {
            if let (Some(low), Some(high)) = (low, high)
                && low.1 > high.1
            {
                let shown = if shown_low { low.0 } else { high.0 };
                let message = format!("{} value {} is greater than {} value {}", names.0, low.0, names.1, high.0);
                errors.push(Error::invalid(&limit.path.child(list).key(resource), shown, message));
            }
        };
    check(min, max, "min", true, ("min", "max"));
    check(min, request, "defaultRequest", false, ("min", "default request"));
    check(request, max, "defaultRequest", true, ("default request", "max"));
    check(request, default, "defaultRequest", true, ("default request", "default limit"));
    check(min, default, "default", true, ("min", "default"));
    check(default, max, "default", false, ("default", "max"));
    let ratio_path = limit.path.child("maxLimitRequestRatio").key(resource);
    if let Some((text, ratio)) = ratio {
        if ratio < Quantity::parse("1").unwrap_or_default() {
            errors.push(Error::invalid(&ratio_path, text, format!("ratio {text} is less than 1")));
        }
        if let (Some((_, min)), Some((_, max))) = (min, max) {
            let limit = max.ratio(min);
            if ratio.as_f64() > limit {
                let limit = if limit.is_infinite() { "+Inf".to_owned() } else { format!("{limit:.6}") };
                errors.push(Error::invalid(
                    &ratio_path,
                    text,
                    format!("ratio {text} is greater than max/min = {limit}"),
                ));
            }
        }
    }
    if let (Some(default), Some(request)) = (default, request)
        && !resources::may_overcommit(resource)
        && default.1 != request.1
    {
        let message =
            format!("default value {} must equal to defaultRequest value {} in {resource}", default.0, request.0);
        errors.push(Error::invalid(&limit.path.child("defaultRequest").key(resource), request.0, message));
    }
}

const SCOPES: [&str; 7] = [
    "Terminating",
    "NotTerminating",
    "BestEffort",
    "NotBestEffort",
    "PriorityClass",
    "CrossNamespacePodAffinity",
    "VolumeAttributesClass",
];

/// Whether a quota's scope selects any of what its resource counts.
fn scope_counts(scope: &str, resource: &str) -> bool {
    let pod_compute = matches!(
        resource,
        "cpu"
            | "memory"
            | "limits.cpu"
            | "limits.memory"
            | "requests.cpu"
            | "requests.memory"
            | "pods"
            | "ephemeral-storage"
            | "requests.ephemeral-storage"
            | "limits.ephemeral-storage"
    ) || resource.starts_with("hugepages-")
        || resource.starts_with("requests.hugepages-");
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            pod_compute
        }
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

const SCOPE_PAIRS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

fn quota_amounts(amounts: &Node<'_>, errors: &mut Errors) {
    for (resource, amount) in amounts.entries() {
        resources::quota_name(resource, &amount, errors);
        resources::quantity(resource, &amount, errors);
    }
}

fn quota_spec(spec: &Node<'_>, errors: &mut Errors) {
    let hard = spec.at("hard");
    quota_amounts(&hard, errors);
    let scopes = spec.at("scopes");
    let counted: Vec<&str> = hard.texts().map(|(name, _)| name).filter(|name| resources::is_quota(name)).collect();
    for scope in scopes.strings() {
        if !SCOPES.contains(&scope) {
            errors.push(scopes.invalid("unsupported scope"));
        }
        for resource in &counted {
            if !scope_counts(scope, resource) {
                errors.push(scopes.invalid("unsupported scope applied to resource"));
            }
        }
    }
    conflicting_scopes(&scopes, &scopes.strings().collect::<Vec<_>>(), errors);
    let selector = spec.at("scopeSelector");
    let expressions = selector.at("matchExpressions");
    let at = |name| expressions.path.child(name);
    let mut names: Vec<&str> = Vec::new();
    for requirement in expressions.items() {
        let (scope, operator) = (requirement.text("scopeName"), requirement.text("operator"));
        if !SCOPES.contains(&scope) {
            errors.push(Error::invalid(&at("scopeName"), scope, "unsupported scope"));
        }
        for resource in &counted {
            if !scope_counts(scope, resource) {
                let shown = go_struct::value("io.k8s.api.core.v1.ScopeSelector", selector.value);
                errors.push(Error::invalid(&expressions.path, shown, "unsupported scope applied to resource"));
            }
        }
        let only_exists = matches!(
            scope,
            "BestEffort" | "NotBestEffort" | "Terminating" | "NotTerminating" | "CrossNamespacePodAffinity"
        );
        if only_exists && operator != "Exists" {
            errors.push(Error::invalid(&at("operator"), operator, "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"));
        }
        let values = requirement.at("values");
        match operator {
            "In" | "NotIn" => {
                if values.is_empty() {
                    let message = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
                    errors.push(Error::required(&at("values"), message));
                }
            }
            "Exists" | "DoesNotExist" => {
                if !values.is_empty() {
                    let message = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
                    errors.push(Error::invalid(&at("values"), values.value, message));
                }
            }
            _ => errors.push(Error::invalid(&at("operator"), operator, "not a valid selector operator")),
        }
        names.push(scope);
    }
    conflicting_scopes(&scopes, &names, errors);
}

fn conflicting_scopes(scopes: &Node<'_>, names: &[&str], errors: &mut Errors) {
    for pair in SCOPE_PAIRS {
        if pair.iter().all(|scope| names.contains(scope)) {
            errors.push(scopes.invalid("conflicting scopes"));
        }
    }
}

/// Judges a new resource quota.
pub fn create_quota(quota: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&quota.at("metadata"), true, formats::subdomain_name, errors);
    quota_spec(&quota.at("spec"), errors);
    quota_amounts(&quota.at("status").at("hard"), errors);
    quota_amounts(&quota.at("status").at("used"), errors);
}

/// Judges a changed resource quota.
pub fn update_quota(quota: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&quota.at("metadata"), &old.at("metadata"), errors);
    let spec = quota.at("spec");
    quota_spec(&spec, errors);
    let sorted = |spec: &Node<'_>| {
        let mut scopes: Vec<String> = spec.at("scopes").strings().map(str::to_owned).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    };
    if sorted(&spec) != sorted(&old.at("spec")) {
        errors.push(spec.at("scopes").invalid("field is immutable"));
    }
}

/// Judges a resource quota's changed status.
pub fn status_quota(quota: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&quota.at("metadata"), &old.at("metadata"), errors);
    quota_amounts(&quota.at("status").at("hard"), errors);
    quota_amounts(&quota.at("status").at("used"), errors);
}
