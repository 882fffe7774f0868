//! Which events concern whom, and how far each watcher has come.
//!
//! Pure: no clock, no chance, no waiting. A watcher is in one of three states:
//! - *synced*: it has been handed everything up to the hub's revision, and is found through the index by the next event;
//! - *catching up*: what it needs next lies in the past. [`Hub::plan`] says what to read from the history, [`Hub::deliver`] hands it out;
//! - *blocked*: its mailbox is full. It is not visited at all until its reader calls [`Hub::resume`], and then catches up.
//!
//! So a slow reader costs the writers one refused offer, and nothing afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use pintle_proto::mvccpb::Event;

use super::event::{Delivery, Filter, NO_WATCH, Picked, WatchId, event_key, event_revision};
use super::index::Index;
use super::mailbox::Mailbox;
use super::plan::{Chunk, Plan};
use super::recent::Recent;
use super::request::{WatchError, WatchOptions};
use crate::engine::Span;
use crate::limits::{RECENT_EVENTS, RECENT_EVENTS_BYTES, WATCH_KEY_BYTES_PER_STREAM, WATCHERS_PER_CATCH_UP};

/// Names a stream within the hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(u64);

/// Names a watcher within the hub. Never used twice.
pub(super) type WatcherId = u64;

#[derive(Debug)]
struct Stream {
    mailbox: Arc<Mailbox>,
    watches: BTreeMap<WatchId, WatcherId>,
    next_id: WatchId,
    /// Watches that are not synced.
    behind: usize,
    /// Is nudged at every new revision.
    follows_revision: bool,
    /// Keys of the watches, for the limit.
    key_bytes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Synced,
    CatchingUp,
    Blocked,
}

#[derive(Debug)]
struct Watcher {
    stream: StreamId,
    id: WatchId,
    range: Span,
    filter: Filter,
    prev_kv: bool,
    /// The revision that the client named as the first wanted; progress below it is not reported.
    start_revision: i64,
    /// Events below this revision have been delivered or are not wanted.
    next_revision: i64,
    state: State,
}

/// The bounds of a hub.
#[derive(Clone, Copy, Debug)]
pub struct HubLimits {
    /// Recent events kept for watches that start a little in the past.
    pub recent_events: usize,
    /// Bytes of them.
    pub recent_bytes: usize,
    /// Watchers that share one reading of the history.
    pub watchers_per_catch_up: usize,
    /// Bytes of keys that the watches of one stream may take.
    pub key_bytes_per_stream: usize,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            recent_events: RECENT_EVENTS,
            recent_bytes: RECENT_EVENTS_BYTES,
            watchers_per_catch_up: WATCHERS_PER_CATCH_UP,
            key_bytes_per_stream: WATCH_KEY_BYTES_PER_STREAM,
        }
    }
}

/// How many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Streams, those within the process too.
    pub streams: u64,
    /// Watchers of all streams.
    pub watchers: u64,
    /// Those of them that have not been sent all there is.
    pub behind: u64,
    /// Events that wait for the readers of the streams.
    pub pending: u64,
}

/// All watchers of one store.
#[derive(Debug)]
pub struct Hub {
    limits: HubLimits,
    revision: i64,
    compact_revision: i64,
    streams: HashMap<StreamId, Stream>,
    watchers: HashMap<WatcherId, Watcher>,
    /// The synced watchers.
    synced: Index,
    /// The watchers that are catching up, longest waiting first. May name ones that have ended or changed state since.
    waiting: VecDeque<WatcherId>,
    /// The streams that follow the revision.
    followers: Vec<StreamId>,
    /// The streams whose client has asked for progress and could not be answered yet.
    asking: BTreeSet<StreamId>,
    recent: Recent,
    last_name: u64,
}

impl Hub {
    /// A hub of a store that is at `revision` and has forgotten what was below `compact_revision`.
    pub fn new(revision: i64, compact_revision: i64, limits: HubLimits) -> Self {
        Self {
            limits,
            revision,
            compact_revision,
            streams: HashMap::new(),
            watchers: HashMap::new(),
            synced: Index::default(),
            waiting: VecDeque::new(),
            followers: Vec::new(),
            asking: BTreeSet::new(),
            recent: Recent::new(revision, limits.recent_bytes, limits.recent_events),
            last_name: 0,
        }
    }

    /// The latest published revision.
    pub fn revision(&self) -> i64 {
        self.revision
    }

    /// Who is there.
    pub fn census(&self) -> Census {
        let behind = self.watchers.values().filter(|watcher| !matches!(watcher.state, State::Synced)).count();
        Census {
            streams: self.streams.len() as u64,
            watchers: self.watchers.len() as u64,
            behind: behind as u64,
            pending: self.streams.values().map(|stream| stream.mailbox.event_count() as u64).sum(),
        }
    }

    /// Opens a stream. With `follows_revision`, its reader is nudged at every new revision.
    pub fn open(&mut self, mailbox: Arc<Mailbox>, follows_revision: bool) -> StreamId {
        let id = StreamId(self.new_name());
        let stream =
            Stream { mailbox, watches: BTreeMap::new(), next_id: 0, behind: 0, follows_revision, key_bytes: 0 };
        self.streams.insert(id, stream);
        if follows_revision {
            self.followers.push(id);
        }
        id
    }

    /// Ends a stream with all its watches.
    pub fn close(&mut self, stream: StreamId) {
        let Some(closed) = self.streams.remove(&stream) else { return };
        self.asking.remove(&stream);
        if closed.follows_revision {
            self.followers.retain(|follower| *follower != stream);
        }
        for watcher in closed.watches.into_values() {
            if let Some(watcher_state) = self.watchers.remove(&watcher)
                && watcher_state.state == State::Synced
            {
                self.synced.remove(watcher, &watcher_state.range);
            }
        }
    }

    /// Lets a stream's client know that it was refused a watch.
    pub fn refuse(&mut self, stream_id: StreamId, error: WatchError, now: i64) {
        if let Some(stream) = self.streams.get(&stream_id) {
            stream.mailbox.force(Delivery::Refused { error, revision: now.max(self.revision) });
        }
    }

    /// Starts a watch. The answer, and then everything about the watch, arrives in the stream's mailbox in order; the
    /// result only repeats whether it was accepted.
    pub fn watch(&mut self, stream_id: StreamId, options: WatchOptions) -> Result<WatchId, WatchError> {
        let Some(stream) = self.streams.get_mut(&stream_id) else { return Err(WatchError::EmptyRange) };
        let now = options.now.max(self.revision);
        let id = match stream.admit(&options, self.limits.key_bytes_per_stream) {
            Ok(id) => id,
            Err(error) => {
                stream.mailbox.force(Delivery::Refused { error, revision: now });
                return Err(error);
            }
        };
        stream.mailbox.force(Delivery::Created { watch: id, revision: now });

        let from_now_on = options.start_revision == 0;
        let next_revision = if from_now_on { now + 1 } else { options.start_revision };
        let behind = next_revision <= self.revision;
        if behind && next_revision < self.compact_revision {
            let compacted = Delivery::Compacted { watch: id, compact_revision: self.compact_revision };
            stream.mailbox.force(compacted);
            return Ok(id);
        }

        stream.key_bytes += watch_cost_bytes(&options.range);
        let name = self.new_name();
        if let Some(stream) = self.streams.get_mut(&stream_id) {
            stream.watches.insert(id, name);
            stream.behind += 1;
        }
        let watcher = Watcher {
            stream: stream_id,
            id,
            range: options.range,
            filter: options.filter,
            prev_kv: options.prev_kv,
            start_revision: options.start_revision,
            next_revision,
            state: State::CatchingUp,
        };
        self.watchers.insert(name, watcher);
        self.catch_up_or_wait(name);
        Ok(id)
    }

    /// Ends a watch at the client's request. An unknown one is ignored, as etcd does.
    pub fn cancel(&mut self, stream_id: StreamId, id: WatchId) {
        let revision = self.revision;
        let Some(name) = self.streams.get(&stream_id).and_then(|stream| stream.watches.get(&id)).copied() else {
            return;
        };
        self.end(name, Delivery::Canceled { watch: id, revision });
    }

    /// Answers a request for the progress of the whole stream: at once if all its watches are synced, else as soon as
    /// they are.
    pub fn request_progress(&mut self, stream_id: StreamId) {
        self.asking.insert(stream_id);
        self.answer_progress(stream_id);
    }

    /// Reports the progress of one watch, if it is synced and there is room.
    pub fn report_progress(&mut self, stream_id: StreamId, id: WatchId) {
        let Some(stream) = self.streams.get(&stream_id) else { return };
        let Some(watcher) = stream.watches.get(&id).and_then(|name| self.watchers.get(name)) else { return };
        if watcher.state == State::Synced && watcher.start_revision <= self.revision {
            // Without room there are events underway, and those show progress too.
            let _ = stream.mailbox.offer(Delivery::Progress { watch: id, revision: self.revision });
        }
    }

    /// The revision up to which the stream's reader has seen everything: known if all its watches are synced and
    /// nothing is underway.
    pub fn seen_revision(&self, stream_id: StreamId) -> Option<i64> {
        let stream = self.streams.get(&stream_id)?;
        (stream.behind == 0 && stream.mailbox.is_empty()).then_some(self.revision)
    }

    /// Hands out what has just been applied: the events of the revisions after the previous call's through `revision`,
    /// in order, with what was there before. Events may be none.
    pub fn publish(&mut self, revision: i64, events: Vec<Event>) {
        if !events.is_empty() {
            let events: Arc<[Event]> = events.into();
            let matches = self.find_synced(&events);
            for (name, positions) in matches {
                self.hand_out(name, &events, positions, revision);
            }
            self.recent.add(events);
        }
        self.revision = revision;
        for stream in self.asking.clone() {
            self.answer_progress(stream);
        }
        for follower in &self.followers {
            if let Some(stream) = self.streams.get(follower) {
                stream.mailbox.nudge();
            }
        }
    }

    /// Notes that the history below `revision` is gone. Watchers that still need it end when their turn comes.
    pub fn compact(&mut self, revision: i64) {
        self.compact_revision = self.compact_revision.max(revision);
    }

    /// Notes that the whole state was replaced by that of a snapshot, so that nothing between is known from memory.
    pub fn restore(&mut self, revision: i64, compact_revision: i64) {
        self.recent.clear(revision);
        let unseen = self.revision + 1;
        self.revision = revision;
        self.compact_revision = compact_revision;
        let synced: Vec<WatcherId> =
            self.watchers.iter().filter(|(_, watcher)| watcher.state == State::Synced).map(|(name, _)| *name).collect();
        for name in synced {
            let Some(watcher) = self.watchers.get_mut(&name) else { continue };
            watcher.next_revision = watcher.next_revision.max(unseen);
            if watcher.next_revision <= revision {
                self.set_state(name, State::CatchingUp);
            }
        }
        let followers = self.followers.iter().filter_map(|id| self.streams.get(id));
        followers.for_each(|stream| stream.mailbox.nudge());
    }

    /// Lets the stream's blocked watchers catch up, now that there is room in its mailbox.
    pub fn resume(&mut self, stream_id: StreamId) {
        let Some(stream) = self.streams.get(&stream_id) else { return };
        let blocked: Vec<WatcherId> = stream.watches.values().copied().collect();
        for name in blocked {
            if self.watchers.get(&name).is_some_and(|watcher| watcher.state == State::Blocked) {
                self.set_state(name, State::CatchingUp);
            }
        }
        self.answer_progress(stream_id);
    }

    /// Whether [`Hub::plan`] may have something.
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// What to read next, for the watcher that has waited longest and those that need no older revision; `None` if
    /// nobody waits.
    ///
    /// Ends the watchers it meets whose past is compacted.
    pub fn plan(&mut self) -> Option<Plan> {
        let mut plan: Option<Plan> = None;
        let mut later = Vec::new();
        while let Some(name) = self.waiting.pop_front() {
            let Some(watcher) = self.watchers.get(&name).filter(|watcher| watcher.state == State::CatchingUp) else {
                continue;
            };
            if watcher.next_revision < self.compact_revision {
                let compacted = Delivery::Compacted { watch: watcher.id, compact_revision: self.compact_revision };
                self.end(name, compacted);
                continue;
            }
            let from = watcher.next_revision;
            let plan = plan.get_or_insert_with(|| Plan::new(from, self.revision));
            if from < plan.from {
                later.push(name);
                continue;
            }
            plan.add(name, &watcher.range, watcher.prev_kv);
            if plan.watchers.len() >= self.limits.watchers_per_catch_up {
                break;
            }
        }
        for name in later.into_iter().rev() {
            self.waiting.push_front(name);
        }
        plan
    }

    /// Hands out what was read for `plan`. Watchers that need more wait again, behind the others.
    pub fn deliver(&mut self, plan: Plan, chunk: Chunk) {
        let (events, through) = match chunk {
            Chunk::Events { events, through } => (Arc::<[Event]>::from(events), through),
            Chunk::Compacted { compact_revision } => {
                self.compact(compact_revision);
                self.waiting.extend(plan.watchers);
                return;
            }
        };
        let routed = plan.route(&events);
        for (name, mut positions) in plan.watchers.into_iter().zip(routed) {
            let Some(watcher) = self.watchers.get(&name).filter(|watcher| watcher.state == State::CatchingUp) else {
                continue;
            };
            positions.retain(|position| events.get(*position as usize).is_some_and(|event| watcher.wants(event)));
            if self.hand_out(name, &events, positions, through) {
                self.catch_up_or_wait(name);
            }
        }
    }

    /// Brings a watcher up to date from the recent events if they reach back far enough, else queues it for the
    /// history.
    fn catch_up_or_wait(&mut self, name: WatcherId) {
        let Some(watcher) = self.watchers.get(&name) else { return };
        if watcher.next_revision <= self.revision {
            if watcher.next_revision <= self.recent.floor() {
                self.waiting.push_back(name);
                return;
            }
            let missed = self.recent.iter().filter(|event| watcher.wants_key_of(event));
            let missed: Arc<[Event]> = missed.cloned().collect();
            let positions = (0..).take(missed.len()).collect();
            if !self.hand_out(name, &missed, positions, self.revision) {
                return;
            }
        }
        self.set_state(name, State::Synced);
    }

    /// Gives a watcher the events at `positions`, after which it has seen everything through `through`. Without room it
    /// is blocked, and the answer is no.
    fn hand_out(&mut self, name: WatcherId, events: &Arc<[Event]>, positions: Vec<u32>, through: i64) -> bool {
        let Some(watcher) = self.watchers.get_mut(&name) else { return false };
        let Some(stream) = self.streams.get(&watcher.stream) else { return false };
        let first = positions.first().and_then(|position| events.get(*position as usize)).map(event_revision);
        if let Some(first) = first {
            let events = Picked::new(Arc::clone(events), positions, watcher.prev_kv);
            let delivery = Delivery::Events { watch: watcher.id, events, revision: through };
            if stream.mailbox.offer(delivery).is_err() {
                watcher.next_revision = first;
                self.set_state(name, State::Blocked);
                return false;
            }
        }
        watcher.next_revision = watcher.next_revision.max(through + 1);
        true
    }

    /// The synced watchers that want some of `events`, each with the positions it wants.
    fn find_synced(&self, events: &[Event]) -> Vec<(WatcherId, Vec<u32>)> {
        let mut found: Vec<(WatcherId, Vec<u32>)> = Vec::new();
        let mut places: HashMap<WatcherId, usize> = HashMap::new();
        for (position, event) in (0u32..).zip(events) {
            let mut visit = |names: &Vec<WatcherId>| {
                for name in names {
                    if !self.watchers.get(name).is_some_and(|watcher| watcher.wants(event)) {
                        continue;
                    }
                    let place = *places.entry(*name).or_insert_with(|| {
                        found.push((*name, Vec::new()));
                        found.len() - 1
                    });
                    if let Some((_, positions)) = found.get_mut(place) {
                        positions.push(position);
                    }
                }
            };
            self.synced.visit(event_key(event), &mut visit);
        }
        found
    }

    /// Ends a watch with a last word.
    fn end(&mut self, name: WatcherId, last_word: Delivery) {
        let Some(watcher) = self.watchers.remove(&name) else { return };
        if watcher.state == State::Synced {
            self.synced.remove(name, &watcher.range);
        }
        let Some(stream) = self.streams.get_mut(&watcher.stream) else { return };
        stream.watches.remove(&watcher.id);
        stream.key_bytes -= watch_cost_bytes(&watcher.range);
        if watcher.state != State::Synced {
            stream.behind -= 1;
        }
        stream.mailbox.force(last_word);
        self.answer_progress(watcher.stream);
    }

    /// The only place where a watcher changes its state.
    fn set_state(&mut self, name: WatcherId, state: State) {
        let Some(watcher) = self.watchers.get_mut(&name) else { return };
        let previous = std::mem::replace(&mut watcher.state, state);
        let (stream_id, range) = (watcher.stream, watcher.range.clone());
        match (previous == State::Synced, state == State::Synced) {
            (true, false) => {
                self.synced.remove(name, &range);
                if let Some(stream) = self.streams.get_mut(&stream_id) {
                    stream.behind += 1;
                }
            }
            (false, true) => {
                self.synced.add(name, &range);
                if let Some(stream) = self.streams.get_mut(&stream_id) {
                    stream.behind -= 1;
                    if stream.follows_revision {
                        stream.mailbox.nudge();
                    }
                }
                self.answer_progress(stream_id);
            }
            (true, true) | (false, false) => {}
        }
        if state == State::CatchingUp {
            self.waiting.push_back(name);
        }
    }

    /// Answers a pending request for the stream's progress if all its watches are synced and want what happens now. A
    /// stream without watches gets no answer.
    fn answer_progress(&mut self, stream_id: StreamId) {
        if !self.asking.remove(&stream_id) {
            return;
        }
        let revision = self.revision;
        let Some(stream) = self.streams.get(&stream_id).filter(|stream| !stream.watches.is_empty()) else { return };
        let mut watchers = stream.watches.values().filter_map(|name| self.watchers.get(name));
        let reached = stream.behind == 0 && watchers.all(|watcher| watcher.start_revision <= revision);
        let progress = Delivery::Progress { watch: NO_WATCH, revision };
        // Without room the request stays: the reader resumes the stream when there is some.
        if !reached || stream.mailbox.offer(progress).is_err() {
            self.asking.insert(stream_id);
        }
    }

    fn new_name(&mut self) -> u64 {
        self.last_name += 1;
        self.last_name
    }
}

impl Watcher {
    fn wants(&self, event: &Event) -> bool {
        event_revision(event) >= self.next_revision && self.filter.passes(event)
    }

    fn wants_key_of(&self, event: &Event) -> bool {
        self.wants(event) && self.range.contains(event_key(event))
    }
}

impl Stream {
    /// The name for a new watch, if it may start.
    fn admit(&mut self, options: &WatchOptions, key_bytes_limit: usize) -> Result<WatchId, WatchError> {
        if options.start_revision < 0 {
            return Err(WatchError::NegativeRevision);
        }
        if options.range.is_empty() {
            return Err(WatchError::EmptyRange);
        }
        if self.key_bytes + watch_cost_bytes(&options.range) > key_bytes_limit {
            return Err(WatchError::TooManyWatches);
        }
        if options.id != 0 {
            return if self.watches.contains_key(&options.id) { Err(WatchError::DuplicateId) } else { Ok(options.id) };
        }
        while self.watches.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        Ok(self.next_id - 1)
    }
}

/// What a watch counts for against the stream's limit.
fn watch_cost_bytes(range: &Span) -> usize {
    const OVERHEAD_BYTES: usize = 256;
    OVERHEAD_BYTES + range.byte_len()
}
