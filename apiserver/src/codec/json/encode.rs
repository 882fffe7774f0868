//! The encoder: what Go's `encoding/json` writes for the API's types, byte for byte, without the newline that ends a response.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use crate::schema::types::{Form, Type, ValueType};

use super::number;

/// A value of a type in served form: the fields of structs in the schema's order, keys of maps in their own.
pub fn encode(value: &Value, ty: &Type) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write(&mut out, value, ty);
    out
}

/// A value of no known type: all keys in order.
pub fn encode_unstructured(value: &Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write_unstructured(&mut out, value);
    out
}

/// The text of a `FieldsV1`, in the order of its field paths.
pub fn encode_field_set(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_field_set(&mut out, value);
    out
}

/// Appends what [`encode`] makes.
pub fn write(out: &mut Vec<u8>, value: &Value, ty: &Type) {
    match (&ty.form, value) {
        (Form::Struct, Value::Object(map)) if !ty.custom => write_struct(out, map, ty),
        (Form::List(item), Value::Array(items)) => write_list(out, items, item),
        (Form::Map(item), Value::Object(map)) => write_map(out, map, item),
        (Form::FieldsV1, value) => write_field_set(out, value),
        (
            Form::SchemaOrArray(schema) | Form::SchemaOrBool(schema) | Form::SchemaOrStringArray(schema),
            Value::Object(_),
        ) => write(out, value, schema),
        (Form::SchemaOrArray(schema), Value::Array(items)) => {
            write_each(out, *b"[]", items, |out, value| write(out, value, schema));
        }
        _ => write_unstructured(out, value),
    }
}

/// Appends what [`encode_unstructured`] makes.
pub fn write_unstructured(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => number::write(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_each(out, *b"[]", items, write_unstructured),
        Value::Object(map) => write_each(out, *b"{}", map, |out, (key, value)| {
            write_key(out, key);
            write_unstructured(out, value);
        }),
    }
}

/// Appends a string in quotes. Go escapes what could end an HTML script, and the two line separators of JavaScript.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let mut plain = 0;
    let bytes = text.as_bytes();
    let mut flush = |out: &mut Vec<u8>, end: usize, next: usize| {
        out.extend_from_slice(bytes.get(plain..end).unwrap_or_default());
        plain = next;
    };
    for (at, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0x08 => b"\\b",
            0x0c => b"\\f",
            0..0x20 | b'<' | b'>' | b'&' => {
                flush(out, at, at + 1);
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                continue;
            }
            0xe2 => match bytes.get(at..at + 3) {
                Some([_, 0x80, last @ (0xa8 | 0xa9)]) => {
                    flush(out, at, at + 3);
                    out.extend_from_slice(if *last == 0xa8 { b"\\u2028" } else { b"\\u2029" });
                    continue;
                }
                _ => continue,
            },
            _ => continue,
        };
        flush(out, at, at + 1);
        out.extend_from_slice(escaped);
    }
    flush(out, bytes.len(), bytes.len());
    out.push(b'"');
}

fn write_key(out: &mut Vec<u8>, key: &str) {
    write_string(out, key);
    out.push(b':');
}

/// Writes items with commas between them, in brackets.
fn write_each<T>(
    out: &mut Vec<u8>,
    brackets: [u8; 2],
    items: impl IntoIterator<Item = T>,
    mut write: impl FnMut(&mut Vec<u8>, T),
) {
    let [open, close] = brackets;
    out.push(open);
    for (at, item) in items.into_iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write(out, item);
    }
    out.push(close);
}

fn write_struct(out: &mut Vec<u8>, map: &Map<String, Value>, ty: &Type) {
    // Few of a struct's fields are present.
    let mut present: Vec<(usize, &Value)> =
        map.iter().filter_map(|(name, value)| Some((ty.position(name)?, value))).collect();
    present.sort_unstable_by_key(|(at, _)| *at);
    let fields = present.into_iter().filter_map(|(at, value)| Some((ty.fields.get(at)?, value)));
    write_each(out, *b"{}", fields, |out, (field, value)| {
        // Names of fields have nothing to escape.
        out.push(b'"');
        out.extend_from_slice(field.name.as_bytes());
        out.extend_from_slice(b"\":");
        write_value(out, value, &field.value);
    });
}

fn write_value(out: &mut Vec<u8>, value: &Value, ty: &ValueType) {
    match (ty, value) {
        (ValueType::Message(ty), value) => write(out, value, ty),
        (ValueType::List(item), Value::Array(items)) => write_list(out, items, item),
        (ValueType::Map(item), Value::Object(map)) => write_map(out, map, item),
        _ => write_unstructured(out, value),
    }
}

fn write_list(out: &mut Vec<u8>, items: &[Value], item: &ValueType) {
    write_each(out, *b"[]", items, |out, value| write_value(out, value, item));
}

fn write_map(out: &mut Vec<u8>, map: &Map<String, Value>, item: &ValueType) {
    write_each(out, *b"{}", map, |out, (key, value)| {
        write_key(out, key);
        write_value(out, value, item);
    });
}

/// A field set is written in the order of its path elements: `.`, then names, keys, values and indexes, each in the
/// order of what they stand for.
fn write_field_set(out: &mut Vec<u8>, value: &Value) {
    let Value::Object(map) = value else { return write_unstructured(out, value) };
    let mut entries: Vec<(&String, &Value)> = map.iter().collect();
    entries.sort_by(|(a, _), (b, _)| compare_path_elements(a, b));
    write_each(out, *b"{}", entries, |out, (key, value)| {
        write_key(out, key);
        write_field_set(out, value);
    });
}

/// The order of path elements in `structured-merge-diff`.
fn compare_path_elements(a: &str, b: &str) -> Ordering {
    let rank = |element: &str| ['.', 'f', 'k', 'v', 'i'].iter().position(|first| element.starts_with(*first));
    rank(a).cmp(&rank(b)).then_with(|| match (a.get(..2), parsed(a), parsed(b)) {
        (Some("k:" | "v:" | "i:"), Some(a), Some(b)) => compare_values(&a, &b),
        _ => a.cmp(b),
    })
}

fn parsed(element: &str) -> Option<Value> {
    serde_json::from_str(element.get(2..)?).ok()
}

/// The order of values in `structured-merge-diff`: numbers before strings before booleans before null, and lists by
/// their elements, maps by their keys and values.
fn compare_values(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Array(a), Value::Array(b)) => compare_all(a.iter(), b.iter(), compare_values),
        (Value::Object(a), Value::Object(b)) => compare_all(a.iter(), b.iter(), |(key, value), (other, with)| {
            key.cmp(other).then_with(|| compare_values(value, with))
        }),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn compare_all<T>(
    mut a: impl Iterator<Item = T>,
    mut b: impl Iterator<Item = T>,
    compare: impl Fn(T, T) -> Ordering,
) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (Some(a), Some(b)) => match compare(a, b) {
                Ordering::Equal => {}
                different => return different,
            },
            (a, b) => return a.is_some().cmp(&b.is_some()),
        }
    }
}
