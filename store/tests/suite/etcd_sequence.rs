//! A long conversation that was recorded with etcd, replayed against the apply core: every revision, count, order and
//! error must come out as etcd's did.

use std::io::Read;
use std::sync::Arc;

use pintle_proto::etcdserverpb as pb;
use pintle_store::apply::{Command, Response, apply};
use pintle_store::engine::memory::MemoryEngine;
use pintle_store::engine::rocks::{Memory, RocksEngine};
use pintle_store::engine::{Engine, Span};
use pintle_store::error::{Code, Result, StoreError};
use pintle_store::limits::MAX_TXN_OPS;
use pintle_store::mvcc::{Mvcc, check};
use serde_json::{Value, json};

use crate::json;

/// The shortest lease that the recorded etcd granted, in seconds.
const MIN_TTL_SECONDS: i64 = 2;

#[test]
fn memory_answers_as_etcd_did() {
    replay(MemoryEngine::new());
}

#[test]
fn rocksdb_answers_as_etcd_did() {
    let directory = tempfile::tempdir().unwrap();
    replay(RocksEngine::open_state(directory.path(), &Memory::new(16 << 20)).unwrap());
}

fn replay(engine: impl Engine) {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/etcd_sequence.json.gz");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(file).unwrap()).read_to_string(&mut text).unwrap();
    let steps: Vec<(String, Value, Value)> = serde_json::from_str(&text).unwrap();
    assert!(steps.len() > 11_000);
    let mut node = Node { mvcc: Mvcc::open(Arc::new(engine)).unwrap() };
    let mut different = Vec::new();
    for (number, (path, request, expected)) in steps.iter().enumerate() {
        let answer = node.answer(path, request);
        if answer != sorted_keys(expected.clone()) {
            different.push(format!("step {number} {path} {request}\n  etcd: {expected}\n  here: {answer}"));
        }
        if number % 100 == 99 {
            node.mvcc.prune(37).unwrap();
        }
    }
    let shown: Vec<_> = different.iter().take(5).map(String::as_str).collect();
    assert!(different.is_empty(), "{} of {} steps differ:\n{}", different.len(), steps.len(), shown.join("\n"));
}

/// The order of a lease's keys and of leases is chance in etcd.
fn sorted_keys(mut answer: Value) -> Value {
    for field in ["keys", "leases"] {
        if let Some(list) = answer.pointer_mut(&format!("/body/{field}")).and_then(Value::as_array_mut) {
            list.sort_by_key(Value::to_string);
        }
    }
    answer
}

struct Node<E> {
    mvcc: Mvcc<E>,
}

impl<E: Engine> Node<E> {
    fn answer(&mut self, path: &str, request: &Value) -> Value {
        if path == "watch" {
            return self.watch(&request["create_request"]);
        }
        match self.body(path, request) {
            Ok(body) => sorted_keys(json!({"code": 200, "body": body})),
            Err(error) => {
                let (http, grpc) = match error.code() {
                    Code::InvalidArgument => (400, 3),
                    Code::NotFound => (404, 5),
                    Code::FailedPrecondition => (400, 9),
                    Code::OutOfRange => (400, 11),
                    other => panic!("{other:?}: {error}"),
                };
                json!({"code": http, "body": {"code": grpc, "message": error.to_string()}})
            }
        }
    }

    fn body(&mut self, path: &str, request: &Value) -> Result<Value> {
        let id = json::number(request, "ID");
        Ok(match path {
            "/v3/kv/range" => {
                let request = json::range_request(request);
                check::range(&request)?;
                json::range_response(&self.mvcc.view()?.range(&request)?)
            }
            "/v3/kv/put" => {
                let request = json::put_request(request);
                check::put(&request)?;
                self.apply(&Command::Put(request))?
            }
            "/v3/kv/deleterange" => {
                let request = json::delete_range_request(request);
                check::delete_range(&request)?;
                self.apply(&Command::DeleteRange(request))?
            }
            "/v3/kv/txn" => {
                let request = json::txn_request(request);
                check::txn(&request, MAX_TXN_OPS)?;
                if pintle_store::mvcc::txn::is_read_only(&request) {
                    json::txn_response(&self.mvcc.view()?.txn(&request)?)
                } else {
                    self.apply(&Command::Txn(request))?
                }
            }
            "/v3/kv/compaction" => {
                let revision = json::number(request, "revision");
                self.apply(&Command::Compact(pb::CompactionRequest { revision, physical: false }))?
            }
            "/v3/lease/grant" => {
                let ttl = json::number(request, "TTL").max(MIN_TTL_SECONDS);
                self.apply(&Command::LeaseGrant(pb::LeaseGrantRequest { id, ttl }))?
            }
            "/v3/lease/revoke" => self.apply(&Command::LeaseRevoke(pb::LeaseRevokeRequest { id }))?,
            "/v3/lease/leases" => {
                let view = self.mvcc.view()?;
                let ids: Vec<i64> = view.leases()?.iter().map(|lease| lease.id).collect();
                json::leases_response(view.revision(), &ids)
            }
            "/v3/lease/timetolive" => {
                let view = self.mvcc.view()?;
                let granted =
                    view.leases()?.iter().find(|lease| lease.id == id).map_or(0, |lease| lease.granted_ttl_seconds);
                let keys = if json::flag(request, "keys") { view.lease_keys(id)? } else { Vec::new() };
                json::time_to_live_response(view.revision(), id, granted, &keys)
            }
            other => panic!("no such path: {other}"),
        })
    }

    fn apply(&mut self, command: &Command) -> Result<Value> {
        let outcome = self.mvcc.write(|writer| apply(writer, &command.clone().into()), |_| {})?;
        Ok(match outcome.reply? {
            Response::Put(response) => json::put_response(&response),
            Response::DeleteRange(response) => json::delete_range_response(&response),
            Response::Txn(response) => json::txn_response(&response),
            Response::LeaseGrant(response) => json::lease_grant_response(&response),
            Response::Compact(_) | Response::LeaseRevoke(_) => json::header_only(outcome.revision),
            Response::LeaseCheckpoint(_) | Response::Alarm(_) | Response::Auth(_) | Response::Downgrade(_) => {
                panic!("not part of the conversation")
            }
        })
    }

    /// A watch of the past until now.
    fn watch(&self, request: &Value) -> Value {
        let range_request = json::range_request(request);
        let span = Span::of_request(range_request.key.clone(), range_request.range_end.clone());
        if span.is_empty() {
            return json!({"created": true, "canceled": true, "events": [],
                "cancel_reason": "mvcc: watcher range is empty"});
        }
        let filters = request.get("filters").map(Value::to_string).unwrap_or_default();
        let view = self.mvcc.view().unwrap();
        let mut from = json::number(request, "start_revision");
        let mut events = Vec::new();
        while from <= view.revision() {
            let replay = match view.history(from, 50, json::flag(request, "prev_kv"), |key| span.contains(key)) {
                Ok(replay) => replay,
                Err(StoreError::Compacted) => {
                    return json!({"created": true, "canceled": true, "events": [],
                        "compact_revision": view.compacted().to_string()});
                }
                Err(error) => panic!("{error}"),
            };
            events.extend(replay.events.iter().map(json::event));
            from = replay.next;
        }
        events.retain(|event| {
            let filter = if event.get("type").is_some() { "NODELETE" } else { "NOPUT" };
            !filters.contains(filter)
        });
        json!({"created": true, "events": events})
    }
}
