//! What etcd says of ranges that are turned round: those whose end does not lie after their start.
//!
//! They hold no key, so nothing depends on the answer but whether a client sees its request refused. etcd looks for
//! granted ranges that hold the start, in a red-black tree (`pkg/adt/interval_tree.go`), and skips subtrees in a way
//! that is right only for ranges that are not turned round. So the answer depends on the shape of the tree, and that on
//! the order in which ranges were put in.

use crate::engine::Span;

/// Granted ranges, in the shape in which etcd keeps them.
#[derive(Debug, Clone, Default)]
pub struct IntervalTree(Option<Box<Node>>);

#[derive(Debug, Clone)]
struct Node {
    span: Span,
    is_red: bool,
    left: Option<Box<Node>>,
    right: Option<Box<Node>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

impl Side {
    fn opposite(self) -> Self {
        match self {
            Self::Left => Self::Right,
            Self::Right => Self::Left,
        }
    }
}

impl IntervalTree {
    /// Puts in a range.
    pub fn insert(&mut self, span: Span) {
        let mut root = inserted(self.0.take(), span);
        root.is_red = false;
        self.0 = Some(Box::new(root));
    }

    /// Whether etcd finds a range that holds the start of one that is turned round.
    pub fn covers_turned_round(&self, span: &Span) -> bool {
        finds(self.0.as_deref(), span)
    }
}

fn finds(node: Option<&Node>, span: &Span) -> bool {
    let Some(node) = node else { return false };
    if node.span.contains(&span.start) {
        return true;
    }
    if span.start < node.span.start {
        return finds(node.left.as_deref(), span);
    }
    // What lies below is looked at only if it begins before the end, although that lies before the start.
    let begins_before_end = span.end.as_ref().is_none_or(|end| node.span.start < *end);
    begins_before_end && (finds(node.left.as_deref(), span) || finds(node.right.as_deref(), span))
}

fn inserted(tree: Option<Box<Node>>, span: Span) -> Node {
    let Some(mut node) = tree else { return Node { span, is_red: true, left: None, right: None } };
    let side = if span < node.span { Side::Left } else { Side::Right };
    let child = inserted(node.child(side).take(), span);
    *node.child(side) = Some(Box::new(child));
    balanced(*node, side)
}

/// Mends two red nodes in a row that an insertion below the child on `side` may have left (Cormen et al., 13.3).
fn balanced(mut node: Node, side: Side) -> Node {
    let other = side.opposite();
    let Some(mut child) = node.child(side).take() else { return node };
    let (outer_is_red, inner_is_red) = (is_red(child.child(side).as_deref()), is_red(child.child(other).as_deref()));
    if !child.is_red || !(outer_is_red || inner_is_red) {
        *node.child(side) = Some(child);
        return node;
    }
    if let Some(uncle) = node.child(other).as_mut().filter(|uncle| uncle.is_red) {
        uncle.is_red = false;
        child.is_red = false;
        node.is_red = true;
        *node.child(side) = Some(child);
        return node;
    }
    if inner_is_red {
        child = Box::new(rotated(*child, side));
    }
    child.is_red = false;
    node.is_red = true;
    *node.child(side) = Some(child);
    rotated(node, other)
}

/// Moves a node down towards `side`; its other child takes its place.
fn rotated(mut node: Node, side: Side) -> Node {
    let Some(mut above) = node.child(side.opposite()).take() else { return node };
    *node.child(side.opposite()) = above.child(side).take();
    *above.child(side) = Some(Box::new(node));
    *above
}

fn is_red(node: Option<&Node>) -> bool {
    node.is_some_and(|node| node.is_red)
}

impl Node {
    fn child(&mut self, side: Side) -> &mut Option<Box<Node>> {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(spans: &[(&'static str, &'static str)]) -> IntervalTree {
        let mut tree = IntervalTree::default();
        for (key, end) in spans {
            tree.insert(Span::of_request(*key, *end));
        }
        tree
    }

    #[test]
    fn what_is_found_depends_on_what_lies_above() {
        let asked = Span::of_request("p", "b");
        assert!(tree(&[("b2", "\0")]).covers_turned_round(&asked));
        assert!(!tree(&[("b", "c"), ("b2", "\0")]).covers_turned_round(&asked));
        assert!(tree(&[("b2", "\0"), ("b", "c")]).covers_turned_round(&asked));
        assert!(tree(&[("a", "ab"), ("b2", "\0")]).covers_turned_round(&asked));
        assert!(!tree(&[("c", "d"), ("q", "r")]).covers_turned_round(&asked));
    }

    #[test]
    fn the_tree_is_balanced_as_etcds() {
        // Names of nodes from the left to the right, each with how deep it lies; red ones in capitals.
        fn shape(node: Option<&Node>, depth: usize, out: &mut String) {
            let Some(node) = node else { return };
            shape(node.left.as_deref(), depth + 1, out);
            let name = String::from_utf8_lossy(&node.span.start).into_owned();
            out.push_str(&if node.is_red { name.to_uppercase() } else { name });
            out.push_str(&depth.to_string());
            shape(node.right.as_deref(), depth + 1, out);
        }
        for (order, expected) in [
            ("abc", "A1b0C1"),
            ("acb", "A1b0C1"),
            ("abcd", "a1b0c1D2"),
            ("abcde", "a1b0C2d1E2"),
            ("edcba", "A2b1C2d0e1"),
        ] {
            let mut tree = IntervalTree::default();
            order.chars().for_each(|name| tree.insert(Span::of_request(name.to_string(), "")));
            let mut found = String::new();
            shape(tree.0.as_deref(), 0, &mut found);
            assert_eq!(found, expected, "{order}");
        }
    }
}
