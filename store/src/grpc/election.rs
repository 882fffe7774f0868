//! The Election service. Candidates have a key each below the election's name; who came first is elected.
//!
//! As in etcd, it is a client of the store: errors are those that a client reports (`clientv3/concurrency`).

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::range_request::SortOrder;
use pintle_proto::etcdserverpb::request_op;
use pintle_proto::mvccpb::KeyValue;
use pintle_proto::mvccpb::event::EventType;
use pintle_proto::v3electionpb as electionpb;
use pintle_proto::v3electionpb::election_server::Election;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::Services;
use super::behalf::{Behalf, created_at, first, key_of, key_read, prefix_end, put, read_key, revision};
use super::status::unknown;

/// Serves [`Election`] from the other services.
#[derive(Clone)]
pub struct ElectionService {
    services: Services,
}

impl ElectionService {
    /// Elects with the keys and leases of `services`.
    pub fn new(services: Services) -> Self {
        Self { services }
    }
}

#[tonic::async_trait]
impl Election for ElectionService {
    type ObserveStream = BoxStream<'static, Result<electionpb::LeaderResponse, Status>>;

    async fn campaign(
        &self,
        request: Request<electionpb::CampaignRequest>,
    ) -> Result<Response<electionpb::CampaignResponse>, Status> {
        let (caller, request) = Behalf::of(&self.services, request);
        let lease = caller.session(request.lease).await?;
        let prefix = prefix(&request.name);
        let key = key_of(&prefix, lease);
        let entered = caller
            .txn(pb::TxnRequest {
                compare: vec![created_at(&key, 0)],
                success: vec![put(&key, request.value.clone(), lease)],
                failure: vec![read_key(&key)],
            })
            .await?;
        let mut candidate =
            Candidate { caller, key, revision: revision(entered.header.as_ref()), lease, leaving: true };
        if let Some(own) = key_read(&entered, 0).filter(|_| !entered.succeeded) {
            candidate.revision = own.create_revision;
            if own.value != request.value {
                // Who cannot say what it stands for does not stand.
                candidate.proclaim(request.value).await?;
            }
        }
        let waited = candidate.caller.wait_for_earlier(&prefix, candidate.revision - 1).await;
        candidate.leaving = false;
        waited?;
        let leader =
            electionpb::LeaderKey { name: request.name, key: candidate.key.clone(), rev: candidate.revision, lease };
        Ok(Response::new(electionpb::CampaignResponse { header: entered.header, leader: Some(leader) }))
    }

    async fn proclaim(
        &self,
        request: Request<electionpb::ProclaimRequest>,
    ) -> Result<Response<electionpb::ProclaimResponse>, Status> {
        let (caller, request) = Behalf::of(&self.services, request);
        let candidate = Candidate::resume(caller, request.leader).await?;
        let header = candidate.proclaim(request.value).await?;
        Ok(Response::new(electionpb::ProclaimResponse { header }))
    }

    async fn leader(
        &self,
        request: Request<electionpb::LeaderRequest>,
    ) -> Result<Response<electionpb::LeaderResponse>, Status> {
        let (caller, request) = Behalf::of(&self.services, request);
        let response = caller.range(first(&prefix(&request.name), SortOrder::Ascend)).await?;
        match response.kvs.into_iter().next() {
            Some(kv) => Ok(Response::new(electionpb::LeaderResponse { header: response.header, kv: Some(kv) })),
            None => Err(unknown("election: no leader")),
        }
    }

    async fn observe(
        &self,
        request: Request<electionpb::LeaderRequest>,
    ) -> Result<Response<Self::ObserveStream>, Status> {
        let (caller, request) = Behalf::of(&self.services, request);
        let (sender, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let observed = async {
                // Whatever ends it ends the stream, without an error.
                let Err(end) = observe(&caller, &prefix(&request.name), &sender).await;
                tracing::debug!(?end, "an election is observed no longer");
            };
            tokio::select! {
                () = sender.closed() => {}
                () = observed => {}
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver).map(Ok).boxed()))
    }

    async fn resign(
        &self,
        request: Request<electionpb::ResignRequest>,
    ) -> Result<Response<electionpb::ResignResponse>, Status> {
        let (caller, request) = Behalf::of(&self.services, request);
        let header = Candidate::resume(caller, request.leader).await?.resign().await?;
        Ok(Response::new(electionpb::ResignResponse { header }))
    }
}

/// What the keys of an election's candidates begin with.
fn prefix(name: &[u8]) -> Bytes {
    [name, b"/"].concat().into()
}

/// Somebody who stands for election.
struct Candidate {
    caller: Behalf,
    key: Bytes,
    /// When `key` was created.
    revision: i64,
    lease: i64,
    /// Whether the candidate gives up when dropped.
    leaving: bool,
}

impl Candidate {
    /// The candidate that a key was given to.
    async fn resume(caller: Behalf, leader: Option<electionpb::LeaderKey>) -> Result<Self, Status> {
        let leader = leader.ok_or_else(|| unknown("\"leader\" field must be provided"))?;
        let lease = caller.session(leader.lease).await?;
        Ok(Self { caller, key: leader.key, revision: leader.rev, lease, leaving: false })
    }

    /// Changes the value that the candidate shows.
    async fn proclaim(&self, value: Bytes) -> Result<Option<pb::ResponseHeader>, Status> {
        let txn = pb::TxnRequest {
            compare: vec![created_at(&self.key, self.revision)],
            success: vec![put(&self.key, value, self.lease)],
            ..Default::default()
        };
        let response = self.caller.txn(txn).await?;
        if response.succeeded { Ok(response.header) } else { Err(unknown("election: not leader")) }
    }

    async fn resign(&self) -> Result<Option<pb::ResponseHeader>, Status> {
        let (caller, txn) = (self.caller.clone(), self.resignation());
        Ok(caller.txn(txn).await?.header)
    }

    fn resignation(&self) -> pb::TxnRequest {
        let delete = pb::DeleteRangeRequest { key: self.key.clone(), ..Default::default() };
        pb::TxnRequest {
            compare: vec![created_at(&self.key, self.revision)],
            success: vec![pb::RequestOp { request: Some(request_op::Request::RequestDeleteRange(delete)) }],
            ..Default::default()
        }
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if !self.leaving {
            return;
        }
        let (caller, resignation) = (self.caller.clone(), self.resignation());
        tokio::spawn(async move {
            if let Err(error) = caller.txn(resignation).await {
                tracing::debug!(%error, "a candidacy is left to its lease");
            }
        });
    }
}

/// Nobody is told of the leader any more.
#[derive(Debug)]
enum End {
    Failed(#[allow(dead_code, reason = "for the log")] Status),
    NobodyListens,
}

impl From<Status> for End {
    fn from(status: Status) -> Self {
        Self::Failed(status)
    }
}

/// Tells who leads: now, after every proclamation, and after every election.
async fn observe(
    caller: &Behalf,
    prefix: &Bytes,
    told: &mpsc::Sender<electionpb::LeaderResponse>,
) -> Result<std::convert::Infallible, End> {
    let tell = async |header, kv| {
        told.send(electionpb::LeaderResponse { header, kv: Some(kv) }).await.map_err(|_| End::NobodyListens)
    };
    loop {
        let response = caller.range(first(prefix, SortOrder::Ascend)).await?;
        let mut header = response.header.unwrap_or_default();
        let leader = if let Some(leader) = response.kvs.into_iter().next() {
            leader
        } else {
            let (told_by, leader) = first_candidate(caller, prefix, header.revision).await?;
            header = pb::ResponseHeader { revision: leader.mod_revision, ..told_by };
            leader
        };
        let (key, next_revision) = (leader.key.clone(), header.revision + 1);
        tell(Some(header), leader).await?;
        let mut watch = caller.watch(key, Bytes::new(), next_revision).await?;
        'reign: loop {
            let response = watch.next().await?;
            for event in response.events {
                if event.r#type() == EventType::Delete {
                    break 'reign;
                }
                tell(response.header, event.kv.unwrap_or_default()).await?;
            }
        }
    }
}

/// Waits for a key below a prefix that has none.
async fn first_candidate(
    caller: &Behalf,
    prefix: &Bytes,
    revision: i64,
) -> Result<(pb::ResponseHeader, KeyValue), Status> {
    let mut watch = caller.watch(prefix.clone(), prefix_end(prefix), revision).await?;
    loop {
        let response = watch.next().await?;
        let put = response.events.into_iter().find(|event| event.r#type() == EventType::Put);
        if let Some(kv) = put.and_then(|event| event.kv) {
            return Ok((response.header.unwrap_or_default(), kv));
        }
    }
}
