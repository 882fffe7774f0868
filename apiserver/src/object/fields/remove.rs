//! Removing fields from an object.

use serde_json::{Map, Value};

use super::atom::{Atom, Shape};
use super::path::PathElement;
use super::set::FieldSet;

/// The object without the given members of maps and elements of lists. What is owned as a whole goes as a whole. Where all
/// of something goes, null is left of it, or an empty object or list if only things further in were named.
pub fn remove(value: &Value, removed: &FieldSet, shape: Shape<'_>) -> Value {
    match shape.atom().deduce(value) {
        Atom { map: Some(map), .. } => {
            let members = value.as_object().filter(|members| !members.is_empty() && !map.atomic);
            let mut kept = Map::new();
            let mut went_inside = false;
            for (name, member) in members.into_iter().flatten() {
                let step = PathElement::field(name);
                if !removed.has(&step) {
                    let member = without(member, removed.below(&step), map.member(name), &mut went_inside);
                    kept.insert(name.clone(), member);
                }
            }
            if kept.is_empty() && !went_inside { Value::Null } else { Value::Object(kept) }
        }
        Atom { scalar: Some(_), .. } => value.clone(),
        Atom { list: Some(list), .. } => {
            let items = value.as_array().filter(|items| !items.is_empty() && !list.is_atomic());
            let mut kept = Vec::new();
            let mut went_inside = false;
            for item in items.into_iter().flatten() {
                let step = list.step(item).ok();
                if !step.as_ref().is_some_and(|step| removed.has(step)) {
                    let below = step.as_ref().and_then(|step| removed.below(step));
                    kept.push(without(item, below, list.element, &mut went_inside));
                }
            }
            if kept.is_empty() && !went_inside { Value::Null } else { Value::Array(kept) }
        }
        Atom { .. } => Value::Null,
    }
}

fn without(value: &Value, removed: Option<&FieldSet>, shape: Shape<'_>, went_inside: &mut bool) -> Value {
    let Some(removed) = removed else { return value.clone() };
    *went_inside = true;
    match (remove(value, removed, shape), value) {
        (Value::Null, Value::Object(_)) => Value::Object(Map::new()),
        (Value::Null, Value::Array(_)) => Value::Array(Vec::new()),
        (kept, _) => kept,
    }
}

/// The set with every declared field above a member as a member too; sets usually leave those out.
#[must_use]
pub fn with_named_fields(set: &FieldSet, shape: Shape<'_>) -> FieldSet {
    let atom = shape.atom();
    let mut out = FieldSet::default();
    for (step, member, below) in set.branches() {
        let (declared, shape) = match (step, atom.map, atom.list) {
            (PathElement::Field(name), Some(map), _) => (map.declared(name).is_some(), map.member(name)),
            (PathElement::Key(_), _, Some(list)) => (false, list.element),
            _ => (false, Shape::Undeclared),
        };
        let has_below = !below.is_empty();
        out.add_branch(step.clone(), member || (declared && has_below), with_named_fields(below, shape));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::GroupVersionKind;
    use crate::schema::builtin::registry;

    #[test]
    fn removes_members_and_elements_and_wholes() {
        let ty = registry().kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        let object = json!({"metadata": {"labels": {"a": "1"}, "finalizers": ["x", "y"]},
            "spec": {"containers": [{"name": "a", "image": "1"}, {"name": "b"}], "tolerations": [{"key": "k"}]}});
        let set = FieldSet::from_fields_v1(&json!({
            "f:metadata": {"f:labels": {"f:a": {}}, "f:finalizers": {"v:\"x\"": {}}},
            "f:spec": {"f:containers": {"k:{\"name\":\"a\"}": {"f:image": {}}, "k:{\"name\":\"b\"}": {}}, "f:tolerations": {}},
        }))
        .unwrap();
        let want = json!({"metadata": {"labels": {}, "finalizers": ["y"]}, "spec": {"containers": [{"name": "a"}]}});
        assert_eq!(remove(&object, &set, Shape::Type(&ty)), want);
    }

    #[test]
    fn declared_fields_above_a_member_become_members() {
        let ty = registry().kind(&GroupVersionKind::new("", "v1", "Pod")).unwrap();
        let set = FieldSet::from_fields_v1(&json!({"f:metadata": {"f:labels": {"f:a": {}}}})).unwrap();
        let want = json!({"f:metadata": {".": {}, "f:labels": {".": {}, "f:a": {}}}});
        assert_eq!(with_named_fields(&set, Shape::Type(&ty)).to_fields_v1(), want);
    }
}
