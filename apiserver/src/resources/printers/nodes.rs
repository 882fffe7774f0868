//! Nodes.

use std::collections::BTreeSet;

use serde_json::Value;

use super::column::{AGE, Doc, NAME, string};
use super::duration::age;
use super::read::{flag, list, map, text, text_or};
use super::{Printer, cells};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    (kind == "Node").then_some(&NODE)
}

static NODE: Printer = {
    const STATUS: &str = "io.k8s.api.core.v1.NodeStatus";
    const INFO: &str = "io.k8s.api.core.v1.NodeSystemInfo";
    Printer::new(
        &[
            NAME,
            string("Status", Doc::Text("The status of the node")),
            string("Roles", Doc::Text("The roles of the node")),
            AGE,
            string("Version", Doc::Field(INFO, "kubeletVersion")),
            string("Internal-IP", Doc::Field(STATUS, "addresses")).wide(),
            string("External-IP", Doc::Field(STATUS, "addresses")).wide(),
            string("OS-Image", Doc::Field(INFO, "osImage")).wide(),
            string("Kernel-Version", Doc::Field(INFO, "kernelVersion")).wide(),
            string("Container-Runtime", Doc::Field(INFO, "containerRuntimeVersion")).wide(),
        ],
        |node, now| {
            cells![
                text(node, "metadata.name"),
                status(node),
                roles(node),
                age(node, now),
                text(node, "status.nodeInfo.kubeletVersion"),
                address(node, "InternalIP"),
                address(node, "ExternalIP"),
                text_or(node, "status.nodeInfo.osImage", "<unknown>"),
                kernel(node),
                text_or(node, "status.nodeInfo.containerRuntimeVersion", "<unknown>"),
            ]
        },
    )
};

fn status(node: &Value) -> String {
    // Of conditions with one type the last counts.
    let ready = list(node, "status.conditions").iter().rfind(|condition| text(condition, "type") == "Ready");
    let status = match ready.map(|condition| text(condition, "status")) {
        Some("True") => "Ready",
        Some(_) => "NotReady",
        None => "Unknown",
    };
    let cordoned = flag(node, "spec.unschedulable") == Some(true);
    if cordoned { format!("{status},SchedulingDisabled") } else { status.to_owned() }
}

/// The roles that labels give: `node-role.kubernetes.io/ROLE` or `kubernetes.io/role=ROLE`.
fn roles(node: &Value) -> String {
    let labels = map(node, "metadata.labels").into_iter().flatten();
    let role = |(key, value): (&'_ String, &'_ Value)| match key.strip_prefix("node-role.kubernetes.io/") {
        Some(role) => Some(role.to_owned()),
        None if key == "kubernetes.io/role" => value.as_str().map(str::to_owned),
        None => None,
    };
    let roles: BTreeSet<String> = labels.filter_map(role).filter(|role| !role.is_empty()).collect();
    if roles.is_empty() { "<none>".to_owned() } else { roles.into_iter().collect::<Vec<_>>().join(",") }
}

/// The first address of a type.
fn address<'a>(node: &'a Value, type_: &str) -> &'a str {
    let address = list(node, "status.addresses").iter().find(|address| text(address, "type") == type_);
    address.map_or("<none>", |address| text(address, "address"))
}

fn kernel(node: &Value) -> String {
    let kernel = text_or(node, "status.nodeInfo.kernelVersion", "<unknown>");
    match text(node, "status.nodeInfo.architecture") {
        "" => kernel.to_owned(),
        architecture => format!("{kernel} ({architecture})"),
    }
}
