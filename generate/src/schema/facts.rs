//! The recorded facts, as they stand in their files.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Everything that is known of the types.
pub struct Facts {
    /// Type names by `group/version/Kind`.
    pub kinds: BTreeMap<String, String>,
    /// Types by `OpenAPI` name.
    pub types: BTreeMap<String, TypeFact>,
    /// Published definitions by `OpenAPI` name.
    pub definitions: BTreeMap<String, Definition>,
    /// Defaults by `OpenAPI` name and field.
    pub defaults: BTreeMap<String, BTreeMap<String, Value>>,
}

/// The file of structures.
#[derive(Deserialize)]
pub struct TypesFile {
    kinds: BTreeMap<String, String>,
    types: BTreeMap<String, TypeFact>,
}

/// A type's structure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TypeFact {
    #[serde(default)]
    pub fields: Vec<FieldFact>,
    /// The element of a type that is a list in JSON.
    pub items: Option<String>,
    /// The type writes its own JSON.
    #[serde(default, rename = "customJSON")]
    pub custom_json: bool,
}

/// A field's structure.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "the marks of the API's own field")]
pub struct FieldFact {
    pub json: Option<String>,
    pub tag: Option<String>,
    /// The wire type of the field's Go tag. Not used: Go's own encoder goes by the field's type, and some tags are
    /// wrong.
    #[serde(rename = "wire")]
    _wire: Option<String>,
    #[serde(rename = "type")]
    pub value: String,
    #[serde(default)]
    pub inline: bool,
    #[serde(default)]
    pub pointer: bool,
    #[serde(default)]
    pub omit_empty: bool,
    #[serde(default)]
    pub omit_zero: bool,
    pub patch_strategy: Option<String>,
    pub patch_merge_key: Option<String>,
}

/// The `OpenAPI` v2 document.
#[derive(Deserialize)]
pub struct Version2 {
    definitions: BTreeMap<String, Definition>,
}

/// What the `OpenAPI` v2 document says of a type.
#[derive(Deserialize)]
pub struct Definition {
    #[serde(default)]
    pub properties: BTreeMap<String, Property>,
    #[serde(default)]
    pub required: Vec<String>,
    #[serde(default, rename = "x-kubernetes-group-version-kind")]
    pub kinds: Vec<Kind>,
    #[serde(rename = "x-kubernetes-map-type")]
    pub map_type: Option<String>,
    #[serde(default, rename = "x-kubernetes-unions")]
    pub unions: Vec<Value>,
}

/// A kind with its group and version.
#[derive(Deserialize, Clone, PartialEq)]
#[allow(clippy::struct_field_names, reason = "the API's own name")]
pub struct Kind {
    pub group: String,
    pub version: String,
    pub kind: String,
}

/// What the `OpenAPI` v2 document says of a field.
#[derive(Deserialize, Default)]
pub struct Property {
    pub format: Option<String>,
    #[serde(default, rename = "enum")]
    pub enum_values: Vec<String>,
    pub items: Option<Box<Property>>,
    #[serde(rename = "additionalProperties")]
    pub additional_properties: Option<Box<Property>>,
    #[serde(rename = "x-kubernetes-list-type")]
    pub list_type: Option<String>,
    #[serde(default, rename = "x-kubernetes-list-map-keys")]
    pub list_map_keys: Vec<String>,
    #[serde(rename = "x-kubernetes-map-type")]
    pub map_type: Option<String>,
}

/// An `OpenAPI` v3 document.
#[derive(Deserialize)]
pub struct Version3 {
    #[serde(default)]
    components: Components,
}

#[derive(Deserialize, Default)]
struct Components {
    #[serde(default)]
    schemas: BTreeMap<String, Schema>,
}

#[derive(Deserialize)]
struct Schema {
    #[serde(default)]
    properties: BTreeMap<String, SchemaProperty>,
}

#[derive(Deserialize)]
struct SchemaProperty {
    default: Option<Value>,
}

impl Facts {
    /// Brings the three files together.
    pub fn new(types: TypesFile, openapi_v2: Version2, openapi_v3: BTreeMap<String, Version3>) -> Self {
        let mut defaults: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
        for (name, schema) in openapi_v3.into_values().flat_map(|document| document.components.schemas) {
            for (field, property) in schema.properties {
                if let Some(default) = property.default {
                    defaults.entry(name.clone()).or_default().insert(field, default);
                }
            }
        }
        Self { kinds: types.kinds, types: types.types, definitions: openapi_v2.definitions, defaults }
    }
}
