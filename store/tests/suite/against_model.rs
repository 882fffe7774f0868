//! Random commands and reads, on both engines, against a naive model: every answer, every event, every revision.

use std::sync::Arc;

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::compare::TargetUnion;
use pintle_proto::etcdserverpb::request_op::Request;
use pintle_proto::mvccpb::event::EventType;
use pintle_proto::mvccpb::{Event, KeyValue};
use pintle_store::apply::{Command, Entry, Response, apply};
use pintle_store::engine::memory::MemoryEngine;
use pintle_store::engine::rocks::{Memory, RocksEngine};
use pintle_store::engine::{Column, Cursor, Direction, Engine, Reader, Span};
use pintle_store::error::StoreError;
use pintle_store::limits::MAX_TXN_OPS;
use pintle_store::mvcc::{Mvcc, check};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::{Keys, Model};

/// One step of a run.
#[derive(Debug, Clone)]
enum Step {
    /// Commands that share a batch.
    Apply(Vec<Command>),
    Range(pb::RangeRequest),
    History {
        back: i64,
        max_bytes: usize,
    },
    Prune {
        max_changes: usize,
    },
}

/// Few keys, so that commands meet; with zeros and common prefixes, so that escaping matters. At most twelve: up to
/// there etcd's sort keeps equal keys in order.
const KEYS: [&[u8]; 9] = [b"\0", b"a", b"a\0", b"a\0\0", b"a\x01", b"ab", b"b", b"b\xff", b"\xff"];

fn key() -> impl Strategy<Value = Bytes> {
    select(&KEYS[..]).prop_map(Bytes::from_static)
}

fn range_end() -> impl Strategy<Value = Bytes> {
    prop_oneof![3 => Just(Bytes::new()), 1 => Just(Bytes::from_static(b"\0")), 2 => key()]
}

fn value() -> impl Strategy<Value = Bytes> {
    select(vec!["", "1", "2", "a longer value"]).prop_map(Bytes::from)
}

/// A lease that may exist, or none.
fn lease() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 1 => 1..4_i64]
}

fn revision() -> impl Strategy<Value = i64> {
    prop_oneof![3 => Just(0), 2 => -2..40_i64]
}

prop_compose! {
    fn range()(
        key in key(),
        range_end in range_end(),
        limit in prop_oneof![Just(0), -1..6_i64],
        revision in revision(),
        (sort_order, sort_target) in (0..3, 0..5),
        (keys_only, count_only) in (any::<bool>(), proptest::bool::weighted(0.2)),
        filters in option::weighted(0.3, [0..30_i64, 0..30, 0..30, 0..30]),
    ) -> pb::RangeRequest {
        let [min_mod_revision, max_mod_revision, min_create_revision, max_create_revision] = filters.unwrap_or_default();
        pb::RangeRequest {
            key, range_end, limit, revision, sort_order, sort_target, keys_only, count_only,
            min_mod_revision, max_mod_revision, min_create_revision, max_create_revision,
            ..Default::default()
        }
    }
}

prop_compose! {
    fn put()(
        key in key(),
        value in value(),
        lease in lease(),
        prev_kv in any::<bool>(),
        ignore in select(vec![(false, false), (false, false), (false, false), (true, false), (false, true), (true, true)]),
    ) -> pb::PutRequest {
        let (ignore_value, ignore_lease) = ignore;
        pb::PutRequest {
            key,
            value: if ignore_value { Bytes::new() } else { value },
            lease: if ignore_lease { 0 } else { lease },
            prev_kv, ignore_value, ignore_lease,
        }
    }
}

prop_compose! {
    fn delete()(key in key(), range_end in range_end(), prev_kv in any::<bool>()) -> pb::DeleteRangeRequest {
        pb::DeleteRangeRequest { key, range_end, prev_kv }
    }
}

prop_compose! {
    fn compare()(
        key in key(), range_end in range_end(), result in 0..4, target in 0..5, number in 0..12_i64, value in value(),
    ) -> pb::Compare {
        let union = match target {
            0 => TargetUnion::Version(number % 3),
            1 => TargetUnion::CreateRevision(number),
            2 => TargetUnion::ModRevision(number),
            3 => TargetUnion::Value(value),
            _ => TargetUnion::Lease(number % 4),
        };
        pb::Compare { key, range_end, result, target, target_union: Some(union) }
    }
}

fn txn() -> impl Strategy<Value = pb::TxnRequest> {
    let leaf = prop_oneof![
        range().prop_map(Request::RequestRange),
        put().prop_map(Request::RequestPut),
        delete().prop_map(Request::RequestDeleteRange),
    ];
    let op = leaf.prop_recursive(2, 12, 3, |inner| txn_of(inner).prop_map(Request::RequestTxn));
    txn_of(op)
}

fn txn_of(request: impl Strategy<Value = Request> + Clone) -> impl Strategy<Value = pb::TxnRequest> {
    let op = request.prop_map(|request| pb::RequestOp { request: Some(request) });
    (vec(compare(), 0..2), vec(op.clone(), 0..4), vec(op, 0..3))
        .prop_map(|(compare, success, failure)| pb::TxnRequest { compare, success, failure })
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        6 => put().prop_map(Command::Put),
        2 => delete().prop_map(Command::DeleteRange),
        6 => txn().prop_map(Command::Txn),
        1 => (-1..40_i64).prop_map(|revision| Command::Compact(pb::CompactionRequest { revision, physical: false })),
        1 => (1..4_i64).prop_map(|id| Command::LeaseGrant(pb::LeaseGrantRequest { id, ttl: 60 })),
        1 => (1..4_i64).prop_map(|id| Command::LeaseRevoke(pb::LeaseRevokeRequest { id })),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => vec(command(), 1..4).prop_map(Step::Apply),
        4 => range().prop_map(Step::Range),
        1 => (0..20_i64, 0..60_usize).prop_map(|(back, max_bytes)| Step::History { back, max_bytes }),
        1 => (1..20_usize).prop_map(|max_changes| Step::Prune { max_changes }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn memory_agrees(steps in vec(step(), 1..60)) {
        Run::new(MemoryEngine::new()).steps(steps);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn rocksdb_agrees(steps in vec(step(), 1..60)) {
        let directory = tempfile::tempdir().unwrap();
        Run::new(RocksEngine::open_state(directory.path(), &Memory::new(4 << 20)).unwrap()).steps(steps);
    }
}

/// The store and its model, side by side.
struct Run<E> {
    mvcc: Mvcc<E>,
    model: Model,
}

impl<E: Engine> Run<E> {
    fn new(engine: E) -> Self {
        Self { mvcc: Mvcc::open(Arc::new(engine)).unwrap(), model: Model::new() }
    }

    fn steps(mut self, steps: Vec<Step>) {
        for step in steps {
            match step {
                Step::Apply(commands) => self.apply(commands),
                Step::Range(request) => {
                    let found = self.mvcc.view().unwrap().range(&request);
                    assert_eq!(shown(found), shown(self.model.range(&request)), "{request:?}");
                }
                Step::History { back, max_bytes } => self.history(self.model.revision() - back, max_bytes),
                Step::Prune { max_changes } => {
                    self.mvcc.prune(max_changes).unwrap();
                }
            }
            self.agree();
        }
        while !self.mvcc.prune(3).unwrap().complete {}
        self.agree();
        self.holds_nothing_unreachable();
        let everything = pb::RangeRequest {
            key: "\0".into(),
            range_end: "\0".into(),
            count_only: true,
            ..pb::RangeRequest::default()
        };
        let count = || self.mvcc.view().unwrap().range(&everything).unwrap().count;
        let counted = count();
        self.mvcc.reload().unwrap();
        assert_eq!(count(), counted, "counted anew");
    }

    /// Applies a batch; commands that would be refused before they are proposed are left out, as a leader does.
    fn apply(&mut self, mut commands: Vec<Command>) {
        commands.retain(|command| match command {
            Command::Txn(request) => check::txn(request, MAX_TXN_OPS).is_ok(),
            Command::Put(request) => check::put(request).is_ok(),
            _ => true,
        });
        let entry = Entry { proposals: commands.into_iter().map(Into::into).collect() };
        let proposals = Entry::decode(entry.encode()).unwrap().proposals;
        let work = |writer: &mut pintle_store::mvcc::Writer<'_, E::Snapshot<'_>>| {
            proposals.iter().map(|proposal| apply(writer, proposal)).collect::<Result<Vec<_>, _>>()
        };
        let outcomes = self.mvcc.write(work, |_| {}).unwrap();
        for (command, outcome) in proposals.iter().map(|proposal| &proposal.command).zip(outcomes) {
            let before = self.model.revision();
            let expected = self.model_answer(command);
            assert_eq!(shown(outcome.reply), expected, "{command:?}");
            assert_eq!(outcome.revision, self.model.revision(), "{command:?}");
            let (from, to) = (self.model.at(before), self.model.at(outcome.revision));
            assert_eq!(replayed(from, &outcome.events, outcome.revision), *to, "{command:?}");
            assert_eq!(before == outcome.revision, outcome.events.is_empty());
        }
    }

    fn model_answer(&mut self, command: &Command) -> String {
        let header = |revision| Some(pb::ResponseHeader { revision, ..Default::default() });
        match command {
            Command::Put(request) => {
                let answer = self.model.txn(&single(Request::RequestPut(request.clone())));
                shown(answer.map(|mut txn| match txn.responses.remove(0).response {
                    Some(pb::response_op::Response::ResponsePut(response)) => Response::Put(response),
                    other => panic!("{other:?}"),
                }))
            }
            Command::DeleteRange(request) => {
                let answer = self.model.txn(&single(Request::RequestDeleteRange(request.clone())));
                shown(answer.map(|mut txn| match txn.responses.remove(0).response {
                    Some(pb::response_op::Response::ResponseDeleteRange(response)) => Response::DeleteRange(response),
                    other => panic!("{other:?}"),
                }))
            }
            Command::Txn(request) => shown(self.model.txn(request).map(Response::Txn)),
            Command::Compact(request) => shown(
                self.model
                    .compact(request.revision)
                    .map(|()| Response::Compact(pb::CompactionResponse { header: header(self.model.revision()) })),
            ),
            Command::LeaseGrant(request) => shown(self.model.grant(request.id).map(|()| {
                let (header, error) = (header(self.model.revision()), String::new());
                Response::LeaseGrant(pb::LeaseGrantResponse { header, id: request.id, ttl: request.ttl, error })
            })),
            Command::LeaseRevoke(request) => shown(
                self.model
                    .revoke(request.id)
                    .map(|()| Response::LeaseRevoke(pb::LeaseRevokeResponse { header: header(self.model.revision()) })),
            ),
            other => panic!("{other:?}"),
        }
    }

    /// Replays history from a revision on and comes to the present.
    fn history(&self, from: i64, max_bytes: usize) {
        let view = self.mvcc.view().unwrap();
        let from = from.max(1);
        if from < self.model.compacted() {
            assert!(matches!(view.history(from, max_bytes, true, |_| true), Err(StoreError::Compacted)));
            return;
        }
        let mut next = from;
        while next <= view.revision() {
            let replay = view.history(next, max_bytes, true, |_| true).unwrap();
            assert!(replay.next > next);
            for revision in next..replay.next {
                let events: Vec<Event> =
                    replay.events.iter().filter(|event| mod_revision(event) == revision).cloned().collect();
                if revision > 1 && revision > self.model.compacted() {
                    assert_eq!(replayed(self.model.at(revision - 1), &events, revision), *self.model.at(revision));
                }
            }
            next = replay.next;
        }
    }

    /// What is true after every step.
    fn agree(&self) {
        let view = self.mvcc.view().unwrap();
        assert_eq!(view.revision(), self.model.revision());
        assert_eq!(view.compacted(), self.model.compacted());
        let oldest = self.model.compacted().max(1);
        for revision in [oldest, i64::midpoint(oldest, view.revision()), view.revision()] {
            let request = pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), revision, ..Default::default() };
            let found = view.range(&request).unwrap();
            let expected: Vec<KeyValue> = self.model.at(revision).values().cloned().collect();
            assert_eq!(found.kvs, expected, "at {revision}");
            let count = pb::RangeRequest { count_only: true, ..request };
            assert_eq!(view.range(&count).unwrap().count, found.count, "at {revision}");
        }
        for lease in 1..4 {
            let held: Vec<Bytes> = self
                .model
                .at(view.revision())
                .values()
                .filter(|kv| kv.lease == lease)
                .map(|kv| kv.key.clone())
                .collect();
            assert_eq!(view.lease_keys(lease).unwrap(), held);
        }
        assert!(view.head().logical_bytes_in_use() <= view.head().logical_bytes());
    }

    /// Once pruning is done, the engine holds, below the watermark, only what is alive there.
    fn holds_nothing_unreachable(&self) {
        let snapshot = self.mvcc.engine().snapshot();
        let compacted = self.model.compacted();
        let mut entries = [0; 2];
        for (entries, column) in entries.iter_mut().zip([Column::History, Column::Versions]) {
            let mut cursor = snapshot.scan(column, &Span::all(), Direction::Forward).unwrap();
            while cursor.entry().is_some() {
                *entries += 1;
                cursor.advance().unwrap();
            }
        }
        assert_eq!(entries[0], entries[1], "history and versions name the same changes");
        if compacted > 1 {
            let alive_below = self.model.at(compacted).values().filter(|kv| kv.mod_revision < compacted).count();
            let view = self.mvcc.view().unwrap();
            let since = view.history(compacted, usize::MAX, false, |_| true).unwrap().events.len();
            assert_eq!(entries[0], alive_below + since);
        }
    }
}

fn single(request: Request) -> pb::TxnRequest {
    pb::TxnRequest { success: vec![pb::RequestOp { request: Some(request) }], ..Default::default() }
}

/// An answer as text: errors have no equality of their own.
fn shown<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(answer) => format!("{answer:?}"),
        Err(error) => error.to_string(),
    }
}

fn mod_revision(event: &Event) -> i64 {
    event.kv.as_ref().unwrap().mod_revision
}

/// The keys after `events`, each of which must say what was before it.
fn replayed(before: &Keys, events: &[Event], revision: i64) -> Keys {
    let mut keys = before.clone();
    for event in events {
        let kv = event.kv.clone().unwrap();
        assert_eq!(kv.mod_revision, revision);
        let is_delete = event.r#type == i32::from(EventType::Delete);
        let is_creation = !is_delete && kv.create_revision == revision;
        if !is_creation {
            assert_eq!(event.prev_kv.as_ref(), before.get(&kv.key), "{event:?}");
        }
        if is_delete {
            keys.remove(&kv.key)
        } else {
            keys.insert(kv.key.clone(), kv)
        };
    }
    keys
}
