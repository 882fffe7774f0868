//! What the store should do, as plainly as it can be said: a copy of all keys for every revision.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use pintle_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use pintle_proto::etcdserverpb::request_op::Request;
use pintle_proto::etcdserverpb::response_op::Response;
use pintle_proto::mvccpb::KeyValue;
use pintle_store::error::{Result, StoreError};

/// All keys at one revision.
pub type Keys = BTreeMap<Bytes, KeyValue>;

/// The store.
pub struct Model {
    /// The keys at each revision, from revision 1 on.
    past: Vec<Keys>,
    compacted: i64,
    leases: BTreeSet<i64>,
}

/// A command under way.
struct Attempt<'a> {
    model: &'a Model,
    keys: Keys,
    changed: bool,
}

impl Model {
    /// A fresh store.
    pub fn new() -> Self {
        Self { past: vec![Keys::new()], compacted: -1, leases: BTreeSet::new() }
    }

    /// The present revision.
    pub fn revision(&self) -> i64 {
        i64::try_from(self.past.len()).unwrap()
    }

    /// The compacted revision.
    pub fn compacted(&self) -> i64 {
        self.compacted
    }

    /// The keys at a revision.
    pub fn at(&self, revision: i64) -> &Keys {
        &self.past[usize::try_from(revision).unwrap() - 1]
    }

    fn attempt(&self) -> Attempt<'_> {
        Attempt { model: self, keys: self.at(self.revision()).clone(), changed: false }
    }

    fn keep(&mut self, keys: Keys, changed: bool) {
        if changed {
            self.past.push(keys);
        }
    }

    /// Answers a range request.
    pub fn range(&self, request: &pb::RangeRequest) -> Result<pb::RangeResponse> {
        self.attempt().range(request)
    }

    /// Runs a transaction.
    pub fn txn(&mut self, request: &pb::TxnRequest) -> Result<pb::TxnResponse> {
        let mut attempt = self.attempt();
        attempt.check(request)?;
        let mut response = attempt.run(request)?;
        response.header.as_mut().unwrap().revision = attempt.revision();
        let (keys, changed) = (attempt.keys, attempt.changed);
        self.keep(keys, changed);
        Ok(response)
    }

    /// Compacts.
    pub fn compact(&mut self, revision: i64) -> Result<()> {
        if revision <= self.compacted {
            return Err(StoreError::Compacted);
        }
        if revision > self.revision() {
            return Err(StoreError::FutureRevision);
        }
        self.compacted = revision;
        Ok(())
    }

    /// Creates a lease.
    pub fn grant(&mut self, id: i64) -> Result<()> {
        if self.leases.insert(id) { Ok(()) } else { Err(StoreError::LeaseExists) }
    }

    /// Ends a lease.
    pub fn revoke(&mut self, id: i64) -> Result<()> {
        if !self.leases.remove(&id) {
            return Err(StoreError::LeaseNotFound);
        }
        let mut keys = self.at(self.revision()).clone();
        let before = keys.len();
        keys.retain(|_, kv| kv.lease != id);
        let changed = keys.len() != before;
        self.keep(keys, changed);
        Ok(())
    }
}

fn is_within(key: &Bytes, start: &Bytes, range_end: &Bytes) -> bool {
    match range_end.as_ref() {
        [] => key == start,
        [0] => key >= start,
        _ => key >= start && key < range_end,
    }
}

fn header(revision: i64) -> pb::ResponseHeader {
    pb::ResponseHeader { revision, ..Default::default() }
}

impl Attempt<'_> {
    fn revision(&self) -> i64 {
        self.model.revision() + i64::from(self.changed)
    }

    fn before(&self) -> &Keys {
        self.model.at(self.model.revision())
    }

    fn range(&self, request: &pb::RangeRequest) -> Result<pb::RangeResponse> {
        if request.revision > self.revision() {
            return Err(StoreError::FutureRevision);
        }
        let at = if request.revision <= 0 { self.revision() } else { request.revision };
        if at < self.model.compacted {
            return Err(StoreError::Compacted);
        }
        let keys = if at == self.revision() { &self.keys } else { self.model.at(at) };
        let mut kvs: Vec<KeyValue> =
            keys.values().filter(|kv| is_within(&kv.key, &request.key, &request.range_end)).cloned().collect();
        let count = i64::try_from(kvs.len()).unwrap();
        let mut response = pb::RangeResponse { header: Some(header(self.revision())), count, ..Default::default() };
        if request.count_only {
            return Ok(response);
        }
        let filters = [
            request.min_mod_revision,
            request.max_mod_revision,
            request.min_create_revision,
            request.max_create_revision,
        ];
        let [min_mod, max_mod, min_create, max_create] = filters;
        let order = SortOrder::try_from(request.sort_order).unwrap();
        let limit = if request.limit > 0 { usize::try_from(request.limit).unwrap() } else { usize::MAX };
        let cut_first = order == SortOrder::None && filters == [0; 4];
        if cut_first {
            kvs.truncate(limit.saturating_add(1));
        }
        kvs.retain(|kv| {
            kv.mod_revision >= min_mod
                && (max_mod == 0 || kv.mod_revision <= max_mod)
                && kv.create_revision >= min_create
                && (max_create == 0 || kv.create_revision <= max_create)
        });
        let reversed = order == SortOrder::Descend;
        kvs.sort_by(|a, b| {
            let (a, b) = if reversed { (b, a) } else { (a, b) };
            match SortTarget::try_from(request.sort_target).unwrap() {
                SortTarget::Key => a.key.cmp(&b.key),
                SortTarget::Version => a.version.cmp(&b.version),
                SortTarget::Create => a.create_revision.cmp(&b.create_revision),
                SortTarget::Mod => a.mod_revision.cmp(&b.mod_revision),
                SortTarget::Value => a.value.cmp(&b.value),
            }
        });
        response.more = kvs.len() > limit;
        kvs.truncate(limit);
        if request.keys_only {
            for kv in &mut kvs {
                kv.value.clear();
            }
        }
        response.kvs = kvs;
        Ok(response)
    }

    fn holds(&self, compare: &pb::Compare) -> bool {
        let named: Vec<&KeyValue> =
            self.before().values().filter(|kv| is_within(&kv.key, &compare.key, &compare.range_end)).collect();
        let target = CompareTarget::try_from(compare.target).unwrap();
        if named.is_empty() {
            return target != CompareTarget::Value && holds_for(compare, target, &KeyValue::default());
        }
        named.into_iter().all(|kv| holds_for(compare, target, kv))
    }

    fn branch<'r>(&self, request: &'r pb::TxnRequest) -> (bool, &'r [pb::RequestOp]) {
        let succeeded = request.compare.iter().all(|compare| self.holds(compare));
        (succeeded, if succeeded { &request.success } else { &request.failure })
    }

    fn check(&self, request: &pb::TxnRequest) -> Result<()> {
        for op in self.branch(request).1 {
            match op.request.as_ref().unwrap() {
                Request::RequestRange(range) if range.revision > self.model.revision() => {
                    return Err(StoreError::FutureRevision);
                }
                Request::RequestRange(range) if range.revision != 0 && range.revision < self.model.compacted => {
                    return Err(StoreError::Compacted);
                }
                Request::RequestPut(put) => self.check_put(put, self.before())?,
                Request::RequestTxn(nested) => self.check(nested)?,
                Request::RequestRange(_) | Request::RequestDeleteRange(_) => {}
            }
        }
        Ok(())
    }

    fn check_put(&self, put: &pb::PutRequest, keys: &Keys) -> Result<()> {
        if put.lease != 0 && !self.model.leases.contains(&put.lease) {
            return Err(StoreError::LeaseNotFound);
        }
        if (put.ignore_lease || put.ignore_value) && !keys.contains_key(&put.key) {
            return Err(StoreError::KeyNotFound);
        }
        Ok(())
    }

    fn run(&mut self, request: &pb::TxnRequest) -> Result<pb::TxnResponse> {
        let (succeeded, ops) = self.branch(request);
        let mut responses = Vec::new();
        for op in ops {
            let response = match op.request.as_ref().unwrap() {
                Request::RequestRange(range) => Response::ResponseRange(self.range(range)?),
                Request::RequestPut(put) => Response::ResponsePut(self.put(put)?),
                Request::RequestDeleteRange(delete) => Response::ResponseDeleteRange(self.delete(delete)),
                Request::RequestTxn(nested) => Response::ResponseTxn(self.run(nested)?),
            };
            responses.push(pb::ResponseOp { response: Some(response) });
        }
        Ok(pb::TxnResponse { header: Some(header(0)), succeeded, responses })
    }

    fn put(&mut self, put: &pb::PutRequest) -> Result<pb::PutResponse> {
        self.check_put(put, &self.keys)?;
        let previous = self.keys.get(&put.key).cloned();
        self.changed = true;
        let revision = self.revision();
        let mut kv = previous.clone().unwrap_or(KeyValue {
            key: put.key.clone(),
            create_revision: revision,
            ..Default::default()
        });
        kv.mod_revision = revision;
        kv.version += 1;
        if !put.ignore_value {
            kv.value = put.value.clone();
        }
        if !put.ignore_lease {
            kv.lease = put.lease;
        }
        self.keys.insert(put.key.clone(), kv);
        Ok(pb::PutResponse { header: Some(header(revision)), prev_kv: previous.filter(|_| put.prev_kv) })
    }

    fn delete(&mut self, delete: &pb::DeleteRangeRequest) -> pb::DeleteRangeResponse {
        let (gone, left): (Keys, Keys) = std::mem::take(&mut self.keys)
            .into_iter()
            .partition(|(key, _)| is_within(key, &delete.key, &delete.range_end));
        self.keys = left;
        self.changed |= !gone.is_empty();
        pb::DeleteRangeResponse {
            header: Some(header(self.revision())),
            deleted: i64::try_from(gone.len()).unwrap(),
            prev_kvs: if delete.prev_kv { gone.into_values().collect() } else { Vec::new() },
        }
    }
}

fn holds_for(compare: &pb::Compare, target: CompareTarget, kv: &KeyValue) -> bool {
    let order = match (target, compare.target_union.as_ref().unwrap()) {
        (CompareTarget::Value, TargetUnion::Value(value)) => kv.value.cmp(value),
        (CompareTarget::Create, TargetUnion::CreateRevision(revision)) => kv.create_revision.cmp(revision),
        (CompareTarget::Mod, TargetUnion::ModRevision(revision)) => kv.mod_revision.cmp(revision),
        (CompareTarget::Version, TargetUnion::Version(version)) => kv.version.cmp(version),
        (CompareTarget::Lease, TargetUnion::Lease(lease)) => kv.lease.cmp(lease),
        (target, union) => panic!("{target:?} with {union:?}"),
    };
    match CompareResult::try_from(compare.result).unwrap() {
        CompareResult::Equal => order.is_eq(),
        CompareResult::NotEqual => order.is_ne(),
        CompareResult::Greater => order.is_gt(),
        CompareResult::Less => order.is_lt(),
    }
}
