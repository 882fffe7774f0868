//! One etcd Watch stream: the client's requests in, responses for all its watches out.
//!
//! Nothing runs in the background: the stream is driven by whoever sends its responses. A client that does not read is
//! not polled, its mailbox fills up, and the hub parks its watchers.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::Stream;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::watch_create_request::FilterType;
use pintle_proto::etcdserverpb::watch_request::RequestUnion;
use pintle_proto::mvccpb::Event;
use prost::Message;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::event::{Delivery, Filter, NO_WATCH, WatchId};
use super::history::Watches;
use super::hub::StreamId;
use super::mailbox::{Capacity, Mail, Mailbox};
use super::request::{WatchError, WatchOptions};
use crate::engine::Span;
use crate::metrics::METRICS;

/// What a stream needs to know of the store around it.
pub trait Surroundings: Send + Unpin + 'static {
    /// The store's revision now.
    fn revision(&self) -> i64;
    /// A response header that tells `revision`.
    fn header(&self, revision: i64) -> pb::ResponseHeader;
    /// Whether the stream's client may watch the keys that `key` and `range_end` of a request name; else why not.
    fn permit(&self, key: &[u8], range_end: &[u8]) -> Result<(), WatchError>;
}

/// How a stream behaves.
#[derive(Clone, Copy, Debug)]
pub struct StreamSettings {
    /// Bytes above which a response is cut for watches that allow it.
    pub fragment_bytes: usize,
    /// How often a watch that wants it hears of progress (etcd's `--watch-progress-notify-interval`).
    pub progress_interval: Duration,
}

/// The responses of one etcd Watch stream.
pub struct WatchStream<R, S> {
    watches: Arc<Watches>,
    mailbox: Arc<Mailbox>,
    stream: StreamId,
    /// `None` after the client has said its last word, which does not end its watches.
    requests: Option<R>,
    surroundings: S,
    settings: StreamSettings,
    options: HashMap<WatchId, Options>,
    progress_timer: Option<Pin<Box<Interval>>>,
    /// Parts of a response that was cut.
    fragments: VecDeque<pb::WatchResponse>,
}

/// What a watch asked for that the hub does not care about.
#[derive(Clone, Copy, Debug)]
struct Options {
    fragment: bool,
    /// Wants to hear of progress.
    progress_notify: bool,
    /// Has been sent events since the timer's last tick, which tell of progress too.
    heard: bool,
}

impl<R, S, E> WatchStream<R, S>
where
    R: Stream<Item = Result<pb::WatchRequest, E>> + Unpin,
    S: Surroundings,
{
    /// A stream that answers `requests`.
    pub fn new(watches: Arc<Watches>, requests: R, surroundings: S, settings: StreamSettings) -> Self {
        let mailbox = Mailbox::new(Capacity::default());
        let stream = watches.lock().open(Arc::clone(&mailbox), false);
        Self {
            watches,
            mailbox,
            stream,
            requests: Some(requests),
            surroundings,
            settings,
            options: HashMap::new(),
            progress_timer: None,
            fragments: VecDeque::new(),
        }
    }

    fn request(&mut self, request: pb::WatchRequest) {
        match request.request_union {
            Some(RequestUnion::CreateRequest(request)) => self.create(request),
            Some(RequestUnion::CancelRequest(request)) => self.watches.lock().cancel(self.stream, request.watch_id),
            Some(RequestUnion::ProgressRequest(_)) => self.watches.lock().request_progress(self.stream),
            // As etcd does: a request that is not understood does not end the watches.
            None => {}
        }
    }

    fn create(&mut self, request: pb::WatchCreateRequest) {
        let filters = |filter: FilterType| request.filters.contains(&filter.into());
        let filter = Filter { no_put: filters(FilterType::Noput), no_delete: filters(FilterType::Nodelete) };
        // The empty key comes before every key that can be stored.
        let key = if request.key.is_empty() { b"\0"[..].into() } else { request.key };
        let now = self.surroundings.revision();
        // A revision that cannot be is told of before a missing permission, as in etcd.
        if request.start_revision >= 0
            && let Err(error) = self.surroundings.permit(&key, &request.range_end)
        {
            return self.watches.lock().refuse(self.stream, error, now);
        }
        let options = WatchOptions {
            range: Span::of_request(key, request.range_end),
            start_revision: request.start_revision,
            now,
            id: request.watch_id,
            filter,
            prev_kv: request.prev_kv,
        };
        // Refused ones are answered through the mailbox, like everything.
        let Ok(id) = self.watches.lock().watch(self.stream, options) else { return };
        let options = Options { fragment: request.fragment, progress_notify: request.progress_notify, heard: true };
        self.options.insert(id, options);
        if request.progress_notify && self.progress_timer.is_none() {
            self.progress_timer = Some(Box::pin(progress_timer(self.settings.progress_interval)));
        }
    }

    /// Reports progress on the watches that want it and have not heard anything for a while.
    fn tick(&mut self) {
        let mut hub = self.watches.lock();
        for (id, options) in &mut self.options {
            if options.progress_notify && !options.heard {
                hub.report_progress(self.stream, *id);
            }
            options.heard = false;
        }
    }

    fn response(&mut self, delivery: Delivery) -> pb::WatchResponse {
        let respond = |watch_id, revision| pb::WatchResponse {
            header: Some(self.surroundings.header(revision)),
            watch_id,
            ..pb::WatchResponse::default()
        };
        match delivery {
            Delivery::Created { watch, revision } => pb::WatchResponse { created: true, ..respond(watch, revision) },
            Delivery::Refused { error, revision } => pb::WatchResponse {
                created: true,
                canceled: true,
                cancel_reason: error.to_string(),
                ..respond(NO_WATCH, revision)
            },
            Delivery::Progress { watch, revision } => respond(watch, revision),
            Delivery::Canceled { watch, revision } => {
                let response = pb::WatchResponse { canceled: true, ..respond(watch, revision) };
                self.options.remove(&watch);
                response
            }
            // etcd tells no revision here.
            Delivery::Compacted { watch, compact_revision } => {
                let response = pb::WatchResponse { canceled: true, compact_revision, ..respond(watch, 0) };
                self.options.remove(&watch);
                response
            }
            Delivery::Events { watch, events, revision } => {
                let mut response = respond(watch, revision);
                response.events = events.iter().collect();
                METRICS.events_sent.add(response.events.len() as u64);
                let Some(options) = self.options.get_mut(&watch) else { return response };
                options.heard = true;
                if !options.fragment {
                    return response;
                }
                let mut fragments = fragments(response, self.settings.fragment_bytes);
                let first = fragments.pop_front().unwrap_or_default();
                self.fragments = fragments;
                first
            }
        }
    }
}

impl<R, S, E> Stream for WatchStream<R, S>
where
    R: Stream<Item = Result<pb::WatchRequest, E>> + Unpin,
    S: Surroundings,
{
    type Item = Result<pb::WatchResponse, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(fragment) = this.fragments.pop_front() {
            return Poll::Ready(Some(Ok(fragment)));
        }
        if let Some(timer) = &mut this.progress_timer
            && timer.as_mut().poll_tick(context).is_ready()
        {
            this.tick();
            // Asks to be woken for the next tick.
            context.waker().wake_by_ref();
        }
        // Requests come first, lest a flood of events keeps the client from cancelling; but only with room for the
        // answers.
        while this.mailbox.has_room() {
            let Some(requests) = &mut this.requests else { break };
            match Pin::new(requests).poll_next(context) {
                Poll::Ready(Some(Ok(request))) => this.request(request),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
                Poll::Ready(None) => this.requests = None,
                Poll::Pending => break,
            }
        }
        let Mail { delivery, resume } = std::task::ready!(this.mailbox.poll(context));
        if resume {
            this.watches.lock().resume(this.stream);
        }
        if let Some(delivery) = delivery {
            return Poll::Ready(Some(Ok(this.response(delivery))));
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<R, S> Drop for WatchStream<R, S> {
    fn drop(&mut self) {
        self.watches.lock().close(self.stream);
    }
}

fn progress_timer(interval: Duration) -> Interval {
    // Some jitter, so that clients that came together are not answered together for ever.
    let jitter = rand::random_range(Duration::ZERO..=interval / 10);
    let mut timer = tokio::time::interval_at(Instant::now() + interval + jitter, interval + jitter);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// Cuts a response into parts of fewer than `max_bytes` each, except that every part has at least one event.
fn fragments(response: pb::WatchResponse, max_bytes: usize) -> VecDeque<pb::WatchResponse> {
    if response.encoded_len() < max_bytes || response.events.len() < 2 {
        return VecDeque::from([response]);
    }
    let empty = pb::WatchResponse { events: Vec::new(), fragment: true, ..response.clone() };
    let empty_bytes = empty.encoded_len();
    let mut parts = VecDeque::new();
    let mut part = empty.clone();
    let mut bytes = empty_bytes;
    for event in response.events {
        let event_bytes = encoded_event_bytes(&event);
        if !part.events.is_empty() && bytes + event_bytes >= max_bytes {
            parts.push_back(std::mem::replace(&mut part, empty.clone()));
            bytes = empty_bytes;
        }
        bytes += event_bytes;
        part.events.push(event);
    }
    part.fragment = false;
    parts.push_back(part);
    parts
}

/// Bytes of an event within a response: its tag, its length and itself.
fn encoded_event_bytes(event: &Event) -> usize {
    let bytes = event.encoded_len();
    1 + prost::length_delimiter_len(bytes) + bytes
}
