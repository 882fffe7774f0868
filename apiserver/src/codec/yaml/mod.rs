//! YAML as `sigs.k8s.io/yaml` reads and writes it: YAML 1.1's scalars, converted to JSON and back.
//!
//! A body in YAML becomes JSON text and goes the way of any JSON body; an answer in YAML is its JSON, printed.

mod read;
mod scalar;
mod write;

use serde_json::Value;

use super::json::{self, DecodeError, Decoded, FieldValidation, TypeMeta};
use crate::schema::Type;

pub use read::{Converted, Error, read, to_json};
pub use write::write;

/// The value of a document, or why it has none.
pub fn to_value(text: &[u8]) -> Result<Value, Error> {
    read(text).map(|converted| converted.value)
}

/// The kind that a document claims.
pub fn type_meta(text: &[u8]) -> Result<TypeMeta, DecodeError> {
    json::type_meta(&to_json(text)?.0)
}

/// Decodes a document as a value of a type.
pub fn decode(text: &[u8], ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    let (text, duplicates) = to_json(text)?;
    if validation == FieldValidation::Ignore {
        return json::decode(&text, ty, validation);
    }
    let mut decoded = json::decode(&text, ty, FieldValidation::Warn)?;
    decoded.warnings.splice(..0, duplicates);
    if validation == FieldValidation::Strict && !decoded.warnings.is_empty() {
        return Err(DecodeError::Strict(decoded.warnings));
    }
    Ok(decoded)
}

/// Writes a value of a type. Its keys are sorted, whatever the schema's order.
pub fn encode(value: &Value, ty: &Type) -> Vec<u8> {
    from_json(&json::encode(value, ty))
}

/// Writes what a JSON text says.
pub fn from_json(text: &[u8]) -> Vec<u8> {
    let decoded = json::decode_any(text, FieldValidation::Ignore);
    write(&decoded.map(|decoded| decoded.object).unwrap_or_default())
}

impl From<Error> for DecodeError {
    fn from(error: Error) -> Self {
        Self::Syntax(error.to_string())
    }
}
