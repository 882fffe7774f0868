//! The Watch service.

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::watch_server::Watch;
use tonic::{Request, Response, Status, Streaming};

use super::caller::client;
use crate::error::StoreError;
use crate::store::{Client, Store};
use crate::watch::hub::WatchError;
use crate::watch::{StreamSettings, Surroundings, WatchStream};

/// Serves [`Watch`] from a store.
#[derive(Clone)]
pub struct WatchService {
    store: Store,
    settings: StreamSettings,
}

impl WatchService {
    /// Serves `store`.
    pub fn new(store: Store, settings: StreamSettings) -> Self {
        Self { store, settings }
    }
}

#[tonic::async_trait]
impl Watch for WatchService {
    type WatchStream = WatchStream<Streaming<pb::WatchRequest>, Client>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watches = self.store.watches().clone();
        let client = client(&self.store, &request);
        // Whether a watch is permitted is decided without waiting.
        client.settle().await;
        let stream = WatchStream::new(watches, request.into_inner(), client, self.settings);
        Ok(Response::new(stream))
    }
}

impl Surroundings for Client {
    fn revision(&self) -> i64 {
        // A state that cannot be read halts the node; until then nothing newer than what was published is known.
        self.store().revision().unwrap_or_else(|_| self.store().watches().revision())
    }

    fn header(&self, revision: i64) -> pb::ResponseHeader {
        self.store().header(revision)
    }

    fn permit(&self, key: &[u8], range_end: &[u8]) -> Result<(), WatchError> {
        self.permit_watch(key, range_end).map_err(|error| match error {
            StoreError::InvalidAuthToken => WatchError::InvalidAuthToken,
            StoreError::AuthOldRevision => WatchError::AuthOldRevision,
            StoreError::UserEmpty => WatchError::UserEmpty,
            _ => WatchError::PermissionDenied,
        })
    }
}
