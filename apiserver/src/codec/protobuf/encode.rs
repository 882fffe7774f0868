//! Served form to messages.

use serde_json::{Map, Value};

use crate::codec::base64;
use crate::codec::json;
use crate::codec::time::{Instant, Layout};
use crate::schema::complete::zero;
use crate::schema::types::{Field, Form, Member, Type, ValueType};

use super::wire::Reversed;
use super::{FIRST, SECOND, THIRD};

/// The message of a value of a type, without envelope.
pub fn message(value: &Value, ty: &Type) -> Vec<u8> {
    let mut out = Reversed::with_capacity(1024);
    write_message(&mut out, value, ty);
    out.into_vec()
}

/// Writes the content of a message. As all here, it writes from the end: the last member first.
fn write_message(out: &mut Reversed, value: &Value, ty: &Type) {
    match (&ty.form, value) {
        (Form::Struct, Value::Object(map)) => write_struct(out, map, ty),
        (Form::Struct, _) => write_struct(out, &Map::new(), ty),
        (Form::List(item), Value::Array(items)) => write_list(out, FIRST, items, item),
        (Form::Map(item), Value::Object(map)) => write_map(out, FIRST, map, item),
        (Form::Time, Value::String(text)) => write_time(out, text, Layout::Seconds),
        (Form::MicroTime, Value::String(text)) => write_time(out, text, Layout::Micros),
        (Form::Quantity, value) => out.bytes_field(FIRST, value.as_str().unwrap_or("0").as_bytes()),
        (Form::IntOrString, value) => {
            out.bytes_field(THIRD, value.as_str().unwrap_or_default().as_bytes());
            out.varint_field(SECOND, integer(value));
            out.varint_field(FIRST, u64::from(value.is_string()));
        }
        (Form::FieldsV1, value) if !value.is_null() => out.bytes_field(FIRST, &json::encode_field_set(value)),
        (Form::RawExtension | Form::Json, value) if !value.is_null() => {
            out.bytes_field(FIRST, &json::encode_unstructured(value));
        }
        (Form::SchemaOrArray(schema), Value::Array(schemas)) => {
            for value in schemas.iter().rev() {
                write_nested(out, SECOND, value, schema);
            }
        }
        (Form::SchemaOrStringArray(_), Value::Array(texts)) => write_list(out, SECOND, texts, &ValueType::String),
        (Form::SchemaOrArray(schema) | Form::SchemaOrStringArray(schema), value @ Value::Object(_)) => {
            write_nested(out, FIRST, value, schema);
        }
        (Form::SchemaOrBool(schema), value) => {
            if value.is_object() {
                write_nested(out, SECOND, value, schema);
            }
            out.varint_field(FIRST, u64::from(value != &Value::Bool(false)));
        }
        _ => {}
    }
}

fn write_nested(out: &mut Reversed, number: u32, value: &Value, ty: &Type) {
    let end = out.len();
    write_message(out, value, ty);
    out.header(number, end);
}

fn write_struct(out: &mut Reversed, map: &Map<String, Value>, ty: &Type) {
    for member in ty.members.iter().rev() {
        match member {
            Member::Field(at) => {
                if let Some(field) = ty.fields.get(usize::from(*at)) {
                    write_field(out, map.get(&field.name), field);
                }
            }
            Member::Inline(number, inlined) => {
                let end = out.len();
                write_struct(out, map, inlined);
                out.header(*number, end);
            }
        }
    }
}

/// Pointers are written where they are set, even to zero; other scalars and structs always; lists, maps and bytes where
/// they are not nil.
fn write_field(out: &mut Reversed, value: Option<&Value>, field: &Field) {
    let set = match value {
        Some(Value::Null) if field.pointer => zero(&field.value).is_null(),
        Some(Value::Null) | None => !field.pointer && !can_be_nil(&field.value),
        Some(_) => true,
    };
    if set {
        write_value(out, field.tag, value.unwrap_or(&Value::Null), &field.value);
    }
}

fn can_be_nil(ty: &ValueType) -> bool {
    match ty {
        ValueType::Bytes | ValueType::List(_) | ValueType::Map(_) | ValueType::Any => true,
        ValueType::Message(ty) => matches!(ty.form, Form::List(_) | Form::Map(_)),
        _ => false,
    }
}

fn write_value(out: &mut Reversed, number: u32, value: &Value, ty: &ValueType) {
    match ty {
        ValueType::String => out.bytes_field(number, value.as_str().unwrap_or_default().as_bytes()),
        ValueType::Bool => out.varint_field(number, u64::from(value.as_bool().unwrap_or_default())),
        ValueType::Int32 | ValueType::Int64 => out.varint_field(number, integer(value)),
        ValueType::Float64 => out.fixed64_field(number, value.as_f64().unwrap_or_default().to_bits()),
        ValueType::Bytes => {
            if let Some(text) = value.as_str() {
                out.bytes_field(number, &base64::decode(text).unwrap_or_default());
            }
        }
        ValueType::Any => out.bytes_field(number, &json::encode_unstructured(value)),
        ValueType::Message(ty) => write_nested(out, number, value, ty),
        ValueType::List(item) => write_list(out, number, value.as_array().map_or(&[], Vec::as_slice), item),
        ValueType::Map(item) => {
            if let Value::Object(map) = value {
                write_map(out, number, map, item);
            }
        }
    }
}

fn write_list(out: &mut Reversed, number: u32, items: &[Value], item: &ValueType) {
    for value in items.iter().rev() {
        write_value(out, number, value, item);
    }
}

fn write_map(out: &mut Reversed, number: u32, map: &Map<String, Value>, item: &ValueType) {
    for (key, value) in map.iter().rev() {
        let end = out.len();
        write_value(out, SECOND, value, item);
        out.bytes_field(FIRST, key.as_bytes());
        out.header(number, end);
    }
}

fn write_time(out: &mut Reversed, text: &str, layout: Layout) {
    let Ok(time) = Instant::parse(text, layout) else { return };
    let nanos = if layout == Layout::Micros { time.nanos / 1000 * 1000 } else { 0 };
    out.varint_field(SECOND, u64::from(nanos));
    out.varint_field(FIRST, time.seconds.cast_unsigned());
}

/// An integer on the wire: negative ones in two's complement of 64 bits.
fn integer(value: &Value) -> u64 {
    value.as_i64().unwrap_or_default().cast_unsigned()
}
