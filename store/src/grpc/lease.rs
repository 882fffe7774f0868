//! The Lease service.

use futures::stream::{BoxStream, StreamExt};
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::lease_server::Lease;
use tonic::{Request, Response, Status, Streaming};

use super::caller::client;
use super::status::status;
use crate::store::Store;

/// Serves [`Lease`] from a store.
#[derive(Clone)]
pub struct LeaseService {
    store: Store,
}

impl LeaseService {
    /// Serves `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl Lease for LeaseService {
    type LeaseKeepAliveStream = BoxStream<'static, Result<pb::LeaseKeepAliveResponse, Status>>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        client(&self.store, &request).lease_grant(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        client(&self.store, &request).lease_revoke(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let client = client(&self.store, &request);
        let answers = request.into_inner().then(move |request| {
            let client = client.clone();
            async move { client.lease_keep_alive(request?).await.map_err(status) }
        });
        Ok(Response::new(answers.boxed()))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        client(&self.store, &request).lease_time_to_live(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        client(&self.store, &request).lease_leases().await.map(Response::new).map_err(status)
    }
}
