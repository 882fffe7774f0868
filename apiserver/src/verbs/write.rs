//! What creating, updating and patching share: rules, admission, storing, and the texts of storage errors.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use super::options::{WriteOptions, causes};
use super::resource::Resource;
use super::{Request, delete, strategy};
use crate::admission::{Attributes, Operation};
use crate::error::{Qualified, Status};
use crate::limits;
use crate::object::managed_fields;
use crate::object::meta;
use crate::resources::hooks;
use crate::schema;
use crate::storage::{BackendError, Entry, Error as StorageError};
use crate::validation;
use crate::validation::field::BadValue;

const MODIFIED: &str = "the object has been modified; please apply your changes to the latest version and try again";

/// What a write made.
pub struct Written {
    /// The object as it is now.
    pub object: Value,
    /// Whether it is new.
    pub created: bool,
}

/// How a change is made and what it may do.
pub struct Change<'a> {
    /// The options of the request.
    pub options: &'a WriteOptions,
    /// The uid that the object must have, where the client named one.
    pub uid: Option<&'a str>,
    /// Whether an object that does not exist is created.
    pub creates: bool,
}

/// Changes the object of the request: `make` gives the wanted object from the one that is there. It is asked again when somebody
/// else changes the object in between.
pub async fn change<F>(request: &Request<'_>, how: &Change<'_>, make: F) -> Result<Written, Status>
where
    F: Fn(Option<&Value>) -> Result<Value, Status> + Sync,
{
    let resource = request.resource()?;
    let name = &request.info.name;
    let mut newest = read(request, resource, name).await?;
    // Whoever overtakes has made progress, and the time for a change bounds the attempts.
    loop {
        let Some(entry) = newest else {
            return create_absent(request, resource, how, &make).await;
        };
        let live = resource.object(&entry)?;
        match change_once(request, resource, how, &make, &entry, &live).await? {
            Attempt::Done(written) => return Ok(written),
            Attempt::Overtaken(current) => newest = current,
        }
    }
}

/// Changes a stored object by the server's own hand: no rules, no admission. `make` is asked again when somebody else changes the
/// object in between.
pub async fn amend<F>(
    request: &Request<'_>,
    resource: &Resource,
    name: &str,
    dry_run: bool,
    make: F,
) -> Result<Value, Status>
where
    F: Fn(&Value) -> Result<Value, Status> + Send + Sync,
{
    let kind = Qualified { group: &resource.spec.group, name: &resource.spec.plural };
    let mut newest = read(request, resource, name).await?;
    loop {
        let entry = newest.ok_or_else(|| Status::not_found(kind, name))?;
        let live = resource.object(&entry)?;
        let mut object = make(&live)?;
        schema::complete(&mut object, &resource.ty);
        if dry_run || object == live {
            return Ok(object);
        }
        let (namespace, stored) = (request.namespace(), resource.stored(&object)?);
        match resource.collection.update(namespace, name, stored, entry.revision, None).await {
            Ok(entry) => return resource.object(&entry),
            Err(StorageError::Conflict(current)) => newest = current,
            Err(error) => return Err(storage_status(request, error)),
        }
    }
}

enum Attempt {
    Done(Written),
    Overtaken(Option<Arc<Entry>>),
}

async fn read(request: &Request<'_>, resource: &Resource, name: &str) -> Result<Option<Arc<Entry>>, Status> {
    let found = resource.collection.get(request.namespace(), name, "").await;
    found.map_err(|error| storage_status(request, error))
}

async fn create_absent<F>(
    request: &Request<'_>,
    resource: &Resource,
    how: &Change<'_>,
    make: &F,
) -> Result<Written, Status>
where
    F: Fn(Option<&Value>) -> Result<Value, Status> + Sync,
{
    // Whoever means a certain object hears that it is not that one any more, even where nothing could be created.
    if let Some(uid) = how.uid {
        return Err(uid_mismatch(request, uid, ""));
    }
    let allowed = how.creates || request.spec.strategy.allow_create_on_update;
    if !allowed || request.subresource.is_some() {
        return Err(Status::not_found(request.qualified(), &request.info.name));
    }
    super::create::store(request, resource, make(None)?, how.options).await
}

async fn change_once<F>(
    request: &Request<'_>,
    resource: &Resource,
    how: &Change<'_>,
    make: &F,
    entry: &Arc<Entry>,
    live: &Value,
) -> Result<Attempt, Status>
where
    F: Fn(Option<&Value>) -> Result<Value, Status> + Sync,
{
    let name = &request.info.name;
    if let Some(uid) = how.uid.filter(|uid| *uid != meta::uid(live)) {
        return Err(uid_mismatch(request, uid, meta::uid(live)));
    }
    let mut object = make(Some(live))?;
    let subresource = request.subresource_name();
    let attributes = Attributes {
        request,
        operation: Operation::Update,
        name,
        subresource,
        old: Some(live),
        dry_run: how.options.dry_run,
    };
    request.api.admission.admit(&attributes, &mut object).await?;
    request.warnings.extend(meta::drop_duplicate_owners(&mut object, meta::AFTER_ADMISSION));
    require_version(request, live, &mut object)?;
    let _hold = hooks::begin(request, &mut object, Some(live)).await?;
    strategy::prepare_update(request.spec, subresource, &mut object, live);
    if subresource.is_empty() {
        validation::prepare::update(&resource.gvk, &mut object, live);
    }
    (hooks::of(request.spec).prepare_update)(&mut object, live, request);
    schema::complete(&mut object, &resource.ty);
    judge_update(request, resource, subresource, &object, live)?;
    managed_fields::keep_times(live, &mut object);
    request.warnings.extend(validation::warnings(&resource.gvk, &object, Some(live)));
    request.api.admission.validate(&attributes, &object).await?;

    if delete::ends_by_update(request.spec, live, &object) {
        if !how.options.dry_run {
            match resource.collection.delete(request.namespace(), name, entry.revision).await {
                Ok(_) | Err(StorageError::Conflict(None)) => {}
                Err(StorageError::Conflict(current)) => return Ok(Attempt::Overtaken(current)),
                Err(error) => return Err(storage_status(request, error)),
            }
        }
        return Ok(Attempt::Done(Written { object, created: false }));
    }
    let stored = resource.stored(&object)?;
    if stored == entry.stored {
        return Ok(Attempt::Done(Written { object: live.clone(), created: false }));
    }
    if how.options.dry_run {
        return Ok(Attempt::Done(Written { object, created: false }));
    }
    let ttl = ttl_seconds(request);
    match resource.collection.update(request.namespace(), name, stored, entry.revision, ttl).await {
        Ok(entry) => {
            let object = resource.object(&entry)?;
            Ok(Attempt::Done(Written { object, created: false }))
        }
        Err(StorageError::Conflict(current)) => Ok(Attempt::Overtaken(current)),
        Err(error) => Err(storage_status(request, error)),
    }
}

/// An update must name the state it was made for, unless its kind may be overwritten blindly.
fn require_version(request: &Request<'_>, live: &Value, object: &mut Value) -> Result<(), Status> {
    let current = meta::resource_version(live);
    match meta::resource_version(object) {
        "" if request.spec.strategy.allow_unconditional_update => {
            let current = current.to_owned();
            meta::set_text(object, "resourceVersion", current);
            Ok(())
        }
        "" => {
            let path = validation::field::Path::new("metadata").child("resourceVersion");
            let error = validation::field::Error::invalid(
                &path,
                BadValue::Text("0x0".to_owned()),
                "must be specified for an update",
            );
            Err(Status::invalid(request.qualified(), &request.info.name, causes(&[error])))
        }
        version if version == current => Ok(()),
        _ => Err(Status::conflict(request.qualified(), &request.info.name, MODIFIED)),
    }
}

fn judge_update(
    request: &Request<'_>,
    resource: &Resource,
    subresource: &str,
    object: &Value,
    live: &Value,
) -> Result<(), Status> {
    let errors = match subresource {
        "" => validation::validate_update(&resource.gvk, object, live),
        subresource => validation::validate_subresource_update(&resource.gvk, subresource, object, live),
    };
    if errors.is_empty() {
        return Ok(());
    }
    Err(Status::invalid(request.qualified_kind(), meta::name(object), causes(&errors)))
}

/// How long an object is kept, where its kind is not kept for ever.
pub fn ttl_seconds(request: &Request<'_>) -> Option<i64> {
    (request.spec.kind == "Event").then_some(request.api.event_ttl_seconds)
}

/// Stores a new object.
pub async fn store_new(
    request: &Request<'_>,
    resource: &Resource,
    name: &str,
    stored: Bytes,
) -> Result<Arc<Entry>, StorageError> {
    resource.collection.create(request.namespace(), name, stored, ttl_seconds(request)).await
}

fn uid_mismatch(request: &Request<'_>, wanted: &str, actual: &str) -> Status {
    let place = request.spec.storage.as_ref().map_or("", |s| s.prefix.as_str());
    let slash = if request.namespace().is_empty() { "" } else { "/" };
    let key = format!("{place}/{}{slash}{}", request.namespace(), request.info.name);
    let why = format!(
        "StorageError: invalid object, Code: 4, Key: {key}, ResourceVersion: 0, AdditionalErrorMsg: \
         Precondition failed: UID in precondition: {wanted}, UID in object meta: {actual}"
    );
    Status::conflict(request.qualified(), &request.info.name, &why)
}

/// A storage error in the words of the API.
pub fn storage_status(request: &Request<'_>, error: StorageError) -> Status {
    let resource: Qualified<'_> = request.qualified();
    let name = request.info.name.as_str();
    match error {
        StorageError::AlreadyExists => Status::already_exists(resource, name),
        StorageError::Conflict(None) => Status::not_found(resource, name),
        StorageError::Conflict(Some(_)) => Status::conflict(resource, name, MODIFIED),
        StorageError::InvalidKey(why) | StorageError::BadRequest(why) => Status::bad_request(why),
        StorageError::InvalidResourceVersion(why) if request.info.verb == "watch" => {
            Status::plain(format!("resourceVersion: Invalid value: {why}"))
        }
        StorageError::InvalidResourceVersion(why) => {
            Status::bad_request(format!("invalid resource version: resourceVersion: Invalid value: {why}"))
        }
        StorageError::Expired { message, continue_token } => Status::expired(message).continued_by(continue_token),
        ref too_large @ StorageError::TooLargeResourceVersion { retry_after_seconds, .. } => Status::timeout(
            &too_large.to_string(),
            retry_after_seconds,
        )
        .cause("ResourceVersionTooLarge", "Too large resource version", ""),
        StorageError::NotReady { retry_after_seconds } => {
            Status::too_many_requests("storage is (re)initializing", retry_after_seconds)
        }
        StorageError::Backend(BackendError::Timeout(why)) => Status::timeout(&why, 0),
        StorageError::Backend(BackendError::TooLarge(_)) => Status::too_large(limits::REQUEST_BODY_BYTES),
        StorageError::Backend(BackendError::Busy(why)) => Status::too_many_requests(why, 1),
        StorageError::Backend(BackendError::Unavailable(why)) => Status::unavailable(why),
        StorageError::Backend(other) => Status::plain(other.to_string()),
    }
}
