//! The four ways to patch an object. Each is a pure function from a document and a patch to a new document.

use std::fmt;

pub mod apply;
pub mod json;
pub mod merge;
pub mod strategic;

use crate::error::Status;

/// Why a patch cannot be applied, in the terms of the status that answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatchError {
    /// 400 `BadRequest` with this message.
    BadRequest(String),
    /// 413 `RequestEntityTooLarge` with this message.
    TooLarge(String),
    /// 422 `Invalid`. The API answers it with a fixed message and empty details; the text is for logs.
    Unprocessable(String),
    /// 500 without a reason, with this message.
    Unknown(String),
}

impl PatchError {
    /// The message that a status for this error carries.
    pub fn message(&self) -> &str {
        match self {
            Self::BadRequest(text) | Self::TooLarge(text) | Self::Unknown(text) => text,
            Self::Unprocessable(_) => "the server rejected our request due to an error in our request",
        }
    }
}

impl fmt::Display for PatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(text) | Self::TooLarge(text) | Self::Unprocessable(text) | Self::Unknown(text) => {
                f.write_str(text)
            }
        }
    }
}

impl std::error::Error for PatchError {}

impl From<PatchError> for Status {
    fn from(error: PatchError) -> Self {
        match error {
            PatchError::BadRequest(message) => Self::bad_request(message),
            PatchError::TooLarge(text) => {
                Self { message: format!("Request entity too large: {text}"), ..Self::too_large(0) }
            }
            PatchError::Unprocessable(_) => Self::unprocessable(),
            PatchError::Unknown(message) => Self::plain(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    /// Objects three levels deep, with names that clash.
    pub fn any_object() -> impl Strategy<Value = Value> {
        prop::collection::btree_map("[a-c]", any_value(), 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect()))
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0_i64..3).prop_map(Value::from),
            "[xy]".prop_map(Value::from),
        ];
        scalar.prop_recursive(3, 12, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::Array),
                prop::collection::btree_map("[a-c]", inner, 0..3)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }
}
