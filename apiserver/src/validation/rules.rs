//! The table from kinds to their rules.

use jiff::Timestamp;
use serde_json::Value;

use super::field::Errors;
use super::node::Node;
use super::{
    admissionregistration, apiextensions, autoscaling, batch, certificates, cluster, config, coordination, events,
    flowcontrol, formats, meta, networking, pod, policy, rbac, resource, runtime_class, scheduling, service, storage,
    tokens, volume, workload,
};
use crate::schema::GroupVersionKind;

/// Judges a new object.
pub type Create = fn(&Node<'_>, &mut Errors);
/// Judges a changed object against what it was; metadata has been judged for every kind alike before.
pub type Update = fn(&Node<'_>, &Node<'_>, &mut Errors);
/// Fills in what a client left out.
pub type Default = fn(&mut Value);

/// What is known of a kind's objects beyond their schema.
#[derive(Clone, Copy)]
pub struct Rules {
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Fills in defaults.
    pub default: Default,
    /// Fills in defaults that are the current time.
    pub default_time: fn(&mut Value, Timestamp),
    /// Judges new objects, metadata included.
    pub create: Create,
    /// Judges changed objects.
    pub update: Update,
    /// Judges objects changed through the status subresource.
    pub status: Update,
}

impl Rules {
    /// Rules of a kind that nobody knows anything of but that its objects have names.
    const NONE: Self = Self {
        namespaced: false,
        default: |_| (),
        default_time: |_, _| (),
        create: create_cluster_object,
        update: update_meta,
        status: update_meta,
    };

    const fn namespaced(default: Default) -> Self {
        Self { namespaced: true, default, create: create_namespaced_object, ..Self::NONE }
    }

    const fn cluster(default: Default) -> Self {
        Self { default, ..Self::NONE }
    }

    /// Judged by rules of its own.
    const fn judged(self, create: Create, update: Update) -> Self {
        Self { create, update, ..self }
    }

    /// Judged by rules of its own when its status changes.
    const fn status(self, status: Update) -> Self {
        Self { status, ..self }
    }
}

fn create_namespaced_object(node: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&node.at("metadata"), true, formats::subdomain_name, errors);
}

fn create_cluster_object(node: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&node.at("metadata"), false, formats::subdomain_name, errors);
}

/// Most kinds judge the metadata of an update once more, and clients see its errors twice.
fn update_meta(node: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&node.at("metadata"), &old.at("metadata"), errors);
}

fn nothing(_: &mut Value) {}

/// The rules for a kind; none for kinds that are not built in.
pub fn of(gvk: &GroupVersionKind) -> Option<Rules> {
    match gvk.group.as_str() {
        "" => core(&gvk.kind),
        "apps" => apps(&gvk.kind),
        "batch" => batch_kinds(&gvk.kind),
        "autoscaling" => match (gvk.version.as_str(), gvk.kind.as_str()) {
            ("v1", "HorizontalPodAutoscaler") => Some(
                Rules::namespaced(autoscaling::default_v1)
                    .judged(autoscaling::create_v1, autoscaling::update_v1)
                    .status(autoscaling::status),
            ),
            (_, "HorizontalPodAutoscaler") => Some(
                Rules::namespaced(autoscaling::default_v2)
                    .judged(autoscaling::create, autoscaling::update)
                    .status(autoscaling::status),
            ),
            _ => None,
        },
        "admissionregistration.k8s.io" => admission(&gvk.kind),
        "apiextensions.k8s.io" => match gvk.kind.as_str() {
            "CustomResourceDefinition" => Some(
                Rules::cluster(apiextensions::default_definition)
                    .judged(apiextensions::create_definition, apiextensions::update_definition)
                    .status(apiextensions::status_definition),
            ),
            _ => None,
        },
        "apiregistration.k8s.io" => match gvk.kind.as_str() {
            "APIService" => Some(
                Rules::cluster(apiextensions::default_api_service)
                    .judged(apiextensions::create_api_service, apiextensions::update_api_service)
                    .status(apiextensions::status_api_service),
            ),
            _ => None,
        },
        "authentication.k8s.io" => match gvk.kind.as_str() {
            "TokenRequest" => Some(Rules::namespaced(tokens::default_token_request)),
            _ => None,
        },
        "certificates.k8s.io" => match gvk.kind.as_str() {
            "CertificateSigningRequest" => Some(
                Rules::cluster(nothing)
                    .judged(certificates::create_request, certificates::update_request)
                    .status(certificates::status_request),
            ),
            _ => None,
        },
        "coordination.k8s.io" => match gvk.kind.as_str() {
            "Lease" => Some(Rules::namespaced(nothing).judged(coordination::create_lease, coordination::update_lease)),
            _ => None,
        },
        "discovery.k8s.io" => match gvk.kind.as_str() {
            "EndpointSlice" => Some(
                Rules::namespaced(service::default_endpoint_slice)
                    .judged(service::create_endpoint_slice, service::update_endpoint_slice),
            ),
            _ => None,
        },
        "events.k8s.io" => match gvk.kind.as_str() {
            "Event" => Some(Rules::namespaced(nothing).judged(events::create, events::update)),
            _ => None,
        },
        "flowcontrol.apiserver.k8s.io" => match gvk.kind.as_str() {
            "FlowSchema" => Some(
                Rules::cluster(flowcontrol::default_flow_schema)
                    .judged(flowcontrol::create_flow_schema, flowcontrol::update_flow_schema)
                    .status(flowcontrol::status),
            ),
            "PriorityLevelConfiguration" => Some(
                Rules::cluster(flowcontrol::default_priority_level)
                    .judged(flowcontrol::create_priority_level, flowcontrol::update_priority_level)
                    .status(flowcontrol::status),
            ),
            _ => None,
        },
        "networking.k8s.io" => networking_kinds(&gvk.kind),
        "node.k8s.io" => match gvk.kind.as_str() {
            "RuntimeClass" => Some(Rules::cluster(nothing).judged(runtime_class::create, runtime_class::update)),
            _ => None,
        },
        "policy" => match gvk.kind.as_str() {
            "PodDisruptionBudget" => Some(
                Rules::namespaced(nothing)
                    .judged(policy::create_budget, policy::update_budget)
                    .status(policy::status_budget),
            ),
            _ => None,
        },
        "rbac.authorization.k8s.io" => rbac_kinds(&gvk.kind),
        "resource.k8s.io" => resource_kinds(&gvk.kind),
        "scheduling.k8s.io" => match gvk.kind.as_str() {
            "PriorityClass" => Some(
                Rules::cluster(scheduling::default_priority_class)
                    .judged(scheduling::create_priority_class, scheduling::update_priority_class),
            ),
            _ => None,
        },
        "storage.k8s.io" => storage_kinds(&gvk.kind),
        _ => None,
    }
}

fn core(kind: &str) -> Option<Rules> {
    Some(match kind {
        "ConfigMap" => Rules::namespaced(nothing).judged(config::create_config_map, config::update_config_map),
        "Event" => Rules::namespaced(nothing).judged(events::create_core, events::update_core),
        "ResourceQuota" => Rules::namespaced(nothing)
            .judged(cluster::create_quota, cluster::update_quota)
            .status(cluster::status_quota),
        "ServiceAccount" => {
            Rules::namespaced(nothing).judged(config::create_service_account, config::update_service_account)
        }
        "Endpoints" => {
            Rules::namespaced(service::default_endpoints).judged(service::create_endpoints, service::update_endpoints)
        }
        "LimitRange" => Rules::namespaced(cluster::default_limit_range)
            .judged(cluster::create_limit_range, cluster::update_limit_range),
        "Namespace" => Rules::cluster(cluster::default_namespace)
            .judged(cluster::create_namespace, update_meta)
            .status(cluster::status_namespace),
        "Node" => Rules::cluster(cluster::default_node)
            .judged(cluster::create_node, cluster::update_node)
            .status(cluster::status_node),
        "PersistentVolume" => Rules::cluster(volume::default_persistent_volume)
            .judged(volume::create_persistent_volume, volume::update_persistent_volume)
            .status(volume::status_persistent_volume),
        "PersistentVolumeClaim" => Rules::namespaced(storage::default_claim)
            .judged(volume::create_claim, volume::update_claim)
            .status(volume::status_claim),
        "Pod" | "PodStatusResult" => Rules::namespaced(pod::default_pod).judged(pod::create_pod, pod::update_pod),
        "PodTemplate" => {
            Rules::namespaced(pod::default_pod_template).judged(pod::create_pod_template, pod::update_pod_template)
        }
        "ReplicationController" => Rules::namespaced(workload::default_replication_controller)
            .judged(workload::create_replication_controller, workload::update_replication_controller)
            .status(workload::status_replica_set),
        "Secret" => Rules::namespaced(config::default_secret).judged(config::create_secret, config::update_secret),
        "Service" => {
            Rules::namespaced(service::default_service).judged(service::create_service, service::update_service)
        }
        _ => return None,
    })
}

fn apps(kind: &str) -> Option<Rules> {
    Some(match kind {
        "ControllerRevision" => Rules::namespaced(nothing)
            .judged(workload::create_controller_revision, workload::update_controller_revision),
        "DaemonSet" => Rules::namespaced(workload::default_daemon_set)
            .judged(workload::create_daemon_set, workload::update_daemon_set)
            .status(workload::status_daemon_set),
        "Deployment" => Rules::namespaced(workload::default_deployment)
            .judged(workload::create_deployment, workload::update_deployment)
            .status(workload::status_deployment),
        "ReplicaSet" => Rules::namespaced(workload::default_replica_set)
            .judged(workload::create_replica_set, workload::update_replica_set)
            .status(workload::status_replica_set),
        "StatefulSet" => Rules::namespaced(workload::default_stateful_set)
            .judged(workload::create_stateful_set, workload::update_stateful_set)
            .status(workload::status_stateful_set),
        _ => return None,
    })
}

fn batch_kinds(kind: &str) -> Option<Rules> {
    Some(match kind {
        "Job" => {
            Rules::namespaced(batch::default_job).judged(batch::create_job, batch::update_job).status(batch::status_job)
        }
        "CronJob" => Rules::namespaced(batch::default_cron_job).judged(batch::create_cron_job, batch::update_cron_job),
        _ => return None,
    })
}

fn admission(kind: &str) -> Option<Rules> {
    Some(match kind {
        "MutatingWebhookConfiguration" => Rules::cluster(admissionregistration::default_mutating_webhooks)
            .judged(admissionregistration::create_webhooks, admissionregistration::update_webhooks),
        "ValidatingWebhookConfiguration" => Rules::cluster(admissionregistration::default_validating_webhooks)
            .judged(admissionregistration::create_webhooks, admissionregistration::update_webhooks),
        "MutatingAdmissionPolicy" => Rules::cluster(admissionregistration::default_policy)
            .judged(admissionregistration::create_mutating_policy, admissionregistration::update_mutating_policy),
        "ValidatingAdmissionPolicy" => Rules::cluster(admissionregistration::default_policy)
            .judged(admissionregistration::create_validating_policy, admissionregistration::update_validating_policy)
            .status(admissionregistration::status_validating_policy),
        "MutatingAdmissionPolicyBinding" => Rules::cluster(admissionregistration::default_policy_binding)
            .judged(admissionregistration::create_mutating_binding, admissionregistration::update_mutating_binding),
        "ValidatingAdmissionPolicyBinding" => Rules::cluster(admissionregistration::default_policy_binding)
            .judged(admissionregistration::create_validating_binding, admissionregistration::update_validating_binding),
        _ => return None,
    })
}

fn networking_kinds(kind: &str) -> Option<Rules> {
    Some(match kind {
        "Ingress" => Rules::namespaced(nothing)
            .judged(networking::create_ingress, networking::update_ingress)
            .status(networking::status_ingress),
        "IngressClass" => Rules::cluster(networking::default_ingress_class)
            .judged(networking::create_ingress_class, networking::update_ingress_class),
        "IPAddress" => Rules::cluster(nothing).judged(networking::create_ip_address, networking::update_ip_address),
        "ServiceCIDR" => {
            Rules::cluster(nothing).judged(networking::create_service_cidr, networking::update_service_cidr)
        }
        "NetworkPolicy" => Rules::namespaced(networking::default_network_policy)
            .judged(networking::create_network_policy, networking::update_network_policy),
        _ => return None,
    })
}

fn rbac_kinds(kind: &str) -> Option<Rules> {
    Some(match kind {
        "Role" => Rules::namespaced(nothing).judged(rbac::create_role, rbac::update_role),
        "ClusterRole" => Rules::cluster(nothing).judged(rbac::create_cluster_role, rbac::update_cluster_role),
        "RoleBinding" => {
            Rules::namespaced(rbac::default_binding).judged(rbac::create_role_binding, rbac::update_role_binding)
        }
        "ClusterRoleBinding" => Rules::cluster(rbac::default_binding)
            .judged(rbac::create_cluster_role_binding, rbac::update_cluster_role_binding),
        _ => return None,
    })
}

fn resource_kinds(kind: &str) -> Option<Rules> {
    Some(match kind {
        "DeviceClass" => Rules::cluster(nothing).judged(resource::create_class, resource::update_class),
        "ResourceClaim" => Rules::namespaced(resource::default_claim)
            .judged(resource::create_claim, resource::update_claim)
            .status(resource::status_claim),
        "ResourceClaimTemplate" => Rules::namespaced(resource::default_claim_template)
            .judged(resource::create_template, resource::update_template),
        "ResourceSlice" => Rules { default_time: resource::default_slice, ..Rules::cluster(nothing) }
            .judged(resource::create_slice, resource::update_slice),
        _ => return None,
    })
}

fn storage_kinds(kind: &str) -> Option<Rules> {
    Some(match kind {
        "CSIDriver" => {
            Rules::cluster(storage::default_csi_driver).judged(storage::create_csi_driver, storage::update_csi_driver)
        }
        "CSINode" => Rules::cluster(nothing).judged(storage::create_csi_node, storage::update_csi_node),
        "VolumeAttributesClass" => {
            Rules::cluster(nothing).judged(storage::create_attributes_class, storage::update_attributes_class)
        }
        "CSIStorageCapacity" => {
            Rules::namespaced(nothing).judged(storage::create_storage_capacity, storage::update_storage_capacity)
        }
        "StorageClass" => Rules::cluster(storage::default_storage_class)
            .judged(storage::create_storage_class, storage::update_storage_class),
        "VolumeAttachment" => Rules::cluster(storage::default_volume_attachment)
            .judged(storage::create_volume_attachment, storage::update_volume_attachment),
        _ => return None,
    })
}
