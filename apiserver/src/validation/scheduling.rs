//! Priority classes.
//!
//! Upstream: `pkg/apis/scheduling/v1/defaults.go`, `pkg/apis/scheduling/validation/validation.go`.

use serde_json::Value;

use super::edit::{object, set_absent};
use super::field::Errors;
use super::node::Node;
use super::{container, formats, meta};

/// Defaults of a priority class.
pub fn default_priority_class(class: &mut Value) {
    object(class, |class| set_absent(class, "preemptionPolicy", "PreemptLowerPriority"));
}

/// The highest priority that a class of a user's may have.
const USER_PRIORITY_MAX: i64 = 1_000_000_000;
/// Kubernetes' own classes: name and priority.
const SYSTEM: [(&str, i64); 2] =
    [("system-node-critical", 2 * USER_PRIORITY_MAX + 1000), ("system-cluster-critical", 2 * USER_PRIORITY_MAX)];

/// Judges a new priority class.
pub fn create_priority_class(class: &Node<'_>, errors: &mut Errors) {
    let metadata = class.at("metadata");
    meta::validate_kube(&metadata, false, formats::subdomain_name, errors);
    let (name, value) = (metadata.at("name"), class.at("value"));
    if name.str().starts_with("system-") {
        let reason = match SYSTEM.iter().find(|(known, _)| *known == name.str()) {
            None => Some(format!("{} is not a known system priority class", name.str())),
            Some((known, priority)) if *priority != value.int() => {
                Some(format!("value of {known} PriorityClass must be {priority}"))
            }
            Some((known, _)) if class.flag("globalDefault") => {
                Some(format!("globalDefault of {known} PriorityClass must be false"))
            }
            Some(_) => None,
        };
        if let Some(reason) = reason {
            errors.push(name.forbidden(format!(
                "priority class names with 'system-' prefix are reserved for system use only. error: {reason}"
            )));
        }
    } else if value.int() > USER_PRIORITY_MAX {
        let message = format!("maximum allowed value of a user defined priority is {USER_PRIORITY_MAX}");
        errors.push(value.forbidden(message));
    }
    let policy = class.at("preemptionPolicy");
    if policy.present() {
        container::required_one_of(&policy, &["PreemptLowerPriority", "Never"], errors);
    }
}

/// Judges a changed priority class.
pub fn update_priority_class(class: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&class.at("metadata"), &old.at("metadata"), errors);
    if class.get("value") != old.get("value") {
        errors.push(class.at("value").forbidden("may not be changed in an update."));
    }
    class.at("preemptionPolicy").immutable(old.get("preemptionPolicy"), errors);
}
