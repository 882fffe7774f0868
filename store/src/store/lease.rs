//! What clients do with leases.

use pintle_proto::etcdserverpb as pb;
use pintle_proto::peerpb::call_request::Call;
use pintle_proto::peerpb::call_response::Answer;

use super::Store;
use crate::apply::Command;
use crate::auth::Author;
use crate::error::StoreError;
use crate::lease::Renewal;
use crate::lease::expiry::Due;
use crate::limits::MAX_LEASE_TTL_SECONDS;

impl Store {
    /// Creates a lease. An id of 0 lets the store choose one; a TTL below the minimum is raised to it.
    pub async fn lease_grant(&self, mut request: pb::LeaseGrantRequest) -> Result<pb::LeaseGrantResponse, StoreError> {
        request.ttl = request.ttl.max(self.min_lease_ttl_seconds());
        while request.id == 0 {
            // Positive, as etcd's are.
            request.id = rand::random::<i64>() & i64::MAX;
        }
        self.write(Author::Server, request).await
    }

    /// Ends a lease and deletes its keys.
    pub async fn lease_revoke(&self, request: pb::LeaseRevokeRequest) -> Result<pb::LeaseRevokeResponse, StoreError> {
        self.write(Author::Server, request).await
    }

    /// Starts a lease's time over. The TTL of one that is gone is 0.
    pub async fn lease_keep_alive(
        &self,
        request: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, StoreError> {
        let renewing = async {
            if self.leads()? {
                return self.renew(request.id).await;
            }
            // Before renewing: a header newer than the renewal would speak of a time when the lease may be gone.
            let header = Some(self.header(self.revision()?));
            match self.ask_leader(Call::LeaseKeepAlive(request)).await? {
                Answer::LeaseKeepAlive(response) => Ok(pb::LeaseKeepAliveResponse { header, ..response }),
                _ => Err(StoreError::MalformedPeerMessage),
            }
        };
        tokio::time::timeout(self.request_timeout(), renewing).await.map_err(|_| StoreError::Timeout)?
    }

    /// [`Store::lease_keep_alive`] on the leader, which alone counts the time.
    pub(crate) async fn leader_lease_keep_alive(
        &self,
        request: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, StoreError> {
        tokio::time::timeout(self.request_timeout(), self.renew(request.id)).await.map_err(|_| StoreError::Timeout)?
    }

    async fn renew(&self, id: i64) -> Result<pb::LeaseKeepAliveResponse, StoreError> {
        let mut caught_up = false;
        loop {
            let mut news = self.0.leases.news();
            // Before renewing: a header newer than the renewal would speak of a time when the lease may be gone.
            let header = self.header(self.revision()?);
            let answer = |ttl| Ok(pb::LeaseKeepAliveResponse { header: Some(header), id, ttl });
            match self.0.leases.renew(id) {
                Renewal::Renewed(ttl) => return answer(ttl),
                Renewal::Checkpointed => {
                    let all = pb::LeaseCheckpoint { id, remaining_ttl: 0 };
                    self.write(Author::Server, pb::LeaseCheckpointRequest { checkpoints: vec![all] }).await?;
                }
                // A client that is told that its lease is gone must not see it survive a change of leader.
                Renewal::Ending => news.changed().await.map_err(|_| StoreError::Stopped)?,
                // A new leader may not have applied yet what the old one acknowledged.
                Renewal::Unknown if !caught_up => {
                    self.read_index().await?;
                    caught_up = true;
                }
                Renewal::Unknown => return answer(0),
                Renewal::NotLeader => return Err(StoreError::NotLeader),
            }
        }
    }

    /// Proposes what is due with leases. Only the leader does, and only while it is sure to lead: another leader may have
    /// renewed what this one believes to have expired.
    pub(super) async fn do_due(&self, due: Due) -> Result<(), StoreError> {
        self.read_index().await?;
        match due {
            Due::Revoke(id) if self.0.leases.has_expired(id) => {
                self.propose_here(Command::LeaseRevoke(pb::LeaseRevokeRequest { id })).await
            }
            Due::Revoke(_) => Ok(()),
            Due::Checkpoint(left) => {
                let checkpoint = |(id, remaining_ttl)| pb::LeaseCheckpoint { id, remaining_ttl };
                let checkpoints = left.into_iter().map(checkpoint).collect();
                self.propose_here(Command::LeaseCheckpoint(pb::LeaseCheckpointRequest { checkpoints })).await
            }
        }
    }

    /// What is left of a lease and, if asked for, its keys. The TTL of one that is gone is -1.
    pub async fn lease_time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, StoreError> {
        if self.leads()? {
            return self.leader_lease_time_to_live(request).await;
        }
        match self.ask_leader(Call::LeaseTimeToLive(request)).await? {
            Answer::LeaseTimeToLive(response) => {
                Ok(pb::LeaseTimeToLiveResponse { header: Some(self.header(self.revision()?)), ..response })
            }
            _ => Err(StoreError::MalformedPeerMessage),
        }
    }

    /// [`Store::lease_time_to_live`] on the leader, which alone counts the time.
    pub(crate) async fn leader_lease_time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, StoreError> {
        self.read_index().await?;
        if !self.leads()? {
            return Err(StoreError::NotLeader);
        }
        let (id, with_keys) = (request.id, request.keys);
        let (revision, keys) = self
            .read(move |mvcc| {
                let view = mvcc.view()?;
                let keys = if with_keys { view.lease_keys(id)? } else { Vec::new() };
                Ok((view.revision(), keys))
            })
            .await?;
        let mut response = pb::LeaseTimeToLiveResponse {
            header: Some(self.header(revision)),
            id,
            ttl: -1,
            ..pb::LeaseTimeToLiveResponse::default()
        };
        if let Some(left) = self.0.leases.time_to_live(id) {
            response.ttl = left.remaining_seconds;
            response.granted_ttl = left.granted_seconds;
            response.keys = keys;
        }
        Ok(response)
    }

    /// All leases.
    pub async fn lease_leases(&self) -> Result<pb::LeaseLeasesResponse, StoreError> {
        self.read_index().await?;
        let leases = self.0.leases.ids().into_iter().map(|id| pb::LeaseStatus { id }).collect();
        Ok(pb::LeaseLeasesResponse { header: Some(self.header(self.revision()?)), leases })
    }

    /// One and a half election timeouts, so that a lease outlives a change of leader; etcd's `minTTL`.
    fn min_lease_ttl_seconds(&self) -> i64 {
        let seconds = (self.config().election_millis.saturating_mul(3) / 2).div_ceil(1000);
        i64::try_from(seconds).unwrap_or(MAX_LEASE_TTL_SECONDS)
    }
}
