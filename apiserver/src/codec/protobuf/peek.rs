//! Looks at one field of a message without decoding the rest: what caches and selectors ask of stored bytes.

use serde_json::Value;

use crate::schema::types::{Field, Member, Type, TypeRef, ValueType};

use super::DecodeError;
use super::decode::read_field;
use super::wire::{Fields, Payload};

/// The value at a path of JSON names, such as `["spec", "nodeName"]`; null where it is not set. The path leads through
/// structs only.
pub fn peek(message: &[u8], ty: &Type, path: &[&str]) -> Result<Value, DecodeError> {
    let Some((name, rest)) = path.split_first() else { return super::decode_message(message, ty) };
    let mut found = Value::Null;
    match place(ty, name) {
        Some(Place::Field(field)) => {
            let mut fields = Fields::new(message);
            while let Some((number, payload)) = fields.next_field()? {
                match (&field.value, payload) {
                    _ if number != field.tag => {}
                    (ValueType::Message(inner), Payload::Bytes(content)) if inner.is_struct() => {
                        found = peek(content, inner, rest)?;
                    }
                    _ if rest.is_empty() => read_field(payload, field, &mut found)?,
                    _ => {}
                }
            }
        }
        Some(Place::Inline(wanted, inner)) => {
            let mut fields = Fields::new(message);
            while let Some((number, payload)) = fields.next_field()? {
                if let (true, Payload::Bytes(content)) = (number == wanted, payload) {
                    found = peek(content, inner, path)?;
                }
            }
        }
        None => {}
    }
    Ok(found)
}

/// Where a message has a field.
enum Place<'t> {
    Field(&'t Field),
    Inline(u32, &'t TypeRef),
}

fn place<'t>(ty: &'t Type, name: &str) -> Option<Place<'t>> {
    let field = ty.field(name)?;
    if field.tag > 0 {
        return Some(Place::Field(field));
    }
    ty.members.iter().find_map(|member| match member {
        Member::Inline(number, inner) if inner.field(name).is_some() => Some(Place::Inline(*number, inner)),
        _ => None,
    })
}
