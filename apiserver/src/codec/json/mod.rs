//! JSON: decoded by a schema with kube-apiserver's rules and error texts, encoded as Go's encoder writes it.
//!
//! The decoder follows `sigs.k8s.io/json`, which is Go's `encoding/json` with case-sensitive names, integers kept as
//! integers, and a list of unknown and duplicate fields beside the result.

mod decode;
mod encode;
mod number;
mod scan;
mod text;
mod walk;

pub use decode::{Decoded, FieldValidation, TypeMeta, decode, decode_any, decode_unstructured, type_meta};
pub(super) use walk::Walk;

pub use encode::{encode, encode_field_set, encode_unstructured, write, write_string, write_unstructured};

/// Why a JSON text was refused. Displayed in kube-apiserver's words, without the prefix that names the kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// No JSON.
    #[error("{0}")]
    Syntax(String),
    /// A value of another type than the field's.
    #[error("{}", mismatch(.value, .target, .structure, .path))]
    Mismatch {
        /// What stands there: `string`, `number 1.5`, `object`, ...
        value: String,
        /// The Go type of the field.
        target: String,
        /// The Go struct that the field is in; empty at the top.
        structure: String,
        /// The Go path of the field from the top.
        path: String,
    },
    /// A value that its type's own parser refuses: a time, a quantity, base64.
    #[error("{0}")]
    Invalid(String),
    /// Unknown and duplicate fields, with strict validation.
    #[error("strict decoding error: {}", .0.join(", "))]
    Strict(Vec<String>),
}

fn mismatch(value: &str, target: &str, structure: &str, path: &str) -> String {
    if structure.is_empty() && path.is_empty() {
        format!("json: cannot unmarshal {value} into Go value of type {target}")
    } else {
        format!("json: cannot unmarshal {value} into Go struct field {structure}.{path} of type {target}")
    }
}
