//! Reads the generated table: rows of names become types that refer to each other.

use std::collections::HashMap;
use std::sync::OnceLock;

use serde::Deserialize;
use serde_json::Value;

use crate::schema::registry::{GroupVersionKind, Registry};
use crate::schema::types::{Field, Form, ListType, MapType, Member, PatchStrategy, Type, TypeRef, ValueType};

/// The schema of a custom resource: the types that are "a schema or something else" know it by this name.
const JSON_SCHEMA_PROPS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Row {
    name: String,
    go: String,
    form: Option<FormName>,
    items: Option<String>,
    #[serde(default)]
    kinds: Vec<(String, String, String)>,
    map_type: Option<String>,
    #[serde(default)]
    unions: Vec<Value>,
    #[serde(default)]
    fields: Vec<FieldRow>,
    #[serde(default)]
    inline: Vec<(u32, String)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum FormName {
    List,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    RawExtension,
    FieldsV1,
    Json,
    SchemaOrArray,
    SchemaOrBool,
    SchemaOrStringArray,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(clippy::struct_excessive_bools, reason = "the marks of the API's own field")]
struct FieldRow {
    name: String,
    #[serde(default)]
    tag: u32,
    #[serde(rename = "type")]
    value: String,
    #[serde(default)]
    embedded: String,
    #[serde(default)]
    pointer: bool,
    #[serde(default)]
    omit_empty: bool,
    #[serde(default)]
    omit_zero: bool,
    #[serde(default)]
    required: bool,
    go: Option<String>,
    list_type: Option<String>,
    #[serde(default)]
    list_map_keys: Vec<String>,
    map_type: Option<String>,
    patch_strategy: Option<String>,
    patch_merge_key: Option<String>,
    default: Option<Value>,
    #[serde(default, rename = "enum")]
    enum_values: Vec<String>,
    format: Option<String>,
}

/// Every type's place, filled one after the other: a type may refer to one that comes later, or to itself.
struct Places {
    by_name: HashMap<String, &'static OnceLock<Type>>,
}

/// Reads the table. It lives as long as the process: its types refer to each other for good.
pub fn read(table: &[u8]) -> Registry {
    let rows: Vec<Row> = serde_json::from_slice(table).unwrap_or_default();
    let cells: &'static [OnceLock<Type>] = Vec::leak(rows.iter().map(|_| OnceLock::new()).collect());
    let places = Places { by_name: rows.iter().map(|row| row.name.clone()).zip(cells).collect() };
    let mut registry = Registry::default();
    for (row, cell) in rows.into_iter().zip(cells) {
        let ty = cell.get_or_init(|| places.type_of(row));
        for kind in &ty.kinds {
            registry.insert_kind(kind.clone(), TypeRef::Builtin(cell));
        }
        registry.insert_type(TypeRef::Builtin(cell));
    }
    registry
}

impl Places {
    fn type_of(&self, row: Row) -> Type {
        let fields: Vec<Field> = row.fields.into_iter().map(|field| self.field(field)).collect();
        let own = fields.iter().zip(0..).filter(|(field, _)| field.tag > 0);
        let mut members: Vec<(u32, Member)> = own.map(|(field, at)| (field.tag, Member::Field(at))).collect();
        members.extend(row.inline.iter().map(|(tag, name)| (*tag, Member::Inline(*tag, self.reference(name)))));
        members.sort_by_key(|(tag, _)| *tag);
        let mut ty = Type {
            name: row.name,
            go_name: row.go,
            form: self.form(row.form.as_ref(), row.items.as_deref()),
            kinds: row
                .kinds
                .into_iter()
                .map(|(group, version, kind)| GroupVersionKind { group, version, kind })
                .collect(),
            fields,
            members: members.into_iter().map(|(_, member)| member).collect(),
            map_type: map_type(row.map_type.as_deref()),
            unions: row.unions,
            ..Type::default()
        };
        ty.seal();
        ty
    }

    fn form(&self, form: Option<&FormName>, items: Option<&str>) -> Form {
        match form {
            None => Form::Struct,
            Some(FormName::List) => Form::List(self.value(items.unwrap_or("string"))),
            Some(FormName::Time) => Form::Time,
            Some(FormName::MicroTime) => Form::MicroTime,
            Some(FormName::Quantity) => Form::Quantity,
            Some(FormName::IntOrString) => Form::IntOrString,
            Some(FormName::RawExtension) => Form::RawExtension,
            Some(FormName::FieldsV1) => Form::FieldsV1,
            Some(FormName::Json) => Form::Json,
            Some(FormName::SchemaOrArray) => Form::SchemaOrArray(self.reference(JSON_SCHEMA_PROPS)),
            Some(FormName::SchemaOrBool) => Form::SchemaOrBool(self.reference(JSON_SCHEMA_PROPS)),
            Some(FormName::SchemaOrStringArray) => Form::SchemaOrStringArray(self.reference(JSON_SCHEMA_PROPS)),
        }
    }

    fn field(&self, row: FieldRow) -> Field {
        Field {
            name: row.name,
            tag: row.tag,
            embedded: row.embedded,
            value: self.value(&row.value),
            pointer: row.pointer,
            omit_empty: row.omit_empty,
            omit_zero: row.omit_zero,
            states_list_type: row.list_type.is_some(),
            list_type: match row.list_type.as_deref() {
                Some("set") => ListType::Set,
                Some("map") => ListType::Map(row.list_map_keys),
                _ => ListType::Atomic,
            },
            map_type: row.map_type.as_deref().map(|name| map_type(Some(name))),
            patch_strategy: match row.patch_strategy.as_deref() {
                Some("merge") => PatchStrategy::Merge,
                Some("replace") => PatchStrategy::Replace,
                Some("retainKeys") => PatchStrategy::RetainKeys,
                Some("merge,retainKeys") => PatchStrategy::MergeRetainKeys,
                _ => PatchStrategy::None,
            },
            patch_merge_key: row.patch_merge_key,
            default: row.default,
            enum_values: row.enum_values,
            format: row.format,
            required: row.required,
            go_type: row.go,
        }
    }

    fn value(&self, name: &str) -> ValueType {
        if let Some(element) = name.strip_prefix("[]") {
            return ValueType::List(Box::new(self.value(element)));
        }
        if let Some(element) = name.strip_prefix("map[string]") {
            return ValueType::Map(Box::new(self.value(element)));
        }
        match name {
            "string" => ValueType::String,
            "bool" => ValueType::Bool,
            "int32" => ValueType::Int32,
            "int64" => ValueType::Int64,
            "float64" => ValueType::Float64,
            "bytes" => ValueType::Bytes,
            _ => ValueType::Message(self.reference(name)),
        }
    }

    fn reference(&self, name: &str) -> TypeRef {
        static NOWHERE: OnceLock<Type> = OnceLock::new();
        TypeRef::Builtin(self.by_name.get(name).copied().unwrap_or(&NOWHERE))
    }
}

fn map_type(name: Option<&str>) -> MapType {
    if name == Some("atomic") { MapType::Atomic } else { MapType::Granular }
}
