//! The Cluster service.

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::caller::{administered, used};
use super::status::status;
use crate::store::{Store, peer_urls};

/// Serves [`Cluster`] from a store.
#[derive(Clone)]
pub struct ClusterService {
    store: Store,
}

impl ClusterService {
    /// Serves `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        // etcd looks at the URLs before it asks who the client is.
        peer_urls::checked(&request.get_ref().peer_ur_ls).map_err(status)?;
        let store = administered(&self.store, &request).await?;
        store.member_add(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        let store = administered(&self.store, &request).await?;
        store.member_remove(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let store = administered(&self.store, &request).await?;
        store.member_update(request.into_inner()).await.map(Response::new).map_err(status)
    }

    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.get_ref().linearizable {
            self.store.read_index().await.map_err(status)?;
        }
        let store = used(&self.store, &request).await?;
        let members = store.member_list().map_err(status)?;
        // Members have no revision.
        Ok(Response::new(pb::MemberListResponse { header: Some(store.header(0)), members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let store = administered(&self.store, &request).await?;
        store.member_promote(request.into_inner()).await.map(Response::new).map_err(status)
    }
}
