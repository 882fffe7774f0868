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
    let mut walker = Walker { duplicates, path: Vec::new(), faults: Faults::default() };
    walker.value(value, shape);
    walker.faults.into_result(())
}

struct Walker<'v> {
    duplicates: Duplicates,
    path: Vec<Step<'v>>,
    faults: Faults,
}

/// A step on the way, borrowed: most objects have no fault to name.
enum Step<'v> {
    Member(&'v str),
    Element(PathElement),
}

impl<'v> Walker<'v> {
    fn value(&mut self, value: &'v Value, shape: Shape<'_>) {
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

    fn members(&mut self, members: &'v Map<String, Value>, map: &MapAtom<'_>) {
        for (name, member) in members {
            self.path.push(Step::Member(name));
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

    fn items(&mut self, items: &'v [Value], list: &ListAtom<'_>) {
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
            self.path.push(Step::Element(step));
            self.value(item, list.element);
            self.path.pop();
        }
    }

    fn fault(&mut self, fault: String) {
        let path: Path = self
            .path
            .iter()
            .map(|step| match step {
                Step::Member(name) => PathElement::field(*name),
                Step::Element(element) => element.clone(),
            })
            .collect();
        self.faults.add(&path, fault);
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::GroupVersionKind;
    use crate::schema::builtin::registry;

    fn faults(object: &Value, duplicates: Duplicates) -> String {
        let ty = registry().kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        validate(object, Shape::Type(&ty), duplicates).map_or_else(|faults| faults.to_string(), |()| String::new())
    }

    #[test]
    fn faults_are_told_as_upstream() {
        for (spec, want) in [
            (json!({"containers": [{"name": "a", "resources": {"limits": {"cpu": 1}}}], "nodeSelector": null}), ""),
            (json!({"bogus": 1}), ".spec.bogus: field not declared in schema"),
            (json!({"nodeName": 5}), ".spec.nodeName: expected string, got &value.valueUnstructured{Value:5}"),
            (json!({"hostNetwork": "x"}), ".spec.hostNetwork: expected boolean, got &{x}"),
            (json!({"priority": "x"}), ".spec.priority: expected numeric (int or float), got string"),
            (json!({"containers": {}}), ".spec.containers: expected list, got &{map[]}"),
            (json!({"nodeSelector": []}), ".spec.nodeSelector: expected map, got &{[]}"),
            (
                json!({"tolerations": [{"key": 1}]}),
                ".spec.tolerations[0].key: expected string, got &value.valueUnstructured{Value:1}",
            ),
            (
                json!({"containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 1, "protocol": "TCP"}]}]}),
                ".spec.containers[name=\"a\"].ports: duplicate entries for key [containerPort=1,protocol=\"TCP\"]",
            ),
            (
                json!({"containers": ["a"]}),
                ".spec.containers: element 0: associative list with keys may not have non-map elements",
            ),
        ] {
            assert_eq!(faults(&json!({"spec": spec}), Duplicates::Refused), want);
        }
        let twice = json!({"spec": {"containers": [{"name": "a"}, {"name": "a"}]}});
        assert_eq!(faults(&twice, Duplicates::Allowed), "");
        let several = json!({"metadata": {"name": 1}, "spec": {"nodeName": 2}});
        let want = "errors:\n  .metadata.name: expected string, got &value.valueUnstructured{Value:1}\n  .spec.nodeName: expected string, got &value.valueUnstructured{Value:2}";
        assert_eq!(faults(&several, Duplicates::Allowed), want);
    }
}
