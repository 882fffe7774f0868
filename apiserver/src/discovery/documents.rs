//! The plain discovery documents: `/api`, `/apis`, `/apis/GROUP` and the resources of one version.
//!
//! Each is an object of a registered kind, so the codecs write it in every encoding.

use base64::Engine as _;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::resources::spec::{GroupSpec, ResourceSpec, ResourceTable, Storage, SubresourceSpec};
use crate::resources::verbs::Verbs;
use crate::schema::GroupVersionKind;

/// A discovery document and its kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The kind in the registry, by which it is encoded.
    pub gvk: GroupVersionKind,
    /// The object.
    pub body: Value,
}

impl Document {
    fn new(kind: &str, body: Value) -> Self {
        Self { gvk: GroupVersionKind::new("", "v1", kind), body }
    }
}

/// The document at a path below `/api` or `/apis`, or `None` if there is none. A closing slash changes nothing.
///
/// `server_address` is the `host:port` at which clients of any network reach the server.
pub fn at(table: &ResourceTable, path: &str, server_address: &str) -> Option<Document> {
    let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
    match steps.as_slice() {
        ["api"] => Some(core_versions(table, server_address)),
        ["api", version] => resources(table, "", version),
        ["apis"] => Some(groups(table)),
        ["apis", group] => self::group(table, group),
        ["apis", group, version] if !group.is_empty() => resources(table, group, version),
        _ => None,
    }
}

/// `/api`: the versions of the core group.
pub fn core_versions(table: &ResourceTable, server_address: &str) -> Document {
    let versions = table.groups().iter().find(|group| group.name.is_empty()).map(|group| group.versions.as_slice());
    // Written without an apiVersion, as since the first release.
    Document::new(
        "APIVersions",
        json!({
            "kind": "APIVersions",
            "versions": versions.unwrap_or_default(),
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address}],
        }),
    )
}

/// `/apis`: every other group.
pub fn groups(table: &ResourceTable) -> Document {
    let groups =
        table.groups().iter().filter(|group| !group.name.is_empty()).map(|group| Value::Object(describe(group)));
    let body = json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups.collect::<Vec<_>>()});
    Document::new("APIGroupList", body)
}

/// `/apis/GROUP`.
pub fn group(table: &ResourceTable, name: &str) -> Option<Document> {
    let group = table.groups().iter().find(|group| !group.name.is_empty() && group.name == name)?;
    let mut body = describe(group);
    body.insert("kind".to_owned(), "APIGroup".into());
    body.insert("apiVersion".to_owned(), "v1".into());
    Some(Document::new("APIGroup", Value::Object(body)))
}

fn describe(group: &GroupSpec) -> Map<String, Value> {
    let version = |version: &String| json!({"groupVersion": format!("{}/{version}", group.name), "version": version});
    let mut body = Map::new();
    body.insert("name".to_owned(), group.name.as_str().into());
    body.insert("versions".to_owned(), group.versions.iter().map(version).collect());
    body.insert("preferredVersion".to_owned(), group.versions.first().map(version).unwrap_or_default());
    body
}

/// `/api/VERSION` and `/apis/GROUP/VERSION`: the resources of one version.
pub fn resources(table: &ResourceTable, group: &str, version: &str) -> Option<Document> {
    let known = table.groups().iter().any(|g| g.name == group && g.versions.iter().any(|v| v == version));
    if !known {
        return None;
    }
    let resources: Vec<Value> = table.of_version(group, version).flat_map(|spec| rows(spec)).collect();
    let mut body = json!({"kind": "APIResourceList", "resources": resources});
    // The core group's list has no apiVersion of its own, as since the first release.
    if group.is_empty() {
        body["groupVersion"] = version.into();
    } else {
        body["groupVersion"] = format!("{group}/{version}").into();
        body["apiVersion"] = "v1".into();
    }
    Some(Document::new("APIResourceList", body))
}

/// A resource and its subresources, as they stand in a list of resources.
fn rows(spec: &ResourceSpec) -> impl Iterator<Item = Value> {
    std::iter::once(resource(spec)).chain(spec.subresources.iter().map(|sub| subresource(spec, sub)))
}

fn resource(spec: &ResourceSpec) -> Value {
    let mut row = json!({
        "name": spec.plural,
        "singularName": spec.singular,
        "namespaced": spec.namespaced,
        "kind": spec.kind,
        "verbs": verbs(spec.verbs),
    });
    if !spec.short_names.is_empty() {
        row["shortNames"] = spec.short_names.as_slice().into();
    }
    if !spec.categories.is_empty() {
        row["categories"] = spec.categories.as_slice().into();
    }
    if let Some(storage) = &spec.storage {
        row["storageVersionHash"] = storage_version_hash(storage).into();
    }
    row
}

fn subresource(spec: &ResourceSpec, sub: &SubresourceSpec) -> Value {
    let mut row = json!({
        "name": format!("{}/{}", spec.plural, sub.name),
        "singularName": "",
        "namespaced": spec.namespaced,
        "kind": sub.gvk.kind,
        "verbs": verbs(sub.verbs),
    });
    if (&sub.gvk.group, &sub.gvk.version) != (&spec.group, &spec.version) {
        row["group"] = sub.gvk.group.as_str().into();
        row["version"] = sub.gvk.version.as_str().into();
    }
    row
}

fn verbs(verbs: Verbs) -> Vec<&'static str> {
    verbs.names().collect()
}

/// Changes when the version in which a resource is stored does.
fn storage_version_hash(storage: &Storage) -> String {
    let gvk = &storage.gvk;
    let digest = Sha256::digest(format!("{}/{}/{}", gvk.group, gvk.version, gvk.kind));
    base64::engine::general_purpose::STANDARD.encode(digest.get(..8).unwrap_or_default())
}
