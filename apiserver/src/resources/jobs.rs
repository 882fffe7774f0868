//! Jobs: their selector and their pods' labels are made from the job's uid, unless the client says that it brings its own.

use serde_json::{Map, Value};

use super::hooks::Hooks;
use crate::object::meta;
use crate::verbs::Request;

const CONTROLLER_UID: &str = "batch.kubernetes.io/controller-uid";
const JOB_NAME: &str = "batch.kubernetes.io/job-name";
/// The same labels as they were called before they had a prefix.
const LEGACY: [&str; 2] = ["controller-uid", "job-name"];

/// The hooks of jobs.
pub const HOOKS: Hooks = Hooks { prepare_create, ..Hooks::NONE };

fn prepare_create(job: &mut Value, _: &Request<'_>) {
    if job["spec"]["manualSelector"] != true {
        generate_selector(job);
    }
}

/// Labels and selector that are there already are kept; validation judges them.
fn generate_selector(job: &mut Value) {
    let (uid, name) = (Value::from(meta::uid(job)), Value::from(meta::name(job)));
    let Some(spec) = job["spec"].as_object_mut() else { return };
    let [legacy_uid, legacy_name] = LEGACY;
    if let Some(labels) = spec.get_mut("template").and_then(|t| inner(t, "metadata")).and_then(|m| inner(m, "labels")) {
        for (key, value) in [(legacy_name, &name), (JOB_NAME, &name), (legacy_uid, &uid), (CONTROLLER_UID, &uid)] {
            fill(labels, key, value);
        }
    }
    let selector = spec.entry("selector").or_insert(Value::Null);
    if selector.is_null() {
        *selector = Value::Object(Map::new());
    }
    if let Some(labels) = inner(selector, "matchLabels") {
        fill(labels, CONTROLLER_UID, &uid);
    }
}

fn fill(labels: &mut Value, key: &str, value: &Value) {
    if let Some(labels) = labels.as_object_mut() {
        labels.entry(key).or_insert_with(|| value.clone());
    }
}

/// The object in a field, made where there is none.
fn inner<'a>(object: &'a mut Value, field: &str) -> Option<&'a mut Value> {
    let value = object.as_object_mut()?.entry(field).or_insert(Value::Null);
    if value.is_null() {
        *value = Value::Object(Map::new());
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_selector_is_made_of_the_uid_and_nothing_is_overwritten() {
        let mut job = json!({"metadata": {"name": "j", "uid": "u"},
            "spec": {"template": {"metadata": {"labels": {"job-name": "mine"}}}}});
        generate_selector(&mut job);
        let labels = json!({"job-name": "mine", JOB_NAME: "j", "controller-uid": "u", CONTROLLER_UID: "u"});
        assert_eq!(job["spec"]["template"]["metadata"]["labels"], labels);
        assert_eq!(job["spec"]["selector"], json!({"matchLabels": {CONTROLLER_UID: "u"}}));
    }
}
