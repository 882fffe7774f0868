//! Machines that run the store's cores, and stop.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pintle_loadtest::history::{Request, Response};
use pintle_proto::mvccpb::Event;
use pintle_store::apply::{self, Command};
use pintle_store::error::StoreError;
use pintle_store::mvcc::Mvcc;
use pintle_store::raft::log_store::LogBounds;
use pintle_store::raft::membership::member_id;
use pintle_store::raft::node::{Founding, Node, StartConfig};
use pintle_store::raft::state_machine::Observer;
use pintle_store::raft::{LogDisk, Member};
use tempfile::TempDir;

use super::disk::Disk;
use super::world::{Wires, World};

const TOKEN: &str = "simulation";
/// Entries that a log grows to, so few that members which were away need snapshots.
const LOG_ENTRIES: u64 = 80;

/// A machine that runs a member.
pub struct Machine {
    /// The member.
    pub node: Node<Disk>,
    mvcc: Arc<Mvcc<Disk>>,
    directory: PathBuf,
    received: AtomicU64,
}

impl Machine {
    /// Copies a directory that another member sends.
    pub fn receive(&self, directory: &Path) -> PathBuf {
        let number = self.received.fetch_add(1, Ordering::Relaxed);
        let copy = self.directory.join(format!("received-{number}"));
        std::fs::create_dir_all(&copy).unwrap();
        for entry in std::fs::read_dir(directory).into_iter().flatten() {
            let entry = entry.unwrap();
            std::fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        copy
    }

    /// Answers a client.
    pub async fn ask(&self, request: Request) -> Result<Response, StoreError> {
        let read_only = request.is_read_only();
        let command = match request {
            Request::Range(range) => {
                if !range.serializable {
                    self.node.read_index().await?;
                }
                return self.mvcc.view()?.range(&range).map(Response::Range);
            }
            Request::Txn(txn) if read_only => {
                self.node.read_index().await?;
                return self.mvcc.view()?.txn(&txn).map(Response::Txn);
            }
            Request::Put(put) => Command::Put(put),
            Request::DeleteRange(delete) => Command::DeleteRange(delete),
            Request::Txn(txn) => Command::Txn(txn),
            Request::LeaseRevoke(revoke) => Command::LeaseRevoke(revoke),
        };
        Ok(match self.node.propose(command).await? {
            apply::Response::Put(response) => Response::Put(response),
            apply::Response::DeleteRange(response) => Response::DeleteRange(response),
            apply::Response::Txn(response) => Response::Txn(response),
            apply::Response::LeaseRevoke(response) => Response::LeaseRevoke(response),
            other => panic!("answered {other:?}"),
        })
    }

    /// How it stands, for a report.
    pub fn describe(&self) -> String {
        let stopped = futures::FutureExt::now_or_never(self.node.stopped());
        format!("{:x}: {:?}, stopped: {stopped:?}", self.node.identity().member_id, self.node.standing())
    }

    /// The revision that it has come to, and the hash of everything.
    pub fn standing(&self) -> (i64, u32) {
        let view = self.mvcc.view().unwrap();
        (view.revision(), view.hash_everything().unwrap())
    }
}

/// Tells the world what its member applies.
struct Ear(Arc<World>);

impl Observer for Ear {
    fn took_effect(&self, _command: &Command, _response: &apply::Response) {}

    fn advanced(&self, _revision: i64, events: Vec<Event>) {
        self.0.applied(events);
    }

    fn replaced(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// A member's place: its disks stay when its machine stops.
struct Seat {
    member: Member,
    id: u64,
    log: Arc<Disk>,
    state: Arc<Disk>,
}

/// All members.
pub struct Cluster {
    world: Arc<World>,
    seats: Vec<Seat>,
    directory: TempDir,
}

impl Cluster {
    /// Founds a cluster of so many members.
    pub async fn found(world: Arc<World>, size: usize) -> Self {
        let seat = |number: usize| {
            let peer_urls = vec![format!("http://{number}")];
            let id = member_id(&peer_urls, TOKEN, None);
            let member = Member { name: number.to_string(), peer_urls, ..Member::default() };
            Seat { member, id, log: Arc::default(), state: Arc::default() }
        };
        let directory = tempfile::tempdir().unwrap();
        let mut cluster = Self { world, seats: (0..size).map(seat).collect(), directory };
        for number in 0..size {
            cluster.start(number).await;
        }
        cluster
    }

    /// How many members there are.
    pub fn size(&self) -> usize {
        self.seats.len()
    }

    /// A member's id.
    pub fn id(&self, number: usize) -> u64 {
        self.seats[number].id
    }

    /// A member's machine, if it runs.
    pub fn machine(&self, number: usize) -> Option<Arc<Machine>> {
        self.world.machine(self.id(number))
    }

    /// Starts a member that does not run.
    pub async fn start(&mut self, number: usize) {
        let seat = &self.seats[number];
        if self.world.machine(seat.id).is_some() {
            return;
        }
        let mvcc = Arc::new(Mvcc::open(seat.state.clone()).unwrap());
        let directory = self.directory.path().join(number.to_string());
        let world = self.world.clone();
        let config = StartConfig {
            member: seat.member.clone(),
            cluster_token: TOKEN.to_owned(),
            founding: Founding::New(self.seats.iter().map(|seat| seat.member.clone()).collect()),
            transport: Arc::new(Wires { world: world.clone(), from: seat.id }),
            snapshots: directory.clone(),
            log_bounds: LogBounds { max_entries: LOG_ENTRIES, keep_entries: LOG_ENTRIES / 3, ..LogBounds::default() },
            log_disk: LogDisk::Simulated(Arc::new(move || world.sync_time())),
            force_new_cluster: false,
            heartbeat_millis: 100,
            election_millis: 1000,
        };
        let ear = Box::new(Ear(self.world.clone()));
        let node = Node::start(seat.log.clone(), mvcc.clone(), ear, config).await.unwrap();
        let machine = Machine { node, mvcc, directory, received: AtomicU64::default() };
        self.world.set_machine(seat.id, Some(Arc::new(machine)));
    }

    /// Stops a member at once: it says nothing more, and its disks have what was synced.
    pub fn stop(&mut self, number: usize) {
        let seat = &mut self.seats[number];
        let Some(machine) = self.world.machine(seat.id) else { return };
        self.world.set_machine(seat.id, None);
        let world = self.world.clone();
        // What still runs of it works on disks that nobody looks at any more.
        seat.log = Arc::new(world.draw(|random| seat.log.after_stop(random)));
        seat.state = Arc::new(world.draw(|random| seat.state.after_stop(random)));
        tokio::spawn(async move { machine.node.shutdown().await });
    }

    /// Waits until every member serves consistent reads; false if one does not in time.
    pub async fn recovers(&self) -> bool {
        const ENOUGH: Duration = Duration::from_secs(120);
        let all = async {
            for number in 0..self.size() {
                let machine = self.machine(number).unwrap();
                while machine.node.read_index().await.is_err() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        };
        tokio::time::timeout(ENOUGH, all).await.is_ok()
    }
}
