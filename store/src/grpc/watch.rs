//! The Watch service.

use std::time::Duration;

use futures::future::{Either, ready};
use futures::stream::{self, BoxStream};
use futures::{Stream, StreamExt};
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::watch_server::Watch;
use tokio::sync::watch::error::RecvError;
use tonic::{Request, Response, Status, Streaming};

use super::caller::client;
use super::needs_leader;
use super::status::status;
use crate::error::StoreError;
use crate::raft::leader::LeaderWatch;
use crate::store::{Client, Store};
use crate::watch::WatchError;
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
    type WatchStream = Either<Plain, BoxStream<'static, <Plain as Stream>::Item>>;

    async fn watch(
        &self,
        request: Request<Streaming<pb::WatchRequest>>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watches = self.store.watches().clone();
        let client = client(&self.store, &request);
        // Whether a watch is permitted is decided without waiting.
        client.settle().await;
        let leader = needs_leader(request.metadata().as_ref()).then(|| self.store.node().leader());
        let stream = WatchStream::new(watches, request.into_inner(), client, self.settings);
        Ok(Response::new(match leader {
            None => Either::Left(stream),
            Some(leader) => {
                let patience = Duration::from_millis(self.store.config().election_millis) * NO_LEADER_TIMEOUTS;
                Either::Right(while_led(stream, leader, patience).boxed())
            }
        }))
    }
}

type Plain = WatchStream<Streaming<pb::WatchRequest>, Client>;

/// Election timeouts without a leader after which watches that need one are ended; etcd's `maxNoLeaderCnt`.
const NO_LEADER_TIMEOUTS: u32 = 3;

/// Ends a stream with an error when nobody has led for some time.
fn while_led<T: Send + 'static>(
    stream: impl Stream<Item = Result<T, Status>> + Send + 'static,
    mut leader: LeaderWatch,
    patience: Duration,
) -> impl Stream<Item = Result<T, Status>> + Send + 'static {
    let lost = async move {
        loop {
            let watched = async {
                leader.wait_for(|leader| *leader == 0).await?;
                Ok::<_, RecvError>(
                    tokio::time::timeout(patience, leader.wait_for(|leader| *leader != 0)).await.is_err(),
                )
            };
            match watched.await {
                Ok(false) => {}
                // The node has stopped, or nobody leads.
                Ok(true) | Err(_) => return Some(Err(status(StoreError::NoLeader))),
            }
        }
    };
    let ended = stream::once(async { None });
    let either = stream::select(stream.map(Some).chain(ended), stream::once(lost));
    either.take_while(|item| ready(item.is_some())).filter_map(ready)
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
