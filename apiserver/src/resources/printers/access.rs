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

// The next descriptions are those of the beta versions, which were worded differently.
const ROLE: Doc = Doc::Text(
    "RoleRef can reference a Role in the current namespace or a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
);
const CLUSTER_ROLE: Doc = Doc::Text(
    "RoleRef can only reference a ClusterRole in the global namespace. If the RoleRef cannot be resolved, the Authorizer must return an error.",
);
const SIGNER: Doc = Doc::Text(concat!(
    "Requested signer for the request. It is a qualified name in the form: `scope-hostname.io/name`. ",
    "If empty, it will be defaulted:\n",
    " 1. If it's a kubelet client certificate, it is assigned\n    \"kubernetes.io/kube-apiserver-client-kubelet\".\n",
    " 2. If it's a kubelet serving certificate, it is assigned\n    \"kubernetes.io/kubelet-serving\".\n",
    " 3. Otherwise, it is assigned \"kubernetes.io/legacy-unknown\".\n",
    "Distribution of trust for signers happens out of band. You can select on this field using `spec.signerName`.",
));

static ROLE_BINDING: Printer = Printer::new(
    &[
        NAME,
        string("Role", ROLE),
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
        string("Role", CLUSTER_ROLE),
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
    Printer::new(
        &[
            NAME,
            AGE,
            string("SignerName", SIGNER),
            string("Requestor", Doc::Text("Base64-encoded PKCS#10 CSR data")),
            string("RequestedDuration", Doc::Field(SPEC, "expirationSeconds")),
            string("Condition", Doc::Text("Conditions applied to the request, such as approval or denial.")),
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
