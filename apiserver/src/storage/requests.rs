//! The backend in terms of etcd's requests: what the embedded store and an etcd over the network have in common.

use std::{sync::Arc, time::Instant};

use async_trait::async_trait;
use bytes::Bytes;
use pintle_proto::{
    etcdserverpb::{
        CompactionRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RangeResponse,
        RequestOp, ResponseHeader, TxnRequest, TxnResponse, compare, request_op, response_op,
    },
    mvccpb::{self, event::EventType},
};
use tokio::sync::{Mutex, Notify};

use super::{
    backend::{Backend, BackendError, Change, KeyValue, ListPage, ListRequest, WatchStream, Write},
    lease_pool::{LeasePool, granted_ttl_seconds},
};

/// The text by which etcd refuses a lease that does not exist (any more).
const LEASE_NOT_FOUND: &str = "etcdserver: requested lease not found";

/// Whoever answers etcd's requests.
#[async_trait]
pub(super) trait Etcd: Send + Sync + 'static {
    /// KV.Range
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError>;
    /// KV.Txn
    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError>;
    /// KV.Compact
    async fn compact(&self, request: CompactionRequest) -> Result<(), BackendError>;
    /// Lease.LeaseGrant; returns the id.
    async fn lease_grant(&self, request: LeaseGrantRequest) -> Result<i64, BackendError>;
    /// See [`Backend::watch`].
    fn watch(&self, prefix: Bytes, start_revision: i64, progress_wanted: Arc<Notify>) -> WatchStream;
    /// The revision of the newest write, read linearizably.
    async fn current_revision(&self) -> Result<i64, BackendError>;
}

/// A backend on whoever answers etcd's requests.
pub(super) struct Requests<E> {
    etcd: E,
    leases: Mutex<LeasePool>,
    /// The origin of the clock that the lease pool sees.
    epoch: Instant,
}

impl<E: Etcd> Requests<E> {
    pub(super) fn new(etcd: E) -> Self {
        Self { etcd, leases: Mutex::default(), epoch: Instant::now() }
    }

    /// A lease for a key that shall live so long; 0 for one that shall live for ever.
    async fn lease(&self, ttl_seconds: Option<i64>) -> Result<i64, BackendError> {
        let Some(ttl_seconds) = ttl_seconds.filter(|ttl| *ttl > 0) else { return Ok(0) };
        let mut leases = self.leases.lock().await;
        let now = self.epoch.elapsed();
        if let Some(id) = leases.reuse(ttl_seconds, now) {
            return Ok(id);
        }
        let request = LeaseGrantRequest { ttl: granted_ttl_seconds(ttl_seconds), id: 0 };
        let id = self.etcd.lease_grant(request).await?;
        leases.granted(id, ttl_seconds, now);
        Ok(id)
    }

    /// Writes a key whose last change was `expected_mod_revision` (0: that does not exist).
    async fn put(
        &self,
        key: &[u8],
        value: Bytes,
        expected_mod_revision: i64,
        ttl_seconds: Option<i64>,
    ) -> Result<Write, BackendError> {
        let key = Bytes::copy_from_slice(key);
        let mut lease = self.lease(ttl_seconds).await?;
        let mut renewed = lease == 0;
        loop {
            let put = PutRequest { key: key.clone(), value: value.clone(), lease, ..PutRequest::default() };
            match self.conditionally(&key, expected_mod_revision, request_op::Request::RequestPut(put)).await {
                // Somebody revoked the shared lease, or it expired while we were away.
                Err(BackendError::Other(text)) if !renewed && text == LEASE_NOT_FOUND => {
                    self.leases.lock().await.forget(lease);
                    lease = self.lease(ttl_seconds).await?;
                    renewed = true;
                }
                done => return done,
            }
        }
    }

    /// Does `operation` if the last change of `key` was `expected_mod_revision`, and reads the key otherwise.
    async fn conditionally(
        &self,
        key: &Bytes,
        expected_mod_revision: i64,
        operation: request_op::Request,
    ) -> Result<Write, BackendError> {
        let condition = Compare {
            result: compare::CompareResult::Equal.into(),
            target: compare::CompareTarget::Mod.into(),
            key: key.clone(),
            target_union: Some(compare::TargetUnion::ModRevision(expected_mod_revision)),
            ..Compare::default()
        };
        let read = request_op::Request::RequestRange(RangeRequest { key: key.clone(), ..RangeRequest::default() });
        let response = self
            .etcd
            .txn(TxnRequest {
                compare: vec![condition],
                success: vec![RequestOp { request: Some(operation) }],
                failure: vec![RequestOp { request: Some(read) }],
            })
            .await?;
        if response.succeeded {
            return Ok(Write::Done(revision(response.header.as_ref())?));
        }
        let found = response.responses.into_iter().find_map(|op| match op.response {
            Some(response_op::Response::ResponseRange(range)) => range.kvs.into_iter().next(),
            _ => None,
        });
        Ok(Write::Conflict(found.map(key_value)))
    }
}

#[async_trait]
impl<E: Etcd> Backend for Requests<E> {
    async fn get(&self, key: &[u8]) -> Result<(Option<KeyValue>, i64), BackendError> {
        let request = RangeRequest { key: Bytes::copy_from_slice(key), limit: 1, ..RangeRequest::default() };
        let response = self.etcd.range(request).await?;
        let revision = revision(response.header.as_ref())?;
        Ok((response.kvs.into_iter().next().map(key_value), revision))
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage, BackendError> {
        let asked = request.revision.unwrap_or(0);
        let response = self
            .etcd
            .range(RangeRequest {
                key: request.start,
                range_end: request.end,
                limit: request.limit,
                revision: asked,
                ..RangeRequest::default()
            })
            .await
            .map_err(|error| match error {
                BackendError::Compacted(_) => BackendError::Compacted(asked),
                BackendError::FutureRevision(_) => BackendError::FutureRevision(asked),
                other => other,
            })?;
        Ok(ListPage {
            revision: revision(response.header.as_ref())?,
            items: response.kvs.into_iter().map(key_value).collect(),
            count: response.count,
            more: response.more,
        })
    }

    async fn create(&self, key: &[u8], value: Bytes, ttl_seconds: Option<i64>) -> Result<Write, BackendError> {
        self.put(key, value, 0, ttl_seconds).await
    }

    async fn update(
        &self,
        key: &[u8],
        value: Bytes,
        expected_mod_revision: i64,
        ttl_seconds: Option<i64>,
    ) -> Result<Write, BackendError> {
        self.put(key, value, expected_mod_revision, ttl_seconds).await
    }

    async fn delete(&self, key: &[u8], expected_mod_revision: i64) -> Result<Write, BackendError> {
        let key = Bytes::copy_from_slice(key);
        let delete = DeleteRangeRequest { key: key.clone(), ..DeleteRangeRequest::default() };
        self.conditionally(&key, expected_mod_revision, request_op::Request::RequestDeleteRange(delete)).await
    }

    async fn current_revision(&self) -> Result<i64, BackendError> {
        self.etcd.current_revision().await
    }

    fn watch(&self, prefix: Bytes, start_revision: i64, progress_wanted: Arc<Notify>) -> WatchStream {
        self.etcd.watch(prefix, start_revision, progress_wanted)
    }

    async fn compact(&self, revision: i64) -> Result<(), BackendError> {
        match self.etcd.compact(CompactionRequest { revision, physical: false }).await {
            // Somebody else was faster.
            Err(BackendError::Compacted(_)) => Ok(()),
            done => done,
        }
    }

    async fn ready(&self) -> Result<(), BackendError> {
        self.etcd.current_revision().await.map(drop)
    }
}

/// The revision that a response tells.
pub(super) fn revision(header: Option<&ResponseHeader>) -> Result<i64, BackendError> {
    match header {
        Some(header) => Ok(header.revision),
        None => Err(BackendError::Other("the store answered without a header".to_owned())),
    }
}

/// The changes that events of a watch tell.
pub(super) fn changes(events: Vec<mvccpb::Event>) -> Result<Vec<Change>, BackendError> {
    let change = |event: mvccpb::Event| {
        let kind = event.r#type();
        let kv = event.kv.ok_or_else(|| BackendError::Other("the store sent an event without a key".to_owned()))?;
        Ok(match kind {
            EventType::Put => Change::Put(key_value(kv)),
            EventType::Delete => Change::Delete { key: kv.key, revision: kv.mod_revision },
        })
    };
    events.into_iter().map(change).collect()
}

fn key_value(kv: mvccpb::KeyValue) -> KeyValue {
    KeyValue { key: kv.key, value: kv.value, mod_revision: kv.mod_revision }
}

/// An error by etcd's text for it. `unavailable` tells whether it came with that gRPC code.
pub(super) fn error_of(text: String, unavailable: bool) -> BackendError {
    match text.strip_prefix("etcdserver: ").unwrap_or(&text) {
        // Whoever knows the revision fills it in.
        "mvcc: required revision has been compacted" => BackendError::Compacted(0),
        "mvcc: required revision is a future revision" => BackendError::FutureRevision(0),
        "mvcc: database space exceeded" => BackendError::NoSpace(text),
        "request is too large" => BackendError::TooLarge(text),
        "too many requests" => BackendError::Busy(text),
        reason if reason.starts_with("request timed out") || reason == "context deadline exceeded" => {
            BackendError::Timeout(text)
        }
        _ if unavailable => BackendError::Unavailable(text),
        _ => BackendError::Other(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_by_their_texts() {
        let error = |text: &str, unavailable| error_of(format!("etcdserver: {text}"), unavailable);
        assert_eq!(error("mvcc: required revision has been compacted", false), BackendError::Compacted(0));
        assert!(matches!(error("mvcc: database space exceeded", false), BackendError::NoSpace(_)));
        assert!(matches!(error("request timed out, possibly due to connection lost", true), BackendError::Timeout(_)));
        assert!(matches!(error("no leader", true), BackendError::Unavailable(_)));
        assert!(matches!(error("permission denied", false), BackendError::Other(_)));
    }
}
