//! A cursor over a decoded object: a value together with its path, so that rules read like the objects they judge.

use serde_json::{Map, Value};

use super::field::{Error, Errors, Path};

/// What an absent field reads as.
static NULL: Value = Value::Null;

/// A value and where it stands. An absent field is a node too: it reads as null, empty and zero.
#[derive(Clone)]
pub struct Node<'a> {
    /// The value; null when the field is absent.
    pub value: &'a Value,
    /// The value's path.
    pub path: Path,
}

impl<'a> Node<'a> {
    /// A whole object.
    pub fn root(value: &'a Value) -> Self {
        Self { value, path: Path::root() }
    }

    /// The field `name`.
    #[must_use]
    pub fn at(&self, name: &'static str) -> Self {
        Self { value: self.value.get(name).unwrap_or(&NULL), path: self.path.child(name) }
    }

    /// The value of the field `name`, where no path is needed.
    pub fn get(&self, name: &str) -> &'a Value {
        self.value.get(name).unwrap_or(&NULL)
    }

    /// The text of the field `name`; empty when absent.
    pub fn text(&self, name: &str) -> &'a str {
        self.get(name).as_str().unwrap_or_default()
    }

    /// The number in the field `name`, if present.
    pub fn number(&self, name: &str) -> Option<i64> {
        self.get(name).as_i64()
    }

    /// Whether the field `name` is true.
    pub fn flag(&self, name: &str) -> bool {
        self.get(name).as_bool().unwrap_or_default()
    }

    /// Whether the field `name` is present, empty or not.
    pub fn has(&self, name: &str) -> bool {
        !self.get(name).is_null()
    }

    /// Whether the value is present.
    pub fn present(&self) -> bool {
        !self.value.is_null()
    }

    /// The value if it is present: for optional parts, `if let Some(x) = node.at("x").some()`.
    pub fn some(self) -> Option<Self> {
        self.present().then_some(self)
    }

    /// The value as text; empty when absent.
    pub fn str(&self) -> &'a str {
        self.value.as_str().unwrap_or_default()
    }

    /// The value as a number; 0 when absent.
    pub fn int(&self) -> i64 {
        self.value.as_i64().unwrap_or_default()
    }

    /// The value as a truth value; false when absent.
    pub fn bool(&self) -> bool {
        self.value.as_bool().unwrap_or_default()
    }

    /// The number of items or entries, or bytes of text.
    pub fn len(&self) -> usize {
        match self.value {
            Value::Array(items) => items.len(),
            Value::Object(entries) => entries.len(),
            Value::String(text) => text.len(),
            _ => 0,
        }
    }

    /// Whether there are no items, entries or text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The items of a list, each with its index in the path.
    pub fn items(&self) -> impl DoubleEndedIterator<Item = Node<'a>> + use<'a> {
        let path = self.path.clone();
        let items = self.value.as_array().map(Vec::as_slice).unwrap_or_default();
        items.iter().enumerate().map(move |(i, value)| Node { value, path: path.index(i) })
    }

    /// The text items of a list.
    pub fn strings(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        self.value.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str)
    }

    /// The entries of a map in key order, each with its key in the path.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> + use<'a> {
        let path = self.path.clone();
        self.value
            .as_object()
            .into_iter()
            .flat_map(Map::iter)
            .map(move |(key, value)| (key.as_str(), Node { value, path: path.key(key) }))
    }

    /// The entries of a map of texts, in key order.
    pub fn texts(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.value
            .as_object()
            .into_iter()
            .flat_map(Map::iter)
            .map(|(key, value)| (key.as_str(), value.as_str().unwrap_or_default()))
    }

    /// This value must be given.
    pub fn required(&self, detail: impl Into<String>) -> Error {
        Error::required(&self.path, detail)
    }

    /// This value is malformed.
    pub fn invalid(&self, detail: impl Into<String>) -> Error {
        Error::invalid(&self.path, self.value, detail)
    }

    /// This text is malformed; absent reads as empty.
    pub fn invalid_text(&self, detail: impl Into<String>) -> Error {
        Error::invalid(&self.path, self.str(), detail)
    }

    /// This number is out of bounds; absent reads as 0.
    pub fn invalid_int(&self, detail: impl Into<String>) -> Error {
        Error::invalid(&self.path, self.int(), detail)
    }

    /// This value is not permitted here.
    pub fn forbidden(&self, detail: impl Into<String>) -> Error {
        Error::forbidden(&self.path, detail)
    }

    /// This value occurs twice.
    pub fn duplicate(&self) -> Error {
        Error::duplicate(&self.path, self.value)
    }

    /// This text is none of `supported`; absent reads as empty.
    pub fn not_supported(&self, supported: &[&str]) -> Error {
        Error::not_supported(&self.path, self.str(), supported)
    }

    /// Requires text that is one of `supported`; whether it is.
    pub fn one_of(&self, supported: &[&str], errors: &mut Errors) -> bool {
        let supports = supported.contains(&self.str());
        if !supports {
            errors.push(self.not_supported(supported));
        }
        supports
    }

    /// Adds an error for each thing that a format has to say about this text.
    pub fn format(&self, messages: Vec<String>, errors: &mut Errors) {
        errors.extend(messages.into_iter().map(|message| self.invalid_text(message)));
    }

    /// Requires a number, absent or present, to be at least 0.
    pub fn nonnegative(&self, errors: &mut Errors) {
        if self.int() < 0 {
            errors.push(self.invalid_int("must be greater than or equal to 0"));
        }
    }

    /// Requires the value to be what it was.
    pub fn immutable(&self, old: &Value, errors: &mut Errors) {
        if self.value != old {
            errors.push(self.invalid("field is immutable"));
        }
    }
}
