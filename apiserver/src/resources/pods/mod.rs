//! Pods: what the server adds to a new one, and what each of their subresources may change.

pub mod binding;
pub mod conditions;
pub mod eviction;
pub mod qos;

use serde_json::{Value, json};

use super::hooks::Hooks;
use crate::object::meta;
use crate::verbs::Request;

/// The hooks of pods.
pub const HOOKS: Hooks = Hooks { prepare_create, ..Hooks::NONE };

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
