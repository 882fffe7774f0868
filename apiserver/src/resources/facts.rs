//! What no published document says of a resource: its abbreviations, how its writes behave, what selectors may name, where it is stored.
//!
//! Every fact here is one of a kind's registration or strategy in kube-apiserver (`pkg/registry/GROUP/KIND`). A resource that is
//! not named has the defaults.

#![allow(clippy::unnested_or_patterns, reason = "one group a line")]

use std::borrow::Cow;

use super::spec::{
    DefaultDeletion, Generation, Refusal, Scale, ScaleSelector, SelectableField, SelectableFields, Storage, Strategy,
};
use super::table::Row;
use crate::schema::GroupVersionKind;

/// Names and strategy of one resource.
#[derive(Debug, Default)]
pub struct Facts {
    /// Abbreviations.
    pub short_names: &'static [&'static str],
    /// Categories.
    pub categories: &'static [&'static str],
    /// How its writes behave.
    pub strategy: Strategy,
}

/// The facts of a built-in resource.
pub fn of(group: &str, plural: &str) -> Facts {
    Facts {
        short_names: short_names(group, plural),
        categories: categories(group, plural),
        strategy: strategy(group, plural),
    }
}

fn short_names(group: &str, plural: &str) -> &'static [&'static str] {
    match (group, plural) {
        ("", "componentstatuses") => &["cs"],
        ("", "configmaps") => &["cm"],
        ("", "endpoints") => &["ep"],
        ("", "events") | ("events.k8s.io", "events") => &["ev"],
        ("", "limitranges") => &["limits"],
        ("", "namespaces") => &["ns"],
        ("", "nodes") => &["no"],
        ("", "persistentvolumeclaims") => &["pvc"],
        ("", "persistentvolumes") => &["pv"],
        ("", "pods") => &["po"],
        ("", "replicationcontrollers") => &["rc"],
        ("", "resourcequotas") => &["quota"],
        ("", "serviceaccounts") => &["sa"],
        ("", "services") => &["svc"],
        ("apiextensions.k8s.io", "customresourcedefinitions") => &["crd", "crds"],
        ("apps", "daemonsets") => &["ds"],
        ("apps", "deployments") => &["deploy"],
        ("apps", "replicasets") => &["rs"],
        ("apps", "statefulsets") => &["sts"],
        ("autoscaling", "horizontalpodautoscalers") => &["hpa"],
        ("batch", "cronjobs") => &["cj"],
        ("certificates.k8s.io", "certificatesigningrequests") => &["csr"],
        ("networking.k8s.io", "ingresses") => &["ing"],
        ("networking.k8s.io", "ipaddresses") => &["ip"],
        ("networking.k8s.io", "networkpolicies") => &["netpol"],
        ("policy", "poddisruptionbudgets") => &["pdb"],
        ("scheduling.k8s.io", "priorityclasses") => &["pc"],
        ("storage.k8s.io", "storageclasses") => &["sc"],
        ("storage.k8s.io", "volumeattributesclasses") => &["vac"],
        _ => &[],
    }
}

fn categories(group: &str, plural: &str) -> &'static [&'static str] {
    match (group, plural) {
        ("", "pods" | "replicationcontrollers" | "services")
        | ("apps", "daemonsets" | "deployments" | "replicasets" | "statefulsets")
        | ("autoscaling", "horizontalpodautoscalers")
        | ("batch", "cronjobs" | "jobs") => &["all"],
        ("admissionregistration.k8s.io" | "apiextensions.k8s.io" | "apiregistration.k8s.io", _) => &["api-extensions"],
        _ => &[],
    }
}

fn strategy(group: &str, plural: &str) -> Strategy {
    Strategy {
        generation: generation(group, plural),
        allow_create_on_update: allow_create_on_update(group, plural),
        allow_unconditional_update: allow_unconditional_update(group, plural),
        default_deletion: default_deletion(group, plural),
        graceful: (group, plural) == ("", "pods"),
        returns_deleted_object: returns_deleted_object(group, plural),
        reset_on_create: reset_on_create(group, plural),
        reset_on_update: reset_on_update(group, plural),
        reset_on_status_update: reset_on_status_update(group, plural),
        initial_phase: initial_phase(group, plural),
    }
}

fn generation(group: &str, plural: &str) -> Generation {
    match (group, plural) {
        ("", "pods" | "replicationcontrollers")
        | ("admissionregistration.k8s.io", "mutatingadmissionpolicies" | "mutatingadmissionpolicybindings")
        | ("admissionregistration.k8s.io", "validatingadmissionpolicies" | "validatingadmissionpolicybindings")
        | ("apiextensions.k8s.io", "customresourcedefinitions")
        | ("apps", "daemonsets" | "replicasets" | "statefulsets")
        | ("batch", "cronjobs" | "jobs")
        | ("flowcontrol.apiserver.k8s.io", "flowschemas" | "prioritylevelconfigurations")
        | ("networking.k8s.io", "ingressclasses" | "ingresses" | "networkpolicies")
        | ("policy", "poddisruptionbudgets")
        | ("resource.k8s.io", "deviceclasses" | "resourceslices") => Generation::Paths(&["spec"]),
        // Annotations are copied to the replica sets, so a change of them is a change of what is wanted.
        ("apps", "deployments") => Generation::Paths(&["spec", "metadata.annotations"]),
        ("", "podtemplates") => Generation::Paths(&["template"]),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations" | "validatingwebhookconfigurations") => {
            Generation::Paths(&["webhooks"])
        }
        ("storage.k8s.io", "csidrivers") => Generation::PathsUnset(&["spec"]),
        ("scheduling.k8s.io", "priorityclasses") => Generation::Once,
        ("discovery.k8s.io", "endpointslices") => Generation::ContentOrLabels,
        _ => Generation::None,
    }
}

fn allow_create_on_update(group: &str, plural: &str) -> bool {
    matches!(
        (group, plural),
        ("", "endpoints" | "events" | "limitranges" | "services")
            | ("coordination.k8s.io", "leases")
            | ("events.k8s.io", "events")
            | ("node.k8s.io", "runtimeclasses")
            | ("rbac.authorization.k8s.io", _)
    )
}

fn allow_unconditional_update(group: &str, plural: &str) -> bool {
    !matches!(
        (group, plural),
        ("admissionregistration.k8s.io" | "apiextensions.k8s.io" | "apiregistration.k8s.io", _)
            | ("batch", "cronjobs" | "jobs")
            | ("coordination.k8s.io", "leases")
            | ("flowcontrol.apiserver.k8s.io", _)
            | ("node.k8s.io", "runtimeclasses")
            | ("policy", "poddisruptionbudgets")
            | ("storage.k8s.io", "csidrivers" | "csinodes" | "csistoragecapacities" | "volumeattachments")
    )
}

fn default_deletion(group: &str, plural: &str) -> DefaultDeletion {
    match (group, plural) {
        ("", "replicationcontrollers") | ("batch", "jobs") => DefaultDeletion::Orphan,
        ("" | "events.k8s.io", "events") => DefaultDeletion::Unsupported,
        _ => DefaultDeletion::Background,
    }
}

fn returns_deleted_object(group: &str, plural: &str) -> bool {
    matches!(
        (group, plural),
        ("", "namespaces" | "persistentvolumeclaims" | "persistentvolumes" | "pods" | "podtemplates")
            | ("", "resourcequotas" | "serviceaccounts" | "services")
            | ("resource.k8s.io", "deviceclasses" | "resourceclaims" | "resourceclaimtemplates" | "resourceslices")
            | ("storage.k8s.io", "csidrivers" | "csinodes" | "storageclasses" | "volumeattachments")
            | ("storage.k8s.io", "volumeattributesclasses")
    )
}

/// Whether the kind has a status that only `/status` may write.
fn guards_status(group: &str, plural: &str) -> bool {
    matches!(
        (group, plural),
        ("", "namespaces" | "nodes" | "persistentvolumeclaims" | "persistentvolumes" | "pods")
            | ("", "replicationcontrollers" | "resourcequotas" | "services")
            | ("admissionregistration.k8s.io", "validatingadmissionpolicies")
            | ("apiextensions.k8s.io", "customresourcedefinitions")
            | ("apiregistration.k8s.io", "apiservices")
            | ("apps", "daemonsets" | "deployments" | "replicasets" | "statefulsets")
            | ("autoscaling", "horizontalpodautoscalers")
            | ("batch", "cronjobs" | "jobs")
            | ("certificates.k8s.io", "certificatesigningrequests")
            | ("flowcontrol.apiserver.k8s.io", "flowschemas" | "prioritylevelconfigurations")
            | ("networking.k8s.io", "ingresses" | "servicecidrs")
            | ("policy", "poddisruptionbudgets")
            | ("resource.k8s.io", "resourceclaims")
            | ("storage.k8s.io", "volumeattachments")
    )
}

fn reset_on_create(group: &str, plural: &str) -> &'static [&'static str] {
    match (group, plural) {
        // A kubelet registers its node with the status it has.
        ("", "nodes") => &[],
        _ if guards_status(group, plural) => &["status"],
        _ => &[],
    }
}

fn reset_on_update(group: &str, plural: &str) -> &'static [&'static str] {
    match (group, plural) {
        // A request for a certificate is never changed, only approved and answered.
        ("certificates.k8s.io", "certificatesigningrequests") => &["spec", "status"],
        _ if guards_status(group, plural) => &["status"],
        _ => &[],
    }
}

fn reset_on_status_update(group: &str, plural: &str) -> &'static [&'static str] {
    match (group, plural) {
        // Old kubelets corrupt owner references, and nobody deletes a pod through its status.
        ("", "pods") => &["spec", "metadata.deletionTimestamp", "metadata.ownerReferences"],
        ("apps", "deployments") => &["spec", "metadata.labels"],
        ("admissionregistration.k8s.io", "validatingadmissionpolicies")
        | ("apiextensions.k8s.io", "customresourcedefinitions")
        | ("apiregistration.k8s.io", "apiservices")
        | ("flowcontrol.apiserver.k8s.io", _)
        | ("networking.k8s.io", "servicecidrs")
        | ("resource.k8s.io", "resourceclaims")
        | ("storage.k8s.io", "volumeattachments") => &["spec", "metadata"],
        _ if guards_status(group, plural) => &["spec"],
        _ => &[],
    }
}

fn initial_phase(group: &str, plural: &str) -> Option<&'static str> {
    match (group, plural) {
        ("", "namespaces") => Some("Active"),
        ("", "persistentvolumeclaims" | "persistentvolumes" | "pods") => Some("Pending"),
        _ => None,
    }
}

/// Where a resource is stored, if it is.
pub fn storage(row: &Row) -> Option<Storage> {
    let stored = row.verbs.contains("watch");
    stored.then(|| Storage { prefix: format!("/registry/{}", storage_segment(row)), gvk: storage_kind(row) })
}

/// The keys' segment: historical names, and the group where another server of the chain once owned the storage.
fn storage_segment(row: &Row) -> String {
    match (row.group, row.plural) {
        ("", "endpoints") => "services/endpoints".to_owned(),
        ("", "nodes") => "minions".to_owned(),
        ("", "replicationcontrollers") => "controllers".to_owned(),
        ("", "services") => "services/specs".to_owned(),
        ("networking.k8s.io", "ingresses") => "ingress".to_owned(),
        (group @ ("apiextensions.k8s.io" | "apiregistration.k8s.io"), plural) => format!("{group}/{plural}"),
        (_, plural) => plural.to_owned(),
    }
}

/// The version that is written: the preferred one of the group, and the core group's where both serve the same objects.
fn storage_kind(row: &Row) -> GroupVersionKind {
    match (row.group, row.plural) {
        ("events.k8s.io", "events") => GroupVersionKind::new("", "v1", row.kind),
        ("autoscaling", _) => GroupVersionKind::new("autoscaling", "v2", row.kind),
        (group, _) => GroupVersionKind::new(group, row.version, row.kind),
    }
}

/// How `/scale` maps, for resources that have it.
pub fn scale(row: &Row) -> Option<Scale> {
    row.subresources.iter().any(|sub| sub.name == "scale").then(|| Scale {
        spec_replicas: "spec.replicas".to_owned(),
        status_replicas: "status.replicas".to_owned(),
        selector: match row.plural {
            "replicationcontrollers" => ScaleSelector::Labels("spec.selector".to_owned()),
            _ => ScaleSelector::LabelSelector("spec.selector".to_owned()),
        },
    })
}

const fn text(label: &'static str, paths: &'static [Cow<'static, str>]) -> SelectableField {
    SelectableField { label: Cow::Borrowed(label), paths: Cow::Borrowed(paths), absent: "" }
}

const fn scalar(label: &'static str, paths: &'static [Cow<'static, str>], absent: &'static str) -> SelectableField {
    SelectableField { label: Cow::Borrowed(label), paths: Cow::Borrowed(paths), absent }
}

/// Selectable fields whose label is the path of a text, or that name other paths, or also a value when there is none.
macro_rules! fields {
    (@one $label:literal) => { text($label, &[Cow::Borrowed($label)]) };
    (@one $label:literal [$($path:literal),*]) => { text($label, &[$(Cow::Borrowed($path)),*]) };
    (@one $label:literal [$($path:literal),*] else $absent:literal) => { scalar($label, &[$(Cow::Borrowed($path)),*], $absent) };
    ($($label:literal $([$($path:literal),*])? $(else $absent:literal)?),* $(,)?) => {
        const { &[$(fields!(@one $label $([$($path),*])? $(else $absent)?)),*] }
    };
}

/// Fields of every object, the only ones of most kinds.
pub const METADATA_FIELDS: &[SelectableField] = fields!["metadata.name", "metadata.namespace"];

const POD_FIELDS: &[SelectableField] = fields![
    "metadata.name",
    "metadata.namespace",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.schedulerName",
    "spec.serviceAccountName",
    "spec.hostNetwork" ["spec.hostNetwork"] else "false",
    "status.phase",
    "status.podIP" ["status.podIPs.0.ip", "status.podIP"],
    "status.podIPs" [],
    "status.nominatedNodeName",
    "spec.host" ["spec.nodeName"],
];

const EVENT_FIELDS: &[SelectableField] = fields![
    "involvedObject.kind" ["involvedObject.kind", "regarding.kind"],
    "involvedObject.namespace" ["involvedObject.namespace", "regarding.namespace"],
    "involvedObject.name" ["involvedObject.name", "regarding.name"],
    "involvedObject.uid" ["involvedObject.uid", "regarding.uid"],
    "involvedObject.apiVersion" ["involvedObject.apiVersion", "regarding.apiVersion"],
    "involvedObject.resourceVersion" ["involvedObject.resourceVersion", "regarding.resourceVersion"],
    "involvedObject.fieldPath" ["involvedObject.fieldPath", "regarding.fieldPath"],
    "reason",
    "reportingComponent" ["reportingComponent", "reportingController"],
    "source" ["source.component", "deprecatedSource.component", "reportingComponent", "reportingController"],
    "type",
    "metadata.namespace",
    "metadata.name",
];

const NEW_EVENT_FIELDS: &[SelectableField] = fields![
    "reason",
    "regarding.kind" ["regarding.kind", "involvedObject.kind"],
    "regarding.namespace" ["regarding.namespace", "involvedObject.namespace"],
    "regarding.name" ["regarding.name", "involvedObject.name"],
    "regarding.uid" ["regarding.uid", "involvedObject.uid"],
    "regarding.apiVersion" ["regarding.apiVersion", "involvedObject.apiVersion"],
    "regarding.resourceVersion" ["regarding.resourceVersion", "involvedObject.resourceVersion"],
    "regarding.fieldPath" ["regarding.fieldPath", "involvedObject.fieldPath"],
    "reportingController" ["reportingController", "reportingComponent"],
    "type",
    "metadata.namespace",
    "metadata.name",
];

/// What selectors may name, and how another label is refused.
pub fn selectable_fields(row: &Row) -> SelectableFields {
    let (refusal, fields): (Refusal, &'static [SelectableField]) = match (row.group, row.plural) {
        ("", "pods") => (Refusal::NotSupported, POD_FIELDS),
        ("", "events") => (Refusal::NotSupported, EVENT_FIELDS),
        ("events.k8s.io", "events") => (Refusal::NotSupported, NEW_EVENT_FIELDS),
        ("", "nodes") => {
            (Refusal::NotSupported, fields!["metadata.name", "spec.unschedulable" ["spec.unschedulable"] else "false"])
        }
        ("", "namespaces") => (Refusal::NotSupported, fields!["status.phase", "metadata.name"]),
        ("", "secrets") => (Refusal::NotSupported, fields!["type", "metadata.namespace", "metadata.name"]),
        ("", "services") => {
            (Refusal::NotSupported, fields!["metadata.namespace", "metadata.name", "spec.clusterIP", "spec.type"])
        }
        ("", "replicationcontrollers") => (
            Refusal::NotSupported,
            fields!["metadata.name", "metadata.namespace", "status.replicas" ["status.replicas"] else "0"],
        ),
        ("batch", "jobs") => (
            Refusal::NotSupportedFor("Job"),
            fields!["metadata.name", "metadata.namespace", "status.successful" ["status.succeeded"] else "0"],
        ),
        ("certificates.k8s.io", "certificatesigningrequests") => {
            (Refusal::NotSupported, fields!["metadata.name", "spec.signerName"])
        }
        ("resource.k8s.io", "resourceslices") => (
            Refusal::NotSupportedForType("resource.k8s.io/v1, Kind=ResourceSlice"),
            fields!["metadata.name", "spec.nodeName", "spec.driver"],
        ),
        _ => (Refusal::NotKnown, METADATA_FIELDS),
    };
    SelectableFields { refusal, fields: Cow::Borrowed(fields) }
}
