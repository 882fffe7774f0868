//! The Lock service. Who waits for a lock has a key below its name; who came first holds it.
//!
//! As in etcd, it is a client of the store: errors are those that a client reports (`clientv3/concurrency`).

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::range_request::SortOrder;
use pintle_proto::v3lockpb as lockpb;
use pintle_proto::v3lockpb::lock_server::Lock;
use tonic::{Request, Response, Status};

use super::Services;
use super::behalf::{Behalf, created_at, first, key_of, key_read, put, read, read_key, revision};
use super::status::unknown;

/// Serves [`Lock`] from the other services.
#[derive(Clone)]
pub struct LockService {
    services: Services,
}

impl LockService {
    /// Locks with the keys and leases of `services`.
    pub fn new(services: Services) -> Self {
        Self { services }
    }
}

#[tonic::async_trait]
impl Lock for LockService {
    async fn lock(&self, request: Request<lockpb::LockRequest>) -> Result<Response<lockpb::LockResponse>, Status> {
        let (caller, request) = Behalf::of(&self.services, request);
        let lease = caller.session(request.lease).await?;
        let prefix: Bytes = [&request.name[..], b"/"].concat().into();
        let key = key_of(&prefix, lease);
        let owner = read(first(&prefix, SortOrder::Ascend));
        let entered = caller
            .txn(pb::TxnRequest {
                compare: vec![created_at(&key, 0)],
                success: vec![put(&key, Bytes::new(), lease), owner.clone()],
                failure: vec![read_key(&key), owner],
            })
            .await?;
        let own_revision = match key_read(&entered, 0) {
            Some(own) if !entered.succeeded => own.create_revision,
            _ => revision(entered.header.as_ref()),
        };
        if key_read(&entered, 1).is_none_or(|owner| owner.create_revision == own_revision) {
            return Ok(Response::new(lockpb::LockResponse { header: entered.header, key }));
        }
        // Whoever stops waiting leaves the line.
        let place = Place { caller: Some(caller.clone()), key: key.clone() };
        caller.wait_for_earlier(&prefix, own_revision - 1).await?;
        let own = caller.range(pb::RangeRequest { key: key.clone(), ..Default::default() }).await?;
        place.keep();
        if own.kvs.is_empty() {
            return Err(unknown("mutex: session is expired"));
        }
        Ok(Response::new(lockpb::LockResponse { header: own.header, key }))
    }

    async fn unlock(
        &self,
        request: Request<lockpb::UnlockRequest>,
    ) -> Result<Response<lockpb::UnlockResponse>, Status> {
        let (caller, request) = Behalf::of(&self.services, request);
        let deleted = caller.delete(request.key).await?;
        Ok(Response::new(lockpb::UnlockResponse { header: deleted.header }))
    }
}

/// A place in the line for a lock, given up when dropped.
struct Place {
    caller: Option<Behalf>,
    key: Bytes,
}

impl Place {
    fn keep(mut self) {
        self.caller = None;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(caller) = self.caller.take() else { return };
        let key = std::mem::take(&mut self.key);
        tokio::spawn(async move {
            if let Err(error) = caller.delete(key).await {
                tracing::debug!(%error, "a place in the line for a lock is left to its lease");
            }
        });
    }
}
