//! Warnings: what a client may do and should not.

use serde_json::Value;

use crate::schema::GroupVersionKind;

/// The warnings for a new object, or a changed one where `old` is what it was: texts for `Warning` headers, in order.
pub fn warnings(_gvk: &GroupVersionKind, _object: &Value, _old: Option<&Value>) -> Vec<String> {
    Vec::new()
}

/// What every request for a deprecated kind is told, reads included.
pub fn deprecation(gvk: &GroupVersionKind) -> Option<&'static str> {
    match (gvk.group.as_str(), gvk.version.as_str(), gvk.kind.as_str()) {
        ("", "v1", "Endpoints") => Some("v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"),
        ("", "v1", "ComponentStatus") => Some("v1 ComponentStatus is deprecated in v1.19+"),
        _ => None,
    }
}
