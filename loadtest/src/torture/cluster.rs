//! The cluster under test: members, their network and disks, and what they say of themselves.

use std::path::Path;
use std::time::Duration;

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::kv_client::KvClient;
use pintle_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use super::disk::Disks;
use super::error::TortureError;
use super::member::{Member, Program};
use super::network::Network;

/// How long one question to a member may take.
const QUESTION: Duration = Duration::from_secs(3);
/// How long the cluster may take to serve again when nothing stands in its way.
const RECOVERY: Duration = Duration::from_secs(120);
/// How often to look meanwhile.
const LOOK: Duration = Duration::from_millis(100);
/// A key of the harness's own, outside of the clients'.
const PROBE: &str = "probe";

/// The cluster. Ended and removed when dropped: members first, then what they stand on.
#[derive(Debug)]
pub struct Cluster {
    /// By number.
    pub members: Vec<Member>,
    /// Between them.
    pub network: Network,
    /// Under them.
    pub disks: Disks,
    channels: Vec<Channel>,
}

impl Cluster {
    /// Founds a cluster of `size` members and waits until it serves.
    pub async fn found(program: &Path, size: usize) -> Result<Self, TortureError> {
        let network = Network::new(size)?;
        let disks = Disks::new(size)?;
        let peers: Vec<String> =
            (0..size).map(|member| format!("m{member}=http://{}:2380", network.address(member))).collect();
        let peers = peers.join(",");
        let mut members = Vec::new();
        let mut channels = Vec::new();
        for member in 0..size {
            let (address, data) = (network.address(member), disks.mounted(member).join("data"));
            let arguments = [
                format!("--name=m{member}"),
                format!("--data-dir={}", data.display()),
                format!("--listen-client-urls=http://{address}:2379"),
                format!("--advertise-client-urls=http://{address}:2379"),
                format!("--listen-peer-urls=http://{address}:2380"),
                format!("--initial-advertise-peer-urls=http://{address}:2380"),
                format!("--initial-cluster={peers}"),
                "--initial-cluster-state=new".to_owned(),
                "--initial-cluster-token=torture".to_owned(),
                "--heartbeat-interval=100".to_owned(),
                "--election-timeout=1000".to_owned(),
                // A short log, so that a member that was away for a while needs a snapshot.
                "--snapshot-count=500".to_owned(),
                "--snapshot-catchup-entries=100".to_owned(),
            ];
            members.push(Member::new(Program {
                path: program.to_owned(),
                arguments: arguments.into(),
                namespace: network.namespace(member),
                output: disks.output(member),
            }));
            channels.push(channel(&address)?);
        }
        let mut cluster = Self { members, network, disks, channels };
        for member in &mut cluster.members {
            member.start(Duration::ZERO)?;
        }
        cluster.recovered().await?;
        Ok(cluster)
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        self.members.len()
    }

    /// Connections to the members.
    pub fn channels(&self) -> &[Channel] {
        &self.channels
    }

    async fn status(&self, member: usize) -> Option<pb::StatusResponse> {
        let mut client = MaintenanceClient::new(self.channels[member].clone());
        let answered = timeout(QUESTION, client.status(pb::StatusRequest::default())).await;
        answered.ok()?.ok().map(tonic::Response::into_inner)
    }

    /// The number of the member that leads, as far as one of them knows.
    pub async fn leader(&self) -> Option<usize> {
        for member in 0..self.size() {
            if let Some(status) = self.status(member).await
                && status.header.is_some_and(|header| header.member_id == status.leader)
            {
                return Some(member);
            }
        }
        None
    }

    /// Asks the leader to hand over to another member.
    pub async fn move_leader(&self, from: usize, to: usize) -> Result<(), String> {
        let target = self.status(to).await.and_then(|status| status.header).ok_or("it cannot be reached")?;
        let mut client = MaintenanceClient::new(self.channels[from].clone());
        let request = pb::MoveLeaderRequest { target_id: target.member_id };
        let answered = timeout(QUESTION, client.move_leader(request)).await;
        answered.map_err(|_| "no answer")?.map(drop).map_err(|status| status.message().to_owned())
    }

    /// Compacts through a revision.
    pub async fn compact(&self, member: usize, revision: i64) -> Result<(), String> {
        let mut client = KvClient::new(self.channels[member].clone());
        let request = pb::CompactionRequest { revision, physical: false };
        let answered = timeout(QUESTION, client.compact(request)).await;
        answered.map_err(|_| "no answer")?.map(drop).map_err(|status| status.message().to_owned())
    }

    /// Waits until every member answers a consistent read, and returns the newest revision that one was told.
    ///
    /// # Errors
    /// [`TortureError::Ended`] when one has ended, [`TortureError::NotRecovered`] when it takes too long.
    pub async fn recovered(&mut self) -> Result<i64, TortureError> {
        let deadline = Instant::now() + RECOVERY;
        let mut newest = 0;
        for member in 0..self.size() {
            loop {
                self.check_running()?;
                let mut client = KvClient::new(self.channels[member].clone());
                let read = client.range(pb::RangeRequest { key: PROBE.into(), ..pb::RangeRequest::default() });
                let why = match timeout(QUESTION, read).await {
                    Ok(Ok(answer)) => {
                        let header = answer.into_inner().header;
                        newest = newest.max(header.map_or(0, |header| header.revision));
                        break;
                    }
                    Ok(Err(status)) => format!("{:?} {}", status.code(), status.message()),
                    Err(_) => "no answer".to_owned(),
                };
                if Instant::now() > deadline {
                    let said = self.members[member].said();
                    return Err(TortureError::NotRecovered(format!(
                        "member {member} reads: {why}; it said last:\n{said}"
                    )));
                }
                sleep(LOOK).await;
            }
        }
        Ok(newest)
    }

    /// # Errors
    /// [`TortureError::Ended`] when a member has ended that should run.
    pub fn check_running(&mut self) -> Result<(), TortureError> {
        for (number, member) in self.members.iter_mut().enumerate() {
            if member.has_ended() {
                return Err(TortureError::Ended { member: number, said: member.said() });
            }
        }
        Ok(())
    }

    /// Waits until all members have the same hash of everything at a revision.
    pub async fn agree(&self, revision: i64) -> Result<(), TortureError> {
        let deadline = Instant::now() + RECOVERY;
        loop {
            let mut hashes = Vec::new();
            for member in 0..self.size() {
                let mut client = MaintenanceClient::new(self.channels[member].clone());
                let answered = timeout(QUESTION, client.hash_kv(pb::HashKvRequest { revision })).await;
                hashes.push(match answered {
                    Ok(Ok(answer)) => {
                        let answer = answer.into_inner();
                        Ok((answer.hash, answer.compact_revision))
                    }
                    Ok(Err(status)) => Err(format!("{:?} {}", status.code(), status.message())),
                    Err(_) => Err("no answer".to_owned()),
                });
            }
            if hashes.iter().all(|hash| hash.is_ok() && hash == &hashes[0]) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let text = format!("hashes of the members at revision {revision} differ: {hashes:?}");
                return Err(TortureError::NotRecovered(text));
            }
            sleep(LOOK).await;
        }
    }
}

fn channel(address: &str) -> Result<Channel, TortureError> {
    let endpoint = Endpoint::from_shared(format!("http://{address}:2379"));
    let endpoint = endpoint.map_err(|error| TortureError::Unavailable(error.to_string()))?;
    Ok(endpoint.tcp_nodelay(true).connect_timeout(Duration::from_secs(1)).connect_lazy())
}
