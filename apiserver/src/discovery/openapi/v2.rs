//! `OpenAPI` version 2: one document for everything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use base64::Engine as _;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::definitions::{Definitions, Version, mark_kinds};
use super::operations::{self, Answer, Body, META, Operation, Parameter, PathItem};
use super::v3::{references, types};
use super::{VERSION, description_of};
use crate::resources::ResourceTable;
use crate::schema::{GroupVersionKind, Registry};

/// The document.
pub fn document(table: &ResourceTable, registry: &Registry) -> Value {
    let paths = paths(table, registry);
    let mut shared = Shared::default();
    let items: Map<String, Value> =
        paths.iter().map(|item| (item.path.clone(), path_item(item, &mut shared))).collect();
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": VERSION},
        "paths": items,
        "definitions": definitions(table, registry, &paths),
        "parameters": shared.0,
        "securityDefinitions": {"BearerToken": {
            "description": "Bearer Token authentication",
            "type": "apiKey",
            "name": "authorization",
            "in": "header",
        }},
        "security": [{"BearerToken": []}],
    })
}

fn paths(table: &ResourceTable, registry: &Registry) -> Vec<PathItem> {
    let mut paths = operations::of_groups();
    paths.extend(operations::of_code_version());
    paths.extend(operations::of_service_account_issuer().into_iter().flat_map(|(_, items)| items));
    for group in table.groups() {
        paths.extend(operations::of_group(group));
        for version in &group.versions {
            paths.extend(operations::of_version(table, registry, &group.name, version));
        }
    }
    paths
}

/// The types that the paths refer to, and all that those refer to.
fn definitions(table: &ResourceTable, registry: &Registry, paths: &[PathItem]) -> Map<String, Value> {
    let writer = Definitions { registry, version: Version::V2 };
    let kinds = kinds(table, registry);
    let mut pending: BTreeSet<String> = paths.iter().flat_map(|item| &item.operations).flat_map(types).collect();
    let mut definitions = Map::new();
    while let Some(name) = pending.pop_first() {
        let Some(mut schema) = writer.schema(&name) else { continue };
        references(&schema, &mut |target| {
            if !definitions.contains_key(target) {
                pending.insert(target.to_owned());
            }
        });
        mark_kinds(&mut schema, kinds.get(&name).into_iter().flatten());
        definitions.insert(name, schema);
    }
    definitions
}

/// The kinds of each type. Options of deletions and watch events are kinds of every version that is served.
fn kinds(table: &ResourceTable, registry: &Registry) -> HashMap<String, Vec<GroupVersionKind>> {
    let mut kinds = super::kinds_by_type(registry);
    for kind in ["DeleteOptions", "WatchEvent"] {
        let versions =
            table.groups().iter().flat_map(|group| group.versions.iter().map(move |version| (group, version)));
        let mut every: Vec<GroupVersionKind> =
            versions.map(|(group, version)| GroupVersionKind::new(&group.name, version, kind)).collect();
        every.sort();
        kinds.insert(format!("{META}.{kind}"), every);
    }
    kinds
}

/// Parameters that many operations have, by a name that their content gives.
#[derive(Default)]
struct Shared(BTreeMap<String, Value>);

impl Shared {
    /// Keeps the parameter and refers to it.
    fn refer(&mut self, name: &str, parameter: Value) -> Value {
        let digest = Sha256::digest(parameter.to_string());
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest.get(..6).unwrap_or_default());
        let key = format!("{name}-{hash}");
        let reference = json!({"$ref": format!("#/parameters/{key}")});
        self.0.insert(key, parameter);
        reference
    }
}

fn path_item(item: &PathItem, shared: &mut Shared) -> Value {
    let mut out = Map::new();
    for operation in &item.operations {
        out.insert(operation.method.to_owned(), write_operation(operation, shared));
    }
    if !item.parameters.is_empty() {
        out.insert("parameters".to_owned(), item.parameters.iter().map(|each| parameter(each, shared)).collect());
    }
    Value::Object(out)
}

fn parameter(parameter: &Parameter, shared: &mut Shared) -> Value {
    let mut out = json!({
        "name": parameter.name,
        "in": parameter.place,
        "type": parameter.type_,
        "uniqueItems": true,
    });
    if parameter.place == "path" {
        out["required"] = true.into();
    }
    shared.refer(parameter.name, out)
}

fn write_operation(operation: &Operation, shared: &mut Shared) -> Value {
    let mut out = json!({
        "tags": [operation.tag],
        "operationId": operation.id,
        "schemes": ["https"],
        "produces": operation.produces,
        "responses": responses(operation),
    });
    if let Some(consumes) = consumes(operation) {
        out["consumes"] = json!(consumes);
    }
    let body = body(&operation.body, shared);
    let parameters = operation.parameters.iter().map(|each| parameter(each, shared));
    let parameters: Vec<Value> = body.into_iter().chain(parameters).collect();
    if !parameters.is_empty() {
        out["parameters"] = parameters.into();
    }
    if let Some((action, gvk)) = &operation.action {
        out["x-kubernetes-action"] = (*action).into();
        out["x-kubernetes-group-version-kind"] = json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind});
    }
    out
}

/// Media types of requests. Discovery says what it answers with; keys are served by an endpoint that says nothing.
fn consumes(operation: &Operation) -> Option<Vec<&'static str>> {
    match (&operation.body, &operation.action, &operation.answer) {
        (Body::Patch, ..) => Some(operations::PATCHES.to_vec()),
        (_, Some(_), _) => Some(vec!["*/*"]),
        (_, None, Answer::Object(_)) => Some(operation.produces.to_vec()),
        (_, None, Answer::Text) => None,
    }
}

fn body(body: &Body, shared: &mut Shared) -> Option<Value> {
    let carries = |name: &str| json!({"name": "body", "in": "body", "schema": Version::V2.reference(name)});
    let required = |mut parameter: Value| {
        parameter["required"] = true.into();
        parameter
    };
    Some(match body {
        Body::None => return None,
        Body::Object(name) => required(carries(name)),
        Body::DeleteOptions => shared.refer("body", carries(&format!("{META}.DeleteOptions"))),
        Body::Patch => shared.refer("body", required(carries(&format!("{META}.Patch")))),
    })
}

fn responses(operation: &Operation) -> Value {
    let schema = match &operation.answer {
        Answer::Object(name) => Version::V2.reference(name),
        Answer::Text => json!({"type": "string"}),
    };
    let success = |code: &u16| (code.to_string(), json!({"description": description_of(*code), "schema": schema}));
    let mut responses: Map<String, Value> = operation.codes.iter().map(success).collect();
    responses.insert("401".to_owned(), json!({"description": description_of(401)}));
    Value::Object(responses)
}
