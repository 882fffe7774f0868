//! `OpenAPI` version 3: one document for each group and version, and an index of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::definitions::{Definitions, Version, mark_kinds};
use super::operations::{self, Answer, Body, META, Operation, Parameter, PathItem};
use super::{VERSION, description_of};
use crate::resources::ResourceTable;
use crate::schema::{GroupVersionKind, Registry};

/// A document and its hash, by which clients may keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The text.
    pub body: Arc<[u8]>,
    /// Hash of the text in upper-case hexadecimal.
    pub hash: String,
}

/// Every document by its path below `/openapi/v3/`, such as `apis/apps/v1`.
pub fn documents(table: &ResourceTable, registry: &Registry) -> BTreeMap<String, Document> {
    let writer = Writer::new(registry);
    let mut documents = BTreeMap::new();
    let mut add = |path: String, scope: Option<(&str, &str)>, paths: Vec<PathItem>| {
        documents.insert(path, Document::new(writer.document(scope, &paths).to_string().into_bytes()));
    };
    add("apis".to_owned(), None, operations::of_groups());
    add("version".to_owned(), None, operations::of_code_version());
    for (path, items) in operations::of_service_account_issuer() {
        add(path.to_owned(), None, items);
    }
    for group in table.groups() {
        let root = if group.name.is_empty() { "api".to_owned() } else { format!("apis/{}", group.name) };
        add(root.clone(), None, operations::of_group(group));
        for version in &group.versions {
            let paths = operations::of_version(table, registry, &group.name, version);
            add(format!("{root}/{version}"), Some((&group.name, version)), paths);
        }
    }
    documents
}

/// The index: where each document is, with its hash in the address so that clients may keep it for good.
pub fn index(documents: &BTreeMap<String, Document>) -> Value {
    let entry = |(path, document): (&String, &Document)| {
        (path.clone(), json!({"serverRelativeURL": address(path, &document.hash)}))
    };
    json!({"paths": documents.iter().map(entry).collect::<Map<String, Value>>()})
}

/// The address of a document with that content.
pub fn address(path: &str, hash: &str) -> String {
    format!("/openapi/v3/{path}?hash={hash}")
}

struct Writer<'a> {
    definitions: Definitions<'a>,
    kinds: HashMap<String, Vec<GroupVersionKind>>,
}

impl<'a> Writer<'a> {
    fn new(registry: &'a Registry) -> Self {
        Self { definitions: Definitions { registry, version: Version::V3 }, kinds: super::kinds_by_type(registry) }
    }

    fn document(&self, scope: Option<(&str, &str)>, paths: &[PathItem]) -> Value {
        let items: Map<String, Value> = paths.iter().map(|item| (item.path.clone(), path_item(item))).collect();
        let mut components = json!({
            "securitySchemes": {"BearerToken": {
                "type": "apiKey",
                "description": "Bearer Token authentication",
                "name": "authorization",
                "in": "header",
            }},
        });
        let schemas = self.schemas(scope, paths);
        if !schemas.is_empty() {
            components["schemas"] = Value::Object(schemas);
        }
        json!({
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": VERSION},
            "paths": items,
            "components": components,
        })
    }

    /// The types that the paths refer to, and all that those refer to.
    fn schemas(&self, scope: Option<(&str, &str)>, paths: &[PathItem]) -> Map<String, Value> {
        let mut pending: BTreeSet<String> = paths.iter().flat_map(|item| &item.operations).flat_map(types).collect();
        let mut schemas = Map::new();
        while let Some(name) = pending.pop_first() {
            let Some(mut schema) = self.definitions.schema(&name) else { continue };
            references(&schema, &mut |target| {
                if !schemas.contains_key(target) {
                    pending.insert(target.to_owned());
                }
            });
            self.mark(&name, scope, &mut schema);
            schemas.insert(name, schema);
        }
        schemas
    }

    fn mark(&self, name: &str, scope: Option<(&str, &str)>, schema: &mut Value) {
        // These two are registered in every version; a document speaks of its own.
        let shared = ["DeleteOptions", "WatchEvent"].into_iter().find(|kind| name == format!("{META}.{kind}"));
        let kinds = match shared {
            Some(kind) => {
                let mut kinds = vec![GroupVersionKind::new("", "v1", kind)];
                kinds.extend(
                    scope
                        .filter(|scope| *scope != ("", "v1"))
                        .map(|(group, version)| GroupVersionKind::new(group, version, kind)),
                );
                kinds
            }
            None => self.kinds.get(name).cloned().unwrap_or_default(),
        };
        mark_kinds(schema, kinds.iter());
    }
}

/// The types that an operation names.
pub fn types(operation: &Operation) -> Vec<String> {
    let body = match &operation.body {
        Body::None => None,
        Body::Object(name) => Some(name.clone()),
        Body::Patch => Some(format!("{META}.Patch")),
        Body::DeleteOptions => Some(format!("{META}.DeleteOptions")),
    };
    let answer = match &operation.answer {
        Answer::Object(name) => Some(name.clone()),
        Answer::Text => None,
    };
    body.into_iter().chain(answer).collect()
}

/// Calls with each type that a schema refers to.
pub fn references(schema: &Value, found: &mut impl FnMut(&str)) {
    match schema {
        Value::Object(members) => {
            if let Some(name) = members.get("$ref").and_then(Value::as_str).and_then(|target| target.rsplit('/').next())
            {
                found(name);
            }
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn path_item(item: &PathItem) -> Value {
    let mut out: Map<String, Value> =
        item.operations.iter().map(|operation| (operation.method.to_owned(), write_operation(operation))).collect();
    if !item.parameters.is_empty() {
        out.insert("parameters".to_owned(), item.parameters.iter().map(parameter).collect());
    }
    Value::Object(out)
}

fn parameter(parameter: &Parameter) -> Value {
    let mut out = json!({
        "name": parameter.name,
        "in": parameter.place,
        "schema": {"type": parameter.type_, "uniqueItems": true},
    });
    if parameter.place == "path" {
        out["required"] = true.into();
    }
    out
}

fn write_operation(operation: &Operation) -> Value {
    let mut out = json!({
        "tags": [operation.tag],
        "operationId": operation.id,
        "responses": responses(operation),
    });
    if !operation.parameters.is_empty() {
        out["parameters"] = operation.parameters.iter().map(parameter).collect();
    }
    if let Some(body) = request_body(&operation.body) {
        out["requestBody"] = body;
    }
    if let Some((action, gvk)) = &operation.action {
        out["x-kubernetes-action"] = (*action).into();
        out["x-kubernetes-group-version-kind"] = json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind});
    }
    out
}

fn request_body(body: &Body) -> Option<Value> {
    let reference = |name: &str| json!({"schema": Version::V3.reference(name)});
    Some(match body {
        Body::None => return None,
        Body::Object(name) => json!({"content": {"*/*": reference(name)}, "required": true}),
        Body::DeleteOptions => json!({"content": {"*/*": reference(&format!("{META}.DeleteOptions"))}}),
        Body::Patch => {
            let patch = reference(&format!("{META}.Patch"));
            let content: Map<String, Value> =
                operations::PATCHES.iter().map(|media| ((*media).to_owned(), patch.clone())).collect();
            json!({"content": content, "required": true})
        }
    })
}

fn responses(operation: &Operation) -> Value {
    let schema = match &operation.answer {
        Answer::Object(name) => Version::V3.reference(name),
        Answer::Text => json!({"type": "string"}),
    };
    let content: Map<String, Value> =
        operation.produces.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect();
    let success = |code: &u16| (code.to_string(), json!({"description": description_of(*code), "content": content}));
    let mut responses: Map<String, Value> = operation.codes.iter().map(success).collect();
    responses.insert("401".to_owned(), json!({"description": description_of(401)}));
    Value::Object(responses)
}
