//! Merging an applied configuration into an object.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde_json::{Map, Value};

use super::Faults;
use super::atom::{Atom, ListAtom, MapAtom, Shape};
use super::compare::items;
use super::path::{Path, PathElement};

/// The object with the configuration's fields in place of its own. Nothing is removed. Lists are ordered like the object's
/// where the configuration has no say, and like the configuration's where it has.
pub fn merge(object: &Value, applied: &Value, shape: Shape<'_>) -> Result<Value, Faults> {
    let mut walker = Walker { path: Path::new(), faults: Faults::default() };
    let merged = walker.value(Some(object), Some(applied), shape);
    walker.faults.into_result(merged.unwrap_or_default())
}

struct Walker {
    path: Path,
    faults: Faults,
}

impl Walker {
    fn value(&mut self, object: Option<&Value>, applied: Option<&Value>, shape: Shape<'_>) -> Option<Value> {
        let Some(value) = applied else { return object.cloned() };
        match shape.atom().deduce(value) {
            Atom { map: Some(map), .. } => self.map(object, applied, &map),
            Atom { scalar: Some(_), .. } => applied.or(object).cloned(),
            Atom { list: Some(list), .. } => self.list(object, applied, &list),
            Atom { .. } => {
                self.faults.add(&self.path, "schema error: invalid atom: inlined");
                None
            }
        }
    }

    fn map(&mut self, object: Option<&Value>, applied: Option<&Value>, map: &MapAtom<'_>) -> Option<Value> {
        let (ours, theirs) = (object.and_then(Value::as_object), applied.and_then(Value::as_object));
        let empty = |members: Option<&Map<_, _>>| members.is_none_or(Map::is_empty);
        if map.atomic || (empty(ours) && empty(theirs)) {
            return applied.or(object).cloned();
        }
        let mut merged = Map::new();
        let names: BTreeSet<&String> = ours.into_iter().chain(theirs).flat_map(Map::keys).collect();
        for name in names {
            let (ours, theirs) =
                (ours.and_then(|members| members.get(name)), theirs.and_then(|members| members.get(name)));
            self.path.push(PathElement::field(name));
            if let Some(value) = self.value(ours, theirs, map.member(name)) {
                merged.insert(name.clone(), value);
            }
            self.path.pop();
        }
        (!merged.is_empty()).then_some(Value::Object(merged))
    }

    fn list(&mut self, object: Option<&Value>, applied: Option<&Value>, list: &ListAtom<'_>) -> Option<Value> {
        let (ours, theirs) = (items(object), items(applied));
        if list.is_atomic() || (ours.is_empty() && theirs.is_empty()) {
            return applied.or(object).cloned();
        }
        let merged = self.items(ours, theirs, list);
        (!merged.is_empty()).then_some(Value::Array(merged))
    }

    /// Goes through both lists at once: an element of the object that the configuration lacks stays where it is between
    /// those that both have, and those follow the configuration's order.
    fn items(&mut self, ours: &[Value], theirs: &[Value], list: &ListAtom<'_>) -> Vec<Value> {
        let ours = self.index(ours, list);
        let theirs = self.index(theirs, list);
        let mut shared: VecDeque<&PathElement> =
            theirs.steps.iter().map(|(step, _)| step).filter(|step| ours.by_step.contains_key(*step)).collect();
        let mut next_shared = shared.pop_front();
        let mut taken = BTreeSet::new();
        let mut merged = Vec::with_capacity(ours.steps.len().max(theirs.steps.len()));
        let (mut at, mut their_at) = (0, 0);
        loop {
            let our = ours.steps.get(at);
            let their = theirs.steps.get(their_at);
            if let (Some((step, _)), Some((their_step, _))) = (our, their) {
                if step == their_step {
                    taken.insert(step);
                    merged.extend(self.item(step, ours.get(step), theirs.get(step), list.element));
                    at += 1;
                    their_at += 1;
                    next_shared = shared.pop_front();
                    continue;
                }
                // Both have it, but the configuration wants another one first.
                if theirs.by_step.contains_key(step) && next_shared.is_some_and(|next| next != step) {
                    at += 1;
                    continue;
                }
            }
            if let Some((step, item)) = our {
                if !theirs.by_step.contains_key(step) {
                    merged.extend(self.item(step, Some(*item), None, list.element));
                    at += 1;
                    continue;
                }
                if taken.contains(step) {
                    at += 1;
                }
            }
            if let Some((step, _)) = their {
                taken.insert(step);
                merged.extend(self.item(step, ours.get(step), theirs.get(step), list.element));
                their_at += 1;
                if next_shared == Some(step) {
                    next_shared = shared.pop_front();
                }
            }
            if ours.steps.get(at).is_none() && theirs.steps.get(their_at).is_none() {
                return merged;
            }
        }
    }

    fn item(
        &mut self,
        step: &PathElement,
        ours: Option<&Value>,
        theirs: Option<&Value>,
        shape: Shape<'_>,
    ) -> Option<Value> {
        self.path.push(step.clone());
        let merged = self.value(ours, theirs, shape);
        self.path.pop();
        merged
    }

    fn index<'v>(&mut self, items: &'v [Value], list: &ListAtom<'_>) -> Index<'v> {
        let mut index = Index { steps: Vec::with_capacity(items.len()), by_step: BTreeMap::new() };
        for (at, item) in items.iter().enumerate() {
            match list.step(item) {
                Ok(step) => {
                    index.by_step.entry(step.clone()).and_modify(|found| *found = &Value::Null).or_insert(item);
                    index.steps.push((step, item));
                }
                Err(fault) => self.faults.add(&self.path, format!("element {at}: {fault}")),
            }
        }
        index
    }
}

/// A list's elements in order and by key. What has the key of another is found as null: it is not merged into.
struct Index<'v> {
    steps: Vec<(PathElement, &'v Value)>,
    by_step: BTreeMap<PathElement, &'v Value>,
}

impl<'v> Index<'v> {
    fn get(&self, step: &PathElement) -> Option<&'v Value> {
        self.by_step.get(step).copied()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::GroupVersionKind;
    use crate::schema::builtin::registry;

    fn merged(object: &Value, applied: &Value) -> Value {
        let ty = registry().kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        merge(object, applied, Shape::Type(&ty)).unwrap()
    }

    fn containers(names: &str) -> Value {
        let items: Vec<_> = names.chars().map(|name| json!({"name": name.to_string()})).collect();
        json!({"spec": {"containers": items}})
    }

    #[test]
    fn applied_fields_win_and_none_goes() {
        let object = json!({"metadata": {"labels": {"a": "1", "b": "1"}, "finalizers": ["x"]},
            "spec": {"containers": [{"name": "a", "image": "1", "tty": true}], "tolerations": [{"key": "k"}]}});
        let applied = json!({"metadata": {"labels": {"b": "2"}, "finalizers": ["y"]},
            "spec": {"containers": [{"name": "a", "image": "2"}], "tolerations": [{"key": "l"}]}});
        let want = json!({"metadata": {"labels": {"a": "1", "b": "2"}, "finalizers": ["x", "y"]},
            "spec": {"containers": [{"name": "a", "image": "2", "tty": true}], "tolerations": [{"key": "l"}]}});
        assert_eq!(merged(&object, &applied), want);
    }

    #[test]
    fn keyed_lists_follow_the_configuration_around_what_it_lacks() {
        for (object, applied, want) in [
            ("abc", "c", "abc"),
            ("abc", "ca", "bca"),
            ("abc", "cb", "acb"),
            ("ab", "xb", "axb"),
            ("ab", "bx", "abx"),
            ("", "ba", "ba"),
            ("abc", "", "abc"),
        ] {
            assert_eq!(merged(&containers(object), &containers(applied)), containers(want), "{object} and {applied}");
        }
    }

    #[test]
    fn empty_and_null_are_kept_apart() {
        let object = json!({"spec": {"containers": null}});
        assert_eq!(
            merged(&object, &json!({"spec": {"nodeSelector": {}}})),
            json!({"spec": {"containers": null, "nodeSelector": {}}})
        );
        assert_eq!(merged(&object, &json!({"spec": {"containers": []}})), json!({"spec": {"containers": []}}));
    }
}
