//! A pod's conditions, as the server itself sets them.

use serde_json::{Value, json};

/// Sets the condition of type `ty` to true. The time of its transition changes only with its status.
pub fn set_true(pod: &mut Value, ty: &str, reason: &str, message: &str, now: &str) {
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let before = conditions.iter().find(|c| c["type"] == ty && c["status"] == "True");
    let since = before.map(|c| c["lastTransitionTime"].clone()).filter(|t| !t.is_null());
    let mut condition = json!({
        "type": ty,
        "status": "True",
        "lastProbeTime": null,
        "lastTransitionTime": since.unwrap_or_else(|| now.into()),
    });
    for (field, text) in [("reason", reason), ("message", message)] {
        if !text.is_empty() {
            condition[field] = text.into();
        }
    }
    let place = conditions.iter().position(|c| c["type"] == ty);
    let mut conditions = conditions;
    match place.and_then(|at| conditions.get_mut(at)) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
    pod["status"]["conditions"] = conditions.into();
}

/// Whether the pod's condition of type `ty` is true.
pub fn is_true(pod: &Value, ty: &str) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.into_iter().any(|c| c["type"] == ty && c["status"] == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transition_is_noted_once() {
        let mut pod = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        set_true(&mut pod, "PodScheduled", "", "", "t0");
        set_true(&mut pod, "PodScheduled", "r", "m", "t1");
        let conditions = &pod["status"]["conditions"];
        assert_eq!(conditions.as_array().map(Vec::len), Some(2));
        assert_eq!((&conditions[1]["lastTransitionTime"], &conditions[1]["reason"]), (&json!("t0"), &json!("r")));
        assert!(is_true(&pod, "Ready") && !is_true(&pod, "Initialized"));
    }
}
