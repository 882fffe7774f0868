//! Services and their endpoints: defaults.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go`, `pkg/apis/discovery/v1/defaults.go`.

use serde_json::{Value, json};

use super::edit::{each, is_empty, object, set, set_absent, set_empty, text, within};

/// How long a client stays with its pod under `ClientIP` affinity.
const CLIENT_IP_AFFINITY_SECONDS: i64 = 10_800;

/// Defaults of a service.
pub fn default_service(service: &mut Value) {
    object(service, |service| {
        let mut kind = String::new();
        within(service, "spec", |spec| {
            set_empty(spec, "sessionAffinity", "None");
            if text(spec, "sessionAffinity") == "None" {
                spec.remove("sessionAffinityConfig");
            }
            let timeout = || spec.get("sessionAffinityConfig")?.get("clientIP")?.get("timeoutSeconds");
            if text(spec, "sessionAffinity") == "ClientIP" && timeout().is_none_or(Value::is_null) {
                let config = json!({"clientIP": {"timeoutSeconds": CLIENT_IP_AFFINITY_SECONDS}});
                set(spec, "sessionAffinityConfig", config);
            }
            set_empty(spec, "type", "ClusterIP");
            text(spec, "type").clone_into(&mut kind);
            each(spec, "ports", |port| {
                set_empty(port, "protocol", "TCP");
                if is_empty(port, "targetPort") {
                    let number = port.get("port").cloned().unwrap_or_else(|| json!(0));
                    set(port, "targetPort", number);
                }
            });
            let accessible = matches!(kind.as_str(), "LoadBalancer" | "NodePort")
                || (kind == "ClusterIP" && !is_empty(spec, "externalIPs"));
            if accessible {
                set_empty(spec, "externalTrafficPolicy", "Cluster");
            }
            if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
                set_absent(spec, "internalTrafficPolicy", "Cluster");
            }
            if kind == "LoadBalancer" {
                set_absent(spec, "allocateLoadBalancerNodePorts", true);
            }
        });
        if kind == "LoadBalancer" {
            within(service, "status", |status| {
                within(status, "loadBalancer", |balancer| {
                    each(balancer, "ingress", |ingress| {
                        if !is_empty(ingress, "ip") {
                            set_absent(ingress, "ipMode", "VIP");
                        }
                    });
                });
            });
        }
    });
}

/// Defaults of endpoints.
pub fn default_endpoints(endpoints: &mut Value) {
    object(endpoints, |endpoints| {
        each(endpoints, "subsets", |subset| each(subset, "ports", |port| set_empty(port, "protocol", "TCP")));
    });
}

/// Defaults of an endpoint slice.
pub fn default_endpoint_slice(slice: &mut Value) {
    object(slice, |slice| {
        each(slice, "ports", |port| {
            set_absent(port, "name", "");
            set_absent(port, "protocol", "TCP");
        });
    });
}
