//! The shared hub, and the thread that reads the history for watchers that fell behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use parking_lot::{Condvar, Mutex, MutexGuard};
use pintle_proto::mvccpb::Event;

use super::hub::{Census, Hub, HubLimits};
use super::plan::{Chunk, Plan};
use crate::error::Result;

/// The events of the past, as they are on disk.
pub trait History: Send + Sync + 'static {
    /// Reads the events that `plan` wants, from its first revision on, in order. May stop before [`Plan::through`], but
    /// only at the end of a revision, and must get through one at least. A chunk should stay near
    /// [`WATCH_CHUNK_BYTES`](crate::limits::WATCH_CHUNK_BYTES).
    fn read(&self, plan: &Plan) -> Result<Chunk>;
}

/// All watches of one store, shared by its state machine and its streams.
#[derive(Debug)]
pub struct Watches {
    shared: Arc<Shared>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    hub: Mutex<Hub>,
    /// Wakes the history thread.
    work: Condvar,
    stopped: AtomicBool,
}

impl Watches {
    /// Watches of a store that is at `revision`, has forgotten what was below `compact_revision`, and keeps the rest in
    /// `history`.
    ///
    /// The thread that reads the history, and with it `history`, ends when the last handle is dropped.
    pub fn start(revision: i64, compact_revision: i64, history: impl History) -> std::io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            hub: Mutex::new(Hub::new(revision, compact_revision, HubLimits::default())),
            work: Condvar::new(),
            stopped: AtomicBool::new(false),
        });
        let handle = Arc::clone(&shared);
        let reader = thread::Builder::new().name("watch-history".into()).spawn(move || catch_up(&handle, &history))?;
        Ok(Arc::new(Self { shared, reader: Some(reader) }))
    }

    /// Hands out what has just been applied: the events of the revisions after the previous call's through `revision`,
    /// in order, each with `prev_kv` unless it created its key. To be called after the batch is visible to readers.
    pub fn publish(&self, revision: i64, events: Vec<Event>) {
        self.shared.hub.lock().publish(revision, events);
    }

    /// Notes that the history below `revision` is gone.
    pub fn compact(&self, revision: i64) {
        self.shared.hub.lock().compact(revision);
    }

    /// Notes that the whole state was replaced by a snapshot at `revision`.
    pub fn restore(&self, revision: i64, compact_revision: i64) {
        self.lock().restore(revision, compact_revision);
    }

    /// The latest published revision.
    pub fn revision(&self) -> i64 {
        self.shared.hub.lock().revision()
    }

    /// Who is there.
    pub fn census(&self) -> Census {
        self.shared.hub.lock().census()
    }

    /// The hub, for a step that may leave work for the history thread.
    pub(crate) fn lock(&self) -> HubGuard<'_> {
        HubGuard { hub: self.shared.hub.lock(), work: &self.shared.work }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        // Under the lock, so that the thread cannot miss it between looking and waiting.
        let hub = self.shared.hub.lock();
        self.shared.stopped.store(true, Ordering::Relaxed);
        self.shared.work.notify_one();
        drop(hub);
        if let Some(reader) = self.reader.take()
            && reader.join().is_err()
        {
            tracing::error!("the reader of the watch history panicked");
        }
    }
}

/// Wakes the history thread, if there is something for it, when dropped.
pub(crate) struct HubGuard<'a> {
    hub: MutexGuard<'a, Hub>,
    work: &'a Condvar,
}

impl std::ops::Deref for HubGuard<'_> {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

impl std::ops::DerefMut for HubGuard<'_> {
    fn deref_mut(&mut self) -> &mut Hub {
        &mut self.hub
    }
}

impl Drop for HubGuard<'_> {
    fn drop(&mut self) {
        if self.hub.has_waiting() {
            self.work.notify_one();
        }
    }
}

/// Reads and delivers until it is told to stop.
fn catch_up(shared: &Shared, history: &impl History) {
    while let Some(plan) = next_plan(shared) {
        match history.read(&plan) {
            Ok(chunk) => shared.hub.lock().deliver(plan, chunk),
            Err(error) => {
                // The engine is broken, and whoever applies commands meets the same and halts the node.
                tracing::error!(%error, from = plan.from, "cannot read the history for watches");
                return;
            }
        }
    }
}

/// Waits for something to read; `None` once stopped.
fn next_plan(shared: &Shared) -> Option<Plan> {
    let mut hub = shared.hub.lock();
    while !shared.stopped.load(Ordering::Relaxed) {
        match hub.plan() {
            Some(plan) => return Some(plan),
            None => shared.work.wait(&mut hub),
        }
    }
    None
}
