//! Half-open ranges of keys: of a column, of a request, of a watch.

use std::cmp::Ordering;

use bytes::Bytes;

/// A half-open range of keys: `start` is included, `end` is not; no `end` means to the last key. Ordered by start, then
/// by end.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Span {
    /// First key that belongs to the range.
    pub start: Bytes,
    /// First key after the range.
    pub end: Option<Bytes>,
}

impl Span {
    /// Every key.
    pub fn all() -> Self {
        Self { start: Bytes::new(), end: None }
    }

    /// Exactly one key.
    pub fn point(key: &[u8]) -> Self {
        let mut end = Vec::with_capacity(key.len() + 1);
        end.extend_from_slice(key);
        end.push(0);
        Self { start: Bytes::copy_from_slice(key), end: Some(end.into()) }
    }

    /// Every key that begins with `prefix`.
    pub fn prefix(prefix: &[u8]) -> Self {
        Self { start: Bytes::copy_from_slice(prefix), end: after_prefix(prefix) }
    }

    /// From `start`, included, to `end`, excluded.
    pub fn between(start: impl Into<Bytes>, end: impl Into<Bytes>) -> Self {
        Self { start: start.into(), end: Some(end.into()) }
    }

    /// The keys that `key` and `range_end` of a request name: no end is one key, a lone 0 byte is every key from `key`
    /// on.
    pub fn of_request(key: impl Into<Bytes>, range_end: impl Into<Bytes>) -> Self {
        let (start, end) = (key.into(), range_end.into());
        match end.as_ref() {
            [] => Self::point(&start),
            [0] => Self { start, end: None },
            _ => Self { start, end: Some(end) },
        }
    }

    /// Whether `key` lies in the range.
    pub fn contains(&self, key: &[u8]) -> bool {
        key >= self.start.as_ref() && is_before(key, self.end.as_ref())
    }

    /// Whether no key can lie in the range.
    pub fn is_empty(&self) -> bool {
        !is_before(&self.start, self.end.as_ref())
    }

    /// The key, if no other can lie in the range.
    pub fn as_single_key(&self) -> Option<&Bytes> {
        let single = self.end.as_ref()?.strip_suffix(&[0]) == Some(&self.start[..]);
        single.then_some(&self.start)
    }

    /// Bytes of memory that the bounds take.
    pub fn byte_len(&self) -> usize {
        self.start.len() + self.end.as_ref().map_or(0, Bytes::len)
    }
}

impl Ord for Span {
    fn cmp(&self, other: &Self) -> Ordering {
        self.start.cmp(&other.start).then_with(|| compare_ends(self.end.as_ref(), other.end.as_ref()))
    }
}

impl PartialOrd for Span {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Whether a key lies before the end of a range.
pub fn is_before(key: &[u8], end: Option<&Bytes>) -> bool {
    end.is_none_or(|end| key < end.as_ref())
}

/// Compares ends of ranges by position: none lies behind every key.
pub fn compare_ends(a: Option<&Bytes>, b: Option<&Bytes>) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) => a.cmp(b),
        (a, b) => a.is_none().cmp(&b.is_none()),
    }
}

/// The first key after every key that begins with `prefix`; `None` when there is no such key.
fn after_prefix(prefix: &[u8]) -> Option<Bytes> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix.get(..=last)?.to_vec();
    if let Some(byte) = end.last_mut() {
        *byte += 1;
    }
    Some(end.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_mean_what_requests_mean() {
        assert!(Span::of_request("a", "").contains(b"a"));
        assert!(!Span::of_request("a", "").contains(b"a\0"));
        assert!(Span::of_request("a", "\0").contains(b"\xff\xff"));
        assert!(!Span::of_request("b", "\0").contains(b"a"));
        assert!(Span::of_request("b", "a").is_empty());
        assert!(Span::of_request("b", "b").is_empty());
        assert_eq!(Span::of_request("b", "b\0").as_single_key().unwrap(), "b");
        assert_eq!(Span::of_request("b", "c").as_single_key(), None);
    }

    #[test]
    fn a_prefix_ends_before_the_next_key_that_lacks_it() {
        assert_eq!(Span::prefix(b"ab"), Span::between("ab", "ac"));
        assert_eq!(Span::prefix(b"a\xff"), Span::between(&b"a\xff"[..], "b"));
        assert!(Span::prefix(b"").contains(b""));
        assert!(Span::prefix(b"\xff").contains(b"\xff\xff"));
    }

    #[test]
    fn a_range_without_end_ends_last() {
        let mut spans = [Span::all(), Span::between("", "z"), Span::between("", "a"), Span::between("a", "b")];
        spans.sort();
        assert_eq!(spans, [Span::between("", "a"), Span::between("", "z"), Span::all(), Span::between("a", "b")]);
    }
}
