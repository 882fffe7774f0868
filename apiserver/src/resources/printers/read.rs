//! Reads values out of an object in its served form. What is absent reads as the empty value, as in Go.

use serde_json::{Map, Value};

/// The value at a dotted path.
pub fn at<'a>(object: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(object, |value, step| value.get(step)).filter(|value| !value.is_null())
}

/// The text at a path, or the empty text.
pub fn text<'a>(object: &'a Value, path: &str) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or_default()
}

/// The text at a path, or another if there is none or it is empty.
pub fn text_or<'a>(object: &'a Value, path: &str, absent: &'a str) -> &'a str {
    Some(text(object, path)).filter(|text| !text.is_empty()).unwrap_or(absent)
}

/// The integer at a path, or 0.
pub fn int(object: &Value, path: &str) -> i64 {
    at(object, path).and_then(Value::as_i64).unwrap_or_default()
}

/// The truth value at a path.
pub fn flag(object: &Value, path: &str) -> Option<bool> {
    at(object, path).and_then(Value::as_bool)
}

/// The list at a path, or an empty one.
pub fn list<'a>(object: &'a Value, path: &str) -> &'a [Value] {
    at(object, path).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The map at a path.
pub fn map<'a>(object: &'a Value, path: &str) -> Option<&'a Map<String, Value>> {
    at(object, path).and_then(Value::as_object)
}

/// How many entries the map at a path has.
pub fn count(object: &Value, path: &str) -> usize {
    map(object, path).map_or(0, Map::len)
}

/// The annotation of that name; names hold dots, so they are no path.
pub fn annotation<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    map(object, "metadata.annotations")?.get(name)?.as_str()
}

/// The first condition of that type.
pub fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    list(object, "status.conditions").iter().find(|condition| text(condition, "type") == type_)
}

/// Whether the object is being deleted.
pub fn is_deleting(object: &Value) -> bool {
    at(object, "metadata.deletionTimestamp").is_some()
}
