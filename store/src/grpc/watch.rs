//! The Watch service.

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::watch_server::Watch;
use tonic::{Request, Response, Status, Streaming};

use crate::store::Store;
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
    type WatchStream = WatchStream<Streaming<pb::WatchRequest>, Store>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watches = self.store.watches().clone();
        let stream = WatchStream::new(watches, request.into_inner(), self.store.clone(), self.settings);
        Ok(Response::new(stream))
    }
}

impl Surroundings for Store {
    fn revision(&self) -> i64 {
        // A state that cannot be read halts the node; until then nothing newer than what was published is known.
        Store::revision(self).unwrap_or_else(|_| self.watches().revision())
    }

    fn header(&self, revision: i64) -> pb::ResponseHeader {
        Store::header(self, revision)
    }
}
