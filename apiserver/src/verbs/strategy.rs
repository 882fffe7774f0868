//! What a kind's writes do to the object before it is judged, as its row in the table says: which parts a request may not set,
//! and when `metadata.generation` counts up.

use serde_json::Value;

use crate::object::fields::{FieldSet, PathElement};
use crate::object::meta;
use crate::resources::hooks;
use crate::resources::spec::{Generation, ResourceSpec, STATUS_KEEPS_METADATA};

/// Prepares a new object.
pub fn prepare_create(spec: &ResourceSpec, object: &mut Value) {
    for path in spec.strategy.reset_on_create {
        set_at(object, path, None);
    }
    if let Some(phase) = spec.strategy.initial_phase {
        set_at(object, "status.phase", Some(phase.into()));
    }
    let generation = match spec.strategy.generation {
        Generation::None => return,
        Generation::PathsUnset(_) => 0,
        Generation::Once | Generation::Paths(_) | Generation::ContentOrLabels => 1,
    };
    meta::set_generation(object, generation);
}

/// Prepares a changed object, or one changed through a subresource.
pub fn prepare_update(spec: &ResourceSpec, subresource: &str, object: &mut Value, live: &Value) {
    meta::set_generation(object, meta::generation(live));
    for path in kept(spec, subresource) {
        if *path == "metadata" {
            for field in STATUS_KEEPS_METADATA {
                meta::set(object, field, live["metadata"].get(field).cloned());
            }
        } else {
            set_at(object, path, get_at(live, path).cloned());
        }
    }
    if generation_changes(spec, object, live) {
        meta::set_generation(object, meta::generation(live) + 1);
    }
    keep_identity(object, live);
}

fn generation_changes(spec: &ResourceSpec, object: &Value, live: &Value) -> bool {
    match spec.strategy.generation {
        Generation::None | Generation::Once => false,
        Generation::Paths(paths) | Generation::PathsUnset(paths) => {
            paths.iter().any(|path| get_at(object, path) != get_at(live, path))
        }
        Generation::ContentOrLabels => {
            let content = |o: &Value| {
                let mut fields = o.as_object().cloned().unwrap_or_default();
                fields.remove("metadata");
                fields
            };
            content(object) != content(live) || meta::labels(object) != meta::labels(live)
        }
    }
}

/// What no update may change.
fn keep_identity(object: &mut Value, live: &Value) {
    let kept = |field: &str| live["metadata"].get(field).cloned();
    if meta::uid(object).is_empty() {
        meta::set(object, "uid", kept("uid"));
    }
    if let created @ Some(_) = kept("creationTimestamp") {
        meta::set(object, "creationTimestamp", created);
    }
    if let deletion @ Some(_) = kept("deletionTimestamp") {
        meta::set(object, "deletionTimestamp", deletion);
    }
    if meta::deletion_grace_period_seconds(object).is_none() {
        meta::set(object, "deletionGracePeriodSeconds", kept("deletionGracePeriodSeconds"));
    }
}

/// What a write through this subresource leaves as it was.
fn kept(spec: &ResourceSpec, subresource: &str) -> &'static [&'static str] {
    match subresource {
        "status" => spec.strategy.reset_on_status_update,
        "" => spec.strategy.reset_on_update,
        other => (hooks::of(spec).kept_by)(other).unwrap_or(spec.strategy.reset_on_update),
    }
}

/// The fields that a write cannot set, so that nobody becomes their manager by it.
pub fn reset_fields(spec: &ResourceSpec, subresource: &str) -> FieldSet {
    let mut set = FieldSet::default();
    for path in kept(spec, subresource) {
        let path: Vec<PathElement> = path.split('.').map(PathElement::field).collect();
        set.insert(&path);
    }
    set
}

/// What stands at a dotted path.
pub fn get_at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |at, field| at.get(field))
}

/// Sets or removes what stands at a dotted path; a path through something absent is made only to set.
pub fn set_at(object: &mut Value, path: &str, value: Option<Value>) {
    let (parents, last) = path.rsplit_once('.').map_or((None, path), |(p, l)| (Some(p), l));
    let mut at = object;
    for field in parents.into_iter().flat_map(|p| p.split('.')) {
        let Some(fields) = at.as_object_mut() else { return };
        if !fields.contains_key(field) && value.is_none() {
            return;
        }
        at = fields.entry(field).or_insert_with(|| Value::Object(serde_json::Map::new()));
    }
    let Some(fields) = at.as_object_mut() else { return };
    match value {
        Some(value) => fields.insert(last.to_owned(), value),
        None => fields.remove(last),
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sets_and_removes_at_paths() {
        let mut object = json!({"spec": {"a": 1}});
        set_at(&mut object, "status.phase", Some("Active".into()));
        set_at(&mut object, "spec.a", None);
        set_at(&mut object, "other.deep.path", None);
        assert_eq!(object, json!({"spec": {}, "status": {"phase": "Active"}}));
    }
}
