//! `metadata.managedFields`: who set which field of an object, by which operation, and when.
//!
//! Upstream: `apimachinery/pkg/util/managedfields` and structured-merge-diff's `merge` package.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::fields::{self, Comparison, Duplicates, Faults, FieldSet, Path, Shape};
use super::meta;
use crate::schema::builtin::registry;
use crate::schema::registry::GroupVersionKind;
use crate::schema::types::{Form, Type, TypeRef, ValueType};
use crate::validation;
use crate::validation::field::{go_quote, is_print};

/// Managers that have entries from updates; the oldest are merged into one when there are more.
const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager that the oldest are merged into.
const ANCIENT_CHANGES: &str = "ancient-changes";
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
        let mut object = if self.ty.custom { Map::new() } else { empty(self.ty) };
        object.insert("apiVersion".to_owned(), self.kind.api_version().into());
        object.insert("kind".to_owned(), self.kind.kind.clone().into());
        Value::Object(object)
    }
}

/// A struct with nothing set: nested structs are there, and what is written even when empty.
fn empty(ty: &Type) -> Map<String, Value> {
    let mut members = Map::new();
    for field in ty.fields.iter().filter(|field| !field.pointer && !field.omit_zero) {
        let value = match &field.value {
            ValueType::Message(ty) if ty.is_struct() => Value::Object(empty(ty)),
            _ if field.omit_empty => continue,
            ValueType::String => "".into(),
            ValueType::Bool => false.into(),
            ValueType::Int32 | ValueType::Int64 | ValueType::Float64 => 0.into(),
            ValueType::Message(ty) if ty.form == Form::Quantity => "0".into(),
            ValueType::Message(ty) if ty.form == Form::IntOrString => 0.into(),
            _ => Value::Null,
        };
        members.insert(field.name.clone(), value);
    }
    members
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
    let empty;
    let live = match live {
        Some(live) => live,
        None => {
            empty = context.empty_object();
            &empty
        }
    };
    let managers = live_or_new(live, new, context.subresource.is_some());
    meta::set(new, "managedFields", None);
    // An update of an object that nobody manages does not begin to.
    if managers.is_empty() && !meta::uid(live).is_empty() {
        return;
    }
    if let Ok(managers) = update_managers(live, new, managers, context) {
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
    let changed = changes.own().modified.union(&changes.own().added).difference(&never_managed());
    if !changed.is_empty() {
        let entry = managers.0.entry(context.manager_id(Operation::Update)).or_default();
        entry.set = entry.set.union(&changed);
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

/// What a write changes, in the version of the request and in that of every entry.
#[derive(Debug)]
pub(super) struct Changes {
    by_version: BTreeMap<String, Comparison>,
    version: String,
}

impl Changes {
    /// Compares two objects in the versions in which the managers name their fields.
    pub fn between(live: &Value, new: &Value, managers: &Managers, context: &Context<'_>) -> Result<Self, String> {
        let version = context.kind.api_version();
        let mut by_version = BTreeMap::new();
        let own = fields::compare(live, new, context.shape())
            .map_err(|faults| format!("failed to compare objects: {faults}"))?
            .without(context.reset);
        by_version.insert(version.clone(), own);
        for entry in managers.0.values() {
            if by_version.contains_key(&entry.api_version) {
                continue;
            }
            let Some((kind, ty)) = context.in_version(&entry.api_version) else { continue };
            let convert = |object: &Value| validation::convert(context.kind, &kind, object.clone());
            let changes = fields::compare(&convert(live), &convert(new), Shape::Type(&ty))
                .map_err(|faults| format!("failed to compare objects: {faults}"))?
                .without(context.reset);
            by_version.insert(entry.api_version.clone(), changes);
        }
        Ok(Self { by_version, version })
    }

    /// The changes in the version of the request.
    pub fn own(&self) -> &Comparison {
        static NOTHING: LazyLock<Comparison> = LazyLock::new(Comparison::default);
        self.of(&self.version).unwrap_or(&NOTHING)
    }

    fn of(&self, api_version: &str) -> Option<&Comparison> {
        self.by_version.get(api_version)
    }
}

/// How a manager came to own fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

impl Operation {
    fn text(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// What tells entries apart. Someone who applies has one entry for all versions.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ManagerId {
    manager: String,
    operation: Operation,
    api_version: String,
    subresource: String,
}

impl ManagerId {
    /// The manager as a conflict names it: `"kubectl" with subresource "status" using v1`.
    pub fn describe(&self) -> String {
        let mut text = go_quote(&self.manager);
        if !self.subresource.is_empty() {
            text.push_str(&format!(" with subresource {}", go_quote(&self.subresource)));
        }
        if self.operation == Operation::Update {
            text.push_str(&format!(" using {}", self.api_version));
        }
        text
    }
}

/// What a manager owns.
#[derive(Debug, Clone, Default)]
pub(super) struct Entry {
    pub set: FieldSet,
    /// The version in which the fields are named.
    pub api_version: String,
    pub time: Option<String>,
}

/// All entries of an object.
#[derive(Debug, Clone, Default)]
pub(super) struct Managers(pub BTreeMap<ManagerId, Entry>);

/// A field that a manager owns and another would change.
#[derive(Debug, Clone)]
pub(super) struct Conflict {
    pub manager: ManagerId,
    pub path: Path,
}

impl Managers {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in an object's metadata.
    pub fn read(object: &Value) -> Result<Self, String> {
        let mut managers = Self::default();
        for (index, entry) in meta::managed_fields(object).iter().enumerate() {
            let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
            let operation = match text("operation") {
                "Apply" => Operation::Apply,
                "Update" => Operation::Update,
                _ => return Err("operation must be `Apply` or `Update`".to_owned()),
            };
            if text("apiVersion").is_empty() {
                return Err("apiVersion must not be empty".to_owned());
            }
            match text("fieldsType") {
                "FieldsV1" => {}
                "" => return Err(format!("missing fieldsType in managed fields entry {index}")),
                other => {
                    return Err(format!("invalid fieldsType {} in managed fields entry {index}", go_quote(other)));
                }
            }
            let id = ManagerId {
                manager: text("manager").to_owned(),
                operation,
                api_version: if operation == Operation::Apply { String::new() } else { text("apiVersion").to_owned() },
                subresource: text("subresource").to_owned(),
            };
            let set = FieldSet::from_fields_v1(entry.get("fieldsV1").unwrap_or(&Value::Null))
                .map_err(|error| format!("error decoding set: {error}"))?;
            let time = entry.get("time").and_then(Value::as_str).map(str::to_owned);
            managers.0.insert(id, Entry { set, api_version: text("apiVersion").to_owned(), time });
        }
        Ok(managers)
    }

    /// Writes the entries into an object's metadata, those of appliers first, then by time and name.
    pub fn write(&self, object: &mut Value) {
        let mut entries: Vec<_> = self.0.iter().collect();
        entries.sort_by(|(id, entry), (other_id, other)| {
            let order = |id: &ManagerId| (id.manager.clone(), id.subresource.clone());
            id.operation
                .cmp(&other_id.operation)
                .then_with(|| entry.time.cmp(&other.time))
                .then_with(|| id.manager.cmp(&other_id.manager))
                .then_with(|| entry.api_version.cmp(&other.api_version))
                .then_with(|| order(id).cmp(&order(other_id)))
        });
        let entries: Vec<Value> = entries.into_iter().map(|(id, entry)| encode(id, entry)).collect();
        meta::set(object, "managedFields", (!entries.is_empty()).then_some(Value::Array(entries)));
    }

    /// Brings all entries up to date with the schema; those in a version that is not served any more are dropped.
    pub fn reconcile(&mut self, context: &Context<'_>) {
        let version = context.kind.api_version();
        self.0.retain(|_, entry| {
            let other = (entry.api_version != version).then(|| context.in_version(&entry.api_version));
            let shape = match &other {
                None => context.shape(),
                Some(Some((_, ty))) => Shape::Type(ty),
                Some(None) => return false,
            };
            entry.set = fields::reconcile(std::mem::take(&mut entry.set), shape);
            true
        });
    }

    /// What the changes take from managers other than `except`.
    pub fn conflicts(&self, except: &ManagerId, changes: &Changes) -> Vec<Conflict> {
        let mut conflicts = Vec::new();
        for (id, entry) in self.0.iter().filter(|(id, _)| *id != except) {
            let Some(changes) = changes.of(&entry.api_version) else { continue };
            let taken = entry.set.intersection(&changes.modified.union(&changes.added));
            conflicts.extend(taken.paths().into_iter().map(|path| Conflict { manager: id.clone(), path }));
        }
        conflicts
    }

    /// Takes changed and removed fields from all managers other than `except`, and drops entries that become empty.
    pub fn yield_fields(&mut self, except: Option<&ManagerId>, changes: &Changes) {
        for (_, entry) in self.0.iter_mut().filter(|(id, _)| Some(*id) != except) {
            if let Some(changes) = changes.of(&entry.api_version) {
                let taken = changes.modified.union(&changes.added).union(&changes.removed);
                entry.set = entry.set.difference(&taken);
            }
        }
        self.0.retain(|_, entry| !entry.set.is_empty());
    }

    /// Merges the entries of the managers that updated longest ago, one version at a time, until there are few enough.
    fn cap(&mut self) {
        let mut updaters: Vec<(Option<String>, ManagerId)> = self
            .0
            .iter()
            .filter(|(id, _)| id.operation == Operation::Update)
            .map(|(id, entry)| (entry.time.clone(), id.clone()))
            .collect();
        let mut count = updaters.len();
        if count <= UPDATE_MANAGERS_MAX {
            return;
        }
        updaters.sort();
        let mut first_of_version: BTreeMap<String, ManagerId> = BTreeMap::new();
        for (time, id) in updaters {
            if count <= UPDATE_MANAGERS_MAX {
                return;
            }
            let Some(version) = self.0.get(&id).map(|entry| entry.api_version.clone()) else { continue };
            let Some(first) = first_of_version.get(&version) else {
                first_of_version.insert(version, id);
                continue;
            };
            let bucket = ManagerId {
                manager: ANCIENT_CHANGES.to_owned(),
                operation: Operation::Update,
                api_version: version,
                subresource: String::new(),
            };
            if !self.0.contains_key(&bucket)
                && let Some(entry) = self.0.remove(first)
            {
                self.0.insert(bucket.clone(), entry);
            }
            let Some(merged) = self.0.remove(&id) else { continue };
            let ancient = self.0.entry(bucket).or_insert_with(|| merged.clone());
            ancient.set = ancient.set.union(&merged.set);
            ancient.time = time;
            count -= 1;
        }
    }
}

fn encode(id: &ManagerId, entry: &Entry) -> Value {
    let mut out = Map::new();
    out.insert("operation".to_owned(), id.operation.text().into());
    out.insert("apiVersion".to_owned(), entry.api_version.clone().into());
    out.insert("fieldsType".to_owned(), "FieldsV1".into());
    out.insert("fieldsV1".to_owned(), entry.set.to_fields_v1());
    if !id.manager.is_empty() {
        out.insert("manager".to_owned(), id.manager.clone().into());
    }
    if !id.subresource.is_empty() {
        out.insert("subresource".to_owned(), id.subresource.clone().into());
    }
    if let Some(time) = &entry.time {
        out.insert("time".to_owned(), json!(time));
    }
    Value::Object(out)
}

impl From<Faults> for String {
    fn from(faults: Faults) -> Self {
        faults.to_string()
    }
}
