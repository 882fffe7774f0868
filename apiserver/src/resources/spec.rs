//! What a resource is: one row answers routing, discovery, authorization, storage and `OpenAPI` alike.
//!
//! The rows of built-in resources come from the generated [`mod@super::table`] and the facts in [`super::facts`]; a custom resource's row is made
//! from its definition.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use serde_json::Value;

use super::verbs::Verbs;
use super::{facts, table as rows};
use crate::schema::GroupVersionKind;

/// One resource in one version of one API group.
#[derive(Debug, Clone, Default)]
pub struct ResourceSpec {
    /// API group; the core group is the empty string.
    pub group: String,
    /// API version, such as `v1`.
    pub version: String,
    /// Kind of one object.
    pub kind: String,
    /// Kind of a list of them.
    pub list_kind: String,
    /// Name in URLs.
    pub plural: String,
    /// Singular name, as discovery publishes it.
    pub singular: String,
    /// Abbreviations that clients accept.
    pub short_names: Vec<String>,
    /// Groups of resources that it belongs to, such as `all`.
    pub categories: Vec<String>,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
    /// The verbs of the resource itself.
    pub verbs: Verbs,
    /// Its subresources in alphabetical order.
    pub subresources: Vec<SubresourceSpec>,
    /// Where its objects are stored; `None` for what is answered without storing anything, such as reviews.
    pub storage: Option<Storage>,
    /// What field selectors may name, besides nothing else.
    pub selectable_fields: SelectableFields,
    /// How `/scale` maps to the object.
    pub scale: Option<Scale>,
    /// What its writes do beyond storing.
    pub strategy: Strategy,
    /// Whether its objects are custom resources.
    pub custom: bool,
    /// Columns of tables, for custom resources; built-in kinds have printers.
    pub columns: Vec<ColumnSpec>,
}

/// A subresource, such as `pods/status`.
#[derive(Debug, Clone, Default)]
pub struct SubresourceSpec {
    /// Name, such as `status`.
    pub name: String,
    /// Kind that it speaks, which may be another group's (`autoscaling/v1` `Scale`).
    pub gvk: GroupVersionKind,
    /// Its verbs. A connecting subresource has the verbs that its HTTP methods stand for.
    pub verbs: Verbs,
}

/// Where and as what objects are stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Storage {
    /// Key prefix without a closing slash, such as `/registry/pods`.
    pub prefix: String,
    /// The kind and version that is written.
    pub gvk: GroupVersionKind,
}

/// What field selectors may name.
#[derive(Debug, Clone, Default)]
pub struct SelectableFields {
    /// How an unknown label is refused.
    pub refusal: Refusal,
    /// Selectable fields in the order in which an error lists them.
    pub fields: Cow<'static, [SelectableField]>,
}

/// One selectable field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SelectableField {
    /// The label that a selector writes.
    pub label: Cow<'static, str>,
    /// Dotted paths in the object; the first with a value that is not empty counts. Numbers are positions in lists.
    pub paths: Cow<'static, [Cow<'static, str>]>,
    /// The value when the object has none.
    pub absent: &'static str,
}

/// How a field label that is not selectable is refused. Kinds with a conversion of their own have their own texts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Refusal {
    /// `"X" is not a known field selector: only "metadata.name", "metadata.namespace"`.
    #[default]
    NotKnown,
    /// `field label not supported: X`.
    NotSupported,
    /// `field label "X" not supported for Kind`.
    NotSupportedFor(&'static str),
    /// `field label not supported for Kind: X`, with the fully written type.
    NotSupportedForType(&'static str),
}

impl SelectableFields {
    /// The text with which a label that is not selectable is refused, or `None` if it is selectable.
    pub fn refuse(&self, label: &str) -> Option<String> {
        if self.get(label).is_some() {
            return None;
        }
        Some(match self.refusal {
            Refusal::NotKnown => {
                format!(r#""{label}" is not a known field selector: only "metadata.name", "metadata.namespace""#)
            }
            Refusal::NotSupported => format!("field label not supported: {label}"),
            Refusal::NotSupportedFor(kind) => format!("field label {label:?} not supported for {kind}"),
            Refusal::NotSupportedForType(ty) => format!("field label not supported for {ty}: {label}"),
        })
    }

    /// The selectable field of that label.
    pub fn get(&self, label: &str) -> Option<&SelectableField> {
        self.fields.iter().find(|field| field.label == label)
    }
}

impl SelectableField {
    /// The field's value in an object, as text.
    pub fn value<'a>(&self, object: &'a Value) -> Cow<'a, str> {
        self.paths
            .iter()
            .map(|path| scalar_text(dig(object, path)))
            .find(|text| !text.is_empty())
            .unwrap_or(Cow::Borrowed(self.absent))
    }
}

/// The value at a dotted path.
fn dig<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |at, step| match at {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        _ => at.get(step),
    })
}

/// A scalar as a selector compares it; anything else is empty.
fn scalar_text(value: Option<&Value>) -> Cow<'_, str> {
    match value {
        Some(Value::String(text)) => Cow::Borrowed(text),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Cow::Owned(value.to_string()),
        _ => Cow::Borrowed(""),
    }
}

/// How `autoscaling/v1` `Scale` maps to an object. Paths are dotted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scale {
    /// Wanted replicas, read and written.
    pub spec_replicas: String,
    /// Observed replicas.
    pub status_replicas: String,
    /// Where the selector of `status.selector` is.
    pub selector: ScaleSelector,
}

/// The form of the selector that a scale reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ScaleSelector {
    /// None is reported.
    #[default]
    None,
    /// A `LabelSelector` at the path.
    LabelSelector(String),
    /// A map of labels at the path.
    Labels(String),
    /// The selector's text at the path.
    Text(String),
}

/// What a kind's writes do beyond storing the object.
#[allow(clippy::struct_excessive_bools, reason = "each is one independent rule of the kind")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Strategy {
    /// When `metadata.generation` counts up.
    pub generation: Generation,
    /// An update of an object that does not exist creates it.
    pub allow_create_on_update: bool,
    /// An update without a resourceVersion overwrites whatever is there.
    pub allow_unconditional_update: bool,
    /// What a delete without a policy does with dependents.
    pub default_deletion: DefaultDeletion,
    /// A delete may wait for a grace period (pods only).
    pub graceful: bool,
    /// A delete answers with the deleted object instead of a `Status`.
    pub returns_deleted_object: bool,
    /// Dotted paths that create clears.
    pub reset_on_create: &'static [&'static str],
    /// Dotted paths that an update of the object keeps as they were.
    pub reset_on_update: &'static [&'static str],
    /// Dotted paths that an update of `/status` keeps as they were. `metadata` stands for everything that
    /// [`STATUS_KEEPS_METADATA`] names.
    pub reset_on_status_update: &'static [&'static str],
    /// `status.phase` of a new object.
    pub initial_phase: Option<&'static str>,
}

impl Default for Strategy {
    /// The strategy of most kinds: nothing to reset, no generation, updates only of what exists.
    fn default() -> Self {
        Self {
            generation: Generation::None,
            allow_create_on_update: false,
            allow_unconditional_update: true,
            default_deletion: DefaultDeletion::Background,
            graceful: false,
            returns_deleted_object: false,
            reset_on_create: &[],
            reset_on_update: &[],
            reset_on_status_update: &[],
            initial_phase: None,
        }
    }
}

/// The metadata that a status update keeps, where a kind resets `metadata` (apimachinery's `ResetObjectMetaForStatus`).
pub const STATUS_KEEPS_METADATA: [&str; 7] =
    ["deletionTimestamp", "generation", "selfLink", "labels", "annotations", "finalizers", "ownerReferences"];

/// When `metadata.generation` counts up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Generation {
    /// The server leaves it alone.
    #[default]
    None,
    /// 1 when created, never changed.
    Once,
    /// 1 when created, one more when the value at one of these dotted paths changed.
    Paths(&'static [&'static str]),
    /// Not set when created, one more when the value at one of these paths changed.
    PathsUnset(&'static [&'static str]),
    /// 1 when created, one more when anything but metadata, or labels, changed.
    ContentOrLabels,
}

/// What a delete without a propagation policy does with dependents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum DefaultDeletion {
    /// The garbage collector deletes them afterwards.
    #[default]
    Background,
    /// They are orphaned.
    Orphan,
    /// The kind has no dependents: no finalizer is ever added.
    Unsupported,
}

/// A printer column of a custom resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ColumnSpec {
    /// Title.
    pub name: String,
    /// `OpenAPI` type.
    pub type_: String,
    /// `OpenAPI` format.
    pub format: String,
    /// What it shows.
    pub description: String,
    /// 0 is shown always, more only in wide output.
    pub priority: i32,
    /// Where the value is.
    pub json_path: String,
}

impl ResourceSpec {
    /// The kind with its group and version.
    pub fn gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group.as_str(), self.version.as_str(), self.kind.as_str())
    }

    /// The list's kind with its group and version.
    pub fn list_gvk(&self) -> GroupVersionKind {
        GroupVersionKind::new(self.group.as_str(), self.version.as_str(), self.list_kind.as_str())
    }

    /// The `apiVersion` of its objects.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The resource with its group as errors name it: `deployments.apps`, and `pods` in the core group.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.plural.clone() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The subresource of that name.
    pub fn subresource(&self, name: &str) -> Option<&SubresourceSpec> {
        self.subresources.iter().find(|sub| sub.name == name)
    }

    /// Whether it has a `/status`.
    pub fn has_status(&self) -> bool {
        self.subresource("status").is_some()
    }
}

/// One API group and its versions, the preferred one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSpec {
    /// Name; the core group is the empty string.
    pub name: String,
    /// Versions, the preferred one first.
    pub versions: Vec<String>,
}

/// Every resource, and how to find one.
#[derive(Debug, Default)]
pub struct ResourceTable {
    groups: Vec<GroupSpec>,
    rows: Vec<Arc<ResourceSpec>>,
    by_resource: HashMap<String, usize>,
    by_kind: HashMap<GroupVersionKind, usize>,
    by_prefix: HashMap<String, usize>,
}

impl ResourceTable {
    /// A table of these groups, in the order in which discovery lists them, and rows.
    pub fn new(groups: Vec<GroupSpec>, rows: Vec<Arc<ResourceSpec>>) -> Self {
        let mut table = Self { groups, ..Self::default() };
        for (at, row) in rows.iter().enumerate() {
            table.by_resource.insert(resource_key(&row.group, &row.version, &row.plural), at);
            table.by_kind.entry(row.gvk()).or_insert(at);
            if let Some(storage) = row.storage.as_ref().filter(|storage| storage.gvk == row.gvk()) {
                table.by_prefix.entry(storage.prefix.clone()).or_insert(at);
            }
        }
        table.rows = rows;
        table
    }

    /// API groups in the order in which discovery lists them, the core group first.
    pub fn groups(&self) -> &[GroupSpec] {
        &self.groups
    }

    /// Every row, grouped by group and version, in alphabetical order of the plural name.
    pub fn rows(&self) -> &[Arc<ResourceSpec>] {
        &self.rows
    }

    /// The rows of one group and version, in discovery's order.
    pub fn of_version<'a>(&'a self, group: &'a str, version: &'a str) -> impl Iterator<Item = &'a Arc<ResourceSpec>> {
        self.rows.iter().filter(move |row| row.group == group && row.version == version)
    }

    /// The resource with that plural name.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<ResourceSpec>> {
        self.rows.get(*self.by_resource.get(&resource_key(group, version, plural))?)
    }

    /// The resource whose objects are of that kind.
    pub fn kind(&self, gvk: &GroupVersionKind) -> Option<&Arc<ResourceSpec>> {
        self.rows.get(*self.by_kind.get(gvk)?)
    }

    /// The resource, in its storage version, that is stored under that prefix.
    pub fn storage_prefix(&self, prefix: &str) -> Option<&Arc<ResourceSpec>> {
        self.rows.get(*self.by_prefix.get(prefix)?)
    }
}

/// Names cannot hold a slash, so this is unique.
fn resource_key(group: &str, version: &str, plural: &str) -> String {
    format!("{group}/{version}/{plural}")
}

/// The built-in resources.
pub fn table() -> &'static ResourceTable {
    static TABLE: LazyLock<ResourceTable> = LazyLock::new(|| {
        let groups = rows::GROUPS.iter().map(|(name, versions)| GroupSpec {
            name: (*name).to_owned(),
            versions: versions.iter().map(|version| (*version).to_owned()).collect(),
        });
        ResourceTable::new(groups.collect(), rows::ROWS.iter().map(|row| Arc::new(builtin(row))).collect())
    });
    &TABLE
}

/// Joins a generated row with the facts that no published document states.
fn builtin(row: &rows::Row) -> ResourceSpec {
    let facts = facts::of(row.group, row.plural);
    ResourceSpec {
        group: row.group.to_owned(),
        version: row.version.to_owned(),
        kind: row.kind.to_owned(),
        list_kind: format!("{}List", row.kind),
        plural: row.plural.to_owned(),
        singular: row.kind.to_lowercase(),
        short_names: facts.short_names.iter().map(|name| (*name).to_owned()).collect(),
        categories: facts.categories.iter().map(|name| (*name).to_owned()).collect(),
        namespaced: row.namespaced,
        verbs: Verbs::of(row.verbs),
        subresources: row.subresources.iter().map(subresource).collect(),
        storage: facts::storage(row),
        selectable_fields: facts::selectable_fields(row),
        scale: facts::scale(row),
        strategy: facts.strategy,
        custom: false,
        columns: Vec::new(),
    }
}

fn subresource(row: &rows::SubRow) -> SubresourceSpec {
    SubresourceSpec {
        name: row.name.to_owned(),
        gvk: GroupVersionKind::new(row.group, row.version, row.kind),
        verbs: Verbs::of(row.verbs),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rows_are_found_by_name_kind_and_key() {
        let table = table();
        let nodes = table.resource("", "v1", "nodes").unwrap();
        assert_eq!(nodes.storage.as_ref().unwrap().prefix, "/registry/minions");
        assert!(Arc::ptr_eq(table.kind(&nodes.gvk()).unwrap(), nodes));
        assert!(Arc::ptr_eq(table.storage_prefix("/registry/minions").unwrap(), nodes));
        assert!(table.resource("", "v1", "node").is_none());
        assert_eq!(
            table.rows().len(),
            table.rows().iter().map(|row| row.gvk()).collect::<std::collections::HashSet<_>>().len()
        );
    }

    #[test]
    fn two_versions_of_one_resource_share_their_storage() {
        let table = table();
        for (group, version, other) in [
            ("events.k8s.io", "v1", "/v1, Kind=Event"),
            ("autoscaling", "v1", "autoscaling/v2, Kind=HorizontalPodAutoscaler"),
        ] {
            let row = table.of_version(group, version).next().unwrap();
            let storage = row.storage.as_ref().unwrap();
            assert_eq!(storage.gvk.to_string(), other);
            assert_eq!(table.storage_prefix(&storage.prefix).unwrap().gvk(), storage.gvk);
        }
    }

    #[test]
    fn what_is_never_stored_has_no_key() {
        let unstored: Vec<&str> =
            table().rows().iter().filter(|row| row.storage.is_none()).map(|row| row.plural.as_str()).collect();
        assert_eq!(
            unstored,
            [
                "bindings",
                "componentstatuses",
                "selfsubjectreviews",
                "tokenreviews",
                "localsubjectaccessreviews",
                "selfsubjectaccessreviews",
                "selfsubjectrulesreviews",
                "subjectaccessreviews",
            ]
        );
    }

    #[test]
    fn fields_are_selected_by_their_values() {
        let fields = &table().resource("", "v1", "pods").unwrap().selectable_fields;
        let pod = json!({"spec": {"nodeName": "n", "hostNetwork": true}, "status": {"podIPs": [{"ip": "10.1.2.3"}]}});
        let value = |label| fields.get(label).unwrap().value(&pod).into_owned();
        assert_eq!([value("spec.nodeName"), value("spec.hostNetwork")], ["n", "true"]);
        assert_eq!([value("status.podIP"), value("status.phase")], ["10.1.2.3", ""]);
        let node = &table().resource("", "v1", "nodes").unwrap().selectable_fields;
        assert_eq!(node.get("spec.unschedulable").unwrap().value(&json!({})), "false");
    }

    #[test]
    fn other_fields_are_refused_in_the_words_of_their_kind() {
        let refuse = |group, plural| {
            let fields = &table().of_version(group, "v1").find(|row| row.plural == plural).unwrap().selectable_fields;
            fields.refuse("spec.nope").unwrap()
        };
        assert_eq!(refuse("", "pods"), "field label not supported: spec.nope");
        assert_eq!(refuse("batch", "jobs"), r#"field label "spec.nope" not supported for Job"#);
        assert_eq!(
            refuse("apps", "deployments"),
            r#""spec.nope" is not a known field selector: only "metadata.name", "metadata.namespace""#
        );
        assert_eq!(
            refuse("resource.k8s.io", "resourceslices"),
            "field label not supported for resource.k8s.io/v1, Kind=ResourceSlice: spec.nope"
        );
        assert_eq!(table().resource("", "v1", "pods").unwrap().selectable_fields.refuse("status.phase"), None);
    }
}
