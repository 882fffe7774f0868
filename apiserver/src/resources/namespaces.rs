//! Namespaces: they stay, terminating, until their content is gone and `/finalize` has taken the last of their own finalizers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::hooks::Hooks;
use crate::object::meta;
use crate::verbs::Request;

/// The finalizer that stands for a namespace's content.
const CONTENT: &str = "kubernetes";

/// The hooks of namespaces.
pub const HOOKS: Hooks = Hooks {
    prepare_create,
    kept_by: |subresource| (subresource == "finalize").then_some(&["status"]),
    stays: has_finalizers,
    mark_as_deleting: Some(terminate),
    ..Hooks::NONE
};

/// Every namespace starts active, with the finalizer of its content.
fn prepare_create(namespace: &mut Value, _: &Request<'_>) {
    namespace["status"] = json!({ "phase": "Active" });
    let mut finalizers: Vec<Value> = finalizers(namespace).to_vec();
    if !finalizers.iter().any(|f| f == CONTENT) {
        finalizers.push(CONTENT.into());
    }
    namespace["spec"]["finalizers"] = finalizers.into();
}

fn finalizers(namespace: &Value) -> &[Value] {
    namespace["spec"]["finalizers"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn has_finalizers(namespace: &Value) -> bool {
    !finalizers(namespace).is_empty()
}

fn terminate(namespace: &mut Value, now: Timestamp) {
    if meta::deletion_timestamp(namespace).is_none() {
        meta::set_text(namespace, "deletionTimestamp", meta::rfc3339(now));
        namespace["status"]["phase"] = "Terminating".into();
    }
}
