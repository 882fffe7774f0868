//! Clients that write and read, and remember what they asked for, when, and what they were told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::kv_client::KvClient;
use pintle_proto::etcdserverpb::lease_client::LeaseClient;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::history::workload::Workload;
use crate::history::{History, Operation, Outcome, Request, Response};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two requests of a client, so that a history stays a size that can be checked.
const PACE: Duration = Duration::from_millis(8);
/// After an error, so that a member that refuses is not asked all the time.
const RESPITE: Duration = Duration::from_millis(60);
/// Requests for which a client keeps a lease.
const LEASE_REQUESTS: u32 = 25;
/// Seconds of a lease.
const LEASE_SECONDS: i64 = 3;

/// What all clients and watchers of a round share.
#[derive(Debug)]
pub struct Shared {
    began: Instant,
    /// No more requests are to be sent.
    pub finished: AtomicBool,
    /// The newest revision that was compacted.
    pub compacted: AtomicI64,
}

impl Shared {
    /// Of a round that begins now.
    pub fn new() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), finished: AtomicBool::new(false), compacted: AtomicI64::new(0) })
    }

    /// Since the round began.
    pub fn nanos(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// One client.
pub struct Client {
    number: u32,
    channels: Vec<Channel>,
    /// Which member it talks to.
    member: usize,
    shared: Arc<Shared>,
    workload: Workload,
    history: History,
}

/// A lease as its client knows it.
struct Lease {
    id: i64,
    /// Before this it cannot have expired: it was kept alive by a request sent a TTL earlier.
    lives_until_nanos: u64,
    revoked: bool,
}

impl Client {
    /// Client `number` of a round with this seed.
    pub fn new(seed: u64, number: u32, channels: Vec<Channel>, shared: Arc<Shared>) -> Self {
        let member = number as usize % channels.len();
        Self { number, channels, member, shared, workload: Workload::new(seed, number), history: History::new() }
    }

    /// Works until the round is over, and returns what it remembers. Every third client binds keys to leases.
    pub async fn run(mut self) -> History {
        let leases = self.number.is_multiple_of(3);
        while !self.shared.finished.load(Ordering::Relaxed) {
            if leases && let Some(lease) = self.grant().await {
                self.work_with(lease).await;
            } else {
                self.work(LEASE_REQUESTS).await;
            }
        }
        self.history
    }

    async fn work(&mut self, requests: u32) {
        for _ in 0..requests {
            if self.shared.finished.load(Ordering::Relaxed) {
                return;
            }
            self.workload.forget(self.shared.compacted.load(Ordering::Relaxed));
            let request = self.workload.next_request();
            self.take(request).await;
            sleep(PACE).await;
        }
    }

    /// Works with some keys bound to a lease, then revokes it or lets it expire.
    async fn work_with(&mut self, mut lease: Lease) {
        self.workload.bind(lease.id);
        for _ in 0..3 {
            self.work(LEASE_REQUESTS / 3).await;
            self.keep_alive(&mut lease).await;
        }
        self.workload.bind(0);
        if lease.id % 2 == 0 {
            let request = Request::LeaseRevoke(pb::LeaseRevokeRequest { id: lease.id });
            lease.revoked = self.take(request).await;
        }
        if !lease.revoked {
            // From when it may have expired on, it may do so at any time.
            self.history.push(Operation {
                client: self.number,
                invoked_nanos: lease.lives_until_nanos,
                returned_nanos: u64::MAX,
                request: Request::LeaseRevoke(pb::LeaseRevokeRequest { id: lease.id }),
                outcome: Outcome::Unknown,
            });
        }
    }

    /// Sends a request and remembers it. Whether it was answered.
    async fn take(&mut self, request: Request) -> bool {
        let invoked_nanos = self.shared.nanos();
        let answer = timeout(PATIENCE, ask(self.channels[self.member].clone(), request.clone())).await;
        let outcome = match answer {
            Ok(Ok(response)) => {
                self.workload.learn(&response);
                Outcome::Answered(Box::new(response))
            }
            Ok(Err(status)) if took_no_effect(status.code()) => Outcome::Refused,
            Ok(Err(_)) | Err(_) => Outcome::Unknown,
        };
        let returned_nanos = self.shared.nanos();
        let (answered, unknown) = (matches!(outcome, Outcome::Answered(_)), outcome == Outcome::Unknown);
        self.history.push(Operation { client: self.number, invoked_nanos, returned_nanos, request, outcome });
        if unknown {
            self.member = (self.member + 1) % self.channels.len();
            sleep(RESPITE).await;
        }
        answered
    }

    async fn grant(&mut self) -> Option<Lease> {
        let sent = self.shared.nanos();
        let mut client = LeaseClient::new(self.channels[self.member].clone());
        let request = pb::LeaseGrantRequest { ttl: LEASE_SECONDS, id: 0 };
        let granted = timeout(PATIENCE, client.lease_grant(request)).await.ok()?.ok()?.into_inner();
        Some(Lease { id: granted.id, lives_until_nanos: sent + nanos(granted.ttl), revoked: false })
    }

    async fn keep_alive(&self, lease: &mut Lease) {
        let sent = self.shared.nanos();
        let mut client = LeaseClient::new(self.channels[self.member].clone());
        let request = tokio_stream::once(pb::LeaseKeepAliveRequest { id: lease.id });
        let kept = timeout(PATIENCE, async { client.lease_keep_alive(request).await?.into_inner().message().await });
        // One that was not confirmed may have been kept, or not: then it may expire as before.
        if let Ok(Ok(Some(kept))) = kept.await
            && kept.ttl > 0
        {
            lease.lives_until_nanos = sent + nanos(kept.ttl);
        }
    }
}

fn nanos(seconds: i64) -> u64 {
    u64::try_from(seconds).unwrap_or(0).saturating_mul(1_000_000_000)
}

/// Whether an error with this code says that the request took no effect. Others may come from a member that lost sight of
/// what it had already proposed.
fn took_no_effect(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument | Code::NotFound | Code::OutOfRange | Code::ResourceExhausted | Code::FailedPrecondition
    )
}

async fn ask(channel: Channel, request: Request) -> Result<Response, Status> {
    let mut kv = KvClient::new(channel.clone());
    Ok(match request {
        Request::Put(request) => Response::Put(kv.put(request).await?.into_inner()),
        Request::DeleteRange(request) => Response::DeleteRange(kv.delete_range(request).await?.into_inner()),
        Request::Range(request) => Response::Range(kv.range(request).await?.into_inner()),
        Request::Txn(request) => Response::Txn(kv.txn(request).await?.into_inner()),
        Request::LeaseRevoke(request) => {
            Response::LeaseRevoke(LeaseClient::new(channel).lease_revoke(request).await?.into_inner())
        }
    })
}
