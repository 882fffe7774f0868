//! Role bindings and certificate signing requests.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::column::{AGE, Doc, NAME, string};
use super::duration::{age, human_duration};
use super::read::{at, list, text, text_or};
use super::{Printer, cells};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "CertificateSigningRequest" => Some(&SIGNING_REQUEST),
        "ClusterRoleBinding" => Some(&CLUSTER_ROLE_BINDING),
        "RoleBinding" => Some(&ROLE_BINDING),
        _ => None,
    }
}

static ROLE_BINDING: Printer = Printer::new(
    &[
        NAME,
        string("Role", Doc::Field("io.k8s.api.rbac.v1.RoleBinding", "roleRef")),
        AGE,
        string("Users", Doc::Text("Users in the roleBinding")).wide(),
        string("Groups", Doc::Text("Groups in the roleBinding")).wide(),
        string("ServiceAccounts", Doc::Text("ServiceAccounts in the roleBinding")).wide(),
    ],
    binding,
);

static CLUSTER_ROLE_BINDING: Printer = Printer::new(
    &[
        NAME,
        string("Role", Doc::Field("io.k8s.api.rbac.v1.ClusterRoleBinding", "roleRef")),
        AGE,
        string("Users", Doc::Text("Users in the clusterRoleBinding")).wide(),
        string("Groups", Doc::Text("Groups in the clusterRoleBinding")).wide(),
        string("ServiceAccounts", Doc::Text("ServiceAccounts in the clusterRoleBinding")).wide(),
    ],
    binding,
);

fn binding(binding: &Value, now: Timestamp) -> Vec<Value> {
    let subjects = |kind: &str| {
        let subjects = list(binding, "subjects").iter().filter(|subject| text(subject, "kind") == kind);
        let name = |subject| match kind {
            "ServiceAccount" => format!("{}/{}", text(subject, "namespace"), text(subject, "name")),
            _ => text(subject, "name").to_owned(),
        };
        subjects.map(name).collect::<Vec<_>>().join(", ")
    };
    cells![
        text(binding, "metadata.name"),
        format!("{}/{}", text(binding, "roleRef.kind"), text(binding, "roleRef.name")),
        age(binding, now),
        subjects("User"),
        subjects("Group"),
        subjects("ServiceAccount"),
    ]
}

static SIGNING_REQUEST: Printer = {
    const SPEC: &str = "io.k8s.api.certificates.v1.CertificateSigningRequestSpec";
    const STATUS: &str = "io.k8s.api.certificates.v1.CertificateSigningRequestStatus";
    Printer::new(
        &[
            NAME,
            AGE,
            string("SignerName", Doc::Field(SPEC, "signerName")),
            string("Requestor", Doc::Field(SPEC, "request")),
            string("RequestedDuration", Doc::Field(SPEC, "expirationSeconds")),
            string("Condition", Doc::Field(STATUS, "conditions")),
        ],
        |request, now| {
            let duration = at(request, "spec.expirationSeconds").and_then(Value::as_i64);
            let duration = duration.map(|seconds| human_duration(SignedDuration::from_secs(seconds)));
            cells![
                text(request, "metadata.name"),
                age(request, now),
                text_or(request, "spec.signerName", "<none>"),
                text(request, "spec.username"),
                duration.unwrap_or_else(|| "<none>".to_owned()),
                signing_state(request),
            ]
        },
    )
};

fn signing_state(request: &Value) -> String {
    let has = |type_| list(request, "status.conditions").iter().any(|condition| text(condition, "type") == type_);
    let mut state = match () {
        () if has("Denied") => "Denied",
        () if has("Approved") => "Approved",
        () => "Pending",
    }
    .to_owned();
    if has("Failed") {
        state.push_str(",Failed");
    }
    if !text(request, "status.certificate").is_empty() {
        state.push_str(",Issued");
    }
    state
}
