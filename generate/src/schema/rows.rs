//! The table: one row a type, what the facts say brought together.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::facts::{Definition, Facts, FieldFact, Kind, Property, TypeFact};
use super::go_types::GoTypes;
use crate::Error;

/// A type of the table.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Row<'a> {
    name: &'a str,
    go: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    form: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    items: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    kinds: Vec<[&'a str; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    map_type: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    unions: &'a [Value],
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<FieldRow<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inline: Vec<(u32, &'a str)>,
}

/// A field of the table. Fields of inlined structs stand in their place, with no number of their own.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::struct_excessive_bools, reason = "the marks of the API's own field")]
struct FieldRow<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "is_zero")]
    tag: u32,
    #[serde(rename = "type")]
    value: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    embedded: String,
    #[serde(skip_serializing_if = "is_false")]
    pointer: bool,
    #[serde(skip_serializing_if = "is_false")]
    omit_empty: bool,
    #[serde(skip_serializing_if = "is_false")]
    omit_zero: bool,
    #[serde(skip_serializing_if = "is_false")]
    required: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    go: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    list_type: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    list_map_keys: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    map_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_strategy: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patch_merge_key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    default: Option<&'a Value>,
    #[serde(rename = "enum", skip_serializing_if = "<[String]>::is_empty")]
    enum_values: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a str>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Types of the facts that are no part of the API: what `Time` is made of, and the protobuf envelope.
const NOT_OF_THE_API: [&str; 3] =
    ["time.Time", "io.k8s.apimachinery.pkg.runtime.TypeMeta", "io.k8s.apimachinery.pkg.runtime.Unknown"];

/// Brings the facts together, one row a type in the order of names.
pub fn rows<'a>(facts: &'a Facts, go_types: &'a GoTypes) -> Result<Vec<Row<'a>>, Error> {
    let mut kinds: BTreeMap<&str, Vec<[&str; 3]>> = BTreeMap::new();
    for (kind, name) in &facts.kinds {
        kinds.entry(name).or_default().push(split_kind(kind)?);
    }
    let mut rows = Vec::new();
    for (name, ty) in facts.types.iter().filter(|(name, _)| !NOT_OF_THE_API.contains(&name.as_str())) {
        let definition = facts.definitions.get(name);
        let mut row = Row {
            name,
            go: go_name(name),
            form: form(name, ty)?,
            items: ty.items.as_deref(),
            kinds: kinds.remove(name.as_str()).unwrap_or_default(),
            map_type: definition.and_then(|definition| definition.map_type.as_deref()),
            unions: definition.map_or(&[], |definition| &definition.unions),
            fields: Vec::new(),
            inline: Vec::new(),
        };
        for Kind { group, version, kind } in definition.map_or(&[][..], |definition| &definition.kinds) {
            let published = [group.as_str(), version.as_str(), kind.as_str()];
            if !row.kinds.contains(&published) {
                row.kinds.push(published);
            }
        }
        row.kinds.sort_unstable();
        if row.form.is_none() {
            let outer = Outer { facts, go_types, name, definition };
            outer.add_fields(&mut row, name, &ty.fields, "")?;
            outer.check_complete(&row)?;
        }
        rows.push(row);
    }
    match kinds.pop_first() {
        Some((name, _)) => Err(Error::Inconsistent(format!("{name} has a kind and is not among the types"))),
        None => Ok(rows),
    }
}

/// The table as text, one type a line, so that a change of it can be read.
pub fn write(rows: &[Row<'_>]) -> Result<String, Error> {
    let lines: Vec<String> = rows.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// The schema of a field whose struct is not published.
static UNPUBLISHED: Property = Property {
    format: None,
    enum_values: Vec::new(),
    items: None,
    additional_properties: None,
    list_type: None,
    list_map_keys: Vec::new(),
    map_type: None,
};

/// The struct whose row is being made, while its inlined structs are walked.
struct Outer<'a> {
    facts: &'a Facts,
    go_types: &'a GoTypes,
    name: &'a str,
    definition: Option<&'a Definition>,
}

impl<'a> Outer<'a> {
    /// Adds the fields of `owner`, which is the struct itself or inlined in it as `embedded` says.
    fn add_fields(
        &self,
        row: &mut Row<'a>,
        owner: &'a str,
        fields: &'a [FieldFact],
        embedded: &str,
    ) -> Result<(), Error> {
        for field in fields {
            if field.inline {
                let ty = self.facts.types.get(&field.value).ok_or_else(|| self.error(&field.value, "is unknown"))?;
                if field.tag.is_some() && embedded.is_empty() {
                    row.inline.push((self.number(field)?, &field.value));
                }
                let struct_name = field.value.rsplit('.').next().unwrap_or_default();
                let path =
                    if embedded.is_empty() { struct_name.to_owned() } else { format!("{embedded}.{struct_name}") };
                self.add_fields(row, &field.value, &ty.fields, &path)?;
            } else {
                row.fields.push(self.field(owner, field, embedded)?);
            }
        }
        Ok(())
    }

    fn field(&self, owner: &str, fact: &'a FieldFact, embedded: &str) -> Result<FieldRow<'a>, Error> {
        let name = fact.json.as_deref().ok_or_else(|| self.error(&fact.value, "has no JSON name"))?;
        let number = self.number(fact)?;
        let property = match self.definition {
            Some(definition) => definition.properties.get(name).ok_or_else(|| self.error(name, "has no schema"))?,
            None => &UNPUBLISHED,
        };
        let element = property.items.as_deref().or(property.additional_properties.as_deref()).unwrap_or(property);
        Ok(FieldRow {
            name,
            tag: if embedded.is_empty() { number } else { 0 },
            value: &fact.value,
            embedded: embedded.to_owned(),
            pointer: fact.pointer,
            omit_empty: fact.omit_empty,
            omit_zero: fact.omit_zero,
            required: self.definition.is_some_and(|definition| definition.required.iter().any(|field| field == name)),
            go: self.go_types.field(owner, name).filter(|go| *go != derived_go_type(&fact.value)),
            list_type: property.list_type.as_deref(),
            list_map_keys: &property.list_map_keys,
            map_type: property.map_type.as_deref(),
            patch_strategy: fact.patch_strategy.as_deref(),
            patch_merge_key: fact.patch_merge_key.as_deref(),
            default: self.facts.defaults.get(self.name).and_then(|defaults| defaults.get(name)),
            enum_values: &element.enum_values,
            format: element.format.as_deref(),
        })
    }

    fn number(&self, field: &FieldFact) -> Result<u32, Error> {
        let tag = field.tag.as_deref().and_then(|tag| tag.parse().ok()).filter(|tag| *tag > 0);
        tag.ok_or_else(|| self.error(field.json.as_deref().unwrap_or(&field.value), "has no protobuf number"))
    }

    /// A published property that no field has would be lost.
    fn check_complete(&self, row: &Row<'_>) -> Result<(), Error> {
        let published = self.definition.into_iter().flat_map(|definition| definition.properties.keys());
        match published.into_iter().find(|name| row.fields.iter().all(|field| field.name != name.as_str())) {
            Some(name) => Err(self.error(name, "has a schema and is not among the fields")),
            None => Ok(()),
        }
    }

    fn error(&self, field: &str, what: &str) -> Error {
        Error::Inconsistent(format!("{}: {field} {what}", self.name))
    }
}

fn split_kind(kind: &str) -> Result<[&str; 3], Error> {
    let parts: Vec<&str> = kind.split('/').collect();
    match parts[..] {
        [version, kind] => Ok(["", version, kind]),
        [group, version, kind] => Ok([group, version, kind]),
        _ => Err(Error::Inconsistent(format!("{kind} is not group/version/Kind"))),
    }
}

/// The form of a type that is no struct in JSON.
fn form(name: &str, ty: &TypeFact) -> Result<Option<&'static str>, Error> {
    if ty.items.is_some() {
        return Ok(Some("list"));
    }
    if !ty.custom_json {
        return Ok(None);
    }
    match name.rsplit('.').next().unwrap_or(name) {
        "Time" => Ok(Some("time")),
        "MicroTime" => Ok(Some("microTime")),
        "Quantity" => Ok(Some("quantity")),
        "IntOrString" => Ok(Some("intOrString")),
        "RawExtension" => Ok(Some("rawExtension")),
        "FieldsV1" => Ok(Some("fieldsV1")),
        "JSON" => Ok(Some("json")),
        "JSONSchemaPropsOrArray" => Ok(Some("schemaOrArray")),
        "JSONSchemaPropsOrBool" => Ok(Some("schemaOrBool")),
        "JSONSchemaPropsOrStringArray" => Ok(Some("schemaOrStringArray")),
        _ => Err(Error::Inconsistent(format!("{name} writes its own JSON in a way that is not known"))),
    }
}

/// A type's Go name with its package: the last two segments of its `OpenAPI` name.
fn go_name(name: &str) -> String {
    let mut segments = name.rsplitn(3, '.');
    let (short, package) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    format!("{package}.{short}")
}

/// The Go type that follows from a field's recorded type.
fn derived_go_type(value: &str) -> String {
    if let Some(element) = value.strip_prefix("[]") {
        format!("[]{}", derived_go_type(element))
    } else if let Some(element) = value.strip_prefix("map[string]") {
        format!("map[string]{}", derived_go_type(element))
    } else if value == "bytes" {
        "[]uint8".to_owned()
    } else if value.contains('.') {
        go_name(value)
    } else {
        value.to_owned()
    }
}
