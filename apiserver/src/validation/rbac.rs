//! Roles and their bindings: defaults.
//!
//! Upstream: `pkg/apis/rbac/v1/defaults.go`.

use serde_json::Value;

use super::edit::{each, is_empty, object, set, set_empty, text, within};

const GROUP: &str = "rbac.authorization.k8s.io";

/// Defaults of a role binding or cluster role binding.
pub fn default_binding(binding: &mut Value) {
    object(binding, |binding| {
        within(binding, "roleRef", |role| set_empty(role, "apiGroup", GROUP));
        each(binding, "subjects", |subject| {
            if is_empty(subject, "apiGroup") && matches!(text(subject, "kind"), "User" | "Group") {
                set(subject, "apiGroup", GROUP);
            }
        });
    });
}
