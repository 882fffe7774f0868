//! `metadata.managedFields`: who set which field of an object, by which operation, and when.
//!
//! Upstream: `apimachinery/pkg/util/managedfields` and structured-merge-diff's `merge` package.

mod managers;
mod scale;

use std::borrow::Cow;

use serde_json::Value;

pub(super) use self::managers::{Changes, Conflict, Entry, ManagerId, Managers, Operation};
pub use self::scale::{of_parent, of_scale};
use super::fields::{self, Duplicates, FieldSet, Shape};
use super::meta;
use crate::schema::builtin::registry;
use crate::schema::complete;
use crate::schema::registry::GroupVersionKind;
use crate::schema::types::{Type, TypeRef};
use crate::validation::field::is_print;

/// Length of a manager's name, in bytes.
const MANAGER_BYTES_MAX: usize = 128;

/// What is known of a write when its fields are attributed.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// The type of the object, in the version of the request.
    pub ty: &'a Type,
    /// The kind of the object, in the version of the request.
    pub kind: &'a GroupVersionKind,
    /// Who writes; see [`manager_name`].
    pub manager: &'a str,
    /// The subresource that is written through, such as `status`.
    pub subresource: Option<&'a str>,
    /// The time of the request, as [`meta::rfc3339`] writes it.
    pub now: &'a str,
    /// The fields that a write through this endpoint cannot change, with all below them, such as `status` for the object
    /// itself.
    pub reset: &'a FieldSet,
}

impl<'a> Context<'a> {
    pub(super) fn shape(&self) -> Shape<'a> {
        Shape::Type(self.ty)
    }

    /// The kind and its type in another version, if it is served.
    fn in_version(&self, api_version: &str) -> Option<(GroupVersionKind, TypeRef)> {
        let kind = GroupVersionKind::from_api_version(api_version, &self.kind.kind);
        let ty = registry().kind(&kind)?;
        Some((kind, ty))
    }

    pub(super) fn manager_id(&self, operation: Operation) -> ManagerId {
        let applies = operation == Operation::Apply;
        ManagerId {
            manager: if self.manager.is_empty() { "unknown".to_owned() } else { self.manager.to_owned() },
            operation,
            api_version: if applies { String::new() } else { self.kind.api_version() },
            subresource: self.subresource.unwrap_or_default().to_owned(),
        }
    }

    /// An object of the kind with nothing set, which is what a new object is compared with.
    pub(super) fn empty_object(&self) -> Value {
        let mut object = complete::empty(self.ty);
        if let Some(members) = object.as_object_mut() {
            members.insert("apiVersion".to_owned(), self.kind.api_version().into());
            members.insert("kind".to_owned(), self.kind.kind.clone().into());
        }
        object
    }
}

/// The manager of a request: the `fieldManager` parameter or, without one, the user agent up to its first slash, without
/// characters that do not print.
pub fn manager_name(field_manager: &str, user_agent: &str) -> String {
    if !field_manager.is_empty() {
        return field_manager.to_owned();
    }
    let mut name = String::new();
    for c in user_agent.split('/').next().unwrap_or_default().chars().filter(|c| is_print(*c)) {
        if name.len() + c.len_utf8() > MANAGER_BYTES_MAX {
            break;
        }
        name.push(c);
    }
    name
}

/// Attributes what a create, update or patch changes to whoever sent it, and takes it from others.
///
/// `live` is the object as it was (none for a create) and `new` as it is about to be stored; the entries are written into
/// `new`. Where an object cannot be compared, it is stored without entries.
pub fn update(live: Option<&Value>, new: &mut Value, context: &Context<'_>) {
    let live = live.map_or_else(|| Cow::Owned(context.empty_object()), Cow::Borrowed);
    let managers = live_or_new(&live, new, context.subresource.is_some());
    meta::set(new, "managedFields", None);
    // An update of an object that nobody manages does not begin to.
    if managers.is_empty() && !meta::uid(&live).is_empty() {
        return;
    }
    if let Ok(managers) = update_managers(&live, new, managers, context) {
        managers.write(new);
    }
}

/// The entries to begin with: those of the request, by which a client may edit or (by an empty list or entry) reset them,
/// or the object's own where the request has none that can be read. Through a subresource they cannot be edited.
fn live_or_new(live: &Value, new: &Value, is_subresource: bool) -> Managers {
    let of_live = || Managers::read(live).unwrap_or_default();
    if is_subresource {
        return of_live();
    }
    let entries = meta::metadata(new).and_then(|metadata| metadata.get("managedFields")).and_then(Value::as_array);
    match entries.map(Vec::as_slice) {
        Some([]) => return Managers::default(),
        Some([Value::Object(only)]) if only.is_empty() => return Managers::default(),
        _ => {}
    }
    Managers::read(new).ok().filter(|managers| !managers.is_empty()).unwrap_or_else(of_live)
}

/// The entries after an update. The fault is one of the new object's unless it says otherwise.
pub(super) fn update_managers(
    live: &Value,
    new: &Value,
    mut managers: Managers,
    context: &Context<'_>,
) -> Result<Managers, String> {
    let shape = context.shape();
    let check = |object: &Value, which: &str| {
        fields::validate(object, shape, Duplicates::Allowed)
            .map_err(|faults| format!("failed to convert {which} object ({}) to smd typed: {faults}", label(object)))
    };
    check(new, "new")?;
    check(live, "live")?;
    managers.reconcile(context);
    let changes = Changes::between(live, new, &managers, context)
        .map_err(|error| format!("failed to update ManagedFields ({}): {error}", label(new)))?;
    managers.yield_fields(None, &changes);
    let own = changes.own().modified.union(&changes.own().added).difference(&never_managed());
    if !own.is_empty() {
        let entry = managers.0.entry(context.manager_id(Operation::Update)).or_default();
        entry.set = entry.set.union(&own);
        entry.api_version = context.kind.api_version();
        entry.time = Some(context.now.to_owned());
    }
    managers.cap();
    Ok(managers)
}

/// Reverts the times of entries where nothing else of the object has changed, so that a write without effect is none.
pub fn keep_times(old: &Value, new: &mut Value) {
    let timeless = |object: &Value| {
        let mut object = object.clone();
        if let Some(Value::Array(entries)) =
            meta::metadata_mut(&mut object).and_then(|metadata| metadata.get_mut("managedFields"))
        {
            for entry in entries.iter_mut().filter_map(Value::as_object_mut) {
                entry.remove("time");
            }
        }
        object
    };
    let entries = meta::managed_fields(old);
    if !entries.is_empty()
        && entries.len() == meta::managed_fields(new).len()
        && entries != meta::managed_fields(new)
        && timeless(old) == timeless(new)
    {
        let entries = entries.to_vec();
        meta::set(new, "managedFields", Some(Value::Array(entries)));
    }
}

/// Namespace, name and kind of an object as messages show them.
pub(super) fn label(object: &Value) -> String {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    let kind = GroupVersionKind::from_api_version(text("apiVersion"), text("kind"));
    format!("{}/{}; {kind}", meta::namespace(object), meta::name(object))
}

/// The fields that belong to the server or to the object's identity.
pub(super) fn never_managed() -> FieldSet {
    FieldSet::of_dotted([
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.clusterName",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
}
