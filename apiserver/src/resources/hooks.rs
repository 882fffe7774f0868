//! What single kinds do beyond what their row in the table says. Every kind that needs a hook has a file of its own.

use futures::future::BoxFuture;
use jiff::Timestamp;
use serde_json::Value;

use super::{certificatesigningrequests, namespaces, persistentvolumes, pods, services};
use crate::error::Status;
use crate::resources::ResourceSpec;
use crate::verbs::Request;

/// See [`Hooks::begin`].
pub type Begin =
    for<'a> fn(&'a Request<'_>, &'a mut Value, Option<&'a Value>) -> BoxFuture<'a, Result<services::Hold, Status>>;

/// The hooks of one kind; those of most do nothing.
#[derive(Debug, Clone, Copy)]
pub struct Hooks {
    /// Takes hold of what a new or changed object needs beyond itself, before it is prepared; the last value is what it was. What is
    /// returned is kept until the object is stored.
    pub begin: Option<Begin>,
    /// Prepares a new object before it is judged.
    pub prepare_create: fn(&mut Value, &Request<'_>),
    /// Prepares a changed object before it is judged; the second value is what it was.
    pub prepare_update: fn(&mut Value, &Value, &Request<'_>),
    /// The dotted paths that an update through this subresource keeps as they were, where it differs from the object's own.
    pub kept_by: fn(&str) -> Option<&'static [&'static str]>,
    /// Whether something other than `metadata.finalizers` has the object stay after its deletion has begun.
    pub stays: fn(&Value) -> bool,
    /// Marks the object as being deleted, where that is more than a time.
    pub mark_as_deleting: Option<fn(&mut Value, Timestamp)>,
}

impl Hooks {
    /// Hooks that do nothing.
    pub const NONE: Self = Self {
        begin: None,
        prepare_create: |_, _| {},
        prepare_update: |_, _, _| {},
        kept_by: |_| None,
        stays: |_| false,
        mark_as_deleting: None,
    };
}

/// The hooks of a kind.
pub fn of(spec: &ResourceSpec) -> Hooks {
    match (spec.group.as_str(), spec.plural.as_str()) {
        ("", "namespaces") => namespaces::HOOKS,
        ("", "persistentvolumes") => persistentvolumes::HOOKS,
        ("", "pods") => pods::HOOKS,
        ("", "services") => services::HOOKS,
        ("certificates.k8s.io", "certificatesigningrequests") => certificatesigningrequests::HOOKS,
        _ => Hooks::NONE,
    }
}

/// Runs the kind's [`Hooks::begin`], if it has one.
pub async fn begin(request: &Request<'_>, object: &mut Value, live: Option<&Value>) -> Result<services::Hold, Status> {
    match of(request.spec).begin {
        Some(begin) => begin(request, object, live).await,
        None => Ok(None),
    }
}
