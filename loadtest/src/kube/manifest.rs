//! The objects that the cases make and read, and where they are.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Value, json};

use crate::error::BenchError;

use super::client::{Call, Clients, Failure};

/// Name of a namespace.
pub fn namespace(number: u64) -> String {
    format!("ns-{number:03}")
}

/// Path of the pods of a namespace.
pub fn pods_path(number: u64) -> String {
    format!("/api/v1/namespaces/{}/pods", namespace(number))
}

/// Path of the pod at a place; neighbours are in different namespaces.
pub fn pod_path(at: u64, namespaces: u64) -> String {
    format!("{}/{}", pods_path(at % namespaces), pod_name(at))
}

/// Path of all pods of a node, as its kubelet reads them.
pub fn node_path(number: u64) -> String {
    format!("/api/v1/pods?resourceVersion=0&fieldSelector=spec.nodeName%3D{}", node_name(number))
}

fn pod_name(at: u64) -> String {
    format!("pod-{at:06}")
}

fn node_name(number: u64) -> String {
    format!("node-{number:04}")
}

/// A pod as a `ReplicaSet` makes it: stored, some 4 KB.
pub fn pod(at: u64, namespaces: u64, nodes: u64) -> Bytes {
    let app = format!("app-{}", at % 100);
    let environment: Vec<Value> = (0..12)
        .map(|n| json!({"name": format!("SETTING_{n:02}"), "value": format!("setting {n} of the pod at place {at}")}))
        .collect();
    let probe = |path: &str| json!({"httpGet": {"path": path, "port": 8080}, "periodSeconds": 10});
    body(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": pod_name(at),
            "namespace": namespace(at % namespaces),
            "labels": {"app": app, "tier": "backend", "pod-template-hash": "6c5b9d7f44"},
            "annotations": {"example.com/team": format!("team-{}", at % 10), "example.com/checksum": "d41d8cd98f00b204e9800998ecf8427e"},
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": format!("{app}-6c5b9d7f44"),
                "uid": "7d3e6f0a-52c1-4b8e-9a57-1f0c2d4e6b88", "controller": true, "blockOwnerDeletion": true,
            }],
        },
        "spec": {
            "nodeName": node_name(at % nodes),
            "terminationGracePeriodSeconds": 30,
            "containers": [{
                "name": "main",
                "image": format!("registry.example.com/backend/{app}:1.{}", at % 7),
                "ports": [{"name": "http", "containerPort": 8080}],
                "env": environment,
                "resources": {
                    "requests": {"cpu": "100m", "memory": "128Mi"},
                    "limits": {"cpu": "500m", "memory": "512Mi"},
                },
                "livenessProbe": probe("/livez"),
                "readinessProbe": probe("/readyz"),
                "volumeMounts": [{"name": "settings", "mountPath": "/etc/settings"}],
            }],
            "volumes": [{"name": "settings", "configMap": {"name": app}}],
            "tolerations": [{
                "key": "node.kubernetes.io/unreachable", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300,
            }],
        },
    }))
}

/// What a kubelet reports about a pod; each report differs from the last.
pub fn status(report: u64) -> Bytes {
    let ready = json!({"type": "Ready", "status": "True", "reason": format!("Report{report}")});
    let address = format!("10.0.{}.{}", report / 256 % 256, report % 256);
    body(&json!({"status": {"phase": "Running", "podIP": address, "conditions": [ready]}}))
}

/// A small object that can be created in numbers.
pub fn config_map(name: &str, data: &Value) -> Bytes {
    body(&json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}))
}

/// Makes the namespaces that are not there yet, each with the service account that admission may insist on.
pub async fn make_namespaces(clients: &Clients, namespaces: u64) -> Result<(), BenchError> {
    let client = clients.of(0);
    for number in 0..namespaces {
        let name = namespace(number);
        let accounts = format!("/api/v1/namespaces/{name}/serviceaccounts");
        let named = |kind: &str, name: &str| json!({"apiVersion": "v1", "kind": kind, "metadata": {"name": name}});
        for (path, object) in
            [("/api/v1/namespaces", named("Namespace", &name)), (&accounts, named("ServiceAccount", "default"))]
        {
            match client.call(Call::post(path, body(&object))).await {
                Ok(_) | Err(Failure::Status(StatusCode::CONFLICT, _)) => {}
                Err(error) => return Err(BenchError::request("cannot create a namespace", error)),
            }
        }
    }
    Ok(())
}

fn body(object: &Value) -> Bytes {
    object.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_where_its_path_says() {
        let pod: Value = serde_json::from_slice(&pod(203, 10, 100)).unwrap();
        assert_eq!(pod["metadata"]["namespace"], "ns-003");
        assert_eq!(pod["spec"]["nodeName"], "node-0003");
        assert_eq!(pod_path(203, 10), "/api/v1/namespaces/ns-003/pods/pod-000203");
    }

    #[test]
    fn reports_differ() {
        assert_ne!(status(1), status(2));
    }
}
