//! The latest events, for watches that start a little in the past.

use std::collections::VecDeque;
use std::sync::Arc;

use pintle_proto::mvccpb::Event;

use super::event::{event_byte_len, event_revision};

/// Every event above [`Self::floor`], as many as fit.
#[derive(Debug)]
pub(super) struct Recent {
    batches: VecDeque<Batch>,
    byte_len: usize,
    event_count: usize,
    floor: i64,
    max_bytes: usize,
    max_events: usize,
}

/// Events that were published together.
#[derive(Debug)]
struct Batch {
    events: Arc<[Event]>,
    byte_len: usize,
}

impl Recent {
    /// Nothing yet after `floor`.
    pub fn new(floor: i64, max_bytes: usize, max_events: usize) -> Self {
        Self { batches: VecDeque::new(), byte_len: 0, event_count: 0, floor, max_bytes, max_events }
    }

    /// The revision above which every event is here.
    pub fn floor(&self) -> i64 {
        self.floor
    }

    /// The events, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.batches.iter().flat_map(|batch| batch.events.iter())
    }

    /// Forgets everything up to `floor`, the newest revision.
    pub fn clear(&mut self, floor: i64) {
        *self = Self::new(floor, self.max_bytes, self.max_events);
    }

    /// Adds a batch, and forgets the oldest ones beyond the limits.
    pub fn add(&mut self, events: Arc<[Event]>) {
        let byte_len = events.iter().map(event_byte_len).sum();
        self.byte_len += byte_len;
        self.event_count += events.len();
        self.batches.push_back(Batch { events, byte_len });
        while self.byte_len > self.max_bytes || self.event_count > self.max_events {
            let Some(oldest) = self.batches.pop_front() else { break };
            self.byte_len -= oldest.byte_len;
            self.event_count -= oldest.events.len();
            self.floor = oldest.events.last().map_or(self.floor, event_revision);
        }
    }
}
