//! What clients ask for, made up from a seed: few keys, so that clients meet; values that never repeat, so that every write
//! can be told apart.

use std::collections::BTreeMap;

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use pintle_proto::etcdserverpb::request_op::Request as Op;
use pintle_proto::etcdserverpb::response_op::Response as OpResponse;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Request, Response};

/// Keys that clients share.
const KEYS: u32 = 24;

/// What one client will ask for.
#[derive(Debug, Clone)]
pub struct Workload {
    client: u32,
    random: StdRng,
    /// Requests made up so far.
    count: u64,
    /// The newest revision of each key that the client was told.
    known: BTreeMap<Bytes, i64>,
    /// The newest revision that the client was told.
    revision: i64,
    /// The oldest revision that can still be read.
    readable_from: i64,
    /// A lease that some puts are bound to.
    lease: i64,
}

impl Workload {
    /// The requests of a client.
    pub fn new(seed: u64, client: u32) -> Self {
        let random = StdRng::seed_from_u64(seed ^ u64::from(client).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { client, random, count: 0, known: BTreeMap::new(), revision: 0, readable_from: 1, lease: 0 }
    }

    /// Binds some of the puts to a lease from now on; 0 for none.
    pub fn bind(&mut self, lease: i64) {
        self.lease = lease;
    }

    /// Asks for nothing older than this from now on.
    pub fn forget(&mut self, readable_from: i64) {
        self.readable_from = self.readable_from.max(readable_from);
    }

    /// The next request.
    pub fn next_request(&mut self) -> Request {
        self.count += 1;
        match self.random.random_range(0..100) {
            0..32 => Request::Put(self.put()),
            32..50 => Request::Range(self.get()),
            50..58 => Request::Range(self.list()),
            58..62 => Request::Range(pb::RangeRequest { serializable: true, ..self.list() }),
            62..66 => Request::Range(self.past()),
            66..74 => Request::DeleteRange(self.delete()),
            74..90 => Request::Txn(self.update()),
            _ => Request::Txn(self.swap()),
        }
    }

    /// Learns from an answer.
    pub fn learn(&mut self, response: &Response) {
        self.revision = self.revision.max(response.revision());
        match response {
            Response::Range(range) => self.learn_range(range),
            Response::Txn(txn) => {
                for response in &txn.responses {
                    if let Some(OpResponse::ResponseRange(range)) = &response.response {
                        self.learn_range(range);
                    }
                }
            }
            Response::Put(_) | Response::DeleteRange(_) | Response::LeaseRevoke(_) => {}
        }
    }

    fn learn_range(&mut self, range: &pb::RangeResponse) {
        for kv in &range.kvs {
            self.known.insert(kv.key.clone(), kv.mod_revision);
        }
    }

    fn key(&mut self) -> Bytes {
        key(self.random.random_range(0..KEYS))
    }

    fn value(&self) -> Bytes {
        format!("{}-{}", self.client, self.count).into()
    }

    /// A range of a few neighbours.
    fn neighbours(&mut self) -> (Bytes, Bytes) {
        let first = self.random.random_range(0..KEYS);
        (key(first), key(first + self.random.random_range(1..=8)))
    }

    fn put(&mut self) -> pb::PutRequest {
        let lease = if self.random.random_ratio(1, 4) { self.lease } else { 0 };
        let (key, value, prev_kv) = (self.key(), self.value(), self.random.random());
        pb::PutRequest { key, value, lease, prev_kv, ..pb::PutRequest::default() }
    }

    fn get(&mut self) -> pb::RangeRequest {
        pb::RangeRequest { key: self.key(), ..pb::RangeRequest::default() }
    }

    fn list(&mut self) -> pb::RangeRequest {
        let (key, range_end) = self.neighbours();
        let limit = if self.random.random() { 0 } else { self.random.random_range(1..4) };
        // Keys alone are not asked for: whether they come with their leases differs between the versions of etcd.
        let count_only = self.random.random_ratio(1, 5);
        pb::RangeRequest { key, range_end, limit, count_only, ..pb::RangeRequest::default() }
    }

    fn past(&mut self) -> pb::RangeRequest {
        let list = pb::RangeRequest { limit: 0, ..self.list() };
        if self.revision <= self.readable_from {
            return list;
        }
        pb::RangeRequest { revision: self.random.random_range(self.readable_from..=self.revision), ..list }
    }

    fn delete(&mut self) -> pb::DeleteRangeRequest {
        let (key, range_end) =
            if self.random.random_ratio(2, 3) { (self.key(), Bytes::new()) } else { self.neighbours() };
        pb::DeleteRangeRequest { key, range_end, prev_kv: self.random.random() }
    }

    /// Writes or deletes a key if nobody has written it since it was read, as an apiserver does.
    fn update(&mut self) -> pb::TxnRequest {
        let key = self.key();
        let revision = self.known.get(&key).copied().unwrap_or(0);
        let unchanged = pb::Compare {
            result: CompareResult::Equal.into(),
            target: CompareTarget::Mod.into(),
            key: key.clone(),
            target_union: Some(TargetUnion::ModRevision(revision)),
            ..pb::Compare::default()
        };
        let change = if self.random.random_ratio(1, 6) {
            Op::RequestDeleteRange(pb::DeleteRangeRequest { key: key.clone(), prev_kv: true, ..Default::default() })
        } else {
            Op::RequestPut(pb::PutRequest { key: key.clone(), ..self.put() })
        };
        let read = Op::RequestRange(pb::RangeRequest { key, ..pb::RangeRequest::default() });
        pb::TxnRequest { compare: vec![unchanged], success: vec![op(change)], failure: vec![op(read)] }
    }

    /// Several keys at one revision, chosen by whether one of them exists.
    fn swap(&mut self) -> pb::TxnRequest {
        let first = self.random.random_range(0..KEYS);
        let exists = pb::Compare {
            result: CompareResult::Greater.into(),
            target: CompareTarget::Version.into(),
            key: key(first),
            target_union: Some(TargetUnion::Version(0)),
            ..pb::Compare::default()
        };
        let put = |workload: &mut Self, number| {
            op(Op::RequestPut(pb::PutRequest { key: key(number % KEYS), prev_kv: false, lease: 0, ..workload.put() }))
        };
        let delete = op(Op::RequestDeleteRange(pb::DeleteRangeRequest { key: key(first), ..Default::default() }));
        let read = op(Op::RequestRange(pb::RangeRequest {
            key: key(0),
            range_end: key(KEYS),
            count_only: true,
            ..pb::RangeRequest::default()
        }));
        let success = vec![delete, put(self, first + 1), put(self, first + 2), read];
        pb::TxnRequest { compare: vec![exists], success, failure: vec![put(self, first), put(self, first + 3)] }
    }
}

fn op(op: Op) -> pb::RequestOp {
    pb::RequestOp { request: Some(op) }
}

fn key(number: u32) -> Bytes {
    format!("key/{number:02}").into()
}

#[cfg(test)]
pub(crate) mod tests {
    use pintle_proto::mvccpb::Event;

    use super::super::model::State;
    use super::super::{History, Operation, Outcome};
    use super::*;

    fn answer(response: Response, revision: i64) -> Response {
        let header = Some(pb::ResponseHeader { revision, ..pb::ResponseHeader::default() });
        let mut response = response;
        match &mut response {
            Response::Put(response) => response.header = header,
            Response::DeleteRange(response) => response.header = header,
            Response::Range(response) => response.header = header,
            Response::Txn(response) => response.header = header,
            Response::LeaseRevoke(response) => response.header = header,
        }
        response
    }

    /// What a single store answers one request after the other, with its events. Every operation's time is its place.
    pub(crate) fn sequential(seed: u64, operations: u64) -> (History, Vec<Event>) {
        let mut workload = Workload::new(seed, 0);
        let mut states = vec![State::default(), State::default()];
        let (mut history, mut events) = (Vec::new(), Vec::new());
        for time in 0..operations {
            let request = workload.next_request();
            let state = states.last().unwrap().clone();
            let effect = state.apply(&request);
            let mut response = effect.response;
            if let (Request::Range(range), Response::Range(response)) = (&request, &mut response)
                && range.revision > 0
            {
                (response.kvs, response.count) = states[usize::try_from(range.revision).unwrap()].select(range);
            }
            let response = answer(response, effect.state.revision);
            workload.learn(&response);
            events.extend(effect.events);
            if effect.state.revision > state.revision {
                states.push(effect.state);
            }
            history.push(Operation {
                client: 0,
                invoked_nanos: time * 10,
                returned_nanos: time * 10 + 5,
                request,
                outcome: Outcome::Answered(Box::new(response)),
            });
        }
        (history, events)
    }

    /// The same, stretched so that operations overlap, and with some outcomes lost.
    pub(crate) fn concurrent(seed: u64, operations: u64) -> (History, Vec<Event>) {
        let (mut history, events) = sequential(seed, operations);
        let mut random = StdRng::seed_from_u64(seed);
        for operation in &mut history {
            operation.invoked_nanos = operation.invoked_nanos.saturating_sub(random.random_range(0..60));
            operation.returned_nanos += random.random_range(0..60);
            if random.random_ratio(1, 8) {
                operation.outcome = Outcome::Unknown;
            }
        }
        (history, events)
    }

    #[test]
    fn a_seed_always_gives_the_same() {
        let requests = |seed, client| {
            let mut workload = Workload::new(seed, client);
            (0..50).map(|_| workload.next_request()).collect::<Vec<_>>()
        };
        assert_eq!(requests(7, 1), requests(7, 1));
        assert_ne!(requests(7, 1), requests(7, 2));
        assert_ne!(requests(7, 1), requests(8, 1));
    }
}
