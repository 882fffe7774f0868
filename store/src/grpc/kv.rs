//! The KV service.

use std::collections::VecDeque;

use futures::stream::{self, BoxStream, StreamExt};
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::kv_server::Kv;
use pintle_proto::etcdserverpb::range_request::{SortOrder, SortTarget};
use pintle_proto::mvccpb::KeyValue;
use prost::Message;
use tonic::{Request, Response, Status};

use super::caller::client;
use super::range_body;
use super::status::{status, unsupported};
use crate::error::StoreError;
use crate::limits::{RANGE_STREAM_CHUNK_BYTES, RANGE_STREAM_PAGE_KEYS};
use crate::mvcc::range::has_revision_filters;
use crate::store::{Client, Store};

/// Serves [`Kv`] from a store.
#[derive(Clone)]
pub struct KvService {
    store: Store,
}

impl KvService {
    /// Serves `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl Kv for KvService {
    type RangeStreamStream = BoxStream<'static, Result<pb::RangeStreamResponse, Status>>;

    async fn range(&self, request: Request<pb::RangeRequest>) -> Result<Response<pb::RangeResponse>, Status> {
        if !request.get_ref().serializable && self.store.is_learner() {
            return Err(status(StoreError::NotForLearners));
        }
        client(&self.store, &request).range(request.into_inner()).await.map(range_body::set_aside).map_err(status)
    }

    async fn range_stream(
        &self,
        request: Request<pb::RangeRequest>,
    ) -> Result<Response<Self::RangeStreamStream>, Status> {
        let client = client(&self.store, &request);
        let request = request.into_inner();
        check_streamable(&request)?;
        let pages = Pages::begin(client, request).await?;
        let stream = stream::try_unfold(pages, |mut pages| async move {
            Ok(pages.next().await?.map(|chunk| (pb::RangeStreamResponse { range_response: Some(chunk) }, pages)))
        });
        Ok(Response::new(stream.boxed()))
    }

    async fn put(&self, request: Request<pb::PutRequest>) -> Result<Response<pb::PutResponse>, Status> {
        client(&self.store, &request).put(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn delete_range(
        &self,
        request: Request<pb::DeleteRangeRequest>,
    ) -> Result<Response<pb::DeleteRangeResponse>, Status> {
        client(&self.store, &request).delete_range(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn txn(&self, request: Request<pb::TxnRequest>) -> Result<Response<pb::TxnResponse>, Status> {
        client(&self.store, &request).txn(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn compact(
        &self,
        request: Request<pb::CompactionRequest>,
    ) -> Result<Response<pb::CompactionResponse>, Status> {
        client(&self.store, &request).compact(request.into_inner()).await.map(Response::new).map_err(status)
    }
}

/// A range can be streamed in the order in which it is read, and only if a page of it says how many keys there are.
fn check_streamable(request: &pb::RangeRequest) -> Result<(), Status> {
    let by_key = request.sort_target == SortTarget::Key as i32;
    let as_read =
        request.sort_order == SortOrder::None as i32 || (request.sort_order == SortOrder::Ascend as i32 && by_key);
    if !as_read {
        return Err(unsupported("RangeStream does not support custom sort orders"));
    }
    if has_revision_filters(request) {
        return Err(unsupported("RangeStream does not support revision filters"));
    }
    Ok(())
}

/// A range that is read page by page at one revision and sent chunk by chunk.
struct Pages {
    client: Client,
    /// The request for the next page; `None` after the last.
    next: Option<pb::RangeRequest>,
    /// Keys still wanted; `None` for all.
    wanted: Option<i64>,
    /// Read but not sent.
    kvs: VecDeque<KeyValue>,
    /// The first page's answer, which goes out with the last chunk; `None` once it has.
    summary: Option<pb::RangeResponse>,
}

impl Pages {
    /// Reads the first page.
    async fn begin(client: Client, mut request: pb::RangeRequest) -> Result<Self, Status> {
        let wanted = (request.limit > 0).then_some(request.limit);
        if !request.count_only {
            request.limit = wanted.unwrap_or(i64::MAX).min(RANGE_STREAM_PAGE_KEYS);
        }
        let mut summary = client.range(request.clone()).await.map_err(status)?;
        // The other pages must show the same revision.
        request.revision = match request.revision {
            ..=0 => summary.header.as_ref().map_or(0, |header| header.revision),
            revision => revision,
        };
        request.serializable = true;
        let kvs = std::mem::take(&mut summary.kvs);
        summary.more = !request.count_only && wanted.is_some_and(|wanted| summary.count > wanted);
        let mut pages = Self { client, next: Some(request), wanted, kvs: VecDeque::new(), summary: Some(summary) };
        let page_keys = kvs.len();
        pages.take(kvs, page_keys);
        Ok(pages)
    }

    /// The next chunk; the last one carries header, count and more.
    async fn next(&mut self) -> Result<Option<pb::RangeResponse>, Status> {
        if self.summary.is_none() {
            return Ok(None);
        }
        let mut chunk = Vec::new();
        let mut bytes = 0;
        loop {
            while bytes < RANGE_STREAM_CHUNK_BYTES
                && let Some(kv) = self.kvs.pop_front()
            {
                bytes += kv.encoded_len();
                chunk.push(kv);
            }
            if self.kvs.is_empty() {
                let Some(request) = self.next.clone() else {
                    return Ok(self.summary.take().map(|summary| pb::RangeResponse { kvs: chunk, ..summary }));
                };
                let page = self.client.range(request).await.map_err(status)?;
                let page_keys = page.kvs.len();
                self.take(page.kvs, page_keys);
            } else {
                return Ok(Some(pb::RangeResponse { kvs: chunk, ..pb::RangeResponse::default() }));
            }
        }
    }

    /// Queues a page and prepares the request for the one after it.
    fn take(&mut self, kvs: Vec<KeyValue>, page_keys: usize) {
        let page_keys = i64::try_from(page_keys).unwrap_or(i64::MAX);
        if let Some(wanted) = &mut self.wanted {
            *wanted -= page_keys;
        }
        let last_key = kvs.last().map(|kv| kv.key.clone());
        self.kvs.extend(kvs);
        let Some(mut request) = self.next.take() else { return };
        let full = page_keys == request.limit && !request.range_end.is_empty();
        if let Some(last_key) = last_key.filter(|_| full && self.wanted != Some(0)) {
            request.key = [&last_key[..], &[0]].concat().into();
            request.limit = self.wanted.unwrap_or(i64::MAX).min(RANGE_STREAM_PAGE_KEYS);
            self.next = Some(request);
        }
    }
}
