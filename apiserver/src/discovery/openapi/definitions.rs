//! Types as `OpenAPI` schemas.

use serde_json::{Map, Value, json};

use super::operations::META;
use crate::schema::{
    Field, Form, GroupVersionKind, ListType, MapType, PatchStrategy, Registry, Type, TypeRef, ValueType, docs,
};

/// Writes types as schemas of one version of `OpenAPI`.
pub struct Definitions<'a> {
    /// The types.
    pub registry: &'a Registry,
    /// The version to write.
    pub version: Version,
}

/// A version of `OpenAPI`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// 2.0, once called Swagger: no defaults, no alternatives.
    V2,
    /// 3.0.
    V3,
}

impl Version {
    /// Where schemas stand in a document, with a closing slash.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::V2 => "#/definitions/",
            Self::V3 => "#/components/schemas/",
        }
    }

    /// A reference to a type's schema.
    pub fn reference(self, name: &str) -> Value {
        json!({"$ref": format!("{}{name}", self.prefix())})
    }
}

impl Definitions<'_> {
    /// The schema of a published type; `None` if there is none of that name.
    pub fn schema(&self, name: &str) -> Option<Value> {
        match name.rsplit_once('.') {
            Some((META, "Patch")) => return Some(described(name, json!({"type": "object"}))),
            Some(("io.k8s.apimachinery.pkg.version", "Info")) => return Some(self.code_version(name)),
            _ => {}
        }
        let ty = self.registry.type_named(name)?;
        Some(described(name, self.of_type(&ty)))
    }

    fn of_type(&self, ty: &Type) -> Value {
        let v3 = self.version == Version::V3;
        match &ty.form {
            Form::Struct => self.of_struct(ty),
            Form::List(items) => json!({"type": "array", "items": self.of_value(items)}),
            Form::Map(values) => json!({"type": "object", "additionalProperties": self.of_value(values)}),
            Form::Time | Form::MicroTime => json!({"type": "string", "format": "date-time"}),
            Form::Quantity if v3 => json!({"oneOf": [{"type": "string"}, {"type": "number"}]}),
            Form::Quantity => json!({"type": "string"}),
            Form::IntOrString if v3 => {
                json!({"format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]})
            }
            Form::IntOrString => json!({"type": "string", "format": "int-or-string"}),
            Form::RawExtension | Form::FieldsV1 => json!({"type": "object"}),
            Form::Json | Form::SchemaOrArray(_) | Form::SchemaOrBool(_) | Form::SchemaOrStringArray(_) => json!({}),
        }
    }

    fn of_struct(&self, ty: &Type) -> Value {
        let mut schema = Map::new();
        schema.insert("type".to_owned(), "object".into());
        if !ty.fields.is_empty() {
            let property = |field: &Field| (field.name.clone(), self.of_field(ty, field));
            schema.insert("properties".to_owned(), Value::Object(ty.fields.iter().map(property).collect()));
        }
        let required: Vec<&str> =
            ty.fields.iter().filter(|field| field.required).map(|field| field.name.as_str()).collect();
        if !required.is_empty() {
            schema.insert("required".to_owned(), json!(required));
        }
        if ty.map_type == MapType::Atomic {
            schema.insert("x-kubernetes-map-type".to_owned(), "atomic".into());
        }
        if !ty.unions.is_empty() {
            schema.insert("x-kubernetes-unions".to_owned(), json!(ty.unions));
        }
        Value::Object(schema)
    }

    fn of_field(&self, ty: &Type, field: &Field) -> Value {
        let mut schema = self.of_value(&field.value);
        let leaf = leaf(&mut schema);
        if let Some(format) = field.format.as_ref().filter(|_| leaf.get("$ref").is_none()) {
            leaf["format"] = format.as_str().into();
        }
        if !field.enum_values.is_empty() {
            leaf["enum"] = json!(field.enum_values);
        }
        let extras = self.extras(ty, field);
        // In version 3 nothing may stand beside a reference. What a type without documentation says of a field is unknown here.
        let alone = extras.is_empty() && docs::is_documented(&ty.name);
        if self.version == Version::V3 && schema.get("$ref").is_some() && !alone {
            schema = json!({"allOf": [schema]});
        }
        if let Some(members) = schema.as_object_mut() {
            members.extend(extras);
        }
        schema
    }

    /// What a field says beyond its type.
    fn extras(&self, ty: &Type, field: &Field) -> Map<String, Value> {
        let mut extras = Map::new();
        if let Some(default) = field.default.as_ref().filter(|_| self.version == Version::V3) {
            extras.insert("default".to_owned(), default.clone());
        }
        if field.states_list_type {
            share(&field.list_type, &mut extras);
        }
        if let Some(map_type) = field.map_type {
            let name = if map_type == MapType::Atomic { "atomic" } else { "granular" };
            extras.insert("x-kubernetes-map-type".to_owned(), name.into());
        }
        if let Some(strategy) = patch_strategy(field.patch_strategy) {
            extras.insert("x-kubernetes-patch-strategy".to_owned(), strategy.into());
        }
        if let Some(key) = &field.patch_merge_key {
            extras.insert("x-kubernetes-patch-merge-key".to_owned(), key.as_str().into());
        }
        let description = docs::of_field(&ty.name, &field.name);
        if !description.is_empty() {
            extras.insert("description".to_owned(), description.into());
        }
        extras
    }

    fn of_value(&self, value: &ValueType) -> Value {
        match value {
            ValueType::String => json!({"type": "string"}),
            ValueType::Bool => json!({"type": "boolean"}),
            ValueType::Int32 => json!({"type": "integer", "format": "int32"}),
            ValueType::Int64 => json!({"type": "integer", "format": "int64"}),
            ValueType::Float64 => json!({"type": "number", "format": "double"}),
            ValueType::Bytes => json!({"type": "string", "format": "byte"}),
            ValueType::Any => json!({"type": "object"}),
            ValueType::Message(ty) => self.of_message(ty),
            ValueType::List(items) => json!({"type": "array", "items": self.of_value(items)}),
            ValueType::Map(values) => json!({"type": "object", "additionalProperties": self.of_value(values)}),
        }
    }

    /// A type that is only a name for a list stands for itself; every other is referred to.
    fn of_message(&self, ty: &TypeRef) -> Value {
        match &ty.form {
            Form::List(_) | Form::Map(_) => self.of_type(ty),
            _ => self.version.reference(&ty.name),
        }
    }

    /// The server's version, which is no API type.
    fn code_version(&self, name: &str) -> Value {
        const REQUIRED: [&str; 9] = [
            "major",
            "minor",
            "gitVersion",
            "gitCommit",
            "gitTreeState",
            "buildDate",
            "goVersion",
            "compiler",
            "platform",
        ];
        const OPTIONAL: [&str; 4] =
            ["emulationMajor", "emulationMinor", "minCompatibilityMajor", "minCompatibilityMinor"];
        let property = |field: &&str| {
            let mut schema = json!({"type": "string"});
            if self.version == Version::V3 && REQUIRED.contains(field) {
                schema["default"] = "".into();
            }
            let description = docs::of_field(name, field);
            if !description.is_empty() {
                schema["description"] = description.into();
            }
            ((*field).to_owned(), schema)
        };
        let properties: Map<String, Value> = REQUIRED.iter().chain(&OPTIONAL).map(property).collect();
        described(name, json!({"type": "object", "properties": properties, "required": REQUIRED}))
    }
}

/// The schema of the scalars in a list or map, or the schema itself.
fn leaf(schema: &mut Value) -> &mut Value {
    for inner in ["items", "additionalProperties"] {
        if schema.get(inner).is_some() {
            return leaf(&mut schema[inner]);
        }
    }
    schema
}

fn share(list_type: &ListType, extras: &mut Map<String, Value>) {
    let name = match list_type {
        ListType::Atomic => "atomic",
        ListType::Set => "set",
        ListType::Map(keys) => {
            extras.insert("x-kubernetes-list-map-keys".to_owned(), json!(keys));
            "map"
        }
    };
    extras.insert("x-kubernetes-list-type".to_owned(), name.into());
}

fn patch_strategy(strategy: PatchStrategy) -> Option<&'static str> {
    match strategy {
        PatchStrategy::None => None,
        PatchStrategy::Merge => Some("merge"),
        PatchStrategy::Replace => Some("replace"),
        PatchStrategy::RetainKeys => Some("retainKeys"),
        PatchStrategy::MergeRetainKeys => Some("merge,retainKeys"),
    }
}

fn described(name: &str, mut schema: Value) -> Value {
    let description = docs::of_type(name);
    if !description.is_empty() {
        schema["description"] = description.into();
    }
    schema
}

/// The mark that says which kinds a type is (`x-kubernetes-group-version-kind`).
pub fn mark_kinds<'a>(schema: &mut Value, kinds: impl Iterator<Item = &'a GroupVersionKind>) {
    let kind = |gvk: &GroupVersionKind| json!({"group": gvk.group, "version": gvk.version, "kind": gvk.kind});
    let kinds: Vec<Value> = kinds.map(kind).collect();
    if !kinds.is_empty() {
        schema["x-kubernetes-group-version-kind"] = kinds.into();
    }
}
