//! Pods and the templates that pods are made from: defaults.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go` and `conversion.go`.

use serde_json::{Value, json};

use super::edit::{
    Fields, add_missing, each, is_absent, is_empty, object, set, set_absent, set_empty, text, within, within_new,
};
use super::{image, volume};

/// The lists of containers of a pod.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of a pod.
pub fn default_pod(pod: &mut Value) {
    object(pod, |pod| {
        within(pod, "metadata", drop_init_container_annotations);
        within(pod, "spec", |spec| {
            for list in ["containers", "initContainers"] {
                each(spec, list, |container| {
                    within(container, "resources", |resources| add_missing(resources, "requests", "limits"));
                });
            }
            set_absent(spec, "enableServiceLinks", true);
            if !is_empty(spec, "hostNetwork") {
                for list in ["containers", "initContainers"] {
                    each(spec, list, default_host_ports);
                }
            }
            default_spec(spec);
            // Only for pods: a template keeps what it was given.
            if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
                set(spec, "terminationGracePeriodSeconds", 1);
            }
        });
        within(pod, "status", default_status);
    });
}

/// On the host's network a container's port is the host's.
fn default_host_ports(container: &mut Fields) {
    each(container, "ports", |port| {
        if is_empty(port, "hostPort") {
            if let Some(number) = port.get("containerPort").cloned() {
                set(port, "hostPort", number);
            }
        }
    });
}

/// Reconciles a pod's one address with its list of addresses: the single one rules.
pub fn default_status(status: &mut Fields) {
    let ip = text(status, "podIP").to_owned();
    let first = status.get("podIPs").and_then(|ips| ips.get(0)?.get("ip")?.as_str()).map(str::to_owned);
    match first {
        Some(first) if ip.is_empty() && !first.is_empty() => set(status, "podIP", first),
        _ if ip.is_empty() => {}
        Some(first) if first == ip => {}
        _ => set(status, "podIPs", json!([{ "ip": ip }])),
    }
}

/// Defaults of a pod template.
pub fn default_template(template: &mut Fields) {
    within(template, "metadata", drop_init_container_annotations);
    within(template, "spec", default_spec);
}

/// Defaults of a `PodTemplate` object.
pub fn default_pod_template(object_value: &mut Value) {
    object(object_value, |object| within(object, "template", default_template));
}

/// Annotations of Kubernetes before 1.6, which kubelets would still obey.
fn drop_init_container_annotations(meta: &mut Fields) {
    within(meta, "annotations", |annotations| {
        for name in ["init-containers", "init-container-statuses"] {
            annotations.remove(&format!("pod.alpha.kubernetes.io/{name}"));
            annotations.remove(&format!("pod.beta.kubernetes.io/{name}"));
        }
    });
    if is_empty(meta, "annotations") {
        meta.remove("annotations");
    }
}

/// Defaults of a pod's spec.
pub fn default_spec(spec: &mut Fields) {
    set_empty(spec, "dnsPolicy", "ClusterFirst");
    set_empty(spec, "restartPolicy", "Always");
    within_new(spec, "securityContext", |_| ());
    set_absent(spec, "terminationGracePeriodSeconds", 30);
    set_empty(spec, "schedulerName", "default-scheduler");
    each(spec, "volumes", volume::default_volume);
    for list in CONTAINER_LISTS {
        each(spec, list, default_container);
    }
    // `serviceAccount` is the old name of `serviceAccountName`.
    if is_empty(spec, "serviceAccountName") {
        if !is_empty(spec, "serviceAccount") {
            let name = text(spec, "serviceAccount").to_owned();
            set(spec, "serviceAccountName", name);
        }
    } else {
        let name = text(spec, "serviceAccountName").to_owned();
        set(spec, "serviceAccount", name);
    }
}

fn default_container(container: &mut Fields) {
    if is_empty(container, "imagePullPolicy") {
        let policy = if image::tag(text(container, "image")) == Some("latest") { "Always" } else { "IfNotPresent" };
        set(container, "imagePullPolicy", policy);
    }
    set_empty(container, "terminationMessagePath", "/dev/termination-log");
    set_empty(container, "terminationMessagePolicy", "File");
    each(container, "ports", |port| set_empty(port, "protocol", "TCP"));
    each(container, "env", |variable| {
        within(variable, "valueFrom", |source| {
            within(source, "fieldRef", volume::default_field_ref);
            within(source, "fileKeyRef", |file| set_absent(file, "optional", false));
        });
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        within(container, probe, default_probe);
    }
    within(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            within(lifecycle, hook, |handler| within(handler, "httpGet", default_http_get));
        }
    });
}

fn default_probe(probe: &mut Fields) {
    set_empty(probe, "timeoutSeconds", 1);
    set_empty(probe, "periodSeconds", 10);
    set_empty(probe, "successThreshold", 1);
    set_empty(probe, "failureThreshold", 3);
    within(probe, "httpGet", default_http_get);
    within(probe, "grpc", |grpc| {
        if is_absent(grpc, "service") {
            set(grpc, "service", "");
        }
    });
}

fn default_http_get(action: &mut Fields) {
    set_empty(action, "path", "/");
    set_empty(action, "scheme", "HTTP");
}
