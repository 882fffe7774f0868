//! Whether an object conforms to its schema as far as applying needs it to.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Faults;
use super::atom::{Kind, ListAtom, MapAtom, Shape};
use super::path::{Path, PathElement};
use crate::object::go_text;

/// Whether two elements of a list may have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duplicates {
    /// Objects that were stored before duplicates were refused may have them.
    Allowed,
    /// An applied configuration must not.
    Refused,
}

/// Checks that every field is declared and has its type, and that elements of keyed lists can be told apart.
pub fn validate(value: &Value, shape: Shape<'_>, duplicates: Duplicates) -> Result<(), Faults> {
    let mut walker = Walker { duplicates, path: Path::new(), faults: Faults::default() };
    walker.value(value, shape);
    walker.faults.into_result(())
}

struct Walker {
    duplicates: Duplicates,
    path: Path,
    faults: Faults,
}

impl Walker {
    fn value(&mut self, value: &Value, shape: Shape<'_>) {
        let atom = shape.atom().deduce(value);
        if let Some(map) = atom.map {
            match value {
                Value::Null => {}
                Value::Object(members) => self.members(members, &map),
                other => self.fault(format!("expected map, got &{{{}}}", go_text::value(other))),
            }
        } else if let Some(kind) = atom.scalar {
            if let Some(fault) = scalar_fault(value, kind) {
                self.fault(fault);
            }
        } else if let Some(list) = atom.list {
            match value {
                Value::Null => {}
                Value::Array(items) => self.items(items, &list),
                other => self.fault(format!("expected list, got &{{{}}}", go_text::value(other))),
            }
        } else {
            self.fault("schema error: invalid atom: inlined".to_owned());
        }
    }

    fn members(&mut self, members: &Map<String, Value>, map: &MapAtom<'_>) {
        for (name, member) in members {
            self.path.push(PathElement::field(name));
            let shape = map.member(name);
            if matches!(shape, Shape::Undeclared) {
                self.fault("field not declared in schema".to_owned());
                self.path.pop();
                return;
            }
            self.value(member, shape);
            self.path.pop();
        }
    }

    fn items(&mut self, items: &[Value], list: &ListAtom<'_>) {
        let mut seen = BTreeSet::new();
        for (index, item) in items.iter().enumerate() {
            let step = if list.is_atomic() {
                PathElement::Index(i64::try_from(index).unwrap_or(i64::MAX))
            } else {
                match list.step(item) {
                    Ok(step) => step,
                    Err(fault) => return self.fault(format!("element {index}: {fault}")),
                }
            };
            if !list.is_atomic() && !seen.insert(step.clone()) && self.duplicates == Duplicates::Refused {
                self.fault(format!("duplicate entries for key {step}"));
            }
            self.path.push(step);
            self.value(item, list.element);
            self.path.pop();
        }
    }

    fn fault(&mut self, fault: String) {
        self.faults.add(&self.path, fault);
    }
}

/// What is wrong with a value that should be a scalar; null never is.
fn scalar_fault(value: &Value, kind: Kind) -> Option<String> {
    match (kind, value) {
        (_, Value::Null)
        | (Kind::Numeric, Value::Number(_))
        | (Kind::Text, Value::String(_))
        | (Kind::Boolean, Value::Bool(_))
        | (Kind::Untyped, Value::Number(_) | Value::String(_) | Value::Bool(_)) => None,
        (Kind::Numeric, other) => Some(format!("expected numeric (int or float), got {}", go_text::type_name(other))),
        (Kind::Text, other) => {
            Some(format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_text::source(other)))
        }
        (Kind::Boolean, other) => Some(format!("expected boolean, got &{{{}}}", go_text::value(other))),
        (Kind::Untyped, other) => Some(format!("expected any scalar, got &{{{}}}", go_text::value(other))),
    }
}
