//! Binding: the scheduler assigns a pod to a node, once and for all.

use serde_json::Value;

use super::conditions;
use crate::error::{Qualified, Status};
use crate::object::meta;
use crate::validation::field::{self, Error, Errors, Path};
use crate::verbs::act::{Order, Outcome};
use crate::verbs::write;

/// Assigns the pod of the request to the binding's target.
pub async fn bind(order: Order<'_, '_>) -> Result<Outcome, Status> {
    let (request, binding) = (order.request, order.object);
    let name = meta::name(&binding).to_owned();
    if request.subresource.is_some() && name != request.info.name {
        return Err(Status::bad_request("name in URL does not match name in Binding object"));
    }
    let errors = judge(&binding["target"]);
    if !errors.is_empty() {
        return Err(Status::plain(field::aggregate(&errors)));
    }
    let pods = request.api.resource("", "v1", "pods").ok_or_else(Status::no_such_resource)?;
    let now = meta::rfc3339(request.now);
    let assign = |pod: &Value| {
        let conflict = |why: String| Status::conflict(Qualified { group: "", name: "pods/binding" }, &name, &why);
        assigned(pod, &binding, &now).map_err(conflict)
    };
    write::amend(request, pods, &name, order.options.dry_run, assign).await?;
    Ok(Outcome::Done)
}

fn judge(target: &Value) -> Errors {
    let mut errors = Errors::new();
    let path = Path::new("target");
    let kind = target["kind"].as_str().unwrap_or_default();
    if !kind.is_empty() && kind != "Node" {
        errors.push(Error::not_supported(&path.child("kind"), kind, &["Node", "<empty>"]));
    }
    if target["name"].as_str().is_none_or(str::is_empty) {
        errors.push(Error::required(&path.child("name"), ""));
    }
    errors
}

/// The pod on its node, with what the binding says of it; the error says why it stays where it is.
fn assigned(pod: &Value, binding: &Value, now: &str) -> Result<Value, String> {
    let name = meta::name(pod);
    for (what, wanted, actual) in [
        ("UID", meta::uid(binding), meta::uid(pod)),
        ("ResourceVersion", meta::resource_version(binding), meta::resource_version(pod)),
    ] {
        if !wanted.is_empty() && wanted != actual {
            return Err(format!(
                "Precondition failed: {what} in precondition: {wanted}, {what} in object meta: {actual}"
            ));
        }
    }
    if meta::deletion_timestamp(pod).is_some() {
        return Err(format!("pod {name} is being deleted, cannot be assigned to a host"));
    }
    if let Some(node) = pod["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()) {
        return Err(format!("pod {name} is already assigned to node {node:?}"));
    }
    if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        return Err(format!("pod {name} has non-empty .spec.schedulingGates"));
    }
    let mut pod = pod.clone();
    pod["spec"]["nodeName"] = binding["target"]["name"].clone();
    if let Some(status) = pod["status"].as_object_mut() {
        // The hint has served its purpose.
        status.remove("nominatedNodeName");
    }
    for field in ["annotations", "labels"] {
        let Some(added) = binding["metadata"][field].as_object() else { continue };
        let mut merged = pod["metadata"][field].as_object().cloned().unwrap_or_default();
        merged.extend(added.clone());
        meta::set(&mut pod, field, Some(Value::Object(merged)));
    }
    conditions::set_true(&mut pod, "PodScheduled", "", "", now);
    Ok(pod)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_is_assigned_once() {
        let binding = json!({"metadata": {"name": "p", "labels": {"zone": "z"}}, "target": {"name": "n"}});
        let pod = json!({"metadata": {"name": "p"}, "spec": {}, "status": {"nominatedNodeName": "m"}});
        let bound = assigned(&pod, &binding, "now").unwrap();
        assert_eq!((&bound["spec"]["nodeName"], &bound["metadata"]["labels"]["zone"]), (&json!("n"), &json!("z")));
        assert_eq!(bound["status"].get("nominatedNodeName"), None);
        assert_eq!(assigned(&bound, &binding, "now"), Err("pod p is already assigned to node \"n\"".to_owned()));
        let gated = json!({"metadata": {"name": "p"}, "spec": {"schedulingGates": [{"name": "g"}]}});
        assert!(assigned(&gated, &binding, "now").is_err());
        assert_eq!(judge(&json!({"kind": "Pod"})).len(), 2);
    }
}
