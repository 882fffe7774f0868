//! What a single store would answer: the keys at one revision, and what a request makes of them.

use std::hash::{Hash, Hasher};

use bytes::Bytes;
use imbl::OrdMap;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use pintle_proto::etcdserverpb::request_op::Request as Op;
use pintle_proto::etcdserverpb::response_op::Response as OpResponse;
use pintle_proto::mvccpb::event::EventType;
use pintle_proto::mvccpb::{Event, KeyValue};

use super::{Request, Response};

/// The revision of a store that nothing was written to.
pub const FIRST_REVISION: i64 = 1;

/// All keys at one revision. A copy costs little.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The revision.
    pub revision: i64,
    /// The keys that exist.
    pub keys: OrdMap<Bytes, KeyValue>,
}

impl Default for State {
    fn default() -> Self {
        Self { revision: FIRST_REVISION, keys: OrdMap::new() }
    }
}

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.revision.hash(hasher);
        for kv in self.keys.values() {
            (&kv.key, &kv.value, kv.create_revision, kv.mod_revision, kv.version, kv.lease).hash(hasher);
        }
    }
}

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// What it leaves; the same revision as before when it changed nothing.
    pub state: State,
    /// The changes in order, each with what was there before.
    pub events: Vec<Event>,
    /// What it is answered. Its headers are empty.
    pub response: Response,
}

impl State {
    /// Runs a request.
    pub fn apply(&self, request: &Request) -> Effect {
        let mut run = Run { before: self, keys: self.keys.clone(), events: Vec::new() };
        let response = match request {
            Request::Put(put) => Response::Put(run.put(put)),
            Request::DeleteRange(delete) => Response::DeleteRange(run.delete(delete)),
            Request::Range(range) => Response::Range(run.range(range)),
            Request::Txn(txn) => Response::Txn(run.txn(txn)),
            Request::LeaseRevoke(revoke) => {
                run.revoke(revoke.id);
                Response::LeaseRevoke(pb::LeaseRevokeResponse::default())
            }
        };
        let revision = self.revision + i64::from(!run.events.is_empty());
        Effect { state: Self { revision, keys: run.keys }, events: run.events, response }
    }

    /// The keys of `[key, range_end)` as etcd reads the two, at most `limit` of them, and how many there are without it.
    pub fn select(&self, request: &pb::RangeRequest) -> (Vec<KeyValue>, i64) {
        select(&self.keys, request)
    }
}

fn select(keys: &OrdMap<Bytes, KeyValue>, request: &pb::RangeRequest) -> (Vec<KeyValue>, i64) {
    let mut kvs: Vec<KeyValue> = within(keys, &request.key, &request.range_end).cloned().collect();
    let count = i64::try_from(kvs.len()).unwrap_or(i64::MAX);
    if request.count_only {
        kvs.clear();
    }
    if let Ok(limit @ 1..) = usize::try_from(request.limit) {
        kvs.truncate(limit);
    }
    if request.keys_only {
        for kv in &mut kvs {
            kv.value = Bytes::new();
        }
    }
    (kvs, count)
}

/// Whether a key lies in `[start, range_end)` as etcd reads the two: an empty end means the key alone, a zero byte all that
/// follow.
pub fn is_within(key: &[u8], start: &[u8], range_end: &[u8]) -> bool {
    match range_end {
        [] => key == start,
        [0] => key >= start,
        _ => key >= start && key < range_end,
    }
}

fn within<'a>(
    keys: &'a OrdMap<Bytes, KeyValue>,
    start: &'a Bytes,
    range_end: &'a Bytes,
) -> impl Iterator<Item = &'a KeyValue> {
    keys.range(start.clone()..).map(|(_, kv)| kv).take_while(move |kv| is_within(&kv.key, start, range_end))
}

struct Run<'a> {
    before: &'a State,
    keys: OrdMap<Bytes, KeyValue>,
    events: Vec<Event>,
}

impl Run<'_> {
    fn write_revision(&self) -> i64 {
        self.before.revision + 1
    }

    fn put(&mut self, request: &pb::PutRequest) -> pb::PutResponse {
        let revision = self.write_revision();
        let previous = self.keys.get(&request.key).cloned();
        let kv = KeyValue {
            key: request.key.clone(),
            value: request.value.clone(),
            create_revision: previous.as_ref().map_or(revision, |kv| kv.create_revision),
            mod_revision: revision,
            version: previous.as_ref().map_or(0, |kv| kv.version) + 1,
            lease: request.lease,
        };
        self.keys.insert(request.key.clone(), kv.clone());
        self.events.push(Event { r#type: EventType::Put.into(), kv: Some(kv), prev_kv: previous.clone() });
        pb::PutResponse { header: None, prev_kv: previous.filter(|_| request.prev_kv) }
    }

    fn delete(&mut self, request: &pb::DeleteRangeRequest) -> pb::DeleteRangeResponse {
        let doomed: Vec<KeyValue> = within(&self.keys, &request.key, &request.range_end).cloned().collect();
        self.remove(&doomed);
        pb::DeleteRangeResponse {
            header: None,
            deleted: i64::try_from(doomed.len()).unwrap_or(i64::MAX),
            prev_kvs: if request.prev_kv { doomed } else { Vec::new() },
        }
    }

    fn revoke(&mut self, lease: i64) {
        let doomed: Vec<KeyValue> = self.keys.values().filter(|kv| kv.lease == lease).cloned().collect();
        self.remove(&doomed);
    }

    fn remove(&mut self, doomed: &[KeyValue]) {
        let revision = self.write_revision();
        for kv in doomed {
            self.keys.remove(&kv.key);
            let gone = KeyValue { key: kv.key.clone(), mod_revision: revision, ..KeyValue::default() };
            self.events.push(Event { r#type: EventType::Delete.into(), kv: Some(gone), prev_kv: Some(kv.clone()) });
        }
    }

    /// At a revision of the past the contents are left empty: what they must be is for the caller to say.
    fn range(&self, request: &pb::RangeRequest) -> pb::RangeResponse {
        if request.revision != 0 {
            return pb::RangeResponse::default();
        }
        let (kvs, count) = select(&self.keys, request);
        let more = !request.count_only && i64::try_from(kvs.len()).is_ok_and(|len| len < count);
        pb::RangeResponse { header: None, kvs, more, count }
    }

    fn txn(&mut self, request: &pb::TxnRequest) -> pb::TxnResponse {
        // Judged on what was there before the outermost transaction, also when nested: as etcd does.
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        let ops = if succeeded { &request.success } else { &request.failure };
        let responses = ops.iter().map(|op| pb::ResponseOp { response: self.op(op) }).collect();
        pb::TxnResponse { header: None, succeeded, responses }
    }

    fn op(&mut self, op: &pb::RequestOp) -> Option<OpResponse> {
        Some(match op.request.as_ref()? {
            Op::RequestPut(put) => OpResponse::ResponsePut(self.put(put)),
            Op::RequestDeleteRange(delete) => OpResponse::ResponseDeleteRange(self.delete(delete)),
            Op::RequestRange(range) => OpResponse::ResponseRange(self.range(range)),
            Op::RequestTxn(txn) => OpResponse::ResponseTxn(self.txn(txn)),
        })
    }

    fn holds(&self, compare: &pb::Compare) -> bool {
        let mut named = within(&self.before.keys, &compare.key, &compare.range_end).peekable();
        if named.peek().is_none() {
            // A key that is missing has no value, and 0 for everything else.
            return compare.target() != CompareTarget::Value && holds_for(compare, &KeyValue::default());
        }
        named.all(|kv| holds_for(compare, kv))
    }
}

fn holds_for(compare: &pb::Compare, kv: &KeyValue) -> bool {
    let order = match &compare.target_union {
        Some(TargetUnion::Version(version)) => kv.version.cmp(version),
        Some(TargetUnion::CreateRevision(revision)) => kv.create_revision.cmp(revision),
        Some(TargetUnion::ModRevision(revision)) => kv.mod_revision.cmp(revision),
        Some(TargetUnion::Lease(lease)) => kv.lease.cmp(lease),
        Some(TargetUnion::Value(value)) => kv.value.cmp(value),
        None => return false,
    };
    match compare.result() {
        CompareResult::Equal => order.is_eq(),
        CompareResult::NotEqual => order.is_ne(),
        CompareResult::Greater => order.is_gt(),
        CompareResult::Less => order.is_lt(),
    }
}

/// What of an answer does not depend on who gives it: no headers, those inside a transaction's answer included; and where
/// keys alone were asked for no leases, which etcd tells in some versions and not in others.
pub fn comparable(request: &Request, response: &Response) -> Response {
    let mut response = response.clone();
    if let (Request::Range(pb::RangeRequest { keys_only: true, .. }), Response::Range(range)) = (request, &mut response)
    {
        range.kvs.iter_mut().for_each(|kv| kv.lease = 0);
    }
    match &mut response {
        Response::Put(response) => response.header = None,
        Response::DeleteRange(response) => response.header = None,
        Response::Range(response) => response.header = None,
        Response::Txn(response) => strip(response),
        Response::LeaseRevoke(response) => response.header = None,
    }
    response
}

fn strip(txn: &mut pb::TxnResponse) {
    txn.header = None;
    for response in txn.responses.iter_mut().filter_map(|op| op.response.as_mut()) {
        match response {
            OpResponse::ResponsePut(response) => response.header = None,
            OpResponse::ResponseDeleteRange(response) => response.header = None,
            OpResponse::ResponseRange(response) => response.header = None,
            OpResponse::ResponseTxn(response) => strip(response),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(key: &'static str, value: &'static str) -> Request {
        Request::Put(pb::PutRequest { key: key.into(), value: value.into(), prev_kv: true, ..Default::default() })
    }

    #[test]
    fn puts_and_deletions_count_revisions_and_versions() {
        let first = State::default().apply(&put("a", "1"));
        assert_eq!(first.state.revision, 2);
        let second = first.state.apply(&put("a", "2"));
        let kv = &second.state.keys[b"a".as_slice()];
        assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (2, 3, 2));
        assert!(matches!(&second.response, Response::Put(put) if put.prev_kv.as_ref().unwrap().value == "1"));
        let all = pb::DeleteRangeRequest { key: "a".into(), range_end: vec![0].into(), prev_kv: false };
        let third = second.state.apply(&Request::DeleteRange(all.clone()));
        assert_eq!((third.state.revision, third.events.len()), (4, 1));
        let fourth = third.state.apply(&Request::DeleteRange(all));
        assert_eq!((fourth.state.revision, fourth.events.len()), (4, 0), "nothing was there");
    }

    #[test]
    fn a_revoked_lease_takes_its_keys_along_at_one_revision() {
        let put = |key: &'static str, lease| {
            Request::Put(pb::PutRequest { key: key.into(), lease, ..pb::PutRequest::default() })
        };
        let state = [put("a", 7), put("b", 8), put("c", 7)].iter().fold(State::default(), |s, r| s.apply(r).state);
        let effect = state.apply(&Request::LeaseRevoke(pb::LeaseRevokeRequest { id: 7 }));
        assert_eq!((effect.state.revision, effect.events.len(), effect.state.keys.len()), (5, 2, 1));
    }
}
