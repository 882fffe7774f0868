//! Priority classes: defaults.
//!
//! Upstream: `pkg/apis/scheduling/v1/defaults.go`.

use serde_json::Value;

use super::edit::{object, set_absent};

/// Defaults of a priority class.
pub fn default_priority_class(class: &mut Value) {
    object(class, |class| set_absent(class, "preemptionPolicy", "PreemptLowerPriority"));
}
