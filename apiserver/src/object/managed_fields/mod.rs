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
use crate::go_syntax::is_print;
use crate::schema::builtin::registry;
use crate::schema::complete;
use crate::schema::registry::GroupVersionKind;
use crate::schema::types::{Type, TypeRef};

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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Writes a config map as `manager`, at second `second`.
    fn write(live: Option<&Value>, mut new: Value, manager: &str, second: usize) -> Value {
        let kind = GroupVersionKind::new("", "v1", "ConfigMap");
        let ty = registry().kind(&kind).unwrap();
        let now = format!("2026-01-01T00:00:{second:02}Z");
        let reset = FieldSet::default();
        let context = Context { ty: &ty, kind: &kind, manager, subresource: None, now: &now, reset: &reset };
        update(live, &mut new, &context);
        new
    }

    fn config_map(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "uid": "u"}, "data": data})
    }

    /// Manager, time and fields of each entry.
    fn entries(object: &Value) -> Vec<(String, String, Value)> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        meta::managed_fields(object)
            .iter()
            .map(|entry| (text(&entry["manager"]), text(&entry["time"])[17..19].to_owned(), entry["fieldsV1"].clone()))
            .collect()
    }

    fn entry(manager: &str, second: &str, fields: Value) -> (String, String, Value) {
        (manager.to_owned(), second.to_owned(), fields)
    }

    #[test]
    fn who_changes_a_field_owns_it() {
        let first = write(None, config_map(&json!({"x": "1", "y": "1"})), "one", 1);
        assert_eq!(entries(&first), [entry("one", "01", json!({"f:data": {".": {}, "f:x": {}, "f:y": {}}}))]);

        let mut second = first.clone();
        second["data"] = json!({"x": "2", "y": "1"});
        let second = write(Some(&first), second, "two", 2);
        let want = [
            entry("one", "01", json!({"f:data": {".": {}, "f:y": {}}})),
            entry("two", "02", json!({"f:data": {"f:x": {}}})),
        ];
        assert_eq!(entries(&second), want);

        let unchanged = write(Some(&second), second.clone(), "three", 3);
        assert_eq!(entries(&unchanged), want, "whoever changes nothing owns nothing, and no time moves");

        let mut third = second.clone();
        third["data"] = json!({"x": "2"});
        let third = write(Some(&second), third, "three", 3);
        let want = [entry("one", "01", json!({"f:data": {}})), entry("two", "02", json!({"f:data": {"f:x": {}}}))];
        assert_eq!(entries(&third), want, "what is removed is nobody's");
    }

    #[test]
    fn clients_that_do_not_know_entries_do_not_delete_them() {
        let live = write(None, config_map(&json!({"x": "1"})), "one", 1);
        for (sent, kept) in
            [(None, 1), (Some(json!([])), 0), (Some(json!([{}])), 0), (Some(json!([{"manager": "bad"}])), 1)]
        {
            let mut new = live.clone();
            meta::set(&mut new, "managedFields", sent.clone());
            let new = write(Some(&live), new, "two", 2);
            assert_eq!(entries(&new).len(), kept, "{sent:?}");
        }
    }

    #[test]
    fn nobody_begins_to_manage_by_an_update() {
        let live = config_map(&json!({"x": "1"}));
        let new = write(Some(&live), config_map(&json!({"x": "2"})), "one", 1);
        assert!(meta::managed_fields(&new).is_empty());
    }

    #[test]
    fn the_oldest_updates_are_merged_when_there_are_too_many() {
        let mut live = write(None, config_map(&json!({})), "none", 0);
        meta::set_text(&mut live, "uid", "");
        for i in 0..13 {
            let mut new = live.clone();
            new["data"][format!("k{i:02}")] = json!("v");
            live = write(Some(&live), new, &format!("m{i:02}"), i);
        }
        let names: Vec<_> =
            entries(&live).into_iter().map(|(manager, second, _)| format!("{manager}@{second}")).collect();
        assert_eq!(names.len(), 10);
        assert_eq!(names[..2], ["ancient-changes@03", "m04@04"]);
        let owned = &entries(&live)[0].2["f:data"];
        assert!((0..4).all(|i| owned[format!("f:k{i:02}")].is_object()), "{owned}");
    }

    #[test]
    fn a_write_without_effect_keeps_its_times() {
        let old = write(None, config_map(&json!({"x": "1"})), "one", 1);
        let mut new = old.clone();
        new["metadata"]["managedFields"][0]["time"] = json!("2026-01-01T00:00:09Z");
        keep_times(&old, &mut new);
        assert_eq!(new, old);
        new["metadata"]["managedFields"][0]["time"] = json!("2026-01-01T00:00:09Z");
        new["data"]["x"] = json!("2");
        let changed = new.clone();
        keep_times(&old, &mut new);
        assert_eq!(new, changed);
    }

    #[test]
    fn managers_are_named_after_the_parameter_or_the_user_agent() {
        assert_eq!(manager_name("m", "kubectl/v1.36"), "m");
        assert_eq!(manager_name("", "kubectl/v1.36 (linux)"), "kubectl");
        assert_eq!(manager_name("", "a\u{7}b\u{200b}"), "ab");
        assert_eq!(manager_name("", &"é".repeat(100)).len(), 128);
    }
}
