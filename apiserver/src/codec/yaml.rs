//! YAML, by way of JSON: read to the same values, written with sorted keys.

use serde_json::Value;

use super::json::{self, DecodeError, Decoded, FieldValidation, TypeMeta};
use crate::schema::Type;

/// Any YAML document as a value, or why it is none.
pub fn to_value(text: &[u8]) -> Result<Value, String> {
    serde_yaml_ng::from_slice(text).map_err(|e| e.to_string())
}

/// The kind that a document claims.
pub fn type_meta(text: &[u8]) -> Result<TypeMeta, DecodeError> {
    json::type_meta(&to_json(text)?)
}

/// Decodes a document as a value of a type.
pub fn decode(text: &[u8], ty: &Type, validation: FieldValidation) -> Result<Decoded, DecodeError> {
    json::decode(&to_json(text)?, ty, validation)
}

/// Writes a value of a type.
pub fn encode(value: &Value, ty: &Type) -> Vec<u8> {
    from_json(&json::encode(value, ty))
}

/// Writes what a JSON text says.
pub fn from_json(text: &[u8]) -> Vec<u8> {
    let value: Value = serde_json::from_slice(text).unwrap_or_default();
    serde_yaml_ng::to_string(&value).unwrap_or_default().into_bytes()
}

fn to_json(text: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let value = to_value(text).map_err(DecodeError::Syntax)?;
    Ok(json::encode_unstructured(&value))
}
