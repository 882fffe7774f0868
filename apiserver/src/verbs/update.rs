//! PUT: an object replaced.

use serde_json::Value;

use super::endpoint::Endpoint;
use super::options::WriteOptions;
use super::write::{self, Change};
use super::{Reply, Request, create, decode};
use crate::error::Status;
use crate::object::meta;

/// Replaces the object, or its subresource, by the one in the body.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    let endpoint = Endpoint::of(request)?;
    let options = WriteOptions::parse(request.query, "UpdateOptions")?;
    let mut object = decode::body(request, &endpoint.gvk, &endpoint.ty, options.field_validation)?;
    create::require_namespace(request, &mut object)?;
    require_name(request, &object)?;
    request.warnings.extend(meta::drop_duplicate_owners(&mut object, ""));
    let manager = request.manager(&options.field_manager);
    let uid = meta::uid(&object).to_owned();
    let how = Change { options: &options, uid: Some(uid.as_str()).filter(|uid| !uid.is_empty()), creates: false };
    let written = write::change(request, &how, |live| endpoint.absorb(live, object.clone(), Some(&manager))).await?;
    let code = if written.created { 201 } else { 200 };
    Reply::object(request, code, &endpoint.show(&written.object))
}

/// The object's name is the URL's.
pub fn require_name(request: &Request<'_>, object: &Value) -> Result<(), Status> {
    let wanted = &request.info.name;
    match meta::name(object) {
        "" => Err(Status::bad_request(format!(
            "the name of the object ({wanted} based on URL) was undeterminable: name must be provided"
        ))),
        name if name == wanted => Ok(()),
        name => Err(Status::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({wanted})"
        ))),
    }
}
