//! Where pods may run: affinity to nodes and to each other, and how they spread.
//!
//! Upstream: `pkg/apis/core/validation/validation.go`.

use super::field::{Error, Errors};
use super::node::Node;
use super::{container, formats, meta};

/// Judges an optional affinity.
pub fn validate(affinity: &Node<'_>, errors: &mut Errors) {
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let preferred = "preferredDuringSchedulingIgnoredDuringExecution";
    let nodes = affinity.at("nodeAffinity");
    if let Some(selector) = nodes.at(required).some() {
        node_selector(&selector, errors);
    }
    for term in nodes.at(preferred).items() {
        weight(&term, errors);
        node_term(&term.at("preference"), false, errors);
    }
    for name in ["podAffinity", "podAntiAffinity"] {
        let pods = affinity.at(name);
        for term in pods.at(required).items() {
            pod_term(&term, errors);
        }
        for term in pods.at(preferred).items() {
            weight(&term, errors);
            pod_term(&term.at("podAffinityTerm"), errors);
        }
    }
}

fn weight(term: &Node<'_>, errors: &mut Errors) {
    let weight = term.at("weight");
    if !(1..=100).contains(&weight.int()) {
        errors.push(weight.invalid_int("must be in the range 1-100"));
    }
}

/// Judges a selector of nodes.
pub fn node_selector(selector: &Node<'_>, errors: &mut Errors) {
    let terms = selector.at("nodeSelectorTerms");
    if terms.is_empty() {
        errors.push(terms.required("must have at least one node selector term"));
    }
    for term in terms.items() {
        node_term(&term, true, errors);
    }
}

fn node_term(term: &Node<'_>, label_values: bool, errors: &mut Errors) {
    for requirement in term.at("matchExpressions").items() {
        label_requirement(&requirement, label_values, errors);
    }
    for requirement in term.at("matchFields").items() {
        field_requirement(&requirement, errors);
    }
}

fn label_requirement(requirement: &Node<'_>, label_values: bool, errors: &mut Errors) {
    let (operator, values) = (requirement.at("operator"), requirement.at("values"));
    match operator.str() {
        "In" | "NotIn" => {
            if values.is_empty() {
                errors.push(values.required("must be specified when `operator` is 'In' or 'NotIn'"));
            }
        }
        "Exists" | "DoesNotExist" => {
            if !values.is_empty() {
                errors.push(values.forbidden("may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
            }
        }
        "Gt" | "Lt" => {
            if values.len() != 1 {
                errors.push(values.required("must be specified single value when `operator` is 'Lt' or 'Gt'"));
            }
        }
        _ => errors.push(operator.invalid_text("not a valid selector operator")),
    }
    meta::label_key(&requirement.at("key"), errors);
    if label_values {
        for value in values.items() {
            value.format(formats::label_value(value.str()), errors);
        }
    }
}

fn field_requirement(requirement: &Node<'_>, errors: &mut Errors) {
    let (key, operator, values) = (requirement.at("key"), requirement.at("operator"), requirement.at("values"));
    if !matches!(operator.str(), "In" | "NotIn") {
        errors.push(operator.invalid_text("not a valid selector operator"));
    } else if values.len() != 1 {
        errors
            .push(values.required("must be only one value when `operator` is 'In' or 'NotIn' for node field selector"));
    }
    if key.str() != "metadata.name" {
        errors.push(key.invalid_text("not a valid field selector key"));
        return;
    }
    for value in values.items() {
        value.format(formats::dns_subdomain(value.str()), errors);
    }
}

fn pod_term(term: &Node<'_>, errors: &mut Errors) {
    meta::label_selector(&term.at("labelSelector"), errors);
    meta::label_selector(&term.at("namespaceSelector"), errors);
    let namespace = term.path.child("namespace");
    for name in term.at("namespaces").strings() {
        errors.extend(formats::dns_label(name).into_iter().map(|message| Error::invalid(&namespace, name, message)));
    }
    merged_label_keys(term, errors);
    let topology = term.at("topologyKey");
    if topology.is_empty() {
        errors.push(topology.required("can not be empty"));
    }
    meta::label_key(&topology, errors);
}

/// Judges label keys that are merged into the term's selector.
fn merged_label_keys(term: &Node<'_>, errors: &mut Errors) {
    let (matching, mismatching) = (term.at("matchLabelKeys"), term.at("mismatchLabelKeys"));
    let selector = term.at("labelSelector");
    container::label_keys(&matching, selector.present(), errors);
    container::label_keys(&mismatching, selector.present(), errors);
    let mut selected: Vec<&str> = selector.at("matchLabels").texts().map(|(key, _)| key).collect();
    for expression in selector.at("matchExpressions").items() {
        let key = expression.text("key");
        if let Some(i) = matching.strings().position(|name| name == key)
            && selected.contains(&key)
        {
            let path = term.path.index(i);
            errors.push(Error::invalid(&path, key, "exists in both matchLabelKeys and labelSelector"));
        }
        selected.push(key);
    }
    for key in matching.items() {
        if mismatching.strings().any(|name| name == key.str()) {
            errors.push(key.invalid_text("exists in both matchLabelKeys and mismatchLabelKeys"));
        }
    }
}

/// Judges how pods spread over topologies.
pub fn validate_spread(constraints: &Node<'_>, errors: &mut Errors) {
    for (i, constraint) in constraints.items().enumerate() {
        let skew = constraint.at("maxSkew");
        if skew.int() <= 0 {
            errors.push(skew.invalid_int("must be greater than zero"));
        }
        let topology = constraint.at("topologyKey");
        if topology.is_empty() {
            errors.push(topology.required("can not be empty"));
        }
        let action = constraint.at("whenUnsatisfiable");
        action.one_of(&["DoNotSchedule", "ScheduleAnyway"], errors);
        let repeated = constraints.items().skip(i + 1).any(|other| {
            other.text("topologyKey") == topology.str() && other.text("whenUnsatisfiable") == action.str()
        });
        if repeated {
            let path = constraint.path.child("{topologyKey, whenUnsatisfiable}");
            errors.push(Error::duplicate(&path, format!("{{{}, {}}}", topology.str(), action.str())));
        }
        let domains = constraint.at("minDomains");
        if domains.present() {
            if domains.int() <= 0 {
                errors.push(domains.invalid_int("must be greater than zero"));
            }
            if action.str() != "DoNotSchedule" {
                errors.push(domains.invalid_int(format!(
                    "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {}",
                    action.str()
                )));
            }
        }
        for name in ["nodeAffinityPolicy", "nodeTaintsPolicy"] {
            let policy = constraint.at(name);
            if policy.present() {
                policy.one_of(&["Honor", "Ignore"], errors);
            }
        }
        merged_label_keys(&constraint, errors);
        meta::label_selector(&constraint.at("labelSelector"), errors);
    }
}
