//! Sets of keys made of ranges: what a user may read, or write, when the ranges of all its roles are put together.

use super::interval_tree::IntervalTree;
use crate::engine::Span;
use crate::engine::span::compare_ends;

/// A set of keys.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    /// It, as ranges that neither overlap nor touch, in order.
    ranges: Vec<Span>,
    /// The ranges that it was made of, as etcd keeps them.
    tree: IntervalTree,
}

impl FromIterator<Span> for Coverage {
    fn from_iter<I: IntoIterator<Item = Span>>(spans: I) -> Self {
        let mut spans: Vec<Span> = spans.into_iter().filter(|span| !span.is_empty()).collect();
        let mut tree = IntervalTree::default();
        for span in &spans {
            tree.insert(span.clone());
        }
        spans.sort();
        let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut() {
                Some(last) if last.end.as_ref().is_none_or(|end| *end >= span.start) => {
                    if compare_ends(span.end.as_ref(), last.end.as_ref()).is_gt() {
                        last.end = span.end;
                    }
                }
                _ => merged.push(span),
            }
        }
        Self { ranges: merged, tree }
    }
}

impl Coverage {
    /// Whether the whole of `span` lies in the set. A range that is turned round holds no key; of it etcd looks for the
    /// start, in its own way.
    pub fn covers(&self, span: &Span) -> bool {
        if span.is_empty() {
            return self.tree.covers_turned_round(span);
        }
        let after = self.ranges.partition_point(|range| range.start <= span.start);
        let Some(range) = after.checked_sub(1).and_then(|index| self.ranges.get(index)) else { return false };
        range.contains(&span.start) && compare_ends(span.end.as_ref(), range.end.as_ref()).is_le()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn coverage(spans: &[(&'static str, &'static str)]) -> Coverage {
        spans.iter().map(|(key, end)| Span::of_request(*key, *end)).collect()
    }

    #[test]
    fn ranges_that_overlap_or_touch_count_as_one() {
        let coverage = coverage(&[("e", "g"), ("a", "c"), ("b", "e"), ("x", "")]);
        assert!(coverage.covers(&Span::between("a", "g")));
        assert!(!coverage.covers(&Span::between("a", "h")));
        assert!(coverage.covers(&Span::point(b"x")));
        assert!(!coverage.covers(&Span::point(b"x\0")));
    }

    #[test]
    fn only_an_open_range_covers_one_to_the_last_key() {
        assert!(!coverage(&[("a", "z")]).covers(&Span::of_request("b", "\0")));
        assert!(coverage(&[("a", "\0")]).covers(&Span::of_request("b", "\0")));
    }

    /// Few keys, so that ranges meet.
    fn key() -> impl Strategy<Value = Bytes> {
        vec(prop_oneof![Just(0_u8), Just(b'a'), Just(b'b'), Just(0xff)], 1..3).prop_map(Bytes::from)
    }

    fn span() -> impl Strategy<Value = Span> {
        (key(), prop_oneof![Just(Bytes::new()), Just(Bytes::from_static(b"\0")), key()])
            .prop_map(|(key, end)| Span::of_request(key, end))
    }

    proptest! {
        #[test]
        fn a_key_is_covered_by_the_whole_exactly_if_a_part_has_it(spans in vec(span(), 0..8), key in key()) {
            let coverage: Coverage = spans.iter().cloned().collect();
            let in_part = spans.iter().any(|span| span.contains(&key));
            prop_assert_eq!(coverage.covers(&Span::point(&key)), in_part);
        }

        #[test]
        fn a_range_is_covered_exactly_if_all_its_keys_are(spans in vec(span(), 0..8), asked in span()) {
            prop_assume!(!asked.is_empty());
            let coverage: Coverage = spans.iter().cloned().collect();
            // Between neighbouring bounds nothing changes: one key for each piece tells.
            let mut bounds: Vec<Bytes> = vec![asked.start.clone()];
            bounds.extend(spans.iter().flat_map(|span| [Some(span.start.clone()), span.end.clone()]).flatten());
            let mut pieces = bounds.iter().filter(|key| asked.contains(key));
            let all_in = pieces.all(|key| spans.iter().any(|span| span.contains(key)));
            prop_assert_eq!(coverage.covers(&asked), all_in);
        }

        #[test]
        fn the_order_of_ranges_does_not_matter(mut spans in vec(span(), 0..8)) {
            let forward: Coverage = spans.iter().cloned().collect();
            spans.reverse();
            prop_assert_eq!(forward.ranges, spans.into_iter().collect::<Coverage>().ranges);
        }
    }
}
