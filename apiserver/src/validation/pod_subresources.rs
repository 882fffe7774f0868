//! What may change of a running pod through `/ephemeralcontainers` and `/resize`, after all else has been kept as it was.
//!
//! Upstream: `ValidatePodEphemeralContainersUpdate` and `ValidatePodResize` in `pkg/apis/core/validation/validation.go`.

use serde_json::Value;

use super::field::{Error, Errors, Path};
use super::node::Node;
use super::{meta, pod};
use crate::go_syntax::go_quote;
use crate::resources::pods::qos;

/// Resources that can change while a container runs.
const RESIZABLE: [&str; 2] = ["cpu", "memory"];

fn begin(pod: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&pod.at("metadata"), &old.at("metadata"), errors);
    pod::validate_pod(pod, errors);
}

/// Refuses the whole change for what the pod is.
fn refuse(errors: &mut Errors, why: &str) {
    errors.clear();
    errors.push(Error::forbidden(&Path::root().key(""), why));
}

/// Judges a pod whose ephemeral containers are changed: they come, and they stay.
pub fn update_ephemeral_containers(pod: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    begin(pod, old, errors);
    if old.at("metadata").at("annotations").has(pod::MIRROR) {
        return refuse(errors, "static pods do not support ephemeral containers");
    }
    let containers = pod.at("spec").at("ephemeralContainers");
    for before in old.at("spec").at("ephemeralContainers").items() {
        let name = before.text("name");
        let why = match containers.items().find(|container| container.text("name") == name) {
            None => "removed",
            Some(now) if now.value != before.value => "changed",
            Some(_) => continue,
        };
        let detail = format!("existing ephemeral containers {} may not be {why}\n", go_quote(name));
        errors.push(containers.forbidden(detail));
    }
}

/// Judges a pod whose containers get other resources.
pub fn resize(pod: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    begin(pod, old, errors);
    let (spec, old_spec) = (pod.at("spec"), old.at("spec"));
    if old.at("metadata").at("annotations").has(pod::MIRROR) {
        return refuse(errors, "static pods cannot be resized");
    }
    if old_spec.at("os").text("name") == "windows" {
        return refuse(errors, "windows pods cannot be resized");
    }
    if qos::class(pod.value) != qos::class(old.value) {
        let class = pod.at("status").text("qosClass");
        errors.push(Error::invalid(&spec.path, class, "Pod QOS Class may not change as a result of resizing"));
    }
    let before = errors.len();
    for list in ["containers", "initContainers"] {
        same_containers(&spec.at(list), &old_spec.at(list), list, errors);
    }
    if errors.len() > before {
        return;
    }
    for list in ["initContainers", "containers"] {
        for (container, old) in spec.at(list).items().zip(old_spec.at(list).items()) {
            kept_resources(&container.at("resources"), &old.at("resources"), errors);
        }
    }
    for (container, old) in spec.at("containers").items().zip(old_spec.at("containers").items()) {
        if others(container.value) != others(old.value) {
            errors.push(spec.forbidden("only cpu and memory resources are mutable"));
        }
    }
    for (container, old) in spec.at("initContainers").items().zip(old_spec.at("initContainers").items()) {
        let is_sidecar = container.text("restartPolicy") == "Always";
        if !is_sidecar && container.value != old.value {
            errors.push(spec.forbidden("resources for non-sidecar init containers are immutable"));
        } else if others(container.value) != others(old.value) {
            let why = "only cpu and memory resources for init or sidecar containers are mutable";
            errors.push(Error::forbidden(&container.path, why));
        }
    }
}

fn same_containers(containers: &Node<'_>, old: &Node<'_>, list: &str, errors: &mut Errors) {
    if containers.len() != old.len() {
        errors.push(containers.forbidden(format!("{list} may not be added or removed on resize")));
        return;
    }
    for (container, old) in containers.items().zip(old.items()) {
        let name = container.at("name");
        if name.str() != old.text("name") {
            errors.push(name.forbidden(format!("{list} may not be renamed or reordered on resize")));
        }
    }
}

fn kept_resources(resources: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    for (field, what) in [("requests", "resource requests"), ("limits", "resource limits")] {
        let list = resources.at(field);
        if old.at(field).entries().any(|(name, _)| !list.has(name)) {
            errors.push(list.forbidden(format!("{what} cannot be removed")));
        }
    }
}

/// A container without what a resize may change.
fn others(container: &Value) -> Value {
    let mut container = container.clone();
    for field in ["requests", "limits"] {
        let list = container.get_mut("resources").and_then(|r| r.get_mut(field)).and_then(Value::as_object_mut);
        if let Some(list) = list {
            list.retain(|name, _| !RESIZABLE.contains(&name.as_str()));
        }
    }
    if let Some(resources) = container.get_mut("resources").and_then(Value::as_object_mut) {
        resources.retain(|_, value| !matches!(value, Value::Object(list) if list.is_empty()));
    }
    container
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(resources: &Value) -> Value {
        json!({
            "metadata": {"name": "p", "namespace": "n", "resourceVersion": "1"},
            "spec": {
                "containers": [{
                    "name": "c", "image": "i", "imagePullPolicy": "Always", "resources": resources,
                    "terminationMessagePath": "/dev/termination-log", "terminationMessagePolicy": "File",
                }],
                "dnsPolicy": "ClusterFirst", "restartPolicy": "Always", "terminationGracePeriodSeconds": 30,
            },
        })
    }

    fn faults(resources: &Value) -> Vec<String> {
        let (old, new) = (pod(&json!({"requests": {"cpu": "1"}})), pod(resources));
        let mut errors = Errors::new();
        resize(&Node::root(&new), &Node::root(&old), &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn cpu_and_memory_can_be_resized_and_nothing_else() {
        assert_eq!(faults(&json!({"requests": {"cpu": "2", "memory": "1Gi"}})), Vec::<String>::new());
        let removed = faults(&json!({"requests": {"memory": "1Gi"}}));
        assert_eq!(removed, ["spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed"]);
        let other = faults(&json!({"requests": {"cpu": "1", "ephemeral-storage": "1Gi"}}));
        assert_eq!(other, ["spec: Forbidden: only cpu and memory resources are mutable"]);
    }
}
