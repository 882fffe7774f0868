//! Reading the history for watchers that fell behind: what for, and what came of it.

use pintle_proto::mvccpb::Event;

use super::event::event_key;
use super::hub::WatcherId;
use super::interval::IntervalMap;
use crate::engine::Span;

/// What to read from the history for some of the watchers that are catching up.
#[derive(Debug)]
pub struct Plan {
    /// The first revision to read.
    pub from: i64,
    /// The last one that the hub knows; nothing newer needs to be read.
    pub through: i64,
    prev_kv: bool,
    /// For whom.
    pub(super) watchers: Vec<WatcherId>,
    /// For each range, places in `watchers`.
    interests: IntervalMap<Vec<usize>>,
}

impl Plan {
    /// For nobody yet.
    pub(super) fn new(from: i64, through: i64) -> Self {
        Self { from, through, prev_kv: false, watchers: Vec::new(), interests: IntervalMap::default() }
    }

    /// Whether somebody wants events of this key.
    pub fn wants(&self, key: &[u8]) -> bool {
        let mut wanted = false;
        self.interests.visit(key, &mut |_| wanted = true);
        wanted
    }

    /// Whether somebody wants what was there before along with the events.
    pub fn wants_prev_kv(&self) -> bool {
        self.prev_kv
    }

    /// For this watcher, too.
    pub(super) fn add(&mut self, name: WatcherId, range: &Span, prev_kv: bool) {
        self.interests.entry(range, Vec::new).push(self.watchers.len());
        self.prev_kv |= prev_kv;
        self.watchers.push(name);
    }

    /// For each watcher the positions of the events in its range.
    pub(super) fn route(&self, events: &[Event]) -> Vec<Vec<u32>> {
        let mut routed = vec![Vec::new(); self.watchers.len()];
        for (position, event) in (0u32..).zip(events) {
            self.interests.visit(event_key(event), &mut |places: &Vec<usize>| {
                for place in places {
                    if let Some(positions) = routed.get_mut(*place) {
                        positions.push(position);
                    }
                }
            });
        }
        routed
    }
}

/// What was read from the history.
#[derive(Debug)]
pub enum Chunk {
    /// Every event of interest from the plan's first revision through this one.
    Events {
        /// In order.
        events: Vec<Event>,
        /// The last revision that was read completely.
        through: i64,
    },
    /// The history begins later than the plan's first revision.
    Compacted {
        /// The oldest revision still kept.
        compact_revision: i64,
    },
}
