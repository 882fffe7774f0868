//! The Maintenance service.

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::maintenance_server::Maintenance;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::caller::{administered, client, used};
use super::status::status;
use crate::store::Store;

/// Serves [`Maintenance`] from a store.
#[derive(Clone)]
pub struct MaintenanceService {
    store: Store,
}

impl MaintenanceService {
    /// Serves `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl Maintenance for MaintenanceService {
    type SnapshotStream = BoxStream<'static, Result<pb::SnapshotResponse, Status>>;

    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        client(&self.store, &request).alarm(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn status(&self, request: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        used(&self.store, &request).await?.status_response().map(Response::new).map_err(status)
    }

    async fn defragment(
        &self,
        request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        administered(&self.store, &request).await?;
        self.store.defragment().await.map_err(status)?;
        Ok(Response::new(pb::DefragmentResponse::default()))
    }

    async fn hash(&self, request: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        let store = administered(&self.store, &request).await?;
        store.hash().await.map(Response::new).map_err(status)
    }

    async fn hash_kv(&self, request: Request<pb::HashKvRequest>) -> Result<Response<pb::HashKvResponse>, Status> {
        let store = administered(&self.store, &request).await?;
        store.hash_kv(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn snapshot(&self, request: Request<pb::SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        administered(&self.store, &request).await?;
        let chunks = ReceiverStream::new(self.store.snapshot().map_err(status)?);
        Ok(Response::new(chunks.map_err(status).boxed()))
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        let store = administered(&self.store, &request).await?;
        store.move_leader(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        let store = administered(&self.store, &request).await?;
        store.downgrade(request.into_inner()).await.map(Response::new).map_err(status)
    }
}
