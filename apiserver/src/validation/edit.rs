//! The edits that defaulting is made of.

use serde_json::{Map, Value};

/// The fields of a decoded object.
pub type Fields = Map<String, Value>;

/// Whether a field is absent, or holds its type's zero value: no text, 0, false, no items, no entries.
pub fn is_empty(fields: &Fields, name: &str) -> bool {
    match fields.get(name) {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Number(number)) => number.as_i64() == Some(0),
        Some(Value::Array(items)) => items.is_empty(),
        Some(Value::Object(entries)) => entries.is_empty(),
        Some(Value::Bool(true)) => false,
    }
}

/// Whether a field is absent: a pointer to a zero value is present.
pub fn is_absent(fields: &Fields, name: &str) -> bool {
    matches!(fields.get(name), None | Some(Value::Null))
}

/// Sets a field.
pub fn set(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    fields.insert(name.to_owned(), value.into());
}

/// Sets a field that is empty.
pub fn set_empty(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    if is_empty(fields, name) {
        set(fields, name, value);
    }
}

/// Sets a field that is absent.
pub fn set_absent(fields: &mut Fields, name: &str, value: impl Into<Value>) {
    if is_absent(fields, name) {
        set(fields, name, value);
    }
}

/// The text in a field; empty when absent.
pub fn text<'a>(fields: &'a Fields, name: &str) -> &'a str {
    fields.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Edits the struct or map in a field, if present.
pub fn within(fields: &mut Fields, name: &str, edit: impl FnOnce(&mut Fields)) {
    if let Some(Value::Object(inner)) = fields.get_mut(name) {
        edit(inner);
    }
}

/// Edits the struct or map in a field, which is made empty first where it is absent.
pub fn within_new(fields: &mut Fields, name: &str, edit: impl FnOnce(&mut Fields)) {
    if is_absent(fields, name) {
        set(fields, name, Fields::new());
    }
    within(fields, name, edit);
}

/// Edits each struct of the list in a field.
pub fn each(fields: &mut Fields, name: &str, mut edit: impl FnMut(&mut Fields)) {
    if let Some(Value::Array(items)) = fields.get_mut(name) {
        items.iter_mut().filter_map(Value::as_object_mut).for_each(&mut edit);
    }
}

/// Copies entries of the map in `from` that the map in `to` does not have.
pub fn add_missing(fields: &mut Fields, to: &str, from: &str) {
    let Some(Value::Object(source)) = fields.get(from) else { return };
    let source = source.clone();
    if source.is_empty() {
        return;
    }
    within_new(fields, to, |target| {
        for (key, value) in source {
            target.entry(key).or_insert(value);
        }
    });
}

/// Edits the object's fields.
pub fn object(value: &mut Value, edit: impl FnOnce(&mut Fields)) {
    if let Value::Object(fields) = value {
        edit(fields);
    }
}
