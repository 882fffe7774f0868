//! Field errors: what is wrong with which field of an object, in the texts that kube-apiserver answers with.
//!
//! Upstream: `k8s.io/apimachinery/pkg/util/validation/field`.

use std::fmt;
use std::rc::Rc;

use serde_json::Value;

use crate::go_syntax::{go_json, go_quote};

/// Where a field stands in its object, `spec.containers[0].name`.
///
/// A persistent list: a child costs one small allocation and shares its parents, so that walking a valid object stays cheap
/// and the text is only built for an error.
#[derive(Clone, Debug, Default)]
pub struct Path(Option<Rc<Segment>>);

#[derive(Debug)]
struct Segment {
    parent: Path,
    step: Step,
}

#[derive(Debug)]
enum Step {
    Name(&'static str),
    Text(String),
    Index(usize),
    Key(String),
}

impl Path {
    /// The object itself: an empty path, shown as `<nil>`.
    pub fn root() -> Self {
        Self::default()
    }

    /// The path of a top-level field.
    pub fn new(name: &'static str) -> Self {
        Self::root().child(name)
    }

    fn push(&self, step: Step) -> Self {
        Self(Some(Rc::new(Segment { parent: self.clone(), step })))
    }

    /// The path of a field of this one.
    #[must_use]
    pub fn child(&self, name: &'static str) -> Self {
        self.push(Step::Name(name))
    }

    /// The path of an annotation, where upstream writes it like a field.
    #[must_use]
    pub fn annotation(&self, name: &str) -> Self {
        self.push(Step::Text(name.to_owned()))
    }

    /// The path of an item of this list.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.push(Step::Index(index))
    }

    /// The path of an entry of this map.
    #[must_use]
    pub fn key(&self, key: &str) -> Self {
        self.push(Step::Key(key.to_owned()))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(segment) = &self.0 else { return f.write_str("<nil>") };
        let below_root = segment.parent.0.is_some();
        if below_root {
            segment.parent.fmt(f)?;
        }
        match &segment.step {
            Step::Name(name) if below_root => write!(f, ".{name}"),
            Step::Name(name) => f.write_str(name),
            Step::Text(name) if below_root => write!(f, ".{name}"),
            Step::Text(name) => f.write_str(name),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key}]"),
        }
    }
}

/// What is wrong with a field. The texts of the variants are the API's cause types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The value was looked up and does not exist.
    NotFound,
    /// The value must be given.
    Required,
    /// The value must be unique and is not.
    Duplicate,
    /// The value is malformed.
    Invalid,
    /// The value is none of an enumeration's.
    NotSupported,
    /// The value is well-formed, and not permitted here.
    Forbidden,
    /// The value has too many bytes.
    TooLong,
    /// The list has too many items.
    TooMany,
    /// The list has too few items.
    TooFew,
    /// The value has too few characters.
    TooShort,
    /// The server failed to judge the value.
    Internal,
    /// The value is of another type than its field.
    TypeInvalid,
}

impl ErrorKind {
    /// The machine-readable reason in a `StatusCause`.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotFound => "FieldValueNotFound",
            Self::Required => "FieldValueRequired",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TooFew => "FieldValueTooFew",
            Self::TooShort => "FieldValueTooShort",
            Self::Internal => "InternalError",
            Self::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::NotFound => "Not found",
            Self::Required => "Required value",
            Self::Duplicate => "Duplicate value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::TooFew => "Too few",
            Self::TooShort => "Too short",
            Self::Internal => "Internal error",
        }
    }

    /// Whether the message repeats the offending value.
    fn shows_value(self) -> bool {
        !matches!(self, Self::Required | Self::Forbidden | Self::TooLong | Self::TooShort | Self::Internal)
    }
}

/// The offending value as an error shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum BadValue {
    /// Not shown.
    Omitted,
    /// A decoded value: strings in Go's quotes, everything else as JSON.
    Value(Value),
    /// Text printed as it is, for values whose fields have an order or names of their own.
    Text(String),
}

impl From<Value> for BadValue {
    fn from(value: Value) -> Self {
        Self::Value(value)
    }
}

impl From<&Value> for BadValue {
    fn from(value: &Value) -> Self {
        Self::Value(value.clone())
    }
}

impl From<&str> for BadValue {
    fn from(value: &str) -> Self {
        Self::Value(Value::from(value))
    }
}

impl From<&String> for BadValue {
    fn from(value: &String) -> Self {
        Self::Value(Value::from(value.as_str()))
    }
}

impl From<String> for BadValue {
    fn from(value: String) -> Self {
        Self::Value(Value::from(value))
    }
}

impl From<i64> for BadValue {
    fn from(value: i64) -> Self {
        Self::Value(Value::from(value))
    }
}

impl From<usize> for BadValue {
    fn from(value: usize) -> Self {
        Self::Value(Value::from(value))
    }
}

impl From<bool> for BadValue {
    fn from(value: bool) -> Self {
        Self::Value(Value::from(value))
    }
}

/// One field's error.
#[derive(Clone, Debug, PartialEq)]
pub struct Error {
    /// What is wrong.
    pub kind: ErrorKind,
    /// The field's path.
    pub field: String,
    /// The offending value.
    pub value: BadValue,
    /// What would be right; may be empty.
    pub detail: String,
}

/// The errors of one object, in the order in which they were found.
pub type Errors = Vec<Error>;

impl Error {
    fn new(kind: ErrorKind, path: &Path, value: impl Into<BadValue>, detail: impl Into<String>) -> Self {
        Self { kind, field: path.to_string(), value: value.into(), detail: detail.into() }
    }

    /// The value was looked up and does not exist.
    pub fn not_found(path: &Path, value: impl Into<BadValue>) -> Self {
        Self::new(ErrorKind::NotFound, path, value, "")
    }

    /// The value must be given.
    pub fn required(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Required, path, "", detail)
    }

    /// The value must be unique and is not.
    pub fn duplicate(path: &Path, value: impl Into<BadValue>) -> Self {
        Self::new(ErrorKind::Duplicate, path, value, "")
    }

    /// The value is malformed.
    pub fn invalid(path: &Path, value: impl Into<BadValue>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, path, value, detail)
    }

    /// The value is of another type than its field.
    pub fn type_invalid(path: &Path, value: impl Into<BadValue>, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::TypeInvalid, path, value, detail)
    }

    /// The value is none of `supported`, which are listed as given.
    pub fn not_supported(path: &Path, value: impl Into<BadValue>, supported: &[&str]) -> Self {
        let mut detail = String::new();
        for (i, text) in supported.iter().enumerate() {
            detail.push_str(if i == 0 { "supported values: " } else { ", " });
            detail.push_str(&go_quote(text));
        }
        Self::new(ErrorKind::NotSupported, path, value, detail)
    }

    /// The value is well-formed, and not permitted here.
    pub fn forbidden(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Forbidden, path, "", detail)
    }

    /// The value has more than `max` bytes.
    pub fn too_long(path: &Path, max: usize) -> Self {
        let unit = if max == 1 { "byte" } else { "bytes" };
        Self::new(ErrorKind::TooLong, path, BadValue::Omitted, format!("may not be more than {max} {unit}"))
    }

    /// The value has more than `max` characters.
    pub fn too_long_characters(path: &Path, max: usize) -> Self {
        let unit = if max == 1 { "character" } else { "characters" };
        Self::new(ErrorKind::TooLong, path, BadValue::Omitted, format!("may not be more than {max} {unit}"))
    }

    /// The list has `actual` items and may have `max`.
    pub fn too_many(path: &Path, actual: usize, max: usize) -> Self {
        let unit = if max == 1 { "item" } else { "items" };
        Self::new(ErrorKind::TooMany, path, actual, format!("must have at most {max} {unit}"))
    }

    /// The list has `actual` items and needs `min`.
    pub fn too_few(path: &Path, actual: usize, min: usize) -> Self {
        let unit = if min == 1 { "item" } else { "items" };
        Self::new(ErrorKind::TooFew, path, actual, format!("must have at least {min} {unit}"))
    }

    /// The value needs `min` characters.
    pub fn too_short(path: &Path, min: usize) -> Self {
        let unit = if min == 1 { "character" } else { "characters" };
        Self::new(ErrorKind::TooShort, path, BadValue::Omitted, format!("must be at least {min} {unit}"))
    }

    /// The server failed to judge the value.
    pub fn internal(path: &Path, detail: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, path, BadValue::Omitted, detail)
    }

    /// The error without its field, as a status cause's message says it.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if self.kind.shows_value() && self.value != BadValue::Omitted {
            text.push_str(": ");
            match &self.value {
                BadValue::Omitted => {}
                BadValue::Value(Value::String(value)) => text.push_str(&go_quote(value)),
                BadValue::Value(value) => text.push_str(&go_json(value)),
                BadValue::Text(value) => text.push_str(value),
            }
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// All errors in one line: a single one as it is, several as `[a, b]`, repeated ones once.
pub fn aggregate(errors: &[Error]) -> String {
    let mut texts: Vec<String> = Vec::with_capacity(errors.len());
    for error in errors {
        let text = error.to_string();
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    match texts.as_slice() {
        [single] => single.clone(),
        several => format!("[{}]", several.join(", ")),
    }
}

/// The message of a 422: `Deployment.apps "web" is invalid: spec.replicas: Invalid value: ...`.
///
/// `qualified_kind` is the kind, and for other groups than core `.` and the group.
pub fn invalid_message(qualified_kind: &str, name: &str, errors: &[Error]) -> String {
    let head = format!("{qualified_kind} {} is invalid", go_quote(name));
    if errors.is_empty() { head } else { format!("{head}: {}", aggregate(errors)) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn paths_read_as_in_kubernetes() {
        let path = Path::new("spec").child("containers").index(2).child("resources").key("cpu");
        assert_eq!(path.to_string(), "spec.containers[2].resources[cpu]");
        assert_eq!(Path::root().to_string(), "<nil>");
    }

    #[test]
    fn bodies_show_values_as_go_does() {
        let path = Path::new("x");
        assert_eq!(Error::required(&path, "").body(), "Required value");
        assert_eq!(Error::invalid(&path, "a\"b", "bad").body(), "Invalid value: \"a\\\"b\": bad");
        assert_eq!(Error::invalid(&path, -1_i64, "bad").body(), "Invalid value: -1: bad");
        assert_eq!(
            Error::invalid(&path, json!({"b": "<", "a": [1]}), "").body(),
            "Invalid value: {\"a\":[1],\"b\":\"\\u003c\"}"
        );
        assert_eq!(
            Error::not_supported(&path, "c", &["a", "b"]).body(),
            "Unsupported value: \"c\": supported values: \"a\", \"b\""
        );
        assert_eq!(Error::too_many(&path, 3, 1).body(), "Too many: 3: must have at most 1 item");
        assert_eq!(Error::too_long(&path, 63).body(), "Too long: may not be more than 63 bytes");
    }

    #[test]
    fn messages_aggregate_without_repeats() {
        let one = Error::required(&Path::new("a"), "");
        let two = Error::forbidden(&Path::new("b"), "no");
        assert_eq!(invalid_message("Pod", "p", std::slice::from_ref(&one)), "Pod \"p\" is invalid: a: Required value");
        assert_eq!(
            invalid_message("Deployment.apps", "", &[one.clone(), two, one]),
            "Deployment.apps \"\" is invalid: [a: Required value, b: Forbidden: no]"
        );
    }
}
