//! Watchers by what they watch.

use std::collections::HashMap;

use bytes::Bytes;

use super::hub::WatcherId;
use super::interval::IntervalMap;
use crate::engine::Span;

/// Most watchers watch one key or a range that others watch too.
#[derive(Debug, Default)]
pub(super) struct Index {
    single_keys: HashMap<Bytes, Vec<WatcherId>>,
    ranges: IntervalMap<Vec<WatcherId>>,
}

impl Index {
    /// Adds a watcher.
    pub fn add(&mut self, name: WatcherId, range: &Span) {
        match range.as_single_key() {
            Some(key) => self.single_keys.entry(key.clone()).or_default().push(name),
            None => self.ranges.entry(range, Vec::new).push(name),
        }
    }

    /// Removes a watcher that was added with this range.
    pub fn remove(&mut self, name: WatcherId, range: &Span) {
        let left = |names: &mut Vec<WatcherId>| {
            if let Some(place) = names.iter().position(|other| *other == name) {
                names.swap_remove(place);
            }
            names.is_empty()
        };
        match range.as_single_key() {
            Some(key) => {
                if self.single_keys.get_mut(key).is_some_and(left) {
                    self.single_keys.remove(key);
                }
            }
            None => {
                if self.ranges.get_mut(range).is_some_and(left) {
                    self.ranges.remove(range);
                }
            }
        }
    }

    /// Shows the watchers of a key, those of one range at a time.
    pub fn visit(&self, key: &[u8], visit: &mut impl FnMut(&Vec<WatcherId>)) {
        if let Some(names) = self.single_keys.get(key) {
            visit(names);
        }
        self.ranges.visit(key, visit);
    }
}
