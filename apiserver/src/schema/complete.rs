//! Served form: exactly the fields that the JSON encoder prints. Go decides that from a field's mark (`omitempty`) and
//! its kind: an empty struct is printed, an empty list is not.

use serde_json::{Map, Value};

use super::types::{Field, Form, Type, ValueType};

/// Brings an object back to served form after it was changed: adds what is always written, drops what is empty, in every
/// struct that the schema knows. Fields that it does not know are left alone.
pub fn complete(value: &mut Value, ty: &Type) {
    match (&ty.form, value) {
        (Form::Struct, Value::Object(map)) => {
            for field in &ty.fields {
                if let Some(value) = map.get_mut(&field.name).filter(|value| !value.is_null()) {
                    complete_value(value, &field.value);
                }
            }
            finish(map, ty);
        }
        (Form::List(item), Value::Array(items)) => each(items, |value| complete_item(value, item)),
        (Form::Map(item), Value::Object(map)) => each(map.values_mut(), |value| complete_item(value, item)),
        (
            Form::SchemaOrArray(schema) | Form::SchemaOrBool(schema) | Form::SchemaOrStringArray(schema),
            value @ Value::Object(_),
        ) => complete(value, schema),
        (Form::SchemaOrArray(schema), Value::Array(items)) => each(items, |value| complete(value, schema)),
        _ => {}
    }
}

fn complete_value(value: &mut Value, ty: &ValueType) {
    match (ty, value) {
        (ValueType::Message(ty), value) => complete(value, ty),
        (ValueType::List(item), Value::Array(items)) => each(items, |value| complete_item(value, item)),
        (ValueType::Map(item), Value::Object(map)) => each(map.values_mut(), |value| complete_item(value, item)),
        _ => {}
    }
}

fn each<'v>(values: impl IntoIterator<Item = &'v mut Value>, complete: impl Fn(&mut Value)) {
    for value in values {
        complete(value);
    }
}

/// An element is a value, never a nil pointer.
fn complete_item(value: &mut Value, ty: &ValueType) {
    if value.is_null() {
        *value = zero(ty);
    } else {
        complete_value(value, ty);
    }
}

/// Brings one struct to served form; its fields' values are in it already.
///
/// Null stands for "not set", but for a pointer to a value that is itself written as null, such as a zero time: there,
/// only absence does.
pub fn finish(map: &mut Map<String, Value>, ty: &Type) {
    if ty.custom {
        return;
    }
    map.retain(|name, value| ty.field(name).is_none_or(|field| is_set(value, field)));
    for field in ty.always_written() {
        if !map.contains_key(&field.name) {
            map.insert(field.name.clone(), if field.pointer { Value::Null } else { zero(&field.value) });
        }
    }
}

/// Whether a value counts as given: neither "not set" nor what `omitempty` leaves out.
fn is_set(value: &Value, field: &Field) -> bool {
    match value {
        Value::Null => field.pointer && zero(&field.value).is_null(),
        value => !field.omit_empty || field.pointer || !is_empty(value, &field.value),
    }
}

/// A struct with no field set, in served form.
pub fn empty(ty: &Type) -> Value {
    let mut map = Map::new();
    finish(&mut map, ty);
    Value::Object(map)
}

/// The zero value of a type, as an element of a list or map prints it.
pub fn zero(ty: &ValueType) -> Value {
    match ty {
        ValueType::String => Value::String(String::new()),
        ValueType::Bool => Value::Bool(false),
        ValueType::Int32 | ValueType::Int64 | ValueType::Float64 => Value::from(0),
        ValueType::Bytes | ValueType::Any | ValueType::List(_) | ValueType::Map(_) => Value::Null,
        ValueType::Message(ty) => zero_of(ty),
    }
}

/// The zero value of a named type.
pub fn zero_of(ty: &Type) -> Value {
    match &ty.form {
        Form::Struct => empty(ty),
        Form::Quantity => Value::from("0"),
        Form::IntOrString => Value::from(0),
        Form::SchemaOrBool(_) => Value::Bool(false),
        Form::List(_)
        | Form::Map(_)
        | Form::Time
        | Form::MicroTime
        | Form::RawExtension
        | Form::FieldsV1
        | Form::Json
        | Form::SchemaOrArray(_)
        | Form::SchemaOrStringArray(_) => Value::Null,
    }
}

/// Whether a value is one that `omitempty` leaves out, were it not for pointers.
pub fn is_empty(value: &Value, ty: &ValueType) -> bool {
    ty.can_be_empty()
        && match value {
            Value::Null => true,
            Value::Bool(set) => !set,
            Value::Number(number) => number.as_f64() == Some(0.0),
            Value::String(text) => text.is_empty(),
            Value::Array(items) => items.is_empty(),
            Value::Object(map) => map.is_empty(),
        }
}
