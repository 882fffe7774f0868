//! Steps from an object or list to what it contains, their order, and their texts.

use std::cmp::Ordering;
use std::fmt;

use serde_json::{Map, Value};

use crate::go_syntax::{go_json, go_quote};
use crate::object::go_text;

/// A way from the root of an object to one of its fields.
pub type Path = Vec<PathElement>;

/// One step from an object or list to something in it. The order is the one in which sets are written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum PathElement {
    /// A member of an object, by name.
    Field(String),
    /// An element of a list, by the values of its key fields, which are ordered by name.
    Key(Vec<(String, Scalar)>),
    /// An element of a list, by value.
    Value(Scalar),
    /// An element of a list, by position.
    Index(i64),
}

impl PathElement {
    /// A member of an object.
    pub fn field(name: impl Into<String>) -> Self {
        Self::Field(name.into())
    }

    /// Reads the text that [`PathElement::encode`] writes. `Ok(None)` means a kind of step from a future version, which is
    /// to be ignored.
    pub fn decode(text: &str) -> Result<Option<Self>, String> {
        let json = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
        match text.split_at_checked(2) {
            Some(("f:", name)) => Ok(Some(Self::field(name))),
            Some(("k:", key)) => match json(key)? {
                Value::Object(fields) => {
                    Ok(Some(Self::Key(fields.into_iter().map(|(name, value)| (name, Scalar(value))).collect())))
                }
                _ => Err(format!("key is no object: {text}")),
            },
            Some(("v:", value)) => Ok(Some(Self::Value(Scalar(json(value)?)))),
            Some(("i:", index)) => index.parse().map(|index| Some(Self::Index(index))).map_err(|_| text.to_owned()),
            Some((kind, _)) if kind.ends_with(':') => Ok(None),
            Some(_) => Err(format!("missing colon: {text}")),
            None => Err("key must be 2 characters long:".to_owned()),
        }
    }

    /// The text of the step in `FieldsV1`: `f:name`, `k:{"name":"a"}`, `v:"a"`, `i:0`.
    pub fn encode(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Key(fields) => {
                let fields = fields.iter().map(|(name, value)| (name.clone(), value.0.clone()));
                format!("k:{}", go_json(&Value::Object(fields.collect::<Map<_, _>>())))
            }
            Self::Value(value) => format!("v:{}", go_json(&value.0)),
            Self::Index(index) => format!("i:{index}"),
        }
    }
}

impl fmt::Display for PathElement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Field(name) => write!(f, ".{name}"),
            Self::Key(fields) => {
                let fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}={value}")).collect();
                write!(f, "[{}]", fields.join(","))
            }
            Self::Value(value) => write!(f, "[={value}]"),
            Self::Index(index) => write!(f, "[{index}]"),
        }
    }
}

/// A path as conflicts and faults show it: `.spec.containers[name="a"].image`.
pub fn display_path(path: &[PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}

/// A value in a list's key or set. Any two compare: numbers by value, integers or not, and otherwise numbers before texts
/// before truth values before the rest.
#[derive(Debug, Clone)]
pub struct Scalar(pub Value);

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Value::Null => f.write_str("null"),
            Value::String(text) => f.write_str(&go_quote(text)),
            Value::Array(items) => {
                let items: Vec<_> = items.iter().map(|item| Self(item.clone()).to_string()).collect();
                write!(f, "[{}]", items.join(","))
            }
            Value::Object(members) => {
                members.iter().try_for_each(|(name, member)| write!(f, "{name}={}", Self(member.clone())))
            }
            scalar => f.write_str(&go_text::value(scalar)),
        }
    }
}

impl PartialEq for Scalar {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Scalar {}

impl PartialOrd for Scalar {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Scalar {
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

/// Orders any two values; equal means equal to server-side apply, for which 1 and 1.0 are the same.
pub(super) fn compare(left: &Value, right: &Value) -> Ordering {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => match (left.as_i64(), right.as_i64()) {
            (Some(left), Some(right)) => left.cmp(&right),
            _ => left.as_f64().partial_cmp(&right.as_f64()).unwrap_or(Ordering::Equal),
        },
        (Value::String(left), Value::String(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Array(left), Value::Array(right)) => {
            compare_all(left.iter().zip(right).map(|(left, right)| compare(left, right)), left.len().cmp(&right.len()))
        }
        (Value::Object(left), Value::Object(right)) => compare_all(
            left.iter().zip(right).map(|(left, right)| left.0.cmp(right.0).then_with(|| compare(left.1, right.1))),
            left.len().cmp(&right.len()),
        ),
        _ => rank(left).cmp(&rank(right)),
    }
}

fn compare_all(mut members: impl Iterator<Item = Ordering>, lengths: Ordering) -> Ordering {
    members.find(|ordering| ordering.is_ne()).unwrap_or(lengths)
}

fn rank(value: &Value) -> u8 {
    match value {
        Value::Number(_) => 0,
        Value::String(_) => 1,
        Value::Bool(_) => 2,
        Value::Array(_) => 3,
        Value::Object(_) => 4,
        Value::Null => 5,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(fields: &Value) -> PathElement {
        PathElement::decode(&format!("k:{fields}")).unwrap().unwrap()
    }

    #[test]
    fn texts_round_trip() {
        for text in [
            "f:name",
            "f:",
            r#"k:{"containerPort":80,"protocol":"TCP"}"#,
            r#"k:{"name":"a\u003cb"}"#,
            r#"v:"x""#,
            "v:1.5",
            "i:-3",
        ] {
            assert_eq!(PathElement::decode(text).unwrap().unwrap().encode(), text);
        }
        assert_eq!(PathElement::decode("x:new"), Ok(None));
        for text in ["", "f", "fx", "k:1", "k:{", "i:a", "é"] {
            assert!(PathElement::decode(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn steps_have_the_written_order() {
        let ordered = [
            PathElement::field("a"),
            PathElement::field("b"),
            key(&json!({"port": 80})),
            key(&json!({"port": 80, "protocol": "TCP"})),
            key(&json!({"port": 443})),
            PathElement::Value(Scalar(json!(1.5))),
            PathElement::Value(Scalar(json!(2))),
            PathElement::Value(Scalar(json!("a"))),
            PathElement::Value(Scalar(json!(true))),
            PathElement::Index(0),
        ];
        assert!(ordered.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn paths_read_as_in_conflicts() {
        let path =
            [PathElement::field("spec"), key(&json!({"p": 80, "n": "a\"b"})), PathElement::Value(Scalar(json!("x")))];
        assert_eq!(display_path(&path), r#".spec[n="a\"b",p=80][="x"]"#);
    }
}
