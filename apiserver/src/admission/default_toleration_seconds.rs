//! `DefaultTolerationSeconds`: a pod stays five minutes on a node that is not ready or cannot be reached, unless it says otherwise.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::{Attributes, Operation, Plugin};
use crate::error::Status;

/// Taints that pods tolerate for a while.
const TAINTS: [&str; 2] = ["node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"];
const TOLERATION_SECONDS: i64 = 300;
const NO_EXECUTE: &str = "NoExecute";

/// The plugin.
pub struct DefaultTolerationSeconds;

#[async_trait]
impl Plugin for DefaultTolerationSeconds {
    fn name(&self) -> &'static str {
        "DefaultTolerationSeconds"
    }

    async fn admit(&self, attributes: &Attributes<'_>, pod: &mut Value) -> Result<(), Status> {
        let writes = matches!(attributes.operation, Operation::Create | Operation::Update);
        if writes && attributes.is("", "pods") && attributes.subresource.is_empty() {
            tolerate(pod);
        }
        Ok(())
    }
}

fn tolerate(pod: &mut Value) {
    let mut tolerations = pod["spec"]["tolerations"].as_array().cloned().unwrap_or_default();
    let said = tolerations.len();
    for taint in TAINTS {
        let is = |value: &Value, text: &str| value.as_str().is_none_or(|v| v.is_empty() || v == text);
        let tolerates = |t: &Value| is(&t["key"], taint) && is(&t["effect"], NO_EXECUTE);
        if !tolerations.iter().take(said).any(tolerates) {
            tolerations.push(json!({
                "key": taint, "operator": "Exists", "effect": NO_EXECUTE, "tolerationSeconds": TOLERATION_SECONDS,
            }));
        }
    }
    if tolerations.len() > said {
        pod["spec"]["tolerations"] = tolerations.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_pod_does_not_tolerate_is_added() {
        let after = |tolerations: Value| {
            let mut pod = json!({"spec": {"tolerations": tolerations}});
            tolerate(&mut pod);
            pod["spec"]["tolerations"].as_array().map_or(0, Vec::len)
        };
        assert_eq!(after(json!([])), 2);
        assert_eq!(after(json!([{"operator": "Exists"}])), 1);
        assert_eq!(after(json!([{"key": TAINTS[0], "effect": NO_EXECUTE}])), 2);
        assert_eq!(after(json!([{"key": TAINTS[0], "effect": "NoSchedule"}])), 3);
    }
}
