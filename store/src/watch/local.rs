//! Watches within the process, without protobuf or a connection: how the apiserver's embedded store follows its keys.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;
use pintle_proto::mvccpb::Event;

use super::event::{Delivery, Filter};
use super::history::Watches;
use super::hub::StreamId;
use super::mailbox::{Capacity, Mail, Mailbox};
use super::request::{WatchError, WatchOptions};
use crate::engine::Span;

/// What a [`LocalWatch`] yields.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchItem {
    /// Changes, whole revisions of them, in order.
    Events {
        /// Everything of interest through this revision has been yielded, these events included.
        revision: i64,
        /// The changes.
        events: Vec<Event>,
    },
    /// Nothing of interest has happened through this revision, beyond what was yielded.
    Progress(i64),
    /// What the watch needs is forgotten: it has ended, and the oldest revision still kept is this one.
    Compacted(i64),
}

/// One watch, as a stream that yields until it is dropped or what it needs is compacted.
#[derive(Debug)]
pub struct LocalWatch {
    watches: Arc<Watches>,
    mailbox: Arc<Mailbox>,
    stream: StreamId,
    /// The newest revision that the reader knows of.
    seen: i64,
    ended: bool,
}

impl Watches {
    /// Watches `range` from `start_revision` on, which may lie in the past; 0 means from `now` on, the store's
    /// revision.
    ///
    /// With every batch that the store applies, the stream yields at least its revision, so that a reader of keys that
    /// nobody writes to advances too. Batches that come faster than the reader are reported together.
    pub fn watch(
        self: &Arc<Self>,
        range: Span,
        start_revision: i64,
        now: i64,
        prev_kv: bool,
    ) -> Result<LocalWatch, WatchError> {
        self.open_watch(true, range, start_revision, now, prev_kv)
    }

    /// As [`Watches::watch`], but without telling the revision of every batch, which wakes the reader each time: it is
    /// told when [`LocalWatch::ask_progress`] asks. For those who have many watches of keys that change seldom.
    pub fn watch_quietly(
        self: &Arc<Self>,
        range: Span,
        start_revision: i64,
        now: i64,
        prev_kv: bool,
    ) -> Result<LocalWatch, WatchError> {
        self.open_watch(false, range, start_revision, now, prev_kv)
    }

    fn open_watch(
        self: &Arc<Self>,
        follows_revision: bool,
        range: Span,
        start_revision: i64,
        now: i64,
        prev_kv: bool,
    ) -> Result<LocalWatch, WatchError> {
        let mailbox = Mailbox::new(Capacity::default());
        let mut hub = self.lock();
        let stream = hub.open(Arc::clone(&mailbox), follows_revision);
        let options = WatchOptions { range, start_revision, now, id: 0, filter: Filter::default(), prev_kv };
        let accepted = hub.watch(stream, options);
        drop(hub);
        mailbox.nudge();
        let watch = LocalWatch { watches: Arc::clone(self), mailbox, stream, seen: 0, ended: false };
        accepted.map(|_| watch)
    }
}

impl LocalWatch {
    /// Has the stream yield the store's revision next, if it is news and nothing is underway that tells it anyway.
    pub fn ask_progress(&self) {
        self.mailbox.nudge();
    }

    /// What the reader is to know of a delivery.
    fn item(&mut self, delivery: Delivery) -> Option<WatchItem> {
        match delivery {
            Delivery::Events { events, revision, .. } => {
                self.seen = revision;
                Some(WatchItem::Events { revision, events: events.iter().collect() })
            }
            Delivery::Progress { revision, .. } => self.progress(revision),
            Delivery::Compacted { compact_revision, .. } => {
                self.ended = true;
                Some(WatchItem::Compacted(compact_revision))
            }
            Delivery::Created { .. } | Delivery::Refused { .. } | Delivery::Canceled { .. } => None,
        }
    }

    fn progress(&mut self, revision: i64) -> Option<WatchItem> {
        (revision > self.seen).then(|| {
            self.seen = revision;
            WatchItem::Progress(revision)
        })
    }
}

impl Stream for LocalWatch {
    type Item = WatchItem;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<WatchItem>> {
        let this = &mut *self;
        while !this.ended {
            let Mail { delivery, resume } = std::task::ready!(this.mailbox.poll(context));
            if resume {
                this.watches.lock().resume(this.stream);
            }
            let item = if let Some(delivery) = delivery {
                this.item(delivery)
            } else {
                let seen = this.watches.lock().seen_revision(this.stream);
                seen.and_then(|revision| this.progress(revision))
            };
            if item.is_some() {
                return Poll::Ready(item);
            }
        }
        Poll::Ready(None)
    }
}

impl Drop for LocalWatch {
    fn drop(&mut self) {
        self.watches.lock().close(self.stream);
    }
}
