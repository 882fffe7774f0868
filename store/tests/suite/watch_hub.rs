//! The watch hub, driven step by step by the scripts in `testdata/watch`.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use pintle_proto::mvccpb::event::EventType;
use pintle_proto::mvccpb::{Event, KeyValue};
use pintle_store::engine::Span;
use pintle_store::watch::WatchOptions;
use pintle_store::watch::event::{Delivery, Filter, NO_WATCH};
use pintle_store::watch::hub::{Hub, HubLimits, StreamId};
use pintle_store::watch::mailbox::{Capacity, Mailbox};
use pintle_store::watch::plan::Chunk;
use proptest::prelude::*;

use crate::golden;

#[test]
fn scripts() {
    golden::run("watch", Machine::default, Machine::run);
}

/// A hub and a naive store around it.
struct Machine {
    hub: Hub,
    capacity: Capacity,
    streams: HashMap<String, (StreamId, Arc<Mailbox>)>,
    revision: i64,
    compacted: i64,
    live: BTreeMap<String, KeyValue>,
    history: Vec<Event>,
}

impl Default for Machine {
    fn default() -> Self {
        Self {
            hub: Hub::new(1, -1, HubLimits::default()),
            capacity: Capacity::default(),
            streams: HashMap::new(),
            revision: 1,
            compacted: -1,
            live: BTreeMap::new(),
            history: Vec::new(),
        }
    }
}

/// The `name=value` words of a command.
struct Options<'a>(&'a [&'a str]);

impl<'a> Options<'a> {
    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, name: &str, default: T) -> T {
        self.get(name).map_or(default, |value| value.parse().unwrap())
    }

    fn has(&self, word: &str) -> bool {
        self.0.contains(&word)
    }
}

impl Machine {
    fn run(&mut self, command: &str) -> String {
        let words: Vec<&str> = command.split(' ').collect();
        let (name, rest) = words.split_first().unwrap();
        let options = Options(rest);
        match *name {
            "limits" => self.limits(&options),
            "open" => {
                let mailbox = Mailbox::new(self.capacity);
                let id = self.hub.open(mailbox.clone(), options.has("follows"));
                self.streams.insert(rest[0].to_owned(), (id, mailbox));
            }
            "close" => self.hub.close(self.streams[rest[0]].0),
            "watch" => self.watch(rest[0], &options),
            "cancel" => self.hub.cancel(self.streams[rest[0]].0, rest[1].parse().unwrap()),
            "apply" => {
                let events: Vec<Event> = rest.split(|word| *word == "/").flat_map(|txn| self.apply(txn)).collect();
                self.hub.publish(self.revision, events);
                return format!("revision {}", self.revision);
            }
            // The store has applied something that the hub has not heard of, as between two steps of the state machine,
            // or in a snapshot.
            "apply-unheard" => {
                self.apply(rest);
            }
            "restore" => self.hub.restore(self.revision, self.compacted),
            "compact" => {
                self.compacted = rest[0].parse().unwrap();
                self.hub.compact(self.compacted);
            }
            "progress" => self.hub.request_progress(self.streams[rest[0]].0),
            "report" => self.hub.report_progress(self.streams[rest[0]].0, rest[1].parse().unwrap()),
            "seen" => return format!("{:?}", self.hub.seen_revision(self.streams[rest[0]].0)),
            "read" => return self.read(rest[0], options.number("n", usize::MAX)),
            "catch-up" => return self.catch_up(options.number("events", usize::MAX)),
            _ => panic!("unknown command {command}"),
        }
        String::new()
    }

    fn limits(&mut self, options: &Options<'_>) {
        let default = HubLimits::default();
        let limits = HubLimits {
            recent_events: options.number("recent", default.recent_events),
            watchers_per_catch_up: options.number("group", default.watchers_per_catch_up),
            key_bytes_per_stream: options.number("key-bytes", default.key_bytes_per_stream),
            ..default
        };
        self.hub = Hub::new(self.revision, self.compacted, limits);
        self.capacity.bytes = options.number("bytes", self.capacity.bytes);
        self.capacity.deliveries = options.number("queue", self.capacity.deliveries);
    }

    fn watch(&mut self, stream: &str, options: &Options<'_>) {
        let range = if let Some(key) = options.get("key") {
            Span::point(key.as_bytes())
        } else if let Some(prefix) = options.get("prefix") {
            Span::prefix(prefix.as_bytes())
        } else {
            let (start, end) = options.get("range").unwrap().split_once("..").unwrap();
            let end = if end.is_empty() { "\0" } else { end };
            Span::of_request(start.to_owned(), end.to_owned())
        };
        let watch = WatchOptions {
            range,
            start_revision: options.number("start", 0),
            now: self.revision,
            id: options.number("id", 0),
            filter: Filter { no_put: options.has("noput"), no_delete: options.has("nodelete") },
            prev_kv: options.has("prev"),
        };
        // The answer is read from the mailbox.
        let _ = self.hub.watch(self.streams[stream].0, watch);
    }

    fn apply(&mut self, txn: &[&str]) -> Vec<Event> {
        self.revision += 1;
        let events: Vec<Event> = txn.iter().map(|change| self.change(change)).collect();
        self.history.extend(events.clone());
        events
    }

    fn change(&mut self, change: &str) -> Event {
        let mod_revision = self.revision;
        let (key, value) = change.split_once('=').map_or((change, None), |(key, value)| (key, Some(value)));
        let prev_kv = self.live.remove(key);
        let Some(value) = value else {
            let kv = KeyValue { key: key.to_owned().into(), mod_revision, ..KeyValue::default() };
            return Event { r#type: EventType::Delete.into(), kv: Some(kv), prev_kv };
        };
        let kv = KeyValue {
            key: key.to_owned().into(),
            value: value.to_owned().into(),
            create_revision: prev_kv.as_ref().map_or(mod_revision, |kv| kv.create_revision),
            version: prev_kv.as_ref().map_or(0, |kv| kv.version) + 1,
            mod_revision,
            lease: 0,
        };
        self.live.insert(key.to_owned(), kv.clone());
        Event { r#type: EventType::Put.into(), kv: Some(kv), prev_kv }
    }

    fn read(&mut self, stream: &str, limit: usize) -> String {
        let (id, mailbox) = &self.streams[stream];
        let mut context = Context::from_waker(Waker::noop());
        let mut out = String::new();
        for _ in 0..limit {
            let Poll::Ready(mail) = mailbox.poll(&mut context) else { break };
            match mail.delivery {
                Some(delivery) => writeln!(out, "{}", describe(&delivery)).unwrap(),
                None => writeln!(out, "nudged, seen {:?}", self.hub.seen_revision(*id)).unwrap(),
            }
            if mail.resume {
                writeln!(out, "(resumed)").unwrap();
                self.hub.resume(*id);
            }
        }
        if out.is_empty() { "nothing".to_owned() } else { out }
    }

    fn catch_up(&mut self, max_events: usize) -> String {
        let Some(plan) = self.hub.plan() else { return "nobody waits".to_owned() };
        let summary = format!("from {} through {}", plan.from, plan.through);
        if plan.from < self.compacted {
            self.hub.deliver(plan, Chunk::Compacted { compact_revision: self.compacted });
            return format!("{summary}: compacted");
        }
        let mut through = plan.through;
        let mut events: Vec<Event> = Vec::new();
        for event in &self.history {
            let kv = event.kv.as_ref().unwrap();
            if kv.mod_revision < plan.from || kv.mod_revision > plan.through || !plan.wants(&kv.key) {
                continue;
            }
            let last = events.last().and_then(|event| event.kv.as_ref()).map_or(0, |kv| kv.mod_revision);
            if events.len() >= max_events && kv.mod_revision > last {
                through = last;
                break;
            }
            let prev_kv = event.prev_kv.clone().filter(|_| plan.wants_prev_kv());
            events.push(Event { prev_kv, ..event.clone() });
        }
        let summary = format!("{summary}: {} events through {through}", events.len());
        self.hub.deliver(plan, Chunk::Events { events, through });
        summary
    }
}

fn describe(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Created { watch, revision } => format!("created {watch} at {revision}"),
        Delivery::Refused { error, revision } => format!("refused at {revision}: {error}"),
        Delivery::Progress { watch: NO_WATCH, revision } => format!("progress of all: {revision}"),
        Delivery::Progress { watch, revision } => format!("progress of {watch}: {revision}"),
        Delivery::Canceled { watch, revision } => format!("canceled {watch} at {revision}"),
        Delivery::Compacted { watch, compact_revision } => format!("compacted {watch}: {compact_revision}"),
        Delivery::Events { watch, events, revision } => {
            let events: Vec<String> = events.iter().map(|event| describe_event(&event)).collect();
            format!("events of {watch} through {revision}: {}", events.join(" "))
        }
    }
}

fn describe_event(event: &Event) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let kv = event.kv.as_ref().unwrap();
    let change = match event.r#type() {
        EventType::Put => format!("{}={}", text(&kv.key), text(&kv.value)),
        EventType::Delete => format!("-{}", text(&kv.key)),
    };
    let was = event.prev_kv.as_ref().map(|kv| format!("(was {})", text(&kv.value))).unwrap_or_default();
    format!("{}:{change}{was}", kv.mod_revision)
}

/// A random step; numbers are taken modulo what there is.
#[derive(Clone, Debug)]
enum Step {
    /// One transaction: keys, and whether each is put.
    Apply(BTreeMap<u8, bool>),
    Watch {
        stream: bool,
        keys: (u8, u8),
        start: i64,
        no_put: bool,
    },
    Cancel(usize),
    Read(bool, usize),
    CatchUp(usize),
    Compact(i64),
    AskProgress(bool),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::btree_map(0_u8..6, any::<bool>(), 1..4).prop_map(Step::Apply),
        2 => (any::<bool>(), (0_u8..6, 0_u8..8), 0_i64..40, prop::bool::weighted(0.2))
            .prop_map(|(stream, keys, start, no_put)| Step::Watch { stream, keys, start, no_put }),
        1 => (0_usize..100).prop_map(Step::Cancel),
        3 => (any::<bool>(), 0_usize..6).prop_map(|(stream, n)| Step::Read(stream, n)),
        3 => (1_usize..4).prop_map(Step::CatchUp),
        1 => (0_i64..40).prop_map(Step::Compact),
        1 => any::<bool>().prop_map(Step::AskProgress),
    ]
}

/// What one watch was asked for and has told.
struct Told {
    range: Span,
    first: i64,
    no_put: bool,
    begun: bool,
    ended: bool,
    events: Vec<Event>,
    /// Nothing at or below this may follow.
    seen: i64,
}

impl Told {
    fn wants(&self, event: &Event) -> bool {
        let kv = event.kv.as_ref().unwrap();
        let filtered = self.no_put && event.r#type() == EventType::Put;
        kv.mod_revision >= self.first && self.range.contains(&kv.key) && !filtered
    }
}

/// By stream and name.
type AllTold = BTreeMap<(&'static str, i64), Told>;

/// Takes at most `limit` deliveries, checks each against what it means, and returns how many there were.
fn take(machine: &mut Machine, stream: &'static str, limit: usize, all: &mut AllTold) -> usize {
    let (id, mailbox) = machine.streams[stream].clone();
    let mut context = Context::from_waker(Waker::noop());
    for count in 0..limit {
        let Poll::Ready(mail) = mailbox.poll(&mut context) else { return count };
        if mail.resume {
            machine.hub.resume(id);
        }
        match mail.delivery.unwrap() {
            Delivery::Events { watch, events, revision } => {
                let told = all.get_mut(&(stream, watch)).unwrap();
                assert!(told.begun && !told.ended);
                for event in events.iter() {
                    let of = event.kv.as_ref().unwrap().mod_revision;
                    assert!(of > told.seen && of <= revision, "an event at {of} between {} and {revision}", told.seen);
                    told.events.push(event);
                }
                told.seen = revision;
            }
            Delivery::Progress { watch, revision } => {
                for ((of, id), told) in all.iter_mut().filter(|(_, told)| told.begun && !told.ended) {
                    if *of == stream && (watch == NO_WATCH || watch == *id) {
                        assert!(revision >= told.seen);
                        told.seen = revision;
                    }
                }
            }
            Delivery::Canceled { watch, .. } => all.get_mut(&(stream, watch)).unwrap().ended = true,
            Delivery::Compacted { watch, compact_revision } => {
                let told = all.get_mut(&(stream, watch)).unwrap();
                told.ended = true;
                assert!(told.seen.max(told.first - 1) + 1 < compact_revision, "nothing that was needed is gone");
            }
            Delivery::Created { watch, .. } => all.get_mut(&(stream, watch)).unwrap().begun = true,
            Delivery::Refused { error, .. } => panic!("{error}"),
        }
    }
    limit
}

impl Machine {
    fn random_step(&mut self, number: usize, step: Step, told: &mut AllTold) {
        let name = |stream: bool| if stream { "x" } else { "y" };
        match step {
            Step::Apply(changes) => {
                let change = |(key, put): (u8, bool)| if put { format!("{key}={number}") } else { key.to_string() };
                let changes: Vec<String> = changes.into_iter().map(change).collect();
                self.run(&format!("apply {}", changes.join(" ")));
            }
            Step::Watch { stream, keys: (from, to), start, no_put } => {
                let end = match to {
                    7 => "\0".to_owned(),
                    to if to > from => to.to_string(),
                    _ => String::new(),
                };
                let range = Span::of_request(from.to_string(), end);
                let id = i64::try_from(number).unwrap() + 1;
                let options = WatchOptions {
                    range: range.clone(),
                    start_revision: start,
                    now: self.revision,
                    id,
                    filter: Filter { no_put, no_delete: false },
                    prev_kv: number.is_multiple_of(2),
                };
                self.hub.watch(self.streams[name(stream)].0, options).unwrap();
                let first = if start == 0 { self.revision + 1 } else { start };
                let new = Told { range, first, no_put, begun: false, ended: false, events: Vec::new(), seen: 0 };
                told.insert((name(stream), id), new);
            }
            Step::Cancel(number) => {
                if let Some((stream, id)) = told.keys().nth(number % told.len().max(1)) {
                    self.hub.cancel(self.streams[*stream].0, *id);
                }
            }
            Step::Read(stream, limit) => {
                take(self, name(stream), limit, told);
            }
            Step::CatchUp(events) => {
                self.catch_up(events);
            }
            Step::Compact(revision) => {
                if revision > self.compacted && revision <= self.revision {
                    self.run(&format!("compact {revision}"));
                }
            }
            Step::AskProgress(stream) => self.hub.request_progress(self.streams[name(stream)].0),
        }
    }
}

proptest! {
    /// Whatever clients do and however slowly they read, a watch tells every change that it was asked for, once, in
    /// order, and a revision that it says it has seen is seen.
    #[test]
    fn watches_tell_everything_once(steps in prop::collection::vec(step(), 1..120)) {
        let mut machine = Machine::default();
        machine.run("limits queue=3 recent=3 group=2");
        machine.run("open x");
        machine.run("open y");
        let mut told = AllTold::new();
        for (number, step) in steps.into_iter().enumerate() {
            machine.random_step(number, step, &mut told);
        }
        // Catching up first: it may leave mail even if nobody is left waiting.
        while machine.catch_up(2) != "nobody waits"
            || take(&mut machine, "x", 10, &mut told) + take(&mut machine, "y", 10, &mut told) > 0
        {}
        for ((stream, id), told) in &told {
            let plain = |event: &Event| Event { prev_kv: None, ..event.clone() };
            let expected = machine.history.iter().filter(|event| told.wants(event)).map(plain);
            let seen = told.events.iter().map(plain);
            if told.ended {
                prop_assert!(seen.eq(expected.take(told.events.len())), "a beginning of it, on {stream} {id}");
            } else {
                prop_assert!(seen.eq(expected), "all of it, on {stream} {id}");
            }
        }
    }
}
