//! An index that finds the ranges a key lies in.
//!
//! Pure. It is an AVL tree ordered by range and augmented with the greatest end of each subtree: with `n` distinct
//! ranges, a lookup that finds `k` costs `O(k log n)` at most, whatever ranges clients choose.

#![allow(clippy::unnecessary_box_returns, reason = "the tree is made of boxes, which are handed on as they are")]

use std::cmp::Ordering;

use bytes::Bytes;

use crate::engine::Span;
use crate::engine::span::{compare_ends, is_before};

/// Ranges with a value each, found by a key that lies in them.
#[derive(Debug)]
pub struct IntervalMap<V> {
    root: Tree<V>,
}

type Tree<V> = Option<Box<Node<V>>>;

#[derive(Debug)]
struct Node<V> {
    range: Span,
    value: V,
    /// The greatest end in this subtree; none is after every key.
    reach: Option<Bytes>,
    height: u8,
    left: Tree<V>,
    right: Tree<V>,
}

impl<V> Default for IntervalMap<V> {
    fn default() -> Self {
        Self { root: None }
    }
}

impl<V> IntervalMap<V> {
    /// The value of `range`, made by `default` if the range is new.
    pub fn entry(&mut self, range: &Span, default: impl FnOnce() -> V) -> &mut V {
        if self.get_mut(range).is_none() {
            let leaf = Node {
                range: range.clone(),
                value: default(),
                reach: range.end.clone(),
                height: 1,
                left: None,
                right: None,
            };
            self.root = Some(insert(self.root.take(), leaf));
        }
        self.get_mut(range).unwrap_or_else(|| unreachable!("inserted above"))
    }

    /// The value of exactly this range.
    pub fn get_mut(&mut self, range: &Span) -> Option<&mut V> {
        let mut next = self.root.as_deref_mut();
        while let Some(node) = next {
            next = match range.cmp(&node.range) {
                Ordering::Equal => return Some(&mut node.value),
                Ordering::Less => node.left.as_deref_mut(),
                Ordering::Greater => node.right.as_deref_mut(),
            };
        }
        None
    }

    /// Takes out exactly this range.
    pub fn remove(&mut self, range: &Span) -> Option<V> {
        let (root, removed) = remove(self.root.take(), range);
        self.root = root;
        removed
    }

    /// Calls `visit` with the value of every range that `key` lies in, in the order of the ranges.
    pub fn visit<'a>(&'a self, key: &[u8], visit: &mut impl FnMut(&'a V)) {
        fn descend<'a, V>(tree: Option<&'a Node<V>>, key: &[u8], visit: &mut impl FnMut(&'a V)) {
            let Some(node) = tree else { return };
            if !is_before(key, node.reach.as_ref()) {
                return;
            }
            descend(node.left.as_deref(), key, visit);
            if key >= node.range.start.as_ref() {
                if is_before(key, node.range.end.as_ref()) {
                    visit(&node.value);
                }
                descend(node.right.as_deref(), key, visit);
            }
        }
        descend(self.root.as_deref(), key, visit);
    }
}

fn height<V>(tree: Option<&Node<V>>) -> u8 {
    tree.map_or(0, |node| node.height)
}

impl<V> Node<V> {
    /// Recomputes what depends on the children.
    fn update(&mut self) {
        self.height = 1 + height(self.left.as_deref()).max(height(self.right.as_deref()));
        let below = [&self.left, &self.right].into_iter().flatten().map(|child| &child.reach);
        let ends = below.chain([&self.range.end]);
        self.reach = ends.max_by(|a, b| compare_ends(a.as_ref(), b.as_ref())).cloned().flatten();
    }
}

fn rotate_right<V>(mut node: Box<Node<V>>) -> Box<Node<V>> {
    let Some(mut top) = node.left.take() else { return node };
    node.left = top.right.take();
    node.update();
    top.right = Some(node);
    top.update();
    top
}

fn rotate_left<V>(mut node: Box<Node<V>>) -> Box<Node<V>> {
    let Some(mut top) = node.right.take() else { return node };
    node.right = top.left.take();
    node.update();
    top.left = Some(node);
    top.update();
    top
}

/// Restores the AVL property of a node whose children satisfy it and differ in height by at most two.
fn balance<V>(mut node: Box<Node<V>>) -> Box<Node<V>> {
    if height(node.left.as_deref()) > height(node.right.as_deref()) + 1 {
        if let Some(left) = node.left.take_if(|left| height(left.right.as_deref()) > height(left.left.as_deref())) {
            node.left = Some(rotate_left(left));
        }
        return rotate_right(node);
    }
    if height(node.right.as_deref()) > height(node.left.as_deref()) + 1 {
        if let Some(right) = node.right.take_if(|right| height(right.left.as_deref()) > height(right.right.as_deref()))
        {
            node.right = Some(rotate_right(right));
        }
        return rotate_left(node);
    }
    node.update();
    node
}

fn insert<V>(tree: Tree<V>, leaf: Node<V>) -> Box<Node<V>> {
    let Some(mut node) = tree else { return Box::new(leaf) };
    if leaf.range < node.range {
        node.left = Some(insert(node.left.take(), leaf));
    } else {
        node.right = Some(insert(node.right.take(), leaf));
    }
    balance(node)
}

fn remove<V>(tree: Tree<V>, range: &Span) -> (Tree<V>, Option<V>) {
    let Some(mut node) = tree else { return (None, None) };
    match range.cmp(&node.range) {
        Ordering::Less => {
            let (left, removed) = remove(node.left.take(), range);
            node.left = left;
            (Some(balance(node)), removed)
        }
        Ordering::Greater => {
            let (right, removed) = remove(node.right.take(), range);
            node.right = right;
            (Some(balance(node)), removed)
        }
        Ordering::Equal => {
            let Node { value, left, right, .. } = *node;
            (join(left, right), Some(value))
        }
    }
}

/// One tree of two whose heights differ by at most one, everything in `left` being below everything in `right`.
fn join<V>(left: Tree<V>, right: Tree<V>) -> Tree<V> {
    let Some(right) = right else { return left };
    let (rest, mut first) = take_first(right);
    first.left = left;
    first.right = rest;
    Some(balance(first))
}

fn take_first<V>(mut node: Box<Node<V>>) -> (Tree<V>, Box<Node<V>>) {
    match node.left.take() {
        None => (node.right.take(), node),
        Some(left) => {
            let (rest, first) = take_first(left);
            node.left = rest;
            (Some(balance(node)), first)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn assert_balanced<V>(tree: Option<&Node<V>>) -> u8 {
        let Some(node) = tree else { return 0 };
        let (left, right) = (assert_balanced(node.left.as_deref()), assert_balanced(node.right.as_deref()));
        assert!(left.abs_diff(right) <= 1);
        assert_eq!(node.height, 1 + left.max(right));
        node.height
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(Span),
        Remove(Span),
    }

    fn range() -> impl Strategy<Value = Span> {
        (0u8..12, 0u8..14).prop_map(|(start, end)| match end {
            12 => Span::of_request(vec![start], vec![]),
            13 => Span::of_request(vec![start], vec![0]),
            end => Span::of_request(vec![start], vec![end, 1]),
        })
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![range().prop_map(Step::Add), range().prop_map(Step::Remove)]
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_finds(steps in prop::collection::vec(step(), 0..120)) {
            let mut map = IntervalMap::default();
            let mut model = BTreeMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Add(range) => {
                        let value = *map.entry(&range, || number);
                        prop_assert_eq!(value, *model.entry(range).or_insert(number));
                    }
                    Step::Remove(range) => prop_assert_eq!(map.remove(&range), model.remove(&range)),
                }
                assert_balanced(map.root.as_deref());
                for key in 0..13 {
                    let mut found = Vec::new();
                    map.visit(&[key], &mut |value| found.push(*value));
                    let expected: Vec<_> = model.iter().filter(|(range, _)| range.contains(&[key])).map(|(_, v)| *v).collect();
                    prop_assert_eq!(found, expected);
                }
            }
            prop_assert_eq!(map.root.is_none(), model.is_empty());
        }
    }
}
