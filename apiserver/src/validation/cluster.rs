//! Namespaces, nodes, limit ranges: defaults.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go` and `conversion.go`.

use serde_json::{Value, json};

use super::edit::{Fields, add_missing, each, is_empty, object, set, set_empty, text, within, within_new};

/// The label by which every namespace can be selected by name.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Defaults of a namespace. One whose name is yet to be generated is labelled once it is.
pub fn default_namespace(namespace: &mut Value) {
    object(namespace, |namespace| {
        within(namespace, "metadata", |meta| {
            let name = text(meta, "name").to_owned();
            if !name.is_empty() {
                within_new(meta, "labels", |labels| set(labels, NAME_LABEL, name));
            }
        });
        within(namespace, "status", |status| set_empty(status, "phase", "Active"));
    });
}

/// Defaults of a node.
pub fn default_node(node: &mut Value) {
    object(node, |node| {
        within(node, "status", |status| {
            if is_empty(status, "allocatable") {
                add_missing(status, "allocatable", "capacity");
            }
        });
        within(node, "spec", reconcile_pod_cidrs);
    });
}

/// Reconciles a node's one range of pod addresses with its list of ranges: the single one rules.
fn reconcile_pod_cidrs(spec: &mut Fields) {
    let cidr = text(spec, "podCIDR").to_owned();
    let first = spec.get("podCIDRs").and_then(|cidrs| cidrs.get(0)?.as_str()).map(str::to_owned);
    match first {
        Some(first) if cidr.is_empty() && !first.is_empty() => set(spec, "podCIDR", first),
        _ if cidr.is_empty() => {}
        Some(first) if first == cidr => {}
        _ => set(spec, "podCIDRs", json!([cidr])),
    }
}

/// Defaults of a limit range: for containers, limits come from maxima and requests from limits and minima.
pub fn default_limit_range(range: &mut Value) {
    object(range, |range| {
        within(range, "spec", |spec| {
            each(spec, "limits", |limit| {
                if text(limit, "type") == "Container" {
                    add_missing(limit, "default", "max");
                    add_missing(limit, "defaultRequest", "default");
                    add_missing(limit, "defaultRequest", "min");
                }
            });
        });
    });
}
