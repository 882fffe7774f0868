//! One watch of etcd, on a stream of its own.

use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use pintle_proto::etcdserverpb::{
    WatchCreateRequest, WatchProgressRequest, WatchRequest, WatchResponse, watch_client::WatchClient,
    watch_request::RequestUnion,
};
use tokio::sync::Notify;
use tonic::{Request, Status, Streaming, metadata::MetadataValue, transport::Channel};

use super::{interpret, is_unavailable};
use crate::storage::{
    backend::{BackendError, WatchItem, WatchStream, prefix_end},
    requests::{changes, revision},
};

/// Follows a prefix; `failed` is called if the server turns out to be unreachable.
pub(super) fn watch(
    client: WatchClient<Channel>,
    prefix: Bytes,
    start_revision: i64,
    progress_wanted: Arc<Notify>,
    failed: impl Fn(&Status) + Send + 'static,
) -> WatchStream {
    let create = WatchCreateRequest {
        range_end: prefix_end(&prefix),
        key: prefix,
        start_revision,
        progress_notify: true,
        ..WatchCreateRequest::default()
    };
    let items = stream::once(open(client, create, progress_wanted)).flat_map(|opened| match opened {
        Ok(responses) => responses.map(|response| item(response?)).left_stream(),
        Err(status) => stream::once(async { Err(status) }).right_stream(),
    });
    Box::pin(until_over(items, failed))
}

/// Opens the stream: first the watch is created, then the server is asked for its revision whenever somebody wants to know.
async fn open(
    mut client: WatchClient<Channel>,
    create: WatchCreateRequest,
    progress_wanted: Arc<Notify>,
) -> Result<Streaming<WatchResponse>, Status> {
    let create = WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
    let progress = stream::unfold(progress_wanted, |wanted| async {
        wanted.notified().await;
        let request = RequestUnion::ProgressRequest(WatchProgressRequest {});
        Some((WatchRequest { request_union: Some(request) }, wanted))
    });
    let mut request = Request::new(stream::iter([create]).chain(progress));
    // A member that has lost its leader shall end the watch rather than let it go stale.
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    Ok(client.watch(request).await?.into_inner())
}

/// What a response says; `None` if nothing.
fn item(response: WatchResponse) -> Result<Option<WatchItem>, Status> {
    if response.compact_revision > 0 {
        return Ok(Some(WatchItem::Compacted(response.compact_revision)));
    }
    if response.canceled {
        return Err(Status::unavailable(format!("the store ended the watch: {}", response.cancel_reason)));
    }
    if response.created {
        return Ok(None);
    }
    let backend = |error: BackendError| Status::data_loss(error.to_string());
    if response.events.is_empty() {
        return Ok(Some(WatchItem::Progress(revision(response.header.as_ref()).map_err(backend)?)));
    }
    Ok(Some(WatchItem::Changes(changes(response.events).map_err(backend)?)))
}

/// Drops what says nothing, and ends the stream after an error or a compaction.
fn until_over(
    items: impl Stream<Item = Result<Option<WatchItem>, Status>> + Send + 'static,
    failed: impl Fn(&Status) + Send + 'static,
) -> impl Stream<Item = Result<WatchItem, BackendError>> + Send {
    let items = items.boxed();
    let state = Some((items, failed));
    stream::unfold(state, |state| async move {
        let (mut items, failed) = state?;
        loop {
            match items.next().await? {
                Ok(Some(item @ WatchItem::Compacted(_))) => return Some((Ok(item), None)),
                Ok(Some(item)) => return Some((Ok(item), Some((items, failed)))),
                Ok(None) => {}
                Err(status) => {
                    if is_unavailable(&status) {
                        failed(&status);
                    }
                    return Some((Err(interpret(&status)), None));
                }
            }
        }
    })
}
