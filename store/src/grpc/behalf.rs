//! The services as those services see them that are built on top: lock and election are clients of the others, on
//! behalf of whoever called them, with the caller's token and identity.

use bytes::Bytes;
use futures::stream;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::kv_client::KvClient;
use pintle_proto::etcdserverpb::lease_client::LeaseClient;
use pintle_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use pintle_proto::etcdserverpb::watch_client::WatchClient;
use pintle_proto::etcdserverpb::watch_request::RequestUnion;
use pintle_proto::etcdserverpb::{request_op, response_op};
use pintle_proto::mvccpb::KeyValue;
use pintle_proto::mvccpb::event::EventType;
use tonic::metadata::MetadataMap;
use tonic::{Extensions, Request, Response, Status, Streaming};

use super::Services;
use super::local::Local;
use super::status::{seen_by_client, unknown};
use crate::limits::SESSION_TTL_SECONDS;

/// Somebody who called a service, and may call others.
#[derive(Clone)]
pub struct Behalf {
    services: Services,
    metadata: MetadataMap,
    extensions: Extensions,
}

impl Behalf {
    /// The caller behind a request, and what it asks.
    pub fn of<T>(services: &Services, request: Request<T>) -> (Self, T) {
        let (metadata, extensions, message) = request.into_parts();
        (Self { services: services.clone(), metadata, extensions }, message)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        Request::from_parts(self.metadata.clone(), self.extensions.clone(), message)
    }

    fn kv(&self) -> KvClient<Local> {
        KvClient::new(Local(self.services.clone())).max_decoding_message_size(usize::MAX)
    }

    /// Reads a range.
    pub async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, Status> {
        self.kv().range(self.request(request)).await.map(Response::into_inner).map_err(seen_by_client)
    }

    /// Runs a transaction.
    pub async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, Status> {
        self.kv().txn(self.request(request)).await.map(Response::into_inner).map_err(seen_by_client)
    }

    /// Deletes a key.
    pub async fn delete(&self, key: Bytes) -> Result<pb::DeleteRangeResponse, Status> {
        let request = pb::DeleteRangeRequest { key, ..Default::default() };
        self.kv().delete_range(self.request(request)).await.map(Response::into_inner).map_err(seen_by_client)
    }

    /// The lease that is given, or a new one instead of none.
    pub async fn session(&self, lease: i64) -> Result<i64, Status> {
        if lease != 0 {
            return Ok(lease);
        }
        let request = self.request(pb::LeaseGrantRequest { ttl: SESSION_TTL_SECONDS, id: 0 });
        let granted = LeaseClient::new(Local(self.services.clone())).lease_grant(request).await;
        Ok(granted.map_err(seen_by_client)?.into_inner().id)
    }

    /// Follows a range from a revision on.
    pub async fn watch(&self, key: Bytes, range_end: Bytes, start_revision: i64) -> Result<Watching, Status> {
        let create = pb::WatchCreateRequest { key, range_end, start_revision, ..Default::default() };
        let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let mut client = WatchClient::new(Local(self.services.clone())).max_decoding_message_size(usize::MAX);
        let responses = client.watch(self.request(stream::iter([request]))).await.map_err(seen_by_client)?;
        Ok(Watching { responses: responses.into_inner() })
    }

    /// Waits until a prefix has no key that was created at or before a revision: until whoever came earlier is gone.
    pub async fn wait_for_earlier(&self, prefix: &Bytes, max_create_revision: i64) -> Result<(), Status> {
        loop {
            let newest = pb::RangeRequest { max_create_revision, ..first(prefix, SortOrder::Descend) };
            let response = self.range(newest).await?;
            let Some(kv) = response.kvs.into_iter().next() else { return Ok(()) };
            let revision = response.header.map_or(0, |header| header.revision);
            let mut watch = self.watch(kv.key, Bytes::new(), revision).await?;
            while !watch.next().await?.events.iter().any(|event| event.r#type() == EventType::Delete) {}
        }
    }
}

/// The responses of one watch.
pub struct Watching {
    responses: Streaming<pb::WatchResponse>,
}

impl Watching {
    /// The next response; an error if the watch has ended.
    pub async fn next(&mut self) -> Result<pb::WatchResponse, Status> {
        match self.responses.message().await.map_err(seen_by_client)? {
            Some(response) if !response.canceled => Ok(response),
            Some(response) if response.compact_revision != 0 => {
                Err(unknown("etcdserver: mvcc: required revision has been compacted"))
            }
            Some(response) => Err(unknown(response.cancel_reason)),
            None => Err(unknown("lost watcher waiting for delete")),
        }
    }
}

/// The end of the range of keys that begin with a name and a slash.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    if let Some(slash) = end.last_mut() {
        *slash += 1;
    }
    end.into()
}

/// The key of a prefix that was created first, or last.
pub fn first(prefix: &Bytes, order: SortOrder) -> pb::RangeRequest {
    pb::RangeRequest {
        key: prefix.clone(),
        range_end: prefix_end(prefix),
        limit: 1,
        sort_order: order.into(),
        sort_target: SortTarget::Create.into(),
        ..Default::default()
    }
}

/// The key by which the holder of a lease stands in line below a prefix.
pub fn key_of(prefix: &[u8], lease: i64) -> Bytes {
    let sign = if lease < 0 { "-" } else { "" };
    [prefix, format!("{sign}{:x}", lease.unsigned_abs()).as_bytes()].concat().into()
}

/// The condition that a key was created at a revision; 0 if it must not exist.
pub fn created_at(key: &Bytes, revision: i64) -> pb::Compare {
    pb::Compare {
        result: pb::compare::CompareResult::Equal.into(),
        target: pb::compare::CompareTarget::Create.into(),
        key: key.clone(),
        target_union: Some(pb::compare::TargetUnion::CreateRevision(revision)),
        ..Default::default()
    }
}

/// A put, as part of a transaction.
pub fn put(key: &Bytes, value: Bytes, lease: i64) -> pb::RequestOp {
    let put = pb::PutRequest { key: key.clone(), value, lease, ..Default::default() };
    pb::RequestOp { request: Some(request_op::Request::RequestPut(put)) }
}

/// A read, as part of a transaction.
pub fn read(request: pb::RangeRequest) -> pb::RequestOp {
    pb::RequestOp { request: Some(request_op::Request::RequestRange(request)) }
}

/// A read of one key, as part of a transaction.
pub fn read_key(key: &Bytes) -> pb::RequestOp {
    read(pb::RangeRequest { key: key.clone(), ..Default::default() })
}

/// The key that the operation of a transaction read, if it was there.
pub fn key_read(response: &pb::TxnResponse, operation: usize) -> Option<&KeyValue> {
    match response.responses.get(operation)?.response.as_ref()? {
        response_op::Response::ResponseRange(range) => range.kvs.first(),
        _ => None,
    }
}

/// The revision at which a response was made.
pub fn revision(header: Option<&pb::ResponseHeader>) -> i64 {
    header.map_or(0, |header| header.revision)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_the_lease_in_hexadecimal() {
        assert_eq!(key_of(b"a/", 0x1ce9), "a/1ce9");
        assert_eq!(key_of(b"a/", -1), "a/-1");
        assert_eq!(prefix_end(b"a/"), "a0");
    }
}
