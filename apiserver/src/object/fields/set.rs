//! Sets of fields, as trees.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::path::{Path, PathElement};

/// A set of fields. That a field is a member says nothing of the fields above or below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    /// A node is a member, or has members below, or both; there is none without a purpose.
    nodes: BTreeMap<PathElement, Node>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Node {
    member: bool,
    below: FieldSet,
}

impl Node {
    fn is_empty(&self) -> bool {
        !self.member && self.below.is_empty()
    }
}

impl FieldSet {
    /// A set of fields given by dotted paths, such as `metadata.name`.
    pub fn of_dotted<'p>(paths: impl IntoIterator<Item = &'p str>) -> Self {
        let mut set = Self::default();
        for path in paths {
            let path: Path = path.split('.').map(PathElement::field).collect();
            set.insert(&path);
        }
        set
    }

    /// Adds the field at a path. The object as a whole is never a member.
    pub fn insert(&mut self, path: &[PathElement]) {
        let Some((first, rest)) = path.split_first() else { return };
        let node = self.nodes.entry(first.clone()).or_default();
        if rest.is_empty() {
            node.member = true;
        } else {
            node.below.insert(rest);
        }
    }

    /// Whether the set has no member.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether the field at a path is a member.
    pub fn contains(&self, path: &[PathElement]) -> bool {
        match path.split_first() {
            Some((first, [])) => self.has(first),
            Some((first, rest)) => self.below(first).is_some_and(|below| below.contains(rest)),
            None => false,
        }
    }

    /// Whether something directly in the object is a member.
    pub fn has(&self, step: &PathElement) -> bool {
        self.nodes.get(step).is_some_and(|node| node.member)
    }

    /// The members below something directly in the object.
    pub fn below(&self, step: &PathElement) -> Option<&Self> {
        self.nodes.get(step).map(|node| &node.below).filter(|below| !below.is_empty())
    }

    /// What the tree branches into at its root, whether it is a member, and the members below.
    pub fn branches(&self) -> impl Iterator<Item = (&PathElement, bool, &Self)> {
        self.nodes.iter().map(|(step, node)| (step, node.member, &node.below))
    }

    /// Adds a branch; see [`FieldSet::branches`].
    pub fn add_branch(&mut self, step: PathElement, member: bool, below: Self) {
        if member || !below.is_empty() {
            self.nodes.insert(step, Node { member, below });
        }
    }

    /// Every member: those at a level first, then those below each.
    pub fn paths(&self) -> Vec<Path> {
        let mut paths = Vec::new();
        self.collect(&mut Path::new(), &mut paths);
        paths
    }

    fn collect(&self, prefix: &mut Path, paths: &mut Vec<Path>) {
        for (step, _) in self.nodes.iter().filter(|(_, node)| node.member) {
            let mut path = prefix.clone();
            path.push(step.clone());
            paths.push(path);
        }
        for (step, node) in &self.nodes {
            prefix.push(step.clone());
            node.below.collect(prefix, paths);
            prefix.pop();
        }
    }

    /// The members of either set.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        let mut out = self.clone();
        out.extend(other);
        out
    }

    fn extend(&mut self, other: &Self) {
        for (step, node) in &other.nodes {
            let own = self.nodes.entry(step.clone()).or_default();
            own.member |= node.member;
            own.below.extend(&node.below);
        }
    }

    /// The members of both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.combine(other, |node, theirs| {
            theirs.map(|theirs| Node {
                member: node.member && theirs.member,
                below: node.below.intersection(&theirs.below),
            })
        })
    }

    /// The members that the other set lacks.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.combine(other, |node, theirs| match theirs {
            Some(theirs) => {
                Some(Node { member: node.member && !theirs.member, below: node.below.difference(&theirs.below) })
            }
            None => Some(node.clone()),
        })
    }

    /// The members that are neither in the other set nor below one of its members.
    #[must_use]
    pub fn difference_with_descendants(&self, other: &Self) -> Self {
        self.combine(other, |node, theirs| match theirs {
            Some(theirs) if theirs.member => None,
            Some(theirs) => {
                Some(Node { member: node.member, below: node.below.difference_with_descendants(&theirs.below) })
            }
            None => Some(node.clone()),
        })
    }

    fn combine(&self, other: &Self, rule: impl Fn(&Node, Option<&Node>) -> Option<Node>) -> Self {
        let nodes = self.nodes.iter().filter_map(|(step, node)| {
            let node = rule(node, other.nodes.get(step)).filter(|node| !node.is_empty())?;
            Some((step.clone(), node))
        });
        Self { nodes: nodes.collect() }
    }

    /// The set as a `FieldsV1` object: a member without members below is `{}`, with some it has a member named `.`.
    pub fn to_fields_v1(&self) -> Value {
        Value::Object(self.encode())
    }

    fn encode(&self) -> Map<String, Value> {
        let mut out = Map::new();
        for (step, node) in &self.nodes {
            let mut below = node.below.encode();
            if node.member && !below.is_empty() {
                below.insert(".".to_owned(), Value::Object(Map::new()));
            }
            out.insert(step.encode(), Value::Object(below));
        }
        out
    }

    /// Reads a `FieldsV1` object. Steps of a kind that is not known are ignored; malformed ones are an error.
    pub fn from_fields_v1(fields: &Value) -> Result<Self, String> {
        match fields {
            Value::Null => Ok(Self::default()),
            Value::Object(members) => Ok(Self::decode(members)?.0),
            _ => Err("expected an object of fields".to_owned()),
        }
    }

    /// The members below an encoded node, and whether the node is one itself.
    fn decode(members: &Map<String, Value>) -> Result<(Self, bool), String> {
        let mut out = Self::default();
        let mut member = false;
        for (text, below) in members {
            if text == "." {
                member = true;
                continue;
            }
            let Some(step) = PathElement::decode(text)? else { continue };
            let (below, is_member) = match below {
                Value::Object(below) => Self::decode(below)?,
                Value::Null => (Self::default(), true),
                _ => return Err(format!("expected an object at {text}")),
            };
            out.add_branch(step, is_member, below);
        }
        member |= out.is_empty();
        Ok((out, member))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn set(fields: &Value) -> FieldSet {
        FieldSet::from_fields_v1(fields).unwrap()
    }

    #[test]
    fn fields_v1_round_trips() {
        for fields in [
            json!({}),
            json!({"f:a": {}}),
            json!({"f:a": {".": {}, "f:b": {}}, "f:c": {"k:{\"n\":\"x\"}": {".": {}, "f:n": {}}, "v:1": {}, "i:0": {}}}),
        ] {
            assert_eq!(set(&fields).to_fields_v1(), fields);
        }
        assert_eq!(set(&json!({"x:future": {"f:a": {}}, "f:b": {}})), set(&json!({"f:b": {}})));
        assert!(FieldSet::from_fields_v1(&json!({"bogus": {}})).is_err());
    }

    #[test]
    fn parents_and_children_are_independent() {
        let (parent, child) = (set(&json!({"f:a": {}})), set(&json!({"f:a": {"f:b": {}}})));
        assert_eq!(parent.difference(&child), parent);
        assert_eq!(child.difference(&parent), child);
        assert!(child.difference_with_descendants(&parent).is_empty());
        assert!(parent.intersection(&child).is_empty());
        assert_eq!(parent.union(&child).to_fields_v1(), json!({"f:a": {".": {}, "f:b": {}}}));
    }

    fn any_set() -> impl Strategy<Value = FieldSet> {
        let step = prop_oneof!["[ab]".prop_map(PathElement::Field), (0_i64..2).prop_map(PathElement::Index)];
        let path = prop::collection::vec(step, 1..4);
        prop::collection::vec(path, 0..8).prop_map(|paths| {
            let mut set = FieldSet::default();
            for path in &paths {
                set.insert(path);
            }
            set
        })
    }

    proptest! {
        #[test]
        fn algebra_holds(a in any_set(), b in any_set(), c in any_set()) {
            prop_assert_eq!(a.union(&b), b.union(&a));
            prop_assert_eq!(a.union(&b).union(&c), a.union(&b.union(&c)));
            prop_assert_eq!(a.intersection(&b), b.intersection(&a));
            prop_assert_eq!(a.intersection(&b), a.difference(&a.difference(&b)));
            prop_assert_eq!(a.difference(&b).union(&a.intersection(&b)), a.clone());
            prop_assert_eq!(a.difference(&b.union(&c)), a.difference(&b).difference(&c));
            prop_assert!(a.difference(&a).is_empty());
            let narrow = a.difference_with_descendants(&b);
            prop_assert_eq!(narrow.difference(&a.difference(&b)), FieldSet::default());
        }

        #[test]
        fn members_are_what_the_paths_say(a in any_set(), b in any_set()) {
            for path in a.paths() {
                prop_assert!(a.contains(&path));
                prop_assert_eq!(a.difference(&b).contains(&path), !b.contains(&path));
                prop_assert_eq!(a.intersection(&b).contains(&path), b.contains(&path));
            }
            prop_assert_eq!(FieldSet::from_fields_v1(&a.to_fields_v1()), Ok(a));
        }
    }
}
