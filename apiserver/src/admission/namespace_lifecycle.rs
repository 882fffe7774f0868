//! `NamespaceLifecycle`: nothing is created in a namespace that does not exist or is ending, and the system's namespaces stay.

use async_trait::async_trait;
use serde_json::Value;

use super::{Attributes, Operation, Plugin};
use crate::error::{Qualified, Status};
use crate::object::meta;
use crate::verbs::Request;

/// Namespaces that cannot be deleted.
const IMMORTAL: [&str; 3] = ["default", "kube-public", "kube-system"];

/// The plugin.
pub struct NamespaceLifecycle;

#[async_trait]
impl Plugin for NamespaceLifecycle {
    fn name(&self) -> &'static str {
        "NamespaceLifecycle"
    }

    async fn admit(&self, attributes: &Attributes<'_>, _: &mut Value) -> Result<(), Status> {
        judge(attributes).await
    }

    async fn validate(&self, attributes: &Attributes<'_>, _: &Value) -> Result<(), Status> {
        // Deletions are only validated; everything else has been judged before it was changed.
        if attributes.operation == Operation::Delete { judge(attributes).await } else { Ok(()) }
    }
}

async fn judge(attributes: &Attributes<'_>) -> Result<(), Status> {
    let request = attributes.request;
    if attributes.operation == Operation::Delete
        && attributes.is("", "namespaces")
        && IMMORTAL.contains(&attributes.name)
    {
        return Err(Status::forbidden(request.qualified(), attributes.name, "this namespace may not be deleted"));
    }
    // What is on its way out must still be changeable, and access reviews reveal nothing of a namespace's existence.
    let review = request.spec.group == "authorization.k8s.io";
    if request.namespace().is_empty() || attributes.operation != Operation::Create || review {
        return Ok(());
    }
    let namespace = namespace(request).await?;
    if namespace["status"]["phase"] != "Terminating" {
        return Ok(());
    }
    let name = request.namespace();
    let why = format!("unable to create new content in namespace {name} because it is being terminated");
    let message = format!("namespace {name} is being terminated");
    let refusal = Status::forbidden(request.qualified(), attributes.name, &why);
    Err(refusal.cause("NamespaceTerminating", &message, "metadata.namespace"))
}

/// The namespace of the request, from the cache where it is there and fit for new content.
async fn namespace(request: &Request<'_>) -> Result<Value, Status> {
    let name = request.namespace();
    let not_found = || Status::not_found(Qualified { group: "", name: "namespaces" }, name);
    let namespaces = request.api.resource("", "v1", "namespaces").ok_or_else(not_found)?;
    if let Some(entry) = namespaces.collection.cached("", name) {
        let namespace = namespaces.object(&entry)?;
        if meta::deletion_timestamp(&namespace).is_none() {
            return Ok(namespace);
        }
    }
    // Not known yet, or ending: the store tells for sure.
    let found = namespaces.collection.get("", name, "").await.map_err(Status::internal)?;
    let entry = found.ok_or_else(not_found)?;
    namespaces.object(&entry)
}
