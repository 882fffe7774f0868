//! The set of fields that an object has.

use std::collections::BTreeSet;

use serde_json::Value;

use super::atom::{Atom, ListAtom, Shape};
use super::path::{Path, PathElement};
use super::set::FieldSet;

/// Every leaf of an object and every item of its maps and lists. What is owned as a whole is one leaf.
pub fn field_set(value: &Value, shape: Shape<'_>) -> FieldSet {
    let mut walker = Walker { path: Path::new(), set: FieldSet::default() };
    walker.value(value, shape);
    walker.set
}

struct Walker {
    path: Path,
    set: FieldSet,
}

impl Walker {
    fn value(&mut self, value: &Value, shape: Shape<'_>) {
        match shape.atom().deduce(value) {
            Atom { map: Some(map), .. } => {
                if map.atomic {
                    return self.set.insert(&self.path);
                }
                for (name, member) in value.as_object().into_iter().flatten() {
                    self.path.push(PathElement::field(name));
                    self.value(member, map.member(name));
                    let empty = member.is_null() || member.as_object().is_some_and(serde_json::Map::is_empty);
                    if empty || map.declared(name).is_none() {
                        self.set.insert(&self.path);
                    }
                    self.path.pop();
                }
            }
            Atom { scalar: Some(_), .. } => self.set.insert(&self.path),
            Atom { list: Some(list), .. } => {
                if list.is_atomic() {
                    return self.set.insert(&self.path);
                }
                self.items(value.as_array().map(Vec::as_slice).unwrap_or_default(), &list);
            }
            Atom { .. } => {}
        }
    }

    /// Elements that share a key are owned together, without a look inside.
    fn items(&mut self, items: &[Value], list: &ListAtom<'_>) {
        let steps: Vec<_> = items.iter().map(|item| list.step(item).ok()).collect();
        let (mut seen, mut repeated) = (BTreeSet::new(), BTreeSet::new());
        for step in steps.iter().flatten() {
            if !seen.insert(step) {
                repeated.insert(step);
            }
        }
        for (item, step) in items.iter().zip(&steps) {
            let Some(step) = step else { continue };
            self.path.push(step.clone());
            if !repeated.contains(step) {
                self.value(item, list.element);
            }
            self.set.insert(&self.path);
            self.path.pop();
        }
    }
}
