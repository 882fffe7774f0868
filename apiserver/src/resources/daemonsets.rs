//! Daemon sets: how often their template has changed is counted in an annotation, which no client sets.

use serde_json::Value;

use super::hooks::Hooks;
use crate::object::meta;
use crate::verbs::Request;

/// Where apps/v1 keeps a daemon set's `templateGeneration`, which has no field any more. It is the object's alone: answers with only
/// the metadata leave it out.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// The hooks of daemon sets.
pub const HOOKS: Hooks = Hooks { prepare_create, prepare_update, ..Hooks::NONE };

fn prepare_create(daemon_set: &mut Value, _: &Request<'_>) {
    let generation = template_generation(daemon_set).max(1);
    set_template_generation(daemon_set, generation);
}

fn prepare_update(daemon_set: &mut Value, live: &Value, _: &Request<'_>) {
    let changed = daemon_set["spec"]["template"] != live["spec"]["template"];
    set_template_generation(daemon_set, template_generation(live).saturating_add(i64::from(changed)));
}

fn template_generation(daemon_set: &Value) -> i64 {
    meta::annotation(daemon_set, TEMPLATE_GENERATION).and_then(|text| text.parse().ok()).unwrap_or_default()
}

fn set_template_generation(daemon_set: &mut Value, generation: i64) {
    let mut annotations = meta::annotations(daemon_set).cloned().unwrap_or_default();
    annotations.insert(TEMPLATE_GENERATION.to_owned(), generation.to_string().into());
    meta::set(daemon_set, "annotations", Some(Value::Object(annotations)));
}
