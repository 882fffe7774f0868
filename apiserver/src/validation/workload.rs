//! Deployments, replica sets, daemon sets, stateful sets and replication controllers: defaults.
//!
//! Upstream: `pkg/apis/apps/v1/defaults.go` and `conversion.go`, `pkg/apis/core/v1/defaults.go`.

use serde_json::Value;

use super::edit::{Fields, each, is_empty, object, set, set_absent, set_empty, text, within, within_new};
use super::{pod, volume};

/// Where apps/v1 keeps a daemon set's `templateGeneration`, which has no field any more.
const TEMPLATE_GENERATION: &str = "deprecated.daemonset.template.generation";

/// Defaults of a deployment.
pub fn default_deployment(deployment: &mut Value) {
    default_workload(deployment, |spec| {
        set_absent(spec, "replicas", 1);
        within_new(spec, "strategy", |strategy| {
            set_empty(strategy, "type", "RollingUpdate");
            if text(strategy, "type") == "RollingUpdate" {
                within_new(strategy, "rollingUpdate", |rolling| {
                    set_absent(rolling, "maxUnavailable", "25%");
                    set_absent(rolling, "maxSurge", "25%");
                });
            }
        });
        set_absent(spec, "revisionHistoryLimit", 10);
        set_absent(spec, "progressDeadlineSeconds", 600);
    });
}

/// Defaults of a replica set.
pub fn default_replica_set(set: &mut Value) {
    default_workload(set, |spec| set_absent(spec, "replicas", 1));
}

/// Defaults of a daemon set.
pub fn default_daemon_set(daemon_set: &mut Value) {
    default_workload(daemon_set, |spec| {
        within_new(spec, "updateStrategy", |strategy| {
            set_empty(strategy, "type", "RollingUpdate");
            if text(strategy, "type") == "RollingUpdate" {
                within_new(strategy, "rollingUpdate", |rolling| {
                    set_absent(rolling, "maxUnavailable", 1);
                    set_absent(rolling, "maxSurge", 0);
                });
            }
        });
        set_absent(spec, "revisionHistoryLimit", 10);
    });
    object(daemon_set, |daemon_set| {
        within(daemon_set, "metadata", |meta| {
            within_new(meta, "annotations", |annotations| {
                let generation: i64 = text(annotations, TEMPLATE_GENERATION).parse().unwrap_or_default();
                set(annotations, TEMPLATE_GENERATION, generation.to_string());
            });
        });
    });
}

/// Defaults of a stateful set.
pub fn default_stateful_set(stateful_set: &mut Value) {
    default_workload(stateful_set, |spec| {
        set_empty(spec, "podManagementPolicy", "OrderedReady");
        within_new(spec, "updateStrategy", |strategy| {
            if is_empty(strategy, "type") {
                set(strategy, "type", "RollingUpdate");
                within_new(strategy, "rollingUpdate", |_| ());
            }
            if text(strategy, "type") == "RollingUpdate" {
                within(strategy, "rollingUpdate", |rolling| set_absent(rolling, "partition", 0));
            }
        });
        within_new(spec, "persistentVolumeClaimRetentionPolicy", |policy| {
            set_empty(policy, "whenDeleted", "Retain");
            set_empty(policy, "whenScaled", "Retain");
        });
        set_absent(spec, "replicas", 1);
        set_absent(spec, "revisionHistoryLimit", 10);
        each(spec, "volumeClaimTemplates", |claim| {
            set(claim, "apiVersion", "v1");
            set(claim, "kind", "PersistentVolumeClaim");
            volume::default_claim(claim);
        });
    });
}

/// Defaults of a replication controller: its selector and labels are its template's.
pub fn default_replication_controller(controller: &mut Value) {
    let labels = controller.pointer("/spec/template/metadata/labels").filter(|labels| labels.is_object()).cloned();
    default_workload(controller, |spec| {
        set_absent(spec, "replicas", 1);
        if let Some(labels) = &labels {
            set_empty(spec, "selector", labels.clone());
        }
    });
    if let Some(labels) = labels {
        object(controller, |controller| within(controller, "metadata", |meta| set_empty(meta, "labels", labels)));
    }
}

fn default_workload(workload: &mut Value, edit: impl FnOnce(&mut Fields)) {
    object(workload, |workload| {
        within(workload, "spec", |spec| {
            edit(spec);
            within(spec, "template", pod::default_template);
        });
    });
}
