//! The entries of managed fields: reading, writing, and what changes do to them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::Context;
use crate::go_syntax::go_quote;
use crate::object::fields::{self, Comparison, FieldSet, Path, Shape};
use crate::object::meta;
use crate::validation;

/// Managers that have entries from updates; the oldest are merged into one when there are more.
const UPDATE_MANAGERS_MAX: usize = 10;
/// The manager that the oldest are merged into.
const ANCIENT_CHANGES: &str = "ancient-changes";

/// What a write changes, in the version of the request and in that of every entry.
#[derive(Debug)]
pub(in crate::object) struct Changes {
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
pub(in crate::object) enum Operation {
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
pub(in crate::object) struct ManagerId {
    pub manager: String,
    pub operation: Operation,
    /// Empty for appliers.
    pub api_version: String,
    pub subresource: String,
}

impl ManagerId {
    /// The manager as a conflict names it: `"kubectl" with subresource "status" using v1`.
    pub fn describe(&self) -> String {
        let subresource = match self.subresource.as_str() {
            "" => String::new(),
            name => format!(" with subresource {}", go_quote(name)),
        };
        let version = match self.operation {
            Operation::Apply => String::new(),
            Operation::Update => format!(" using {}", self.api_version),
        };
        format!("{}{subresource}{version}", go_quote(&self.manager))
    }
}

/// What a manager owns.
#[derive(Debug, Clone, Default)]
pub(in crate::object) struct Entry {
    pub set: FieldSet,
    /// The version in which the fields are named.
    pub api_version: String,
    pub time: Option<String>,
}

/// All entries of an object.
#[derive(Debug, Clone, Default)]
pub(in crate::object) struct Managers(pub BTreeMap<ManagerId, Entry>);

/// A field that a manager owns and another would change.
#[derive(Debug, Clone)]
pub(in crate::object) struct Conflict {
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
        entries
            .sort_by_key(|&(id, entry)| (id.operation, &entry.time, &id.manager, &entry.api_version, &id.subresource));
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
    pub fn cap(&mut self) {
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
        out.insert("time".to_owned(), time.clone().into());
    }
    Value::Object(out)
}
