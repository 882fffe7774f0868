//! What travels from the hub to a stream.

use std::sync::Arc;

use pintle_proto::mvccpb::event::EventType;
use pintle_proto::mvccpb::{Event, KeyValue};

use super::request::WatchError;

/// Names a watch within its stream; the client may choose it.
pub type WatchId = i64;

/// Stands for "every watch of this stream", or none.
pub const NO_WATCH: WatchId = -1;

/// One thing for a stream to pass on, in the order in which it happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Delivery {
    /// A watch was accepted.
    Created {
        /// The watch.
        watch: WatchId,
        /// The store's revision at that moment.
        revision: i64,
    },
    /// A watch was refused.
    Refused {
        /// Why.
        error: WatchError,
        /// The store's revision at that moment.
        revision: i64,
    },
    /// Changes, whole revisions of them.
    Events {
        /// The watch.
        watch: WatchId,
        /// The changes.
        events: Picked,
        /// No change that concerns the watch and is not newer than this will follow.
        revision: i64,
    },
    /// The watch has seen everything up to this revision.
    Progress {
        /// The watch, or [`NO_WATCH`] for all of the stream.
        watch: WatchId,
        /// How far it has come.
        revision: i64,
    },
    /// The client asked for the end of the watch.
    Canceled {
        /// The watch.
        watch: WatchId,
        /// The store's revision at that moment.
        revision: i64,
    },
    /// What the watch needs is forgotten. It has ended.
    Compacted {
        /// The watch.
        watch: WatchId,
        /// The oldest revision still kept.
        compact_revision: i64,
    },
}

impl Delivery {
    /// Bytes that the delivery keeps alive; shared ones are counted for each who shares them.
    pub fn byte_len(&self) -> usize {
        match self {
            Self::Events { events, .. } => events.byte_len(),
            _ => 0,
        }
    }

    /// How many events it brings.
    pub fn event_count(&self) -> usize {
        match self {
            Self::Events { events, .. } => events.positions.len(),
            _ => 0,
        }
    }
}

/// Some events of a batch that is shared by all watchers it concerns.
#[derive(Clone, Debug)]
pub struct Picked {
    batch: Arc<[Event]>,
    /// Positions in the batch, ascending.
    positions: Box<[u32]>,
    with_prev_kv: bool,
    byte_len: usize,
}

impl Picked {
    /// The events of `batch` at `positions`. Without `with_prev_kv`, readers do not see what was there before.
    pub fn new(batch: Arc<[Event]>, positions: Vec<u32>, with_prev_kv: bool) -> Self {
        let mut picked = Self { batch, positions: positions.into(), with_prev_kv, byte_len: 0 };
        picked.byte_len = picked.shared().map(event_byte_len).sum();
        picked
    }

    /// Bytes of keys and values, with a little for each event.
    pub fn byte_len(&self) -> usize {
        self.byte_len
    }

    /// The events as their watcher asked for them. Keys and values are shared, not copied.
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.shared().map(|event| Event {
            r#type: event.r#type,
            kv: event.kv.clone(),
            prev_kv: if self.with_prev_kv { event.prev_kv.clone() } else { None },
        })
    }

    fn shared(&self) -> impl Iterator<Item = &Event> {
        self.positions.iter().filter_map(|position| self.batch.get(*position as usize))
    }
}

impl PartialEq for Picked {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// Kinds of events that a watcher does not want.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Leaves out puts.
    pub no_put: bool,
    /// Leaves out deletions.
    pub no_delete: bool,
}

impl Filter {
    /// Whether the watcher wants `event`.
    pub fn passes(self, event: &Event) -> bool {
        let excluded = if event.r#type == EventType::Delete as i32 { self.no_delete } else { self.no_put };
        !excluded
    }
}

/// The key that an event is about.
pub fn event_key(event: &Event) -> &[u8] {
    event.kv.as_ref().map_or(&[], |kv| &kv.key)
}

/// The revision in which an event happened.
pub fn event_revision(event: &Event) -> i64 {
    event.kv.as_ref().map_or(0, |kv| kv.mod_revision)
}

/// Bytes of the event's keys and values, with a little for itself.
pub fn event_byte_len(event: &Event) -> usize {
    const OVERHEAD_BYTES: usize = 64;
    let kv_len = |kv: &Option<KeyValue>| kv.as_ref().map_or(0, |kv| kv.key.len() + kv.value.len());
    OVERHEAD_BYTES + kv_len(&event.kv) + kv_len(&event.prev_kv)
}
