//! Bringing a recorded set of fields up to date with a schema that has changed since.

use super::atom::{Atom, Shape};
use super::path::{Path, PathElement};
use super::set::FieldSet;

/// The set where whoever owned fields inside something that is now owned as a whole owns that whole.
#[must_use]
pub fn reconcile(set: FieldSet, shape: Shape<'_>) -> FieldSet {
    let mut wholes = FieldSet::default();
    find(Some(&set), false, shape, &mut Path::new(), &mut wholes);
    if wholes.is_empty() { set } else { set.difference_with_descendants(&wholes).union(&wholes) }
}

fn find(set: Option<&FieldSet>, is_leaf: bool, shape: Shape<'_>, path: &mut Path, wholes: &mut FieldSet) {
    match shape.atom() {
        Atom { map: Some(map), .. } => {
            if matches!(map.others, Shape::Deduced) && map.declared.is_none_or(|ty| ty.fields.is_empty()) {
                return;
            }
            if !is_leaf && map.atomic {
                if set.is_some() {
                    wholes.insert(path);
                }
                return;
            }
            for (step, member, below) in set.into_iter().flat_map(FieldSet::branches) {
                let shape = match step {
                    PathElement::Field(name) => map.member(name),
                    _ => map.others,
                };
                if !matches!(shape, Shape::Undeclared) {
                    visit(step, member, below, shape, path, wholes);
                }
            }
        }
        Atom { scalar: None, list: Some(list), .. } => {
            if !is_leaf && list.is_atomic() {
                wholes.insert(path);
                return;
            }
            for (step, member, below) in set.into_iter().flat_map(FieldSet::branches) {
                visit(step, member, below, list.element, path, wholes);
            }
        }
        Atom { .. } => {}
    }
}

fn visit(step: &PathElement, member: bool, below: &FieldSet, shape: Shape<'_>, path: &mut Path, wholes: &mut FieldSet) {
    let below = Some(below).filter(|below| !below.is_empty());
    path.push(step.clone());
    find(below, member && below.is_none(), shape, path, wholes);
    path.pop();
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::schema::GroupVersionKind;
    use crate::schema::builtin::registry;

    fn reconciled(fields: &Value) -> Value {
        let ty = registry().kind(&GroupVersionKind::new("apps", "v1", "Deployment")).unwrap();
        reconcile(FieldSet::from_fields_v1(fields).unwrap(), Shape::Type(&ty)).to_fields_v1()
    }

    #[test]
    fn fields_inside_a_whole_become_the_whole() {
        let inside = json!({"f:spec": {"f:replicas": {}, "f:selector": {"f:matchLabels": {".": {}, "f:a": {}}}}});
        assert_eq!(reconciled(&inside), json!({"f:spec": {"f:replicas": {}, "f:selector": {}}}));
        let whole =
            json!({"f:metadata": {"f:labels": {"f:a": {}}}, "f:spec": {"f:selector": {}}, "f:unknown": {"f:x": {}}});
        assert_eq!(reconciled(&whole), whole);
    }
}
