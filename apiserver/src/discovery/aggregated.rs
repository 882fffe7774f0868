//! Aggregated discovery: every group, version and resource in one document (`apidiscovery.k8s.io/v2`).

use serde::Serialize;

use super::digest::digest;
use crate::resources::spec::{GroupSpec, ResourceSpec, ResourceTable, SubresourceSpec};
use crate::schema::GroupVersionKind;

/// The media type that asks for aggregated discovery and that it is answered with.
pub const MEDIA_TYPE: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// An aggregated document, ready to send, and the tag of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregated {
    /// JSON text.
    pub body: Vec<u8>,
    /// The value of `ETag`, with its quotes.
    pub etag: String,
}

/// The groups below `/api` (`core`) or below `/apis`.
pub fn document(table: &ResourceTable, core: bool) -> serde_json::Result<Aggregated> {
    let groups = table.groups().iter().filter(|group| group.name.is_empty() == core);
    let items: Vec<Group<'_>> = groups.map(|group| describe(table, group)).collect();
    let list = List {
        kind: "APIGroupDiscoveryList",
        api_version: "apidiscovery.k8s.io/v2",
        metadata: Metadata::default(),
        items,
    };
    let mut body = serde_json::to_vec(&list)?;
    body.push(b'\n');
    let etag = format!("\"{}\"", digest(&body));
    Ok(Aggregated { body, etag })
}

fn describe<'a>(table: &'a ResourceTable, group: &'a GroupSpec) -> Group<'a> {
    let version = |version: &'a String| Version {
        version,
        resources: table.of_version(&group.name, version).map(|spec| resource(spec)).collect(),
        freshness: "Current",
    };
    Group { metadata: Metadata { name: &group.name }, versions: group.versions.iter().map(version).collect() }
}

fn resource(spec: &ResourceSpec) -> Resource<'_> {
    // Built-in resources leave group and version to the list that they stand in.
    let own = if spec.custom { (spec.group.as_str(), spec.version.as_str()) } else { ("", "") };
    Resource {
        resource: &spec.plural,
        response_kind: Kind { group: own.0, version: own.1, kind: &spec.kind },
        scope: if spec.namespaced { "Namespaced" } else { "Cluster" },
        singular_resource: &spec.singular,
        verbs: spec.verbs.names().collect(),
        short_names: &spec.short_names,
        categories: &spec.categories,
        subresources: spec.subresources.iter().map(|sub| subresource(spec, sub)).collect(),
    }
}

fn subresource<'a>(spec: &ResourceSpec, sub: &'a SubresourceSpec) -> Subresource<'a> {
    let GroupVersionKind { group, version, kind } = &sub.gvk;
    let inherited = !spec.custom && (group, version) == (&spec.group, &spec.version);
    let (group, version) = if inherited { ("", "") } else { (group.as_str(), version.as_str()) };
    Subresource {
        subresource: &sub.name,
        response_kind: Kind { group, version, kind },
        verbs: sub.verbs.names().collect(),
    }
}

// The members stand in the order in which the server writes them, under the names of the API.

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    kind: &'a str,
    api_version: &'a str,
    metadata: Metadata<'a>,
    items: Vec<Group<'a>>,
}

#[derive(Serialize, Default)]
struct Metadata<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
}

#[derive(Serialize)]
struct Group<'a> {
    metadata: Metadata<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    versions: Vec<Version<'a>>,
}

#[allow(clippy::struct_field_names, reason = "the names of the API")]
#[derive(Serialize)]
struct Version<'a> {
    version: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    resources: Vec<Resource<'a>>,
    freshness: &'a str,
}

#[allow(clippy::struct_field_names, reason = "the names of the API")]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Resource<'a> {
    resource: &'a str,
    response_kind: Kind<'a>,
    scope: &'a str,
    singular_resource: &'a str,
    verbs: Vec<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    short_names: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    categories: &'a [String],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    subresources: Vec<Subresource<'a>>,
}

#[allow(clippy::struct_field_names, reason = "the names of the API")]
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Subresource<'a> {
    subresource: &'a str,
    response_kind: Kind<'a>,
    verbs: Vec<&'a str>,
}

#[allow(clippy::struct_field_names, reason = "the names of the API")]
#[derive(Serialize)]
struct Kind<'a> {
    group: &'a str,
    version: &'a str,
    kind: &'a str,
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::resources::table;

    #[test]
    fn core_and_named_groups_stand_apart() {
        let core = document(table(), true).unwrap();
        let named = document(table(), false).unwrap();
        assert_ne!(core.etag, named.etag);
        let core: Value = serde_json::from_slice(&core.body).unwrap();
        assert_eq!(core["items"].as_array().unwrap().len(), 1);
        let resources = core["items"][0]["versions"][0]["resources"].as_array().unwrap();
        let pods = resources.iter().find(|row| row["resource"] == "pods").unwrap();
        let eviction = pods["subresources"].as_array().unwrap().iter().find(|sub| sub["subresource"] == "eviction");
        assert_eq!(eviction.unwrap()["responseKind"]["group"], "policy");
    }
}
