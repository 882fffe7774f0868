//! The watch cache of one collection: a projection of one prefix of the store, from which lists and watches are served.
//!
//! - [`state`] holds the objects and their recent history;
//! - [`routes`] knows whom an event concerns;
//! - [`feed`] keeps the state current;
//! - [`list`] serves lists, [`watcher`] is one client's watch.
//!
//! The writer is the feed alone. It changes state and routes under one lock and then publishes the new [`Snapshot`]; readers take that
//! without a lock and are never in its way.

mod feed;
mod list;
mod routes;
mod state;
#[cfg(test)]
mod tests;
pub mod watcher;

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use parking_lot::RwLock;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    backend::Backend,
    entry::{Describe, Entry},
    error::Error,
    key::Keys,
    options::WatchOptions,
    resource_version,
};
use routes::{Routes, View, WatcherId};
use state::{Limits, Objects, State, Update};
use watcher::{Initial, QUEUE_EVENTS, WatchEvent, Watcher, too_old};

/// How long a read waits for the cache to be filled before it is told to come again.
const FILL_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a read waits for a revision that has not arrived.
const FRESH_TIMEOUT: Duration = Duration::from_secs(3);
/// When the store is asked again how far it is while a read waits: at first soon, since the answer is underway, then ever less often.
const FRESH_POLL_MIN: Duration = Duration::from_millis(2);
const FRESH_POLL_MAX: Duration = Duration::from_millis(100);
/// When a client shall come again that asked for a revision too large.
const TOO_LARGE_RETRY_SECONDS: u32 = 1;
/// When a client shall come again that asked while the cache was being filled.
const NOT_READY_RETRY_SECONDS: u32 = 1;
/// How many changes of the ring a parked watcher looks at in one go.
const CATCH_UP_CHANGES: usize = 1024;

/// The objects of a collection at a revision.
struct Snapshot {
    objects: Objects,
    revision: i64,
}

/// The revision from which on the history of all caches is complete, once it is set: that of the server's start. A cache that is
/// started by its first use, much later, begins there too, so that it makes no difference to clients when that was.
pub(super) type Origin = Arc<OnceLock<i64>>;

/// A projection of one prefix of the store. Started by its first use.
pub struct Cache {
    backend: Arc<dyn Backend>,
    keys: Keys,
    routing_field: Option<String>,
    describe: Arc<dyn Describe>,
    limits: Limits,
    /// See [`Origin`].
    origin: Origin,
    started: AtomicBool,
    stop: CancellationToken,
    /// The origin of the clock that the state sees.
    epoch: Instant,
    inner: RwLock<Inner>,
    snapshot: ArcSwapOption<Snapshot>,
    /// The snapshot's revision; 0 until there is one.
    revision: watch::Sender<i64>,
    progress_wanted: Arc<Notify>,
}

#[derive(Default)]
struct Inner {
    state: Option<State>,
    /// The state is shown from this revision on: it began in the past and is not to be seen on its way from there.
    show_from: i64,
    routes: Routes,
}

/// What a parked watcher gets from the history ring.
enum CatchUp {
    /// The next events; if there are none, all has been read or there is more to look at.
    Events(Vec<WatchEvent>),
    /// The ring has lost some that the watcher should have seen.
    Lost,
}

impl Cache {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        keys: Keys,
        routing_field: Option<String>,
        describe: Arc<dyn Describe>,
        origin: Origin,
    ) -> Arc<Self> {
        Arc::new(Self {
            backend,
            keys,
            routing_field,
            describe,
            limits: Limits::default(),
            origin,
            started: AtomicBool::new(false),
            stop: CancellationToken::new(),
            epoch: Instant::now(),
            inner: RwLock::default(),
            snapshot: ArcSwapOption::empty(),
            revision: watch::Sender::new(0),
            progress_wanted: Arc::new(Notify::new()),
        })
    }

    /// The object as the cache has it now.
    pub(super) fn peek(&self, key: &[u8]) -> Option<Arc<Entry>> {
        self.snapshot.load().as_ref()?.objects.get(key).cloned()
    }

    /// The object as of `resource_version` or later.
    pub(super) async fn get(self: &Arc<Self>, key: &[u8], resource_version: &str) -> Result<Option<Arc<Entry>>, Error> {
        let revision = resource_version::parse(resource_version)?;
        self.filled().await?;
        self.reach(revision).await?;
        Ok(self.peek(key))
    }

    /// A new watch.
    pub(super) async fn watch(self: &Arc<Self>, options: WatchOptions) -> Result<Watcher, Error> {
        let requested = resource_version::parse(&options.resource_version)?;
        let scope = self.keys.narrow(&options.scope, &*options.selector);
        let range = self.keys.range(&scope)?;
        let interest = routes::interest(&self.keys, &scope, &*options.selector, self.routing_field.as_deref());
        self.filled().await?;

        let unset = options.resource_version.is_empty();
        let after = match (unset, options.send_initial_events) {
            (true, Some(_)) => match self.backend.current_revision().await {
                Ok(revision) => u64::try_from(revision).unwrap_or_default(),
                Err(error) => return Ok(Watcher::failed(error.into())),
            },
            _ => requested,
        };
        let wants_state = options.send_initial_events.unwrap_or(after == 0);
        if wants_state && let Err(error) = self.reach(after).await {
            return Ok(Watcher::failed(error));
        }

        let mut inner = self.inner.write();
        let Inner { state: Some(state), routes, .. } = &mut *inner else {
            return Err(Error::NotReady { retry_after_seconds: NOT_READY_RETRY_SECONDS });
        };
        let current = state.revision();
        let start = match i64::try_from(after).unwrap_or(i64::MAX) {
            _ if wants_state => current,
            0 => current,
            revision if revision < state.complete_since() => {
                return Ok(Watcher::failed(too_old(revision, state.complete_since())));
            }
            revision => revision,
        };
        let view = View { range, selector: options.selector, after: start };
        let (queue, events) = mpsc::channel(QUEUE_EVENTS);
        let parked = Arc::new(AtomicBool::new(false));
        let id = routes.add(interest, view.clone(), queue, Arc::clone(&parked));
        if start < current
            && let Some(slot) = routes.get_mut(id)
        {
            slot.park(state.position_after(start));
        }
        let objects = state.objects().clone();
        drop(inner);

        let mut watcher = Watcher::new(Arc::clone(self), id, events, parked, start);
        if wants_state {
            let end_of_initial = options.send_initial_events == Some(true) && options.allow_bookmarks;
            watcher = watcher.starting_from(Initial { objects, view, bookmark: end_of_initial.then_some(current) });
        }
        if options.allow_bookmarks {
            watcher = watcher.with_bookmarks(options.deadline);
        }
        Ok(watcher)
    }

    /// Whether the cache is filled. Starts filling it if nothing has yet.
    pub(super) fn is_ready(self: &Arc<Self>) -> bool {
        self.start();
        self.snapshot.load().is_some()
    }

    /// How many objects the cache holds.
    pub(super) fn count(&self) -> usize {
        self.snapshot.load().as_ref().map_or(0, |snapshot| snapshot.objects.count())
    }

    /// Ends the feed and all watches.
    pub(super) fn stop(&self) {
        self.stop.cancel();
        let mut inner = self.inner.write();
        inner.state = None;
        inner.routes.clear();
        self.snapshot.store(None);
    }

    fn start(self: &Arc<Self>) {
        if !self.started.swap(true, Ordering::AcqRel) {
            tokio::spawn(feed::run(Arc::downgrade(self), self.stop.clone()));
        }
    }

    /// Waits until the cache is filled.
    async fn filled(self: &Arc<Self>) -> Result<(), Error> {
        self.start();
        if self.wait_for(1, FILL_TIMEOUT).await {
            return Ok(());
        }
        Err(Error::NotReady { retry_after_seconds: NOT_READY_RETRY_SECONDS })
    }

    /// Waits until the cache has reached a revision.
    async fn reach(&self, wanted: u64) -> Result<(), Error> {
        if self.wait_for(wanted, FRESH_TIMEOUT).await {
            return Ok(());
        }
        let current = *self.revision.borrow();
        Err(Error::TooLargeResourceVersion { requested: wanted, current, retry_after_seconds: TOO_LARGE_RETRY_SECONDS })
    }

    /// Whether the cache reaches a revision in time. The store is asked how far it is, since nothing may happen here.
    async fn wait_for(&self, wanted: u64, patience: Duration) -> bool {
        let reached = |revision: &i64| u64::try_from(*revision).unwrap_or_default() >= wanted;
        let mut revisions = self.revision.subscribe();
        if reached(&revisions.borrow()) {
            return true;
        }
        let deadline = Instant::now() + patience;
        let mut poll = FRESH_POLL_MIN;
        while Instant::now() < deadline {
            self.progress_wanted.notify_one();
            if timeout_at(deadline.min(Instant::now() + poll), revisions.wait_for(reached)).await.is_ok() {
                return true;
            }
            poll = (poll * 2).min(FRESH_POLL_MAX);
        }
        false
    }

    /// The state that a list of the whole prefix found, to be shown once it has come to `show_from`. Watchers do not survive it: what
    /// happened meanwhile is not known.
    fn replace(&self, entries: Vec<Arc<Entry>>, revision: i64, show_from: i64) {
        let state = State::new(self.limits, self.routing_field.clone(), entries, revision);
        let mut inner = self.inner.write();
        if self.stop.is_cancelled() {
            return;
        }
        self.publish(&state, show_from);
        inner.state = Some(state);
        inner.show_from = show_from;
        inner.routes.clear();
    }

    /// Changes of one or more whole revisions.
    fn apply(&self, updates: Vec<Update>) {
        let mut inner = self.inner.write();
        let Inner { state: Some(state), show_from, routes } = &mut *inner else { return };
        let begin = state.end();
        let events = state.apply(updates, self.epoch.elapsed());
        self.publish(state, *show_from);
        for (event, position) in events.iter().zip(begin..) {
            routes.deliver(event, position, &self.keys, self.routing_field.as_deref());
        }
    }

    /// Nothing has changed up to `revision`.
    fn advance(&self, revision: i64) {
        let mut inner = self.inner.write();
        let Inner { state: Some(state), show_from, .. } = &mut *inner else { return };
        if revision > state.revision() {
            state.advance(revision);
            self.publish(state, *show_from);
        }
    }

    fn publish(&self, state: &State, show_from: i64) {
        if state.revision() < show_from {
            return;
        }
        let snapshot = Snapshot { objects: state.objects().clone(), revision: state.revision() };
        self.snapshot.store(Some(Arc::new(snapshot)));
        self.revision.send_replace(state.revision());
    }

    fn is_watched(&self) -> bool {
        !self.inner.read().routes.is_empty()
    }

    /// The revision up to which every event is in the queues of those whom it concerns.
    fn settled_revision(&self) -> i64 {
        self.inner.read().state.as_ref().map_or(0, State::revision)
    }

    /// From which revision on the history is complete; `None` once the cache is stopped.
    fn complete_since(&self) -> Option<i64> {
        self.inner.read().state.as_ref().map(State::complete_since)
    }

    /// The next events for a parked watcher. Once it has looked at all there are, its queue is fed again.
    fn catch_up(&self, id: WatcherId) -> CatchUp {
        let mut inner = self.inner.write();
        let Inner { state: Some(state), routes, .. } = &mut *inner else { return CatchUp::Lost };
        let Some(slot) = routes.get_mut(id) else { return CatchUp::Lost };
        let Some(position) = slot.parked_at else { return CatchUp::Events(Vec::new()) };
        let Some(changes) = state.from(position) else {
            routes.remove(id);
            return CatchUp::Lost;
        };
        let mut looked_at = 0;
        let events = changes
            .take(CATCH_UP_CHANGES)
            .inspect(|_| looked_at += 1)
            .filter_map(|event| slot.view.see(event))
            .collect();
        let position = position + looked_at;
        if position == state.end() {
            slot.attach();
        } else {
            slot.park(position);
        }
        CatchUp::Events(events)
    }

    fn leave(&self, id: WatcherId) {
        self.inner.write().routes.remove(id);
    }
}
