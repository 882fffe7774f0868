//! Pods: what the server adds to a new one, and what each of their subresources may change.

pub mod binding;
pub mod conditions;
pub mod eviction;
pub mod qos;

use serde_json::{Value, json};

use super::hooks::Hooks;
use crate::object::meta;
use crate::resources::spec::STATUS_KEEPS_METADATA;
use crate::verbs::Request;

/// The hooks of pods.
pub const HOOKS: Hooks = Hooks { prepare_create, prepare_update, ..Hooks::NONE };

fn prepare_create(pod: &mut Value, _: &Request<'_>) {
    pod["status"]["qosClass"] = qos::class(pod).into();
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        pod["status"]["conditions"] = json!([{
            "type": "PodScheduled",
            "status": "False",
            "reason": "SchedulingGated",
            "message": "Scheduling is blocked due to non-empty scheduling gates",
            "lastProbeTime": null,
            "lastTransitionTime": null,
        }]);
    }
    merge_label_keys(pod);
}

fn prepare_update(pod: &mut Value, live: &Value, request: &Request<'_>) {
    match request.subresource_name() {
        "ephemeralcontainers" => {
            let spec = ephemeral_containers_only(&pod["spec"], &live["spec"]);
            keep_all_but(pod, live, spec);
        }
        "resize" => {
            if let Some(spec) = resources_only(&pod["spec"], &live["spec"]) {
                keep_all_but(pod, live, spec);
            }
        }
        _ => {}
    }
}

/// Gives a wanted pod this spec and leaves everything else of the pod that is there as it was.
fn keep_all_but(pod: &mut Value, live: &Value, spec: Value) {
    let changed = spec != live["spec"];
    pod["spec"] = spec;
    pod["status"] = live["status"].clone();
    for field in STATUS_KEEPS_METADATA {
        meta::set(pod, field, live["metadata"].get(field).cloned());
    }
    meta::set_generation(pod, meta::generation(live) + i64::from(changed));
}

fn ephemeral_containers_only(wanted: &Value, live: &Value) -> Value {
    let mut spec = live.clone();
    if let Some(fields) = spec.as_object_mut() {
        match wanted.get("ephemeralContainers") {
            Some(containers) => fields.insert("ephemeralContainers".to_owned(), containers.clone()),
            None => fields.remove("ephemeralContainers"),
        };
    }
    spec
}

/// `None` where containers come or go, or change places: validation refuses that.
fn resources_only(wanted: &Value, live: &Value) -> Option<Value> {
    let mut spec = live.clone();
    let fields = spec.as_object_mut()?;
    copy_field(wanted, fields, "resources");
    for list in ["containers", "initContainers"] {
        let wanted = wanted[list].as_array().map(Vec::as_slice).unwrap_or_default();
        let kept = fields.get_mut(list).and_then(Value::as_array_mut).map(Vec::as_mut_slice).unwrap_or_default();
        if wanted.len() != kept.len() {
            return None;
        }
        for (wanted, kept) in wanted.iter().zip(kept) {
            if wanted["name"] != kept["name"] {
                return None;
            }
            let kept = kept.as_object_mut()?;
            copy_field(wanted, kept, "resources");
            copy_field(wanted, kept, "resizePolicy");
        }
    }
    Some(spec)
}

fn copy_field(from: &Value, to: &mut serde_json::Map<String, Value>, field: &str) {
    match from.get(field) {
        Some(value) => to.insert(field.to_owned(), value.clone()),
        None => to.remove(field),
    };
}

/// Makes `matchLabelKeys` and `mismatchLabelKeys` of affinities and topology spread constraints part of their selectors, so that
/// the scheduler reads the pod's own labels at one time only.
fn merge_label_keys(pod: &mut Value) {
    let labels = meta::labels(pod).cloned().unwrap_or_default();
    let Some(spec) = pod["spec"].as_object_mut() else { return };
    for constraint in spec.get_mut("topologySpreadConstraints").and_then(Value::as_array_mut).into_iter().flatten() {
        merge_keys(constraint, "matchLabelKeys", "In", &labels);
    }
    let Some(affinity) = spec.get_mut("affinity") else { return };
    for kind in ["podAffinity", "podAntiAffinity"] {
        for field in
            ["preferredDuringSchedulingIgnoredDuringExecution", "requiredDuringSchedulingIgnoredDuringExecution"]
        {
            let terms = affinity.get_mut(kind).and_then(|a| a.get_mut(field)).and_then(Value::as_array_mut);
            for term in terms.into_iter().flatten() {
                // A preferred term has a weight around it.
                let weighted = term.get("podAffinityTerm").is_some();
                let term = if weighted { &mut term["podAffinityTerm"] } else { term };
                merge_keys(term, "matchLabelKeys", "In", &labels);
                merge_keys(term, "mismatchLabelKeys", "NotIn", &labels);
            }
        }
    }
}

fn merge_keys(term: &mut Value, field: &str, operator: &str, labels: &serde_json::Map<String, Value>) {
    let keys = term.get(field).and_then(Value::as_array).cloned().unwrap_or_default();
    // A selector that is absent matches nothing, with keys or without.
    let Some(selector) = term.get_mut("labelSelector").and_then(Value::as_object_mut) else { return };
    let found = keys.iter().filter_map(Value::as_str).filter_map(|key| Some((key, labels.get(key)?)));
    let expressions: Vec<Value> =
        found.map(|(key, value)| json!({ "key": key, "operator": operator, "values": [value] })).collect();
    if expressions.is_empty() {
        return;
    }
    let merged = selector.entry("matchExpressions").or_insert(Value::Null);
    let mut all = merged.as_array().cloned().unwrap_or_default();
    all.extend(expressions);
    *merged = all.into();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subresource_changes_its_own_part_alone() {
        let live = json!({"metadata": {"generation": 1}, "spec": {"nodeName": "n",
            "containers": [{"name": "c", "image": "i", "resources": {"limits": {"cpu": "1"}}}]}});
        let mut wanted = live.clone();
        wanted["spec"]["containers"][0]["image"] = "other".into();
        let mut untouched = wanted.clone();
        keep_all_but(&mut untouched, &live, resources_only(&wanted["spec"], &live["spec"]).unwrap());
        assert_eq!((&untouched["spec"], meta::generation(&untouched)), (&live["spec"], 1));
        wanted["spec"]["containers"][0]["resources"] = json!({"limits": {"cpu": "2"}});
        wanted["spec"]["ephemeralContainers"] = json!([{"name": "e"}]);
        let mut resized = wanted.clone();
        keep_all_but(&mut resized, &live, resources_only(&wanted["spec"], &live["spec"]).unwrap());
        assert_eq!(resized["spec"]["containers"][0]["resources"]["limits"]["cpu"], "2");
        assert_eq!((&resized["spec"]["containers"][0]["image"], meta::generation(&resized)), (&json!("i"), 2));
        let spec = ephemeral_containers_only(&wanted["spec"], &live["spec"]);
        keep_all_but(&mut wanted, &live, spec);
        assert_eq!(wanted["spec"]["containers"], live["spec"]["containers"]);
        assert_eq!(wanted["spec"]["ephemeralContainers"], json!([{"name": "e"}]));
    }

    #[test]
    fn label_keys_become_part_of_selectors() {
        let term = |keys: &str| json!({"labelSelector": {}, keys: ["app", "absent"]});
        let mut pod = json!({"metadata": {"labels": {"app": "web"}}, "spec": {
            "topologySpreadConstraints": [term("matchLabelKeys"), {"matchLabelKeys": ["app"]}],
            "affinity": {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution":
                [{"weight": 1, "podAffinityTerm": term("mismatchLabelKeys")}]}}}});
        merge_label_keys(&mut pod);
        let selector =
            |operator: &str| json!({"matchExpressions": [{"key": "app", "operator": operator, "values": ["web"]}]});
        let constraints = &pod["spec"]["topologySpreadConstraints"];
        assert_eq!(constraints[0]["labelSelector"], selector("In"));
        assert_eq!(constraints[1].get("labelSelector"), None);
        let preferred = &pod["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"];
        assert_eq!(preferred[0]["podAffinityTerm"]["labelSelector"], selector("NotIn"));
    }
}
