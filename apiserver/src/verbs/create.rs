//! POST: a new object.

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::endpoint::Endpoint;
use super::options::{WriteOptions, causes};
use super::resource::Resource;
use super::write::{self, Written};
use super::{Reply, Request, decode, strategy};
use crate::admission::{Attributes, Operation};
use crate::error::Status;
use crate::object::meta;
use crate::resources::hooks;
use crate::schema;
use crate::storage::Error as StorageError;
use crate::validation;

/// How many names are tried for one `generateName`.
const NAME_ATTEMPTS: usize = 8;

/// Stores the object in the body.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    let resource = request.resource()?;
    let options = WriteOptions::parse(request.query, "CreateOptions")?;
    let mut object = decode::body(request, &resource.gvk, &resource.ty, options.field_validation)?;
    wipe_system_fields(&mut object);
    require_namespace(request, &mut object)?;
    request.warnings.extend(meta::drop_duplicate_owners(&mut object, ""));
    let manager = request.manager(&options.field_manager);
    let object = Endpoint::of(request)?.absorb(None, object, Some(&manager))?;
    let written = store(request, resource, object, &options).await?;
    Reply::object(request, 201, &written.object)
}

/// Judges and stores a new object; a name is generated where only its beginning is given.
pub async fn store(
    request: &Request<'_>,
    resource: &Resource,
    mut object: Value,
    options: &WriteOptions,
) -> Result<Written, Status> {
    let requested_name = meta::name(&object).to_owned();
    let attributes = Attributes {
        request,
        operation: Operation::Create,
        name: &requested_name,
        subresource: request.subresource_name(),
        old: None,
        dry_run: options.dry_run,
    };
    request.api.admission.admit(&attributes, &mut object).await?;
    let generates = meta::name(&object).is_empty() && !meta::generate_name(&object).is_empty();
    let attempts = if generates { NAME_ATTEMPTS } else { 1 };
    let mut refusal = None;
    for _ in 0..attempts {
        match store_once(request, resource, object.clone(), &attributes).await? {
            Ok(written) => return Ok(written),
            Err(taken) => refusal = Some(taken),
        }
    }
    Err(refusal.unwrap_or_else(|| Status::already_exists(request.qualified(), &requested_name)))
}

/// The inner error is that the name is taken.
async fn store_once(
    request: &Request<'_>,
    resource: &Resource,
    mut object: Value,
    attributes: &Attributes<'_>,
) -> Result<Result<Written, Status>, Status> {
    fill_system_fields(&mut object, request.now);
    let _hold = hooks::begin(request, &mut object, None).await?;
    strategy::prepare_create(request.spec, &mut object);
    validation::prepare::create(&resource.gvk, &mut object);
    (hooks::of(request.spec).prepare_create)(&mut object, request);
    schema::complete(&mut object, &resource.ty);
    let errors = validation::validate_create(&resource.gvk, &object);
    if !errors.is_empty() {
        return Err(Status::invalid(request.qualified_kind(), meta::name(&object), causes(&errors)));
    }
    request.warnings.extend(validation::warnings(&resource.gvk, &object, None));
    request.api.admission.validate(attributes, &object).await?;
    let name = meta::name(&object).to_owned();
    if attributes.dry_run {
        let existing = resource.collection.get(request.namespace(), &name, "").await;
        if existing.map_err(|e| write::storage_status(request, e))?.is_some() {
            return Ok(Err(name_taken(request, resource, &object, &name).await));
        }
        return Ok(Ok(Written { object, created: true }));
    }
    match write::store_new(request, resource, &name, resource.stored(&object)?).await {
        Ok(entry) => Ok(Ok(Written { object: resource.object(&entry)?, created: true })),
        Err(StorageError::AlreadyExists) => Ok(Err(name_taken(request, resource, &object, &name).await)),
        Err(error) => Err(write::storage_status(request, error)),
    }
}

async fn name_taken(request: &Request<'_>, resource: &Resource, object: &Value, name: &str) -> Status {
    let mut status = Status::already_exists(request.qualified(), name);
    if !meta::generate_name(object).is_empty() {
        status.message = format!(
            "{} {name:?} already exists, the server was not able to generate a unique name for the object",
            request.qualified()
        );
        return status;
    }
    if let Ok(Some(entry)) = resource.collection.get(request.namespace(), name, "").await
        && let Ok(existing) = resource.object(&entry)
        && meta::deletion_timestamp(&existing).is_some()
    {
        status.message = format!("object is being deleted: {}", status.message);
    }
    status
}

/// A client sets none of these.
fn wipe_system_fields(object: &mut Value) {
    for field in ["creationTimestamp", "uid", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"] {
        meta::set(object, field, None);
    }
}

/// `resourceVersion should not be set on objects to be created` is the store's rule; here the identity is made.
fn fill_system_fields(object: &mut Value, now: Timestamp) {
    meta::set_text(object, "creationTimestamp", meta::rfc3339(now));
    meta::set_text(object, "uid", Uuid::new_v4().to_string());
    if meta::name(object).is_empty() && !meta::generate_name(object).is_empty() {
        let name = meta::generated_name(meta::generate_name(object), rand::random());
        meta::set_text(object, "name", name);
    }
}

/// The object's namespace is the request's, or left to be filled from it; that of a cluster-scoped object is dropped.
pub fn require_namespace(request: &Request<'_>, object: &mut Value) -> Result<(), Status> {
    let expected = request.namespace().to_owned();
    match meta::namespace(object) {
        "" => {}
        actual if actual == expected || expected.is_empty() => {}
        _ => {
            return Err(Status::bad_request(
                "the namespace of the provided object does not match the namespace sent on the request",
            ));
        }
    }
    let namespace = Some(expected).filter(|n| !n.is_empty());
    meta::set(object, "namespace", namespace.map(Value::from));
    Ok(())
}
