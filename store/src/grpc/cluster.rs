//! The Cluster service. Members are listed; changing them comes with clusters of several.

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::caller::{administered, used};
use super::status::{status, unimplemented};
use crate::error::StoreError;
use crate::store::Store;

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

    /// Refuses a change of a member: that it is unknown, as etcd would, or that members cannot be changed.
    fn refuse(&self, id: u64, method: &str) -> Status {
        let known = self.store.members().iter().any(|(member, ..)| *member == id);
        if known { unimplemented(method) } else { status(StoreError::MemberNotFound) }
    }
}

#[tonic::async_trait]
impl Cluster for ClusterService {
    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        administered(&self.store, &request).await?;
        Err(unimplemented("MemberAdd"))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        administered(&self.store, &request).await?;
        Err(self.refuse(request.get_ref().id, "MemberRemove"))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        administered(&self.store, &request).await?;
        Err(self.refuse(request.get_ref().id, "MemberUpdate"))
    }

    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.get_ref().linearizable {
            self.store.read_index().await.map_err(status)?;
        }
        used(&self.store, &request).await?;
        Ok(Response::new(self.store.member_list_response()))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        administered(&self.store, &request).await?;
        Err(self.refuse(request.get_ref().id, "MemberPromote"))
    }
}
