//! What changed between two objects, field by field.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Faults;
use super::atom::{Atom, ListAtom, MapAtom, Shape};
use super::path::{self, Path, PathElement};
use super::set::FieldSet;

/// The fields in which two objects differ; none is in more than one of the sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Fields that only the old object has.
    pub removed: FieldSet,
    /// Fields that both have, with different values.
    pub modified: FieldSet,
    /// Fields that only the new object has.
    pub added: FieldSet,
}

impl Comparison {
    /// The comparison without the given fields and all that is below them.
    #[must_use]
    pub fn without(self, fields: &FieldSet) -> Self {
        if fields.is_empty() {
            return self;
        }
        Self {
            removed: self.removed.difference_with_descendants(fields),
            modified: self.modified.difference_with_descendants(fields),
            added: self.added.difference_with_descendants(fields),
        }
    }
}

/// Compares two objects of one type.
pub fn compare(old: &Value, new: &Value, shape: Shape<'_>) -> Result<Comparison, Faults> {
    let mut walker = Walker { path: Path::new(), found: Comparison::default(), faults: Faults::default() };
    walker.value(Some(old), Some(new), shape);
    walker.faults.into_result(walker.found)
}

/// The elements of a list; of anything else there are none.
pub(super) fn items(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

struct Walker {
    path: Path,
    found: Comparison,
    faults: Faults,
}

impl Walker {
    fn value(&mut self, old: Option<&Value>, new: Option<&Value>, shape: Shape<'_>) {
        if old == new {
            return;
        }
        let atom = shape.atom();
        let old_atom = old.map_or(atom, |old| atom.deduce(old));
        let new_atom = new.map_or(atom, |new| atom.deduce(new));
        let is_leaf = if new.is_none() {
            self.descend(old, new, &old_atom)
        } else {
            if old.is_some() && !old_atom.same_kinds(&new_atom) {
                self.descend(old, new, &old_atom);
            }
            self.descend(old, new, &new_atom)
        };
        if !is_leaf {
            match (old, new) {
                (None, _) => self.found.added.insert(&self.path),
                (_, None) => self.found.removed.insert(&self.path),
                _ => {}
            }
        }
    }

    /// Compares as the given kind; says whether that is a leaf.
    fn descend(&mut self, old: Option<&Value>, new: Option<&Value>, atom: &Atom<'_>) -> bool {
        match atom {
            Atom { map: Some(map), .. } => self.map(old, new, map),
            Atom { scalar: Some(_), .. } => self.leaf(old, new),
            Atom { list: Some(list), .. } => self.list(old, new, list),
            Atom { .. } => {
                self.faults.add(&self.path, "schema error: invalid atom: inlined");
                true
            }
        }
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) -> bool {
        match (old, new) {
            (None, _) => self.found.added.insert(&self.path),
            (_, None) => self.found.removed.insert(&self.path),
            (Some(old), Some(new)) if path::compare(old, new).is_ne() => self.found.modified.insert(&self.path),
            _ => {}
        }
        true
    }

    fn map(&mut self, old: Option<&Value>, new: Option<&Value>, map: &MapAtom<'_>) -> bool {
        let (old_members, new_members) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
        let empty = |members: Option<&serde_json::Map<_, _>>| members.is_none_or(serde_json::Map::is_empty);
        if map.atomic || (empty(old_members) && empty(new_members)) {
            return self.leaf(old, new);
        }
        for (name, old) in old_members.into_iter().flatten() {
            self.member(name, Some(old), new_members.and_then(|members| members.get(name)), map);
        }
        for (name, new) in new_members.into_iter().flatten() {
            if old_members.is_none_or(|members| !members.contains_key(name)) {
                self.member(name, None, Some(new), map);
            }
        }
        false
    }

    fn member(&mut self, name: &str, old: Option<&Value>, new: Option<&Value>, map: &MapAtom<'_>) {
        if old != new {
            self.path.push(PathElement::field(name));
            self.value(old, new, map.member(name));
            self.path.pop();
        }
    }

    fn list(&mut self, old: Option<&Value>, new: Option<&Value>, list: &ListAtom<'_>) -> bool {
        let (old_items, new_items) = (items(old), items(new));
        if list.is_atomic() || (old_items.is_empty() && new_items.is_empty()) {
            return self.leaf(old, new);
        }
        let mut elements: BTreeMap<PathElement, (Vec<&Value>, Vec<&Value>)> = BTreeMap::new();
        for (at, item) in old_items.iter().enumerate() {
            if let Some(step) = self.step(list, at, item) {
                elements.entry(step).or_default().0.push(item);
            }
        }
        for (at, item) in new_items.iter().enumerate() {
            if let Some(step) = self.step(list, at, item) {
                elements.entry(step).or_default().1.push(item);
            }
        }
        for (step, (old, new)) in elements {
            self.path.push(step);
            self.elements(&old, &new, list.element);
            self.path.pop();
        }
        false
    }

    /// Compares the elements with one key. Where a key is repeated its elements are owned together.
    fn elements(&mut self, old: &[&Value], new: &[&Value], shape: Shape<'_>) {
        match (old.len(), new.len()) {
            (0 | 1, 0 | 1) => self.value(old.first().copied(), new.first().copied(), shape),
            (2.., 2..) => {
                let same =
                    old.len() == new.len() && old.iter().zip(new).all(|(old, new)| path::compare(old, new).is_eq());
                if !same {
                    self.found.modified.insert(&self.path);
                }
            }
            (2.., _) => {
                if !new.is_empty() {
                    self.value(None, new.first().copied(), shape);
                }
                self.found.removed.insert(&self.path);
            }
            (_, 2..) => {
                if !old.is_empty() {
                    self.value(old.first().copied(), None, shape);
                }
                self.found.added.insert(&self.path);
            }
        }
    }

    fn step(&mut self, list: &ListAtom<'_>, at: usize, item: &Value) -> Option<PathElement> {
        match list.step(item) {
            Ok(step) => Some(step),
            Err(fault) => {
                self.faults.add(&self.path, format!("element {at}: {fault}"));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::GroupVersionKind;
    use crate::schema::builtin::registry;

    fn compared(old: &Value, new: &Value) -> [Value; 3] {
        let ty = registry().kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        let found = compare(old, new, Shape::Type(&ty)).unwrap();
        [found.removed, found.modified, found.added].map(|set| set.to_fields_v1())
    }

    #[test]
    fn changes_are_told_field_by_field() {
        let old = json!({"metadata": {"labels": {"a": "1", "b": "1"}}, "spec": {"containers": [{"name": "a", "image": "1"}]}});
        let new = json!({"metadata": {"labels": {"b": "2"}, "annotations": {"c": "1"}}, "spec": {"containers": [{"name": "b"}]}});
        let [removed, modified, added] = compared(&old, &new);
        let element = |fields: Value| json!({"f:containers": fields});
        assert_eq!(
            removed,
            json!({"f:metadata": {"f:labels": {"f:a": {}}},
                "f:spec": element(json!({"k:{\"name\":\"a\"}": {".": {}, "f:image": {}, "f:name": {}}}))})
        );
        assert_eq!(modified, json!({"f:metadata": {"f:labels": {"f:b": {}}}}));
        assert_eq!(
            added,
            json!({"f:metadata": {"f:annotations": {".": {}, "f:c": {}}},
                "f:spec": element(json!({"k:{\"name\":\"b\"}": {".": {}, "f:name": {}}}))})
        );
    }

    #[test]
    fn what_is_owned_as_a_whole_changes_as_a_whole() {
        let selector = |value: &str| json!({"spec": {"tolerations": [{"key": value}]}});
        assert_eq!(compared(&selector("a"), &selector("b"))[1], json!({"f:spec": {"f:tolerations": {}}}));
        assert_eq!(compared(&json!({"spec": {}}), &selector("b"))[2], json!({"f:spec": {"f:tolerations": {}}}));
    }

    #[test]
    fn repeated_elements_are_owned_together() {
        let env = |items: &[(&str, &str)]| {
            let items: Vec<_> = items.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
            json!({"spec": {"containers": [{"name": "a", "env": items}]}})
        };
        let at = |fields: Value| json!({"f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:env": {"k:{\"name\":\"x\"}": fields}}}}});
        let (one, two, other) = (env(&[("x", "1")]), env(&[("x", "1"), ("x", "2")]), env(&[("x", "1"), ("x", "3")]));
        assert_eq!(compared(&two, &other)[1], at(json!({})));
        assert_eq!(compared(&one, &two)[2], at(json!({})));
        assert_eq!(compared(&two, &one)[0], at(json!({})));
    }
}
