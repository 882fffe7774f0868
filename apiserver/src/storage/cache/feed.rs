//! Keeps a cache current: lists the prefix once, then follows its changes.
//!
//! A watch that breaks is taken up where it stopped, and nobody notices. Only when the store has compacted what was missed is the
//! prefix listed again, and watchers are told to do the same.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

use super::{Cache, state::Update};
use crate::storage::{
    backend::{BackendError, Change, ListRequest, WatchItem, prefix_end},
    collection::describe,
    entry::Entry,
};

/// How many keys a page of the first list has.
const PAGE_KEYS: i64 = 1000;
/// How long to wait after the first failure; doubled with each that follows, up to [`RETRY_MAX`].
const RETRY_MIN: Duration = Duration::from_millis(50);
/// How long to wait between attempts at most.
const RETRY_MAX: Duration = Duration::from_secs(5);
/// How often a cache with watchers asks how far the store is, for their bookmarks.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Fills the cache and follows the store until the cache is dropped or `stop` is cancelled.
pub(super) async fn run(cache: Weak<Cache>, stop: CancellationToken) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = keep_current(&cache) => {}
        () = ask_for_progress(&cache) => {}
    }
}

/// Lists and follows, again and again. Returns when the cache is gone.
async fn keep_current(cache: &Weak<Cache>) {
    let mut retry = Retry::default();
    while let Some(alive) = cache.upgrade() {
        match list(&alive).await {
            Ok(Listed { entries, revision, newest }) => {
                alive.replace(entries, revision, newest);
                retry = Retry::default();
                drop(alive);
                follow(cache, revision).await;
            }
            Err(error) => {
                report(&alive, &error);
                drop(alive);
                retry.wait().await;
            }
        }
    }
}

/// Everything under a prefix at one revision.
struct Listed {
    entries: Vec<Arc<Entry>>,
    revision: i64,
    /// The store's revision when the list began.
    newest: i64,
}

/// Lists the prefix as of the server's start, so that all that has happened since can be followed; as of now if that is too long ago.
async fn list(cache: &Cache) -> Result<Listed, BackendError> {
    let origin = cache.origin.get().copied();
    match list_at(cache, origin).await {
        Err(BackendError::Compacted(_)) if origin.is_some() => list_at(cache, None).await,
        listed => listed,
    }
}

async fn list_at(cache: &Cache, revision: Option<i64>) -> Result<Listed, BackendError> {
    let prefix = cache.keys.prefix().as_bytes();
    let mut request =
        ListRequest { start: Bytes::copy_from_slice(prefix), end: prefix_end(prefix), limit: PAGE_KEYS, revision };
    let mut entries = Vec::new();
    let mut newest = None;
    loop {
        let page = cache.backend.list(request.clone()).await?;
        let newest = *newest.get_or_insert(page.revision);
        let revision = *request.revision.get_or_insert(newest);
        entries.extend(page.items.into_iter().map(|found| Arc::new(describe(&*cache.describe, found))));
        match entries.last() {
            Some(last) if page.more => request.start = Bytes::from([last.key.as_ref(), b"\0"].concat()),
            _ => return Ok(Listed { entries, revision, newest }),
        }
    }
}

/// Follows the changes after `revision`. Returns when the store has compacted what comes next, or when the cache is gone.
async fn follow(cache: &Weak<Cache>, mut revision: i64) {
    let mut retry = Retry::default();
    loop {
        let Some(alive) = cache.upgrade() else { return };
        let prefix = Bytes::copy_from_slice(alive.keys.prefix().as_bytes());
        let mut items = alive.backend.watch(prefix, revision + 1, Arc::clone(&alive.progress_wanted));
        drop(alive);
        while let Some(item) = items.next().await {
            let Some(alive) = cache.upgrade() else { return };
            match item {
                Ok(WatchItem::Changes(changes)) => {
                    revision = changes.last().map_or(revision, Change::revision).max(revision);
                    alive.apply(changes.into_iter().map(|change| read(&alive, change)).collect());
                }
                Ok(WatchItem::Progress(reached)) => {
                    revision = revision.max(reached);
                    alive.advance(revision);
                }
                Ok(WatchItem::Compacted(_)) | Err(BackendError::Compacted(_)) => {
                    tracing::warn!(
                        prefix = alive.keys.prefix(),
                        revision,
                        "missed changes have been compacted: listing again"
                    );
                    return;
                }
                Err(error) => {
                    report(&alive, &error);
                    break;
                }
            }
            retry = Retry::default();
        }
        retry.wait().await;
    }
}

fn read(cache: &Cache, change: Change) -> Update {
    match change {
        Change::Put(current) => Update::Put(Arc::new(describe(&*cache.describe, current))),
        Change::Delete { key, revision } => Update::Delete { key, revision },
    }
}

/// That the store cannot be reached is said once by the backend, not by every cache each time that it tries.
fn report(cache: &Cache, error: &BackendError) {
    let prefix = cache.keys.prefix();
    if matches!(error, BackendError::Unavailable(_)) {
        tracing::debug!(prefix, %error, "following the store is interrupted");
    } else {
        tracing::warn!(prefix, %error, "following the store is interrupted");
    }
}

/// Has the store tell its revision now and then while somebody watches: a prefix that nobody writes to advances too.
async fn ask_for_progress(cache: &Weak<Cache>) {
    let mut ticks = interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(alive) = cache.upgrade() else { return };
        if alive.is_watched() {
            alive.progress_wanted.notify_one();
        }
    }
}

/// Waits longer after each failure.
struct Retry {
    delay: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self { delay: RETRY_MIN }
    }
}

impl Retry {
    async fn wait(&mut self) {
        sleep(self.delay).await;
        self.delay = (self.delay * 2).min(RETRY_MAX);
    }
}
