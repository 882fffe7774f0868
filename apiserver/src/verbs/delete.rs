//! DELETE of one object: at once, or after its grace period and its finalizers.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::options::{DeleteOptions, Propagation};
use super::resource::Resource;
use super::write::storage_status;
use super::{Reply, Request};
use crate::admission::{Attributes, Operation};
use crate::error::{Details, Qualified, Status, success};
use crate::object::meta;
use crate::resources::hooks;
use crate::resources::spec::{DefaultDeletion, ResourceSpec};
use crate::storage::{Entry, Error as StorageError};

const FINALIZER_ORPHAN: &str = "orphan";
const FINALIZER_FOREGROUND: &str = "foregroundDeletion";

/// Deletes the object of the request.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    let resource = request.resource()?;
    let options = DeleteOptions::parse(request)?;
    let deleted = delete(request, resource, &request.info.name, &options).await?;
    let waits = options.orphan_dependents == Some(false) && !deleted.gone;
    let code = if waits { 202 } else { 200 };
    if !deleted.gone || request.spec.strategy.returns_deleted_object {
        return Reply::object(request, code, &deleted.object);
    }
    let details = Details {
        name: meta::name(&deleted.object).to_owned(),
        group: request.spec.group.clone(),
        kind: request.spec.plural.clone(),
        uid: meta::uid(&deleted.object).to_owned(),
        ..Details::default()
    };
    Reply::object(request, code, &success(Some(&details), None))
}

/// What a deletion did.
pub struct Deleted {
    /// The object's last state.
    pub object: Value,
    /// Whether it is gone; otherwise it is on its way.
    pub gone: bool,
}

/// Deletes the object called `name`.
pub async fn delete(
    request: &Request<'_>,
    resource: &Resource,
    name: &str,
    options: &DeleteOptions,
) -> Result<Deleted, Status> {
    let not_found = || Status::not_found(request.qualified(), name);
    let found = resource.collection.get(request.namespace(), name, "").await;
    let mut newest = found.map_err(|e| storage_status(request, e))?;
    // Whoever overtakes has made progress, and the time for a change bounds the attempts.
    loop {
        let entry = newest.ok_or_else(not_found)?;
        match delete_once(request, resource, name, options, &entry).await? {
            Attempt::Done(deleted) => return Ok(deleted),
            Attempt::Overtaken(current) => newest = current,
        }
    }
}

enum Attempt {
    Done(Deleted),
    Overtaken(Option<Arc<Entry>>),
}

async fn delete_once(
    request: &Request<'_>,
    resource: &Resource,
    name: &str,
    options: &DeleteOptions,
    entry: &Arc<Entry>,
) -> Result<Attempt, Status> {
    let live = resource.object(entry)?;
    require_preconditions(request, &live, options)?;
    let attributes = Attributes {
        request,
        operation: Operation::Delete,
        name,
        subresource: "",
        old: Some(&live),
        dry_run: options.dry_run,
    };
    request.api.admission.validate(&attributes, &Value::Null).await?;

    let mut object = live.clone();
    let grace = match begin(request, &mut object, options, request.now) {
        Grace::Pending => return Ok(Attempt::Done(Deleted { object: live, gone: false })),
        Grace::None => None,
        Grace::Seconds(seconds) => Some(seconds),
    };
    let finalizers = finalizers_wanted(request.spec.strategy.default_deletion, &object, options);
    let hooks = hooks::of(request.spec);
    let waits_for_finalizers = !finalizers.is_empty() || (hooks.stays)(&object);
    meta::set_finalizers(&mut object, finalizers);
    if waits_for_finalizers && grace.is_none() {
        hooks.mark_as_deleting.unwrap_or(mark_as_deleting)(&mut object, request.now);
    }
    // What stays must be stored as deleting. A graceful deletion of no grace is stored too, so that watchers see why.
    let stays = waits_for_finalizers || grace.is_some_and(|seconds| seconds > 0);
    if options.dry_run {
        return Ok(Attempt::Done(Deleted { object, gone: !stays }));
    }
    let mut entry = Arc::clone(entry);
    if object != live {
        let stored = resource.stored(&object)?;
        let namespace = request.namespace();
        entry = match resource.collection.update(namespace, name, stored, entry.revision, None).await {
            Ok(entry) => entry,
            Err(StorageError::Conflict(current)) => return Ok(Attempt::Overtaken(current)),
            Err(error) => return Err(storage_status(request, error)),
        };
        object = resource.object(&entry)?;
    }
    if stays {
        return Ok(Attempt::Done(Deleted { object, gone: false }));
    }
    match resource.collection.delete(request.namespace(), name, entry.revision).await {
        Ok(revision) => {
            meta::set_text(&mut object, "resourceVersion", revision.to_string());
            Ok(Attempt::Done(Deleted { object, gone: true }))
        }
        Err(StorageError::Conflict(current)) => Ok(Attempt::Overtaken(current)),
        Err(error) => Err(storage_status(request, error)),
    }
}

/// The object is the one that the client means.
pub fn require_preconditions(request: &Request<'_>, live: &Value, options: &DeleteOptions) -> Result<(), Status> {
    let kind: Qualified<'_> = request.qualified_kind();
    let refuse = |why: &str| Err(Status::conflict(kind, meta::name(live), why));
    if let Some(uid) = options.uid.as_deref().filter(|uid| *uid != meta::uid(live)) {
        return refuse(&format!(
            "the UID in the precondition ({uid}) does not match the UID in record ({}). \
             The object might have been deleted and then recreated",
            meta::uid(live)
        ));
    }
    if let Some(version) = options.resource_version.as_deref().filter(|v| *v != meta::resource_version(live)) {
        return refuse(&format!(
            "the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record ({}). \
             The object might have been modified",
            meta::resource_version(live)
        ));
    }
    Ok(())
}

enum Grace {
    /// The kind has none, or it has passed.
    None,
    /// It is running already and not shortened.
    Pending,
    /// It begins, or is shortened to this.
    Seconds(i64),
}

/// Begins a graceful deletion (`k8s.io/apiserver/pkg/registry/rest.BeforeDelete`).
fn begin(request: &Request<'_>, object: &mut Value, options: &DeleteOptions, now: Timestamp) -> Grace {
    if !request.spec.strategy.graceful {
        return Grace::None;
    }
    // A negative period means the shortest that is still graceful.
    let requested = options.grace_period_seconds.map(|s| if s < 0 { 1 } else { s });
    let Some(deadline) = meta::deletion_timestamp(object).map(str::to_owned) else {
        let seconds = grace_period(object, requested);
        set_deadline(object, now + SignedDuration::from_secs(seconds), seconds);
        if meta::generation(object) > 0 {
            meta::set_generation(object, meta::generation(object) + 1);
        }
        return Grace::Seconds(seconds);
    };
    let running = match meta::deletion_grace_period_seconds(object) {
        None | Some(0) => return Grace::None,
        Some(running) => running.max(1),
    };
    match requested.filter(|seconds| *seconds < running) {
        None => Grace::Pending,
        Some(mut seconds) => {
            let began = deadline.parse::<Timestamp>().unwrap_or(now) - SignedDuration::from_secs(running);
            let mut deadline = began + SignedDuration::from_secs(seconds);
            if deadline < now {
                deadline = now;
                seconds = seconds.min(1);
            }
            set_deadline(object, deadline, seconds);
            Grace::Seconds(seconds)
        }
    }
}

/// How long a pod may take to end; one that does not run ends at once.
fn grace_period(pod: &Value, requested: Option<i64>) -> i64 {
    let runs = pod["spec"]["nodeName"].as_str().is_some_and(|node| !node.is_empty());
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Failed" | "Succeeded"));
    if !runs || ended {
        return 0;
    }
    let period = requested.or_else(|| pod["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(0);
    if period < 0 { 1 } else { period }
}

fn set_deadline(object: &mut Value, deadline: Timestamp, seconds: i64) {
    meta::set_text(object, "deletionTimestamp", meta::rfc3339(deadline));
    meta::set(object, "deletionGracePeriodSeconds", Some(seconds.into()));
}

/// An object without a grace period that waits for its finalizers alone.
fn mark_as_deleting(object: &mut Value, now: Timestamp) {
    let begun = meta::deletion_timestamp(object).and_then(|t| t.parse::<Timestamp>().ok());
    if begun.is_none() && meta::generation(object) > 0 {
        meta::set_generation(object, meta::generation(object) + 1);
    }
    set_deadline(object, begun.filter(|t| *t <= now).unwrap_or(now), 0);
}

/// The finalizers that the object must lose before it is gone: its own, and the garbage collector's where dependents matter.
fn finalizers_wanted(default: DefaultDeletion, object: &Value, options: &DeleteOptions) -> Vec<String> {
    if default == DefaultDeletion::Unsupported {
        return meta::finalizers(object).map(str::to_owned).collect();
    }
    let has = |name: &str| meta::finalizers(object).any(|f| f == name);
    let propagation = match (options.orphan_dependents, options.propagation) {
        (Some(orphan), _) => Some(if orphan { Propagation::Orphan } else { Propagation::Background }),
        (None, Some(propagation)) => Some(propagation),
        (None, None) if has(FINALIZER_ORPHAN) => Some(Propagation::Orphan),
        (None, None) if has(FINALIZER_FOREGROUND) => Some(Propagation::Foreground),
        (None, None) => (default == DefaultDeletion::Orphan).then_some(Propagation::Orphan),
    };
    let others = meta::finalizers(object).filter(|f| *f != FINALIZER_ORPHAN && *f != FINALIZER_FOREGROUND);
    let collector = match propagation {
        Some(Propagation::Orphan) => Some(FINALIZER_ORPHAN),
        Some(Propagation::Foreground) => Some(FINALIZER_FOREGROUND),
        Some(Propagation::Background) | None => None,
    };
    let wanted: Vec<String> = others.chain(collector).map(str::to_owned).collect();
    let same = wanted.len() == meta::finalizers(object).count() && wanted.iter().all(|f| has(f));
    if same { meta::finalizers(object).map(str::to_owned).collect() } else { wanted }
}

/// Whether an update ends the object: it was waiting for its finalizers alone and has none left.
pub fn ends_by_update(spec: &ResourceSpec, live: &Value, object: &Value) -> bool {
    meta::deletion_timestamp(live).is_some()
        && !(hooks::of(spec).stays)(object)
        && meta::finalizers(object).next().is_none()
        && meta::deletion_grace_period_seconds(live).is_none_or(|seconds| seconds == 0)
}
