//! Watchers that go on after every interruption, and remember what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::watch_client::WatchClient;
use pintle_proto::etcdserverpb::watch_request::RequestUnion;
use pintle_proto::mvccpb::Event;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::history::model::FIRST_REVISION;
use crate::history::replay::revision_of;
use crate::history::watch::{Note, Watched};

/// How long a watch may take to be confirmed.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often a watcher asks for its progress.
const ASK: Duration = Duration::from_millis(300);
/// A watcher that hears nothing for this many asks turns to another member.
const SILENCE: u32 = 20;
/// Before a watch that failed is begun anew.
const RESPITE: Duration = Duration::from_millis(100);
/// How long a watcher may take to be told what it was not told yet.
const ENOUGH: Duration = Duration::from_secs(60);

/// What a watcher wants to know.
#[derive(Debug, Clone)]
pub struct Wish {
    /// The first key.
    pub key: Bytes,
    /// The key after the last.
    pub range_end: Bytes,
    /// Whether to tell previous values.
    pub prev_kv: bool,
}

impl Wish {
    /// All keys, with previous values.
    pub fn everything() -> Self {
        Self { key: vec![0].into(), range_end: vec![0].into(), prev_kv: true }
    }
}

/// One watcher.
pub struct Watcher {
    channels: Vec<Channel>,
    member: usize,
    watched: Watched,
    /// Everything below this was told; read by others.
    next: Arc<AtomicI64>,
}

impl Watcher {
    /// A watcher of all revisions that begins at one member.
    pub fn new(wish: Wish, channels: Vec<Channel>, member: usize) -> Self {
        let Wish { key, range_end, prev_kv } = wish;
        let watched = Watched { key, range_end, prev_kv, from: FIRST_REVISION + 1, notes: Vec::new() };
        let next = Arc::new(AtomicI64::new(watched.from));
        Self { channels, member, watched, next }
    }

    /// Watches until everything through `last` was told, and returns what it was told.
    async fn run(mut self, last: Arc<AtomicI64>) -> Watched {
        let mut first = true;
        while self.next.load(Ordering::Acquire) <= last.load(Ordering::Acquire) {
            // The stream fails again and again while members are away: that is what this is for.
            let _ = self.watch(first, &last).await;
            first = false;
            self.member = (self.member + 1) % self.channels.len();
            sleep(RESPITE).await;
        }
        self.watched
    }

    /// Watches over one stream, until it fails.
    async fn watch(&mut self, first: bool, last: &AtomicI64) -> Option<()> {
        let from = self.next.load(Ordering::Acquire);
        let (requests, outgoing) = mpsc::channel(4);
        let create = pb::WatchCreateRequest {
            key: self.watched.key.clone(),
            range_end: self.watched.range_end.clone(),
            prev_kv: self.watched.prev_kv,
            start_revision: from,
            ..pb::WatchCreateRequest::default()
        };
        requests.send(union(RequestUnion::CreateRequest(create))).await.ok()?;
        let mut client = WatchClient::new(self.channels[self.member].clone()).max_decoding_message_size(64 << 20);
        let opened = timeout(PATIENCE, client.watch(ReceiverStream::new(outgoing))).await;
        let mut stream = opened.ok()?.ok()?.into_inner();
        if !first {
            self.watched.notes.push(Note::Resumed(from));
        }
        let mut asks = interval(ASK);
        let mut silent = 0;
        while self.next.load(Ordering::Acquire) <= last.load(Ordering::Acquire) {
            tokio::select! {
                message = stream.message() => {
                    silent = 0;
                    self.take(message.ok()??)?;
                }
                _ = asks.tick() => {
                    silent += 1;
                    if silent > SILENCE {
                        return None;
                    }
                    // One that waits already is answered soon enough.
                    let _ = requests.try_send(union(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})));
                }
            }
        }
        Some(())
    }

    /// Remembers a response; `None` when the watch has ended.
    fn take(&mut self, response: pb::WatchResponse) -> Option<()> {
        let revision = response.header.map_or(0, |header| header.revision);
        if response.canceled {
            if response.compact_revision > 0 {
                self.watched.notes.push(Note::Compacted(response.compact_revision));
                self.next.store(response.compact_revision + 1, Ordering::Release);
            }
            return None;
        }
        if let Some(last) = response.events.last() {
            self.next.fetch_max(revision_of(last) + 1, Ordering::AcqRel);
            self.watched.notes.push(Note::Events { revision, events: response.events });
        } else if !response.created {
            self.next.fetch_max(revision + 1, Ordering::AcqRel);
            self.watched.notes.push(Note::Progress(revision));
        }
        Some(())
    }
}

fn union(request: RequestUnion) -> pb::WatchRequest {
    pb::WatchRequest { request_union: Some(request) }
}

/// The events of a watcher that was never cut off by a compaction, in order.
pub fn events(watched: &Watched) -> impl Iterator<Item = &Event> {
    let mut next = watched.from;
    watched.notes.iter().flat_map(move |note| {
        let events: &[Event] = if let Note::Events { events, .. } = note { events } else { &[] };
        // Told again after a resumption from further back.
        let from = next;
        next = events.last().map_or(next, |last| next.max(revision_of(last) + 1));
        events.iter().filter(move |event| revision_of(event) >= from)
    })
}

/// A watcher at work.
pub struct Watching {
    task: JoinHandle<Watched>,
    next: Arc<AtomicI64>,
    last: Arc<AtomicI64>,
}

impl Watching {
    /// Sets a watcher to work.
    pub fn start(watcher: Watcher) -> Self {
        let (next, last) = (watcher.next.clone(), Arc::new(AtomicI64::new(i64::MAX)));
        Self { task: tokio::spawn(watcher.run(last.clone())), next, last }
    }

    /// The watcher was told everything below this revision.
    pub fn next(&self) -> i64 {
        self.next.load(Ordering::Acquire)
    }

    /// Has it end when it has been told everything through `revision`, or after a while. None if it does not end.
    pub async fn end(self, revision: i64) -> Option<Watched> {
        let deadline = Instant::now() + ENOUGH;
        while self.next() <= revision && Instant::now() < deadline {
            sleep(RESPITE).await;
        }
        // What it was not told by now counts as left out.
        self.last.store(0, Ordering::Release);
        timeout(ENOUGH, self.task).await.ok()?.ok()
    }
}
