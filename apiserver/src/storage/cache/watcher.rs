//! One client's watch.

use std::sync::Arc;

use bytes::Bytes;

use crate::storage::{
    entry::{Encodings, Entry, WireForm},
    error::Error,
};

/// What happened to an object in the eyes of one watcher: to one whose selector it stops matching, it is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It came into view.
    Added,
    /// It changed.
    Modified,
    /// It left: the entry holds its last state in view, at the revision of the change.
    Deleted,
}

/// What a [`Watcher`] yields.
#[derive(Debug, Clone)]
pub enum WatchEvent {
    /// A change of an object.
    Object {
        /// What happened.
        kind: EventKind,
        /// The object to show.
        entry: Arc<Entry>,
        /// Whole frames as sent to clients, shared by all watchers that see the same: see [`WatchEvent::frame`].
        frames: Arc<Encodings>,
    },
    /// Everything up to this revision has been seen.
    Bookmark {
        /// For `metadata.resourceVersion`.
        revision: i64,
        /// Whether it ends the initial events: annotated `k8s.io/initial-events-end: "true"`.
        initial_events_end: bool,
    },
    /// The watch has failed: an ERROR event with a Status. Always the last.
    Error(Error),
}

impl WatchEvent {
    /// The frame of an object event in `form`, which must tell apart whatever makes frames differ (encoding, version, event kind).
    /// Made by `encode` once for all watchers. Bookmarks and errors are encoded every time.
    pub fn frame<E>(&self, form: WireForm, encode: impl FnOnce(&Self) -> Result<Bytes, E>) -> Result<Bytes, E> {
        match self {
            Self::Object { frames, .. } => frames.get_or_encode(form, || encode(self)),
            Self::Bookmark { .. } | Self::Error(_) => encode(self),
        }
    }
}

/// A watch under way. Dropping it ends it.
pub struct Watcher {
    never: std::convert::Infallible,
}

impl Watcher {
    /// The next event; `None` when the watch is over. Cancel safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        match self.never {}
    }

    /// An event that is there already, without waiting: lets the caller send what queued in one write.
    pub fn try_next(&mut self) -> Option<WatchEvent> {
        match self.never {}
    }
}
