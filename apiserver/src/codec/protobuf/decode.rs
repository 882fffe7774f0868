//! Messages to served form.

use serde_json::{Map, Number, Value};

use crate::codec::base64;
use crate::codec::json::{self, FieldValidation};
use crate::codec::time::{Instant, Layout};
use crate::limits::PROTOBUF_DEPTH_MAX;
use crate::object::quantity::Quantity;
use crate::schema::complete::{empty, finish, zero, zero_of};
use crate::schema::types::{Field, Form, Member, Type, ValueType};

use super::wire::{Fields, Payload};
use super::{FIRST, KEY, SECOND, THIRD};

/// Why bytes are not a message of a type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No envelope.
    #[error("{0}")]
    Envelope(String),
    /// The envelope's kind is not known.
    #[error("no kind \"{kind}\" is registered for version \"{api_version}\"")]
    UnknownKind {
        /// `version` or `group/version`.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// The bytes end within a field.
    #[error("unexpected EOF")]
    UnexpectedEnd,
    /// What protobuf does not allow.
    #[error("proto: {0}")]
    Malformed(&'static str),
    /// A field of another wire type than the schema's.
    #[error("proto: wrong wireType for field {0}")]
    WireType(String),
    /// Messages nested too deep.
    #[error("proto: exceeded max depth")]
    Depth,
    /// A value that its type refuses: a quantity, raw JSON.
    #[error("{0}")]
    Invalid(String),
}

/// The served form of a message of a type. Fields that the schema does not know are skipped.
pub fn message(data: &[u8], ty: &Type) -> Result<Value, DecodeError> {
    let mut value = Value::Null;
    read_message(data, ty, &mut value, PROTOBUF_DEPTH_MAX)?;
    Ok(value)
}

/// Reads a message over what an earlier part of the same field left, if it came in parts.
///
/// What calls itself here is kept apart from what does not, so that the calls that nest need little of the stack.
fn read_message(data: &[u8], ty: &Type, slot: &mut Value, depth: usize) -> Result<(), DecodeError> {
    match &ty.form {
        Form::Struct => read_object(data, ty, slot, depth),
        Form::SchemaOrArray(schema) | Form::SchemaOrBool(schema) | Form::SchemaOrStringArray(schema) => {
            read_schema_or(Fields::new(data), ty, schema, slot, depth)
        }
        Form::List(item) => read_items(data, item, slot, depth),
        Form::Map(item) => read_entries(data, item, slot, depth),
        _ => read_leaf(data, ty, slot),
    }
}

fn read_object(data: &[u8], ty: &Type, slot: &mut Value, depth: usize) -> Result<(), DecodeError> {
    let depth = depth.checked_sub(1).ok_or(DecodeError::Depth)?;
    let mut map = if let Value::Object(map) = slot.take() { map } else { Map::new() };
    read_struct(data, ty, &mut map, depth)?;
    finish(&mut map, ty);
    *slot = Value::Object(map);
    Ok(())
}

fn read_items(data: &[u8], item: &ValueType, slot: &mut Value, depth: usize) -> Result<(), DecodeError> {
    let (mut fields, mut items) = (Fields::new(data), Vec::new());
    while let Some((number, payload)) = fields.next_field()? {
        if number == FIRST {
            read_element(payload, item, "Items", &mut items, depth)?;
        }
    }
    *slot = Value::Array(items);
    Ok(())
}

fn read_entries(data: &[u8], item: &ValueType, slot: &mut Value, depth: usize) -> Result<(), DecodeError> {
    let (mut fields, mut map) = (Fields::new(data), Map::new());
    while let Some((number, payload)) = fields.next_field()? {
        if number == FIRST {
            read_entry(bytes(payload, "Items")?, item, &mut map, depth)?;
        }
    }
    *slot = Value::Object(map);
    Ok(())
}

/// Reads a message in which no other nests.
fn read_leaf(data: &[u8], ty: &Type, slot: &mut Value) -> Result<(), DecodeError> {
    let mut fields = Fields::new(data);
    match &ty.form {
        Form::Time => *slot = read_time(fields, Layout::Seconds)?,
        Form::MicroTime => *slot = read_time(fields, Layout::Micros)?,
        Form::IntOrString => *slot = read_int_or_string(fields)?,
        Form::Quantity => {
            *slot = zero_of(ty);
            while let Some((number, payload)) = fields.next_field()? {
                if number == FIRST {
                    let canonical = Quantity::canonical(&text(payload, "String_")?);
                    *slot = Value::String(canonical.map_err(|error| DecodeError::Invalid(error.to_string()))?);
                }
            }
        }
        _ => {
            while let Some((number, payload)) = fields.next_field()? {
                if number == FIRST {
                    *slot = raw_json(bytes(payload, "Raw")?)?;
                }
            }
        }
    }
    Ok(())
}

fn read_struct(data: &[u8], ty: &Type, map: &mut Map<String, Value>, depth: usize) -> Result<(), DecodeError> {
    let mut fields = Fields::new(data);
    while let Some((number, payload)) = fields.next_field()? {
        match member(ty, number) {
            Some(Member::Field(at)) => {
                let Some(field) = ty.fields.get(usize::from(*at)) else { continue };
                // Gogo writes every scalar. Most are zero, and were they made they would be left out again.
                if field.omit_empty && !field.pointer && is_zero(payload, &field.value) {
                    map.remove(&field.name);
                    continue;
                }
                let slot = map.entry(field.name.as_str()).or_insert(Value::Null);
                read_value(payload, &field.value, &field.name, slot, depth)?;
            }
            Some(Member::Inline(_, inlined)) => {
                let depth = depth.checked_sub(1).ok_or(DecodeError::Depth)?;
                read_struct(bytes(payload, inlined.short_go_name())?, inlined, map, depth)?;
            }
            None => {}
        }
    }
    Ok(())
}

/// Whether a scalar is zero, which is told without reading it.
fn is_zero(payload: Payload<'_>, ty: &ValueType) -> bool {
    match ty {
        ValueType::String => payload == Payload::Bytes(&[]),
        ValueType::Bool | ValueType::Int32 | ValueType::Int64 => payload == Payload::Varint(0),
        _ => false,
    }
}

fn member(ty: &Type, wanted: u32) -> Option<&Member> {
    let number = |member: &Member| match member {
        Member::Field(at) => ty.fields.get(usize::from(*at)).map_or(0, |field| field.tag),
        Member::Inline(number, _) => *number,
    };
    let at = ty.members.binary_search_by_key(&wanted, number).ok()?;
    ty.members.get(at)
}

/// Reads one field's content over what an earlier part of it left.
pub(super) fn read_field(payload: Payload<'_>, field: &Field, slot: &mut Value) -> Result<(), DecodeError> {
    read_value(payload, &field.value, &field.name, slot, PROTOBUF_DEPTH_MAX)
}

fn read_value(
    payload: Payload<'_>,
    ty: &ValueType,
    name: &str,
    slot: &mut Value,
    depth: usize,
) -> Result<(), DecodeError> {
    match ty {
        ValueType::Message(ty) => read_message(bytes(payload, name)?, ty, slot, depth),
        ValueType::List(item) => {
            if !slot.is_array() {
                *slot = Value::Array(Vec::new());
            }
            slot.as_array_mut().map_or(Ok(()), |items| read_element(payload, item, name, items, depth))
        }
        ValueType::Map(item) => {
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            let entry = bytes(payload, name)?;
            slot.as_object_mut().map_or(Ok(()), |map| read_entry(entry, item, map, depth))
        }
        _ => {
            *slot = read_scalar(payload, ty, name)?;
            Ok(())
        }
    }
}

fn read_scalar(payload: Payload<'_>, ty: &ValueType, name: &str) -> Result<Value, DecodeError> {
    Ok(match ty {
        ValueType::String => Value::String(text(payload, name)?),
        ValueType::Bool => Value::Bool(varint(payload, name)? != 0),
        ValueType::Int32 => Value::from(int32(varint(payload, name)?)),
        ValueType::Int64 => Value::from(varint(payload, name)?.cast_signed()),
        ValueType::Float64 => {
            let Payload::Fixed64(bits) = payload else { return Err(DecodeError::WireType(name.to_owned())) };
            Number::from_f64(f64::from_bits(bits)).map_or(Value::from(0), Value::Number)
        }
        ValueType::Bytes => Value::String(base64::encode(bytes(payload, name)?)),
        _ => raw_json(bytes(payload, name)?)?,
    })
}

/// Reads an element of a list, or several that are packed.
fn read_element(
    payload: Payload<'_>,
    item: &ValueType,
    name: &str,
    items: &mut Vec<Value>,
    depth: usize,
) -> Result<(), DecodeError> {
    if let (ValueType::Bool | ValueType::Int32 | ValueType::Int64, Payload::Bytes(packed)) = (item, payload) {
        let mut packed = Fields::new(packed);
        while !packed.rest().is_empty() {
            let element = Payload::Varint(packed.varint()?);
            read_element(element, item, name, items, depth)?;
        }
        return Ok(());
    }
    let mut element = Value::Null;
    read_value(payload, item, name, &mut element, depth)?;
    items.push(element);
    Ok(())
}

fn read_entry(entry: &[u8], item: &ValueType, map: &mut Map<String, Value>, depth: usize) -> Result<(), DecodeError> {
    let (mut key, mut value) = (Value::Null, Value::Null);
    let mut fields = Fields::new(entry);
    while let Some((number, payload)) = fields.next_field()? {
        match number {
            FIRST => read_value(payload, &KEY, "key", &mut key, depth)?,
            SECOND => read_value(payload, item, "value", &mut value, depth)?,
            _ => {}
        }
    }
    if value.is_null() {
        value = match item {
            ValueType::Bytes => Value::from(""),
            _ => zero(item),
        };
    }
    map.insert(key.as_str().unwrap_or_default().to_owned(), value);
    Ok(())
}

fn read_time(mut fields: Fields<'_>, layout: Layout) -> Result<Value, DecodeError> {
    if fields.rest().is_empty() {
        return Ok(Value::Null);
    }
    let mut time = Instant { seconds: 0, nanos: 0 };
    while let Some((number, payload)) = fields.next_field()? {
        match number {
            FIRST => time.seconds = varint(payload, "Seconds")?.cast_signed(),
            SECOND if layout == Layout::Micros => {
                time.nanos = u32::try_from(varint(payload, "Nanos")?).unwrap_or_default() / 1000 * 1000;
            }
            _ => {}
        }
    }
    // Years of four digits are all that the text form can tell.
    let representable = (Instant::ZERO.seconds..253_402_300_800).contains(&time.seconds) && time.nanos < 1_000_000_000;
    if !representable {
        return Err(DecodeError::Invalid("proto: time out of range".to_owned()));
    }
    Ok(if time == Instant::ZERO { Value::Null } else { Value::String(time.format(layout)) })
}

fn read_int_or_string(mut fields: Fields<'_>) -> Result<Value, DecodeError> {
    let (mut is_string, mut integer, mut string) = (false, 0, String::new());
    while let Some((number, payload)) = fields.next_field()? {
        match number {
            FIRST => is_string = varint(payload, "Type")? != 0,
            SECOND => integer = int32(varint(payload, "IntVal")?),
            THIRD => string = text(payload, "StrVal")?,
            _ => {}
        }
    }
    Ok(if is_string { Value::String(string) } else { Value::from(integer) })
}

fn read_schema_or(
    mut fields: Fields<'_>,
    ty: &Type,
    schema: &Type,
    slot: &mut Value,
    depth: usize,
) -> Result<(), DecodeError> {
    let (mut own, mut allows, mut items) = (Value::Null, false, Vec::new());
    while let Some((number, payload)) = fields.next_field()? {
        match (&ty.form, number) {
            (Form::SchemaOrBool(_), FIRST) => allows = varint(payload, "Allows")? != 0,
            (Form::SchemaOrBool(_), SECOND) | (_, FIRST) => {
                read_message(bytes(payload, "Schema")?, schema, &mut own, depth)?;
            }
            (Form::SchemaOrArray(_), SECOND) => {
                let mut value = empty(schema);
                read_message(bytes(payload, "JSONSchemas")?, schema, &mut value, depth)?;
                items.push(value);
            }
            (Form::SchemaOrStringArray(_), SECOND) => items.push(Value::String(text(payload, "Property")?)),
            _ => {}
        }
    }
    *slot = match ty.form {
        Form::SchemaOrBool(_) if own.is_null() => Value::Bool(allows),
        _ if !items.is_empty() => Value::Array(items),
        _ => own,
    };
    Ok(())
}

/// Raw JSON within a message. It is bounded in depth like any other.
fn raw_json(raw: &[u8]) -> Result<Value, DecodeError> {
    if raw.is_empty() {
        return Ok(Value::Null);
    }
    json::decode_any(raw, FieldValidation::Ignore)
        .map(|decoded| decoded.object)
        .map_err(|error| DecodeError::Invalid(error.to_string()))
}

fn bytes<'a>(payload: Payload<'a>, name: &str) -> Result<&'a [u8], DecodeError> {
    match payload {
        Payload::Bytes(bytes) => Ok(bytes),
        _ => Err(DecodeError::WireType(name.to_owned())),
    }
}

fn text(payload: Payload<'_>, name: &str) -> Result<String, DecodeError> {
    bytes(payload, name).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn varint(payload: Payload<'_>, name: &str) -> Result<u64, DecodeError> {
    match payload {
        Payload::Varint(value) => Ok(value),
        _ => Err(DecodeError::WireType(name.to_owned())),
    }
}

/// The lower 32 bits, as Go converts.
#[allow(clippy::cast_possible_truncation, reason = "Go keeps the lower bits of what a varint holds")]
fn int32(value: u64) -> i32 {
    (value as u32).cast_signed()
}
