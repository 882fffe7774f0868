//! GET of one object.

use super::endpoint::Endpoint;
use super::{Reply, Request, present};
use crate::error::Status;

/// Answers with the object, read linearizably unless the client names a resourceVersion.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    let resource = request.resource()?;
    let version = request.query.get("resourceVersion").unwrap_or_default();
    let found = resource.collection.get(request.namespace(), &request.info.name, version).await;
    let found = found.map_err(|error| super::write::storage_status(request, error))?;
    let entry = found.ok_or_else(|| Status::not_found(request.qualified(), &request.info.name))?;
    if request.subresource.is_none() {
        return Ok(Reply::bytes(200, present::entry(request, resource, &entry)?));
    }
    let shown = Endpoint::of(request)?.show(&resource.object(&entry)?);
    Reply::object(request, 200, &shown)
}
