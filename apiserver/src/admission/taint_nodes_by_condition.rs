//! `TaintNodesByCondition`: a new node takes no pods until somebody has seen that it is ready.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Attributes, Operation, Plugin};
use crate::error::Status;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const NO_SCHEDULE: &str = "NoSchedule";

/// The plugin.
pub struct TaintNodesByCondition;

#[async_trait]
impl Plugin for TaintNodesByCondition {
    fn name(&self) -> &'static str {
        "TaintNodesByCondition"
    }

    async fn admit(&self, attributes: &Attributes<'_>, node: &mut Value) -> Result<(), Status> {
        let is_new_node = attributes.operation == Operation::Create && attributes.is("", "nodes");
        if is_new_node && attributes.subresource.is_empty() {
            taint(node);
        }
        Ok(())
    }
}

fn taint(node: &mut Value) {
    let mut taints = node["spec"]["taints"].as_array().cloned().unwrap_or_default();
    if !taints.iter().any(|taint| taint["key"] == NOT_READY && taint["effect"] == NO_SCHEDULE) {
        taints.push(json!({ "key": NOT_READY, "effect": NO_SCHEDULE }));
        node["spec"]["taints"] = taints.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_tainted_once() {
        let mut node = json!({"spec": {"taints": [{"key": NOT_READY, "effect": "NoExecute"}]}});
        taint(&mut node);
        taint(&mut node);
        let wanted = json!([{"key": NOT_READY, "effect": "NoExecute"}, {"key": NOT_READY, "effect": NO_SCHEDULE}]);
        assert_eq!(node["spec"]["taints"], wanted);
    }
}
