//! One client's watch: the state it starts from, then what its queue holds, and the history ring whenever the queue was too short.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    Cache, CatchUp,
    routes::{View, WatcherId},
    state::Objects,
};
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

/// How many events wait for a client before it is parked.
pub(super) const QUEUE_EVENTS: usize = 128;
/// How many objects of the initial state are looked at before the next are sent.
const INITIAL_CHUNK: usize = 256;
/// How often a client that allows bookmarks gets one.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);
/// How long before the end of the request the last bookmark comes.
const BOOKMARK_BEFORE_DEADLINE: Duration = Duration::from_secs(2);

/// The state that a watch starts from, sent as ADDED events.
pub(super) struct Initial {
    pub objects: Objects,
    pub view: View,
    /// Ends the initial events by a bookmark of this revision.
    pub bookmark: Option<i64>,
}

/// A watch under way. Dropping it ends it.
pub struct Watcher {
    source: Source,
    /// Events ready to be yielded.
    ready: VecDeque<WatchEvent>,
    initial: Option<Initial>,
    /// Everything up to this revision has been yielded.
    seen: i64,
    bookmarks: Option<Bookmarks>,
}

enum Source {
    Cache { cache: Arc<Cache>, id: WatcherId, queue: mpsc::Receiver<WatchEvent>, parked: Arc<AtomicBool> },
    Finished,
}

/// When bookmarks are due.
struct Bookmarks {
    next: Instant,
    deadline: Option<Instant>,
}

impl Bookmarks {
    fn new(now: Instant, deadline: Option<Instant>) -> Self {
        let mut bookmarks = Self { next: now, deadline };
        bookmarks.schedule(now);
        bookmarks
    }

    fn schedule(&mut self, now: Instant) {
        let last = self.deadline.and_then(|deadline| deadline.checked_sub(BOOKMARK_BEFORE_DEADLINE));
        self.next = now + BOOKMARK_EVERY;
        if let Some(last) = last.filter(|last| *last > now) {
            self.next = self.next.min(last);
        }
    }
}

impl Watcher {
    /// A watch that fails at once.
    pub(super) fn failed(error: Error) -> Self {
        let ready = VecDeque::from([WatchEvent::Error(error)]);
        Self { source: Source::Finished, ready, initial: None, seen: 0, bookmarks: None }
    }

    pub(super) fn new(
        cache: Arc<Cache>,
        id: WatcherId,
        queue: mpsc::Receiver<WatchEvent>,
        parked: Arc<AtomicBool>,
        seen: i64,
    ) -> Self {
        let source = Source::Cache { cache, id, queue, parked };
        Self { source, ready: VecDeque::new(), initial: None, seen, bookmarks: None }
    }

    #[must_use]
    pub(super) fn starting_from(mut self, initial: Initial) -> Self {
        self.initial = Some(initial);
        self
    }

    #[must_use]
    pub(super) fn with_bookmarks(mut self, deadline: Option<Instant>) -> Self {
        self.bookmarks = Some(Bookmarks::new(Instant::now(), deadline));
        self
    }

    /// The next event; `None` when the watch is over. Cancel safe.
    pub async fn next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.try_next() {
                return Some(event);
            }
            let Source::Cache { queue, .. } = &mut self.source else { return None };
            let received = match &self.bookmarks {
                Some(bookmarks) => {
                    tokio::select! {
                        biased;
                        received = queue.recv() => received,
                        () = sleep_until(bookmarks.next) => {
                            self.prepare_bookmark();
                            continue;
                        }
                    }
                }
                None => queue.recv().await,
            };
            match received {
                Some(event) => self.ready.push_back(event),
                None => self.end(),
            }
        }
    }

    /// An event that is there already, without waiting: lets the caller send what queued in one write.
    pub fn try_next(&mut self) -> Option<WatchEvent> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                match &event {
                    WatchEvent::Object { entry, .. } => self.seen = self.seen.max(entry.revision),
                    WatchEvent::Bookmark { revision, .. } => self.seen = self.seen.max(*revision),
                    WatchEvent::Error(_) => {}
                }
                return Some(event);
            }
            if self.initial.is_some() {
                self.next_initial();
                continue;
            }
            let Source::Cache { cache, id, queue, parked } = &mut self.source else { return None };
            match queue.try_recv() {
                Ok(event) => self.ready.push_back(event),
                Err(mpsc::error::TryRecvError::Disconnected) => self.end(),
                Err(mpsc::error::TryRecvError::Empty) if parked.load(Ordering::Acquire) => match cache.catch_up(*id) {
                    CatchUp::Events(events) => self.ready.extend(events),
                    CatchUp::Lost => self.end(),
                },
                Err(mpsc::error::TryRecvError::Empty) => return None,
            }
        }
    }

    /// Reads on in the initial state.
    fn next_initial(&mut self) {
        let Some(initial) = &mut self.initial else { return };
        let mut last = None;
        for entry in initial.objects.range(&initial.view.range).take(INITIAL_CHUNK) {
            last = Some(entry.key.clone());
            if initial.view.selector.matches(&entry.attributes) {
                self.ready.push_back(WatchEvent::Object {
                    kind: EventKind::Added,
                    entry: Arc::clone(entry),
                    frames: Arc::default(),
                });
            }
        }
        if let Some(last) = last {
            initial.view.range.start = Bytes::from([last.as_ref(), b"\0"].concat());
        } else {
            let end = initial.bookmark.map(|revision| WatchEvent::Bookmark { revision, initial_events_end: true });
            self.ready.extend(end);
            self.initial = None;
        }
    }

    /// A bookmark is due: one is made ready if all that came before it has been yielded.
    fn prepare_bookmark(&mut self) {
        let Source::Cache { cache, queue, parked, .. } = &mut self.source else { return };
        // Whatever happened up to this revision is in the queue, or the watcher is parked.
        let revision = cache.settled_revision();
        match queue.try_recv() {
            Ok(event) => return self.ready.push_back(event),
            Err(mpsc::error::TryRecvError::Disconnected) => return self.end(),
            Err(mpsc::error::TryRecvError::Empty) => {}
        }
        if parked.load(Ordering::Acquire) {
            return;
        }
        if revision >= self.seen {
            self.ready.push_back(WatchEvent::Bookmark { revision, initial_events_end: false });
        }
        if let Some(bookmarks) = &mut self.bookmarks {
            bookmarks.schedule(Instant::now());
        }
    }

    /// The cache has let go of this watcher: it stopped, or the history that the watcher needs is gone.
    fn end(&mut self) {
        if let Source::Cache { cache, .. } = std::mem::replace(&mut self.source, Source::Finished)
            && let Some(oldest) = cache.complete_since()
        {
            self.ready.push_back(WatchEvent::Error(too_old(self.seen, oldest)));
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        if let Source::Cache { cache, id, .. } = &self.source {
            cache.leave(*id);
        }
    }
}

/// 410: the history after `revision` is gone; only what happened after `oldest` is known.
pub(super) fn too_old(revision: i64, oldest: i64) -> Error {
    Error::Expired { message: format!("too old resource version: {revision} ({oldest})"), continue_token: None }
}
