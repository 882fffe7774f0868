//! Objects as tables: what a client gets that asks for `as=Table`.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::json;
use super::negotiate::MetaVersion;
use crate::resources::ResourceSpec;
use crate::resources::printers::{self, Column, Printer};
use crate::schema::Type;
use crate::validation::prepare::TEMPLATE_GENERATION;

/// What of each object a row carries (`includeObject`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// Nothing.
    None,
    /// Its metadata.
    #[default]
    Metadata,
    /// All of it.
    Object,
}

impl IncludeObject {
    /// The value of the query parameter; `None` if it is no such value. An empty one is the default.
    pub fn parse(value: &str) -> Option<Self> {
        match value {
            "" | "Metadata" => Some(Self::Metadata),
            "None" => Some(Self::None),
            "Object" => Some(Self::Object),
            _ => None,
        }
    }
}

/// How a table is made.
#[derive(Debug, Clone, Copy)]
pub struct TableOptions {
    /// What of each object a row carries.
    pub include: IncludeObject,
    /// The version of `meta.k8s.io` that the client asked for.
    pub version: MetaVersion,
    /// Leaves the columns out, as the events of a watch do after the first.
    pub no_headers: bool,
    /// The time that ages are counted to.
    pub now: Timestamp,
}

/// A table (`meta.k8s.io`). Its fields stand in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Table {
    kind: &'static str,
    api_version: &'static str,
    metadata: Map<String, Value>,
    column_definitions: Option<Vec<ColumnDefinition>>,
    rows: Vec<Row>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ColumnDefinition {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    format: String,
    description: String,
    priority: i32,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    cells: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conditions: Option<Value>,
    object: Value,
}

impl Table {
    /// The table of one object in its served form.
    pub fn of_object(spec: &ResourceSpec, object: &Value, options: TableOptions) -> Self {
        let mut metadata = Map::new();
        if let Some(revision) = object.pointer("/metadata/resourceVersion") {
            metadata.insert("resourceVersion".to_owned(), revision.clone());
        }
        Self::new(spec, metadata, std::slice::from_ref(object), options)
    }

    /// The table of a list in its served form.
    pub fn of_list(spec: &ResourceSpec, list: &Value, options: TableOptions) -> Self {
        let metadata = list.get("metadata").and_then(Value::as_object).cloned().unwrap_or_default();
        let items = list.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        Self::new(spec, metadata, items, options)
    }

    fn new(spec: &ResourceSpec, metadata: Map<String, Value>, objects: &[Value], options: TableOptions) -> Self {
        let printer = printers::of(&spec.group, &spec.kind);
        let mut objects: Vec<&Value> = objects.iter().collect();
        if let Some(rank) = printer.rank {
            objects.sort_by_key(|object| rank(object));
        }
        Self {
            kind: "Table",
            api_version: options.version.api_version(),
            metadata,
            column_definitions: (!options.no_headers).then(|| printer.columns.iter().map(define).collect()),
            rows: objects.into_iter().map(|object| row(spec, printer, object, options)).collect(),
        }
    }

    /// The table as a value.
    pub fn into_value(self) -> Value {
        json!(self)
    }

    /// The table as JSON text, with what its rows carry written as `encode` writes objects.
    pub fn to_json(&self, encode: impl Fn(&Value) -> Vec<u8>, list_metadata: &Type) -> Vec<u8> {
        let mut out = Vec::new();
        write_member(&mut out, b'{', "kind", |out| json::write_string(out, self.kind));
        write_member(&mut out, b',', "apiVersion", |out| json::write_string(out, self.api_version));
        let metadata = Value::Object(self.metadata.clone());
        write_member(&mut out, b',', "metadata", |out| json::write(out, &metadata, list_metadata));
        write_member(&mut out, b',', "columnDefinitions", |out| match &self.column_definitions {
            None => out.extend_from_slice(b"null"),
            Some(columns) => write_list(out, columns, |out, column| column.write(out)),
        });
        write_member(&mut out, b',', "rows", |out| write_list(out, &self.rows, |out, row| row.write(out, &encode)));
        out.push(b'}');
        out
    }
}

impl ColumnDefinition {
    fn write(&self, out: &mut Vec<u8>) {
        write_member(out, b'{', "name", |out| json::write_string(out, &self.name));
        write_member(out, b',', "type", |out| json::write_string(out, &self.type_));
        write_member(out, b',', "format", |out| json::write_string(out, &self.format));
        write_member(out, b',', "description", |out| json::write_string(out, &self.description));
        write_member(out, b',', "priority", |out| out.extend_from_slice(self.priority.to_string().as_bytes()));
        out.push(b'}');
    }
}

impl Row {
    fn write(&self, out: &mut Vec<u8>, encode: impl Fn(&Value) -> Vec<u8>) {
        write_member(out, b'{', "cells", |out| {
            write_list(out, &self.cells, json::write_unstructured);
        });
        if let Some(conditions) = &self.conditions {
            write_member(out, b',', "conditions", |out| json::write_unstructured(out, conditions));
        }
        write_member(out, b',', "object", |out| match &self.object {
            Value::Null => out.extend_from_slice(b"null"),
            object => out.extend_from_slice(&encode(object)),
        });
        out.push(b'}');
    }
}

fn write_member(out: &mut Vec<u8>, before: u8, name: &str, value: impl FnOnce(&mut Vec<u8>)) {
    out.push(before);
    json::write_string(out, name);
    out.push(b':');
    value(out);
}

fn write_list<T>(out: &mut Vec<u8>, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
    out.push(b'[');
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(b']');
}

fn define(column: &Column) -> ColumnDefinition {
    ColumnDefinition {
        name: column.name.to_owned(),
        type_: column.type_.to_owned(),
        format: column.format.to_owned(),
        description: column.doc.text().to_owned(),
        priority: column.priority,
    }
}

fn row(spec: &ResourceSpec, printer: &Printer, object: &Value, options: TableOptions) -> Row {
    Row {
        cells: (printer.cells)(object, options.now),
        conditions: (printer.conditions)(object),
        object: match options.include {
            IncludeObject::None => Value::Null,
            IncludeObject::Metadata => partial_object_metadata(object, options.version),
            IncludeObject::Object => typed(spec, object),
        },
    }
}

/// The metadata of an object as an object of its own.
pub fn partial_object_metadata(object: &Value, version: MetaVersion) -> Value {
    let mut metadata = object.get("metadata").cloned().unwrap_or_else(|| json!({}));
    drop_encoded_fields(&mut metadata);
    json!({"kind": "PartialObjectMetadata", "apiVersion": version.api_version(), "metadata": metadata})
}

/// Takes away what is no metadata but a field of the object that has its place among the annotations.
fn drop_encoded_fields(metadata: &mut Value) {
    let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) else { return };
    annotations.remove(TEMPLATE_GENERATION);
    if annotations.is_empty()
        && let Some(metadata) = metadata.as_object_mut()
    {
        metadata.remove("annotations");
    }
}

/// An object that names its kind; those of a list do not.
fn typed(spec: &ResourceSpec, object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.insert("kind".to_owned(), spec.kind.as_str().into());
        fields.insert("apiVersion".to_owned(), spec.api_version().into());
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::table;

    fn options(include: IncludeObject) -> TableOptions {
        TableOptions { include, version: MetaVersion::V1, no_headers: false, now: Timestamp::UNIX_EPOCH }
    }

    #[test]
    fn lists_keep_their_metadata_and_rows_what_was_asked_for() {
        let spec = table().resource("", "v1", "configmaps").unwrap();
        let list =
            json!({"metadata": {"resourceVersion": "7", "continue": "x"}, "items": [{"metadata": {"name": "a"}}]});
        let made = Table::of_list(spec, &list, options(IncludeObject::Object)).into_value();
        assert_eq!(made["metadata"], list["metadata"]);
        assert_eq!(made["rows"][0]["object"]["kind"], "ConfigMap");
        assert_eq!(made["rows"][0]["cells"], json!(["a", 0, "<unknown>"]));
        let bare = Table::of_list(spec, &list, options(IncludeObject::None)).into_value();
        assert_eq!(bare["rows"][0]["object"], Value::Null);
    }

    #[test]
    fn flow_schemas_stand_in_the_order_of_their_precedence() {
        let spec = table().resource("flowcontrol.apiserver.k8s.io", "v1", "flowschemas").unwrap();
        let schema = |name, precedence| json!({"metadata": {"name": name}, "spec": {"matchingPrecedence": precedence}});
        let list = json!({"metadata": {}, "items": [schema("b", 9), schema("c", 1), schema("a", 9)]});
        let made = Table::of_list(spec, &list, options(IncludeObject::None)).into_value();
        let names: Vec<&Value> = made["rows"].as_array().unwrap().iter().map(|row| &row["cells"][0]).collect();
        assert_eq!(names, ["c", "a", "b"]);
    }

    #[test]
    fn later_watch_events_have_no_columns() {
        let spec = table().resource("", "v1", "limitranges").unwrap();
        let object = json!({"metadata": {"name": "a", "resourceVersion": "3"}});
        let made =
            Table::of_object(spec, &object, TableOptions { no_headers: true, ..options(IncludeObject::Metadata) });
        let made = made.into_value();
        assert_eq!(made["columnDefinitions"], Value::Null);
        assert_eq!(made["metadata"]["resourceVersion"], "3");
        assert_eq!(made["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    }
}
