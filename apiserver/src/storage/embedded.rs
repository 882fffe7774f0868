//! The backend in this process: a store of our own, without protobuf or a connection in between.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, stream};
use pintle_proto::etcdserverpb::{
    CompactionRequest, LeaseGrantRequest, RangeRequest, RangeResponse, TxnRequest, TxnResponse,
};
use pintle_store::{
    Store,
    engine::Span,
    error::{Code, StoreError},
    watch::{self, LocalWatch},
};
use tokio::sync::Notify;

use super::{
    backend::{Backend, BackendError, WatchItem, WatchStream},
    requests::{Etcd, Requests, changes, error_of, revision},
};

/// Any key will do for a read that only wants to know the revision.
const SOME_KEY: Bytes = Bytes::from_static(b"\0");

/// A backend on an open store.
pub fn backend(store: Store) -> Arc<dyn Backend> {
    Arc::new(Requests::new(Embedded(store)))
}

struct Embedded(Store);

#[async_trait]
impl Etcd for Embedded {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        self.0.range(request).await.map_err(|error| interpret(&error))
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        self.0.txn(request).await.map_err(|error| interpret(&error))
    }

    async fn compact(&self, request: CompactionRequest) -> Result<(), BackendError> {
        self.0.compact(request).await.map(drop).map_err(|error| interpret(&error))
    }

    async fn lease_grant(&self, request: LeaseGrantRequest) -> Result<i64, BackendError> {
        Ok(self.0.lease_grant(request).await.map_err(|error| interpret(&error))?.id)
    }

    fn watch(&self, prefix: Bytes, start_revision: i64, progress_wanted: Arc<Notify>) -> WatchStream {
        let watches = self.0.watches();
        match watches.watch_quietly(Span::prefix(&prefix), start_revision, 0, false) {
            Ok(watch) => Box::pin(stream::unfold((watch, progress_wanted), |(mut watch, wanted)| async {
                let item = next(&mut watch, &wanted).await?;
                Some((item, (watch, wanted)))
            })),
            Err(error) => Box::pin(stream::iter([Err(BackendError::Other(error.to_string()))])),
        }
    }

    async fn current_revision(&self) -> Result<i64, BackendError> {
        let request = RangeRequest { key: SOME_KEY, limit: 1, ..RangeRequest::default() };
        revision(self.range(request).await?.header.as_ref())
    }
}

/// The next item of a watch, which is asked for progress whenever somebody wants it.
async fn next(watch: &mut LocalWatch, progress_wanted: &Notify) -> Option<Result<WatchItem, BackendError>> {
    loop {
        let item = tokio::select! {
            biased;
            item = watch.next() => item?,
            () = progress_wanted.notified() => {
                watch.ask_progress();
                continue;
            }
        };
        return Some(match item {
            watch::WatchItem::Events { events, .. } => changes(events).map(WatchItem::Changes),
            watch::WatchItem::Progress(revision) => Ok(WatchItem::Progress(revision)),
            watch::WatchItem::Compacted(revision) => Ok(WatchItem::Compacted(revision)),
        });
    }
}

/// A store's error in terms of the backend.
fn interpret(error: &StoreError) -> BackendError {
    error_of(error.to_string(), error.code() == Code::Unavailable)
}
