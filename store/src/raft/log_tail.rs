//! The newest log entries, kept in memory for the state machine and for replication, which mostly read what was just
//! appended. Pure.

use std::collections::VecDeque;
use std::ops::Range;

use super::Entry;

/// Consecutive entries up to the newest one.
pub struct Tail {
    /// Index of the oldest entry here; the next to come when there is none.
    first: u64,
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Tail {
    /// An empty tail that expects the entry `next`.
    pub fn new(next: u64) -> Self {
        Self { first: next, entries: VecDeque::new(), bytes: 0 }
    }

    /// The index of the oldest entry here.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// Adds the newest entry, which counts for `bytes`.
    pub fn push(&mut self, entry: Entry, bytes: usize) {
        if self.entries.is_empty() {
            self.first = entry.log_id.index;
        }
        self.entries.push_back((entry, bytes));
        self.bytes += bytes;
    }

    /// Drops the oldest entries while there are more than `max_bytes` and the oldest is below `written`: what is not on
    /// disk yet is nowhere else.
    pub fn shrink(&mut self, max_bytes: usize, written: u64) {
        while self.bytes > max_bytes && self.first < written && self.pop_oldest() {}
    }

    /// Drops the entries from `index` on.
    pub fn truncate(&mut self, index: u64) {
        while self.entries.back().is_some_and(|(entry, _)| entry.log_id.index >= index) {
            self.bytes -= self.entries.pop_back().map_or(0, |(_, bytes)| bytes);
        }
        self.first = self.first.min(index);
    }

    /// Drops the entries up to `upto`, included.
    pub fn purge(&mut self, upto: u64) {
        while self.first <= upto && self.pop_oldest() {}
        self.first = self.first.max(upto + 1);
    }

    /// The entries of `range` that are here, up to `max_bytes`, but at least one when there is one.
    pub fn get(&self, range: Range<u64>, max_bytes: usize) -> Vec<Entry> {
        let skip = usize::try_from(range.start.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let mut bytes = 0_usize;
        let mut found = Vec::new();
        for (entry, weight) in self.entries.iter().skip(skip) {
            if entry.log_id.index >= range.end || (bytes.saturating_add(*weight) > max_bytes && !found.is_empty()) {
                break;
            }
            bytes += weight;
            found.push(entry.clone());
        }
        found
    }

    fn pop_oldest(&mut self) -> bool {
        let Some((entry, bytes)) = self.entries.pop_front() else { return false };
        self.first = entry.log_id.index + 1;
        self.bytes -= bytes;
        true
    }
}

#[cfg(test)]
mod tests {
    use openraft::testing::blank_ent;

    use super::*;
    use crate::raft::TypeConfig;

    fn tail(range: Range<u64>) -> Tail {
        let mut tail = Tail::new(range.start);
        for index in range {
            tail.push(blank_ent::<TypeConfig>(1, 0, index), 10);
        }
        tail
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn reads_are_bounded_by_bytes_but_never_empty() {
        let tail = tail(5..10);
        assert_eq!(indexes(&tail.get(0..100, usize::MAX)), [5, 6, 7, 8, 9]);
        assert_eq!(indexes(&tail.get(6..8, usize::MAX)), [6, 7]);
        assert_eq!(indexes(&tail.get(6..10, 20)), [6, 7]);
        assert_eq!(indexes(&tail.get(6..10, 0)), [6]);
        assert_eq!(indexes(&tail.get(10..12, 100)), [0_u64; 0]);
    }

    #[test]
    fn only_written_entries_are_let_go() {
        let mut tail = tail(5..10);
        tail.shrink(0, 7);
        assert_eq!(tail.first(), 7);
        tail.shrink(20, 100);
        assert_eq!(indexes(&tail.get(0..100, usize::MAX)), [8, 9]);
    }

    #[test]
    fn truncation_and_purge_keep_the_next_index() {
        let mut tail = tail(5..10);
        tail.truncate(8);
        assert_eq!(indexes(&tail.get(0..100, usize::MAX)), [5, 6, 7]);
        tail.purge(6);
        assert_eq!(indexes(&tail.get(0..100, usize::MAX)), [7]);
        tail.purge(20);
        assert_eq!(tail.first(), 21);
        tail.truncate(3);
        assert_eq!(tail.first(), 3);
    }
}
