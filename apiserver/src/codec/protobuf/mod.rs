//! Kubernetes' protobuf, led by the schema: the bytes that gogo's generated code writes, and back.
//!
//! Gogo writes members in the order of their numbers, scalars that are no pointers even where they are zero, and maps in
//! key order. The envelope (`k8s\0`) is `pintle_proto::k8s`.

mod decode;
mod encode;
pub mod framing;
mod peek;
mod wire;

use bytes::Bytes;
use serde_json::Value;

use crate::schema::types::{Type, ValueType};

pub use decode::{DecodeError, message as decode_message};
pub use encode::message as encode_message;
pub use peek::peek;
pub use wire::{Fields, Payload};

/// The magic, `apiVersion`, `kind` and message of an object. `apiVersion` and `kind` go to the envelope: messages have no
/// room for them.
pub fn encode(object: &Value, ty: &Type) -> Bytes {
    let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default();
    pintle_proto::k8s::encode(text("apiVersion"), text("kind"), &encode_message(object, ty))
}

/// An enveloped object in served form, with the envelope's `apiVersion` and `kind`.
///
/// `ty` is called with both and answers the type, or `None` for a kind that is not known.
pub fn decode<'t, T: std::ops::Deref<Target = Type> + 't>(
    data: &[u8],
    ty: impl FnOnce(&str, &str) -> Option<T>,
) -> Result<Value, DecodeError> {
    let envelope = pintle_proto::k8s::decode(data).map_err(|error| DecodeError::Envelope(error.to_string()))?;
    let ty = ty(envelope.api_version, envelope.kind).ok_or_else(|| DecodeError::UnknownKind {
        api_version: envelope.api_version.to_owned(),
        kind: envelope.kind.to_owned(),
    })?;
    let mut object = decode_message(envelope.raw, &ty)?;
    if let Value::Object(map) = &mut object {
        for (field, text) in [("apiVersion", envelope.api_version), ("kind", envelope.kind)] {
            if ty.field(field).is_some() && !text.is_empty() {
                map.insert(field.to_owned(), Value::from(text));
            }
        }
    }
    Ok(object)
}

/// The member of a list type's message, of a map's entry, and of the messages around raw JSON.
const FIRST: u32 = 1;
/// The value of a map's entry; the nanoseconds of a time.
const SECOND: u32 = 2;
/// The string of an integer or string.
const THIRD: u32 = 3;

/// What stands for the key of every map.
static KEY: ValueType = ValueType::String;
