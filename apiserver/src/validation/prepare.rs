//! What strategies fill in before validation judges an object, where other fields of the same object decide what.
//!
//! Upstream: `PrepareForCreate` and `PrepareForUpdate` of `pkg/registry/*/*/strategy.go`.

use serde_json::{Value, json};

use super::edit::{Fields, is_absent, is_empty, object, set, set_absent, text, within, within_new};
use crate::schema::GroupVersionKind;

/// Where apps/v1 keeps a daemon set's `templateGeneration`, which has no field any more. It is the object's alone: answers with only
/// the metadata leave it out.
pub const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Fills in a new object.
pub fn create(gvk: &GroupVersionKind, value: &mut Value) {
    object(value, |fields| match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("batch", "Job") => own_selector(fields),
        ("apps", "DaemonSet") => set_template_generation(fields, 1),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            let versions = fields.get("spec").and_then(|spec| spec.get("versions")).and_then(Value::as_array);
            let mut versions = versions.into_iter().flatten();
            let storage = versions.find(|version| version.get("storage") == Some(&json!(true)));
            if let Some(name) = storage.and_then(|version| version.get("name")).cloned() {
                within_new(fields, "status", |status| set(status, "storedVersions", json!([name])));
            }
        }
        _ => always(gvk, fields),
    });
}

/// Fills in a changed object.
pub fn update(gvk: &GroupVersionKind, value: &mut Value, old: &Value) {
    object(value, |fields| {
        if (gvk.group.as_str(), gvk.kind.as_str()) == ("apps", "DaemonSet") {
            let template = |spec: Option<&Value>| spec.and_then(|spec| spec.get("template")).cloned();
            let changed = template(fields.get("spec")) != template(old.get("spec"));
            let generation = old.pointer(&format!("/metadata/annotations/{TEMPLATE_GENERATION}"));
            let generation = generation.and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
            set_template_generation(fields, generation.unwrap_or_default() + i64::from(changed));
        }
        always(gvk, fields);
    });
}

fn always(gvk: &GroupVersionKind, fields: &mut Fields) {
    within(fields, "spec", |spec| match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "PersistentVolumeClaim") => same_data_source(spec),
        ("", "Service") if !is_empty(spec, "clusterIP") => {
            let ip = text(spec, "clusterIP").to_owned();
            set_absent(spec, "clusterIPs", json!([ip]));
        }
        ("coordination.k8s.io", "Lease") => {
            spec.remove("strategy");
            spec.remove("preferredHolder");
        }
        _ => {}
    });
}

fn set_template_generation(fields: &mut Fields, generation: i64) {
    within_new(fields, "metadata", |meta| {
        within_new(meta, "annotations", |annotations| {
            set(annotations, TEMPLATE_GENERATION, generation.to_string());
        });
    });
}

/// Selects a job's pods by the job's own identity, unless the client selects them.
fn own_selector(job: &mut Fields) {
    let meta = job.get("metadata").cloned().unwrap_or_default();
    let identity = |name: &str| meta.get(name).cloned().unwrap_or_default();
    let (uid, name) = (identity("uid"), identity("name"));
    within(job, "spec", |spec| {
        if spec.get("manualSelector") == Some(&json!(true)) {
            return;
        }
        within_new(spec, "template", |template| {
            within_new(template, "metadata", |meta| {
                within_new(meta, "labels", |labels| {
                    for prefix in ["", "batch.kubernetes.io/"] {
                        set(labels, &format!("{prefix}controller-uid"), uid.clone());
                        set(labels, &format!("{prefix}job-name"), name.clone());
                    }
                });
            });
        });
        within_new(spec, "selector", |selector| {
            within_new(selector, "matchLabels", |labels| {
                set(labels, "batch.kubernetes.io/controller-uid", uid);
            });
        });
    });
}

/// A claim's two fields for its data source say the same; what cannot be one is dropped.
fn same_data_source(spec: &mut Fields) {
    const KNOWN: &[(&str, &str)] = &[("PersistentVolumeClaim", ""), ("VolumeSnapshot", "snapshot.storage.k8s.io")];
    let part = |source: &Value, name: &str| source.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    match (is_absent(spec, "dataSource"), is_absent(spec, "dataSourceRef")) {
        (false, true) => {
            let source = spec.get("dataSource").cloned().unwrap_or_default();
            if KNOWN.contains(&(part(&source, "kind").as_str(), part(&source, "apiGroup").as_str())) {
                set(spec, "dataSourceRef", source);
            } else {
                spec.remove("dataSource");
            }
        }
        (true, false) => {
            let mut source = spec.get("dataSourceRef").cloned().unwrap_or_default();
            if part(&source, "namespace").is_empty() {
                object(&mut source, |source| drop(source.remove("namespace")));
                set(spec, "dataSource", source);
            }
        }
        _ => {}
    }
}
