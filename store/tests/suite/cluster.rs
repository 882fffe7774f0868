//! Clusters of real processes on loopback: writes and reads anywhere, leaders that are killed, members that start again
//! from disk, fall far behind, lose their majority, or belong to another cluster.

use std::future::Future;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use etcd_client::{Client, ConnectOptions, GetOptions, WatchOptions};
use tempfile::TempDir;

/// Long enough for an election on a machine that does much else.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// Members as processes, by number.
pub(super) struct Cluster {
    directory: TempDir,
    token: &'static str,
    /// Flags of all members.
    flags: &'static [&'static str],
    peers: Vec<u16>,
    clients: Vec<u16>,
    running: Vec<Option<Child>>,
}

/// A port that nobody listens on, that is given once, and that no connection goes out from by chance: those have higher
/// ones.
fn free_port() -> u16 {
    const PORTS: u32 = 10_000;
    static GIVEN: AtomicU32 = AtomicU32::new(0);
    loop {
        // Processes begin at different places.
        let place = std::process::id().wrapping_mul(127).wrapping_add(GIVEN.fetch_add(1, Ordering::Relaxed)) % PORTS;
        let port = 20_000 + u16::try_from(place).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Cluster {
    /// Starts `members`, all at once.
    pub(super) fn start(members: usize) -> Self {
        Self::start_with(members, &[])
    }

    /// Starts `members` that all have these flags.
    pub(super) fn start_with(members: usize, flags: &'static [&'static str]) -> Self {
        let mut cluster = Self {
            directory: TempDir::new().unwrap(),
            token: "test",
            flags,
            peers: (0..members).map(|_| free_port()).collect(),
            clients: (0..members).map(|_| free_port()).collect(),
            running: (0..members).map(|_| None).collect(),
        };
        for member in 0..members {
            cluster.found(member);
        }
        cluster
    }

    /// Starts a member for the first time.
    fn found(&mut self, member: usize) {
        let url = |(number, port)| format!("m{number}=http://127.0.0.1:{port}");
        let members: Vec<String> = self.peers.iter().enumerate().map(url).collect();
        let founders = format!("--initial-cluster={}", members.join(","));
        let token = format!("--initial-cluster-token={}", self.token);
        self.spawn(member, &[&founders, &token]);
    }

    /// Room for one more member, which does not run yet.
    pub(super) fn reserve(&mut self) -> usize {
        self.peers.push(free_port());
        self.clients.push(free_port());
        self.running.push(None);
        self.running.len() - 1
    }

    /// Starts a member that was added to the cluster.
    pub(super) fn join(&mut self, member: usize) {
        let url = |(number, port)| format!("m{number}=http://127.0.0.1:{port}");
        let members: Vec<String> = self.peers.iter().enumerate().map(url).collect();
        let token = format!("--initial-cluster-token={}", self.token);
        let cluster = format!("--initial-cluster={}", members.join(","));
        self.spawn(member, &[&cluster, &token, "--initial-cluster-state=existing"]);
    }

    /// Gives a member that does not run another port for its peers.
    pub(super) fn move_peer(&mut self, member: usize) {
        self.peers[member] = free_port();
    }

    /// Where other members reach a member.
    pub(super) fn peer_url(&self, member: usize) -> String {
        format!("http://127.0.0.1:{}", self.peers[member])
    }

    /// Where clients reach a member.
    pub(super) fn client_url(&self, member: usize) -> String {
        format!("http://127.0.0.1:{}", self.clients[member])
    }

    /// Stops a member as an administrator does.
    pub(super) async fn stop(&mut self, member: usize) {
        let id = self.running[member].as_ref().unwrap().id();
        assert!(Command::new("kill").arg("-TERM").arg(id.to_string()).status().unwrap().success());
        self.ends(member, "").await;
    }

    /// Waits until a member has ended by itself and checks what it said.
    pub(super) async fn ends(&mut self, member: usize, said: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.running[member].as_mut().unwrap().try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "member {member} does not end");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        self.running[member] = None;
        let log = std::fs::read_to_string(self.path(member).with_extension("log")).unwrap();
        assert!(log.contains(said), "{log}");
    }

    /// Starts a member from its disk: what it once was told of the others it does not need again.
    pub(super) fn restart(&mut self, member: usize) {
        self.spawn(member, &[]);
    }

    fn spawn(&mut self, member: usize, arguments: &[&str]) {
        let (peer, client) = (self.peers[member], self.clients[member]);
        let log = std::fs::File::options().create(true).append(true).open(self.path(member).with_extension("log"));
        let child = Command::new(env!("CARGO_BIN_EXE_pintle-store"))
            .arg("--data-dir")
            .arg(self.path(member))
            .arg(format!("--name=m{member}"))
            .arg(format!("--listen-client-urls=http://127.0.0.1:{client}"))
            .arg(format!("--advertise-client-urls=http://127.0.0.1:{client}"))
            .arg(format!("--listen-peer-urls=http://127.0.0.1:{peer}"))
            .arg(format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"))
            .args(self.flags)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        self.running[member] = Some(child.unwrap());
    }

    pub(super) fn path(&self, member: usize) -> std::path::PathBuf {
        self.directory.path().join(format!("m{member}"))
    }

    /// Kills a member as a power failure would.
    pub(super) fn kill(&mut self, member: usize) {
        let mut child = self.running[member].take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// A client of one member, once that serves.
    pub(super) async fn client(&self, member: usize) -> Client {
        self.client_that(member, ConnectOptions::new()).await
    }

    async fn client_that(&self, member: usize, options: ConnectOptions) -> Client {
        let url = format!("http://127.0.0.1:{}", self.clients[member]);
        let options = options.with_timeout(Duration::from_secs(30));
        eventually("a member serves", || async {
            let mut client = Client::connect([&url], Some(options.clone())).await.ok()?;
            client.status().await.ok()?;
            Some(client)
        })
        .await
    }

    /// Which member leads, in whose eyes does not matter.
    pub(super) async fn leader(&self) -> usize {
        let alive: Vec<usize> = (0..self.running.len()).filter(|member| self.running[*member].is_some()).collect();
        eventually("somebody leads", || async {
            for member in &alive {
                let status = self.client(*member).await.status().await.ok()?;
                if status.leader() != 0 && status.leader() == status.header()?.member_id() {
                    return Some(*member);
                }
            }
            None
        })
        .await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        for child in self.running.iter_mut().flatten() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            for member in 0..self.running.len() {
                let log = std::fs::read_to_string(self.path(member).with_extension("log")).unwrap_or_default();
                eprintln!("--- member {member} said:\n{log}");
            }
        }
    }
}

/// Tries until something is there.
pub(super) async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut attempt: impl FnMut() -> F) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Puts a key, again if a leader was lost over it.
pub(super) async fn put(client: &mut Client, key: &str, value: &str) {
    let client = &*client;
    eventually("a write is acknowledged", || async { client.clone().put(key, value, None).await.ok() }).await;
}

pub(super) async fn get(client: &mut Client, key: &str) -> Option<String> {
    let response = client.get(key, None).await.unwrap();
    response.kvs().first().map(|kv| kv.value_str().unwrap().to_owned())
}

/// What a member has applied itself, without asking others.
async fn own_count(client: &mut Client, prefix: &str) -> Option<i64> {
    let options = GetOptions::new().with_prefix().with_serializable().with_count_only();
    Some(client.get(prefix, Some(options)).await.ok()?.count())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_member_acknowledged_every_other_reads_at_once_and_watchers_miss_nothing() {
    const ROUNDS: usize = 10;
    let cluster = Cluster::start(3);
    let mut clients = Vec::new();
    for member in 0..3 {
        clients.push(cluster.client(member).await);
    }
    let follower = (cluster.leader().await + 1) % 3;
    let options = WatchOptions::new().with_prefix().with_start_revision(2);
    let mut watch = clients[follower].watch("k/", Some(options)).await.unwrap();

    for round in 0..ROUNDS {
        for writer in 0..3 {
            let (key, value) = (format!("k/{writer}"), round.to_string());
            put(&mut clients[writer], &key, &value).await;
            for reader in &mut clients {
                assert_eq!(get(reader, &key).await.as_deref(), Some(value.as_str()), "member {writer} wrote {key}");
            }
        }
    }

    let mut seen = Vec::new();
    while seen.len() < 3 * ROUNDS {
        let response = tokio::time::timeout(PATIENCE, watch.message()).await.unwrap().unwrap().unwrap();
        for event in response.events() {
            let kv = event.kv().unwrap();
            seen.push((kv.mod_revision(), kv.key_str().unwrap().to_owned(), kv.value_str().unwrap().to_owned()));
        }
    }
    assert!(seen.is_sorted_by(|one, next| one.0 + 1 == next.0), "every revision once, in order: {seen:?}");

    let mut leased = clients[follower].clone();
    let lease = leased.lease_grant(60, None).await.unwrap().id();
    let (mut keeper, mut kept) = leased.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    assert_eq!(kept.message().await.unwrap().unwrap().ttl(), 60, "a follower has the leader renew");
    let left = leased.lease_time_to_live(lease, None).await.unwrap();
    assert!(left.ttl() > 50 && left.granted_ttl() == 60, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_takes_nothing_with_it_and_comes_back_from_its_disk() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let mut client = cluster.client((leader + 1) % 3).await;
    for number in 0..20 {
        put(&mut client, &format!("before/{number}"), "1").await;
    }
    cluster.kill(leader);
    for number in 0..20 {
        put(&mut client, &format!("after/{number}"), "1").await;
    }
    assert_eq!(own_count(&mut client, "before/").await, Some(20));
    cluster.restart(leader);
    let mut returned = cluster.client(leader).await;
    assert_eq!(get(&mut returned, "after/19").await.as_deref(), Some("1"));
    assert_eq!(own_count(&mut returned, "before/").await, Some(20));
    assert_eq!(own_count(&mut returned, "after/").await, Some(20));
    put(&mut returned, "from/it", "1").await;
    assert_eq!(get(&mut client, "from/it").await.as_deref(), Some("1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn five_members_go_on_without_two() {
    let mut cluster = Cluster::start(5);
    let leader = cluster.leader().await;
    let mut client = cluster.client((leader + 1) % 5).await;
    put(&mut client, "k", "1").await;
    cluster.kill(leader);
    cluster.kill((leader + 2) % 5);
    put(&mut client, "k", "2").await;
    for member in [(leader + 3) % 5, (leader + 4) % 5] {
        assert_eq!(get(&mut cluster.client(member).await, "k").await.as_deref(), Some("2"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_majority_nothing_is_acknowledged_and_all_goes_on_when_it_returns() {
    let mut cluster = Cluster::start(3);
    let mut client = cluster.client(0).await;
    put(&mut client, "k", "1").await;
    let mut demanding = cluster.client_that(0, ConnectOptions::new().with_require_leader(true)).await;
    let mut watch = demanding.watch("k", None).await.unwrap();
    cluster.kill(1);
    cluster.kill(2);

    let ended = async {
        loop {
            match watch.message().await {
                Err(error) => return error.to_string(),
                Ok(Some(_)) => {}
                Ok(None) => return "the watch just ended".to_owned(),
            }
        }
    };
    let ended = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert!(ended.contains("etcdserver: no leader"), "{ended}");

    let refused = client.put("k", "2", None).await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: request timed out"), "{refused}");
    let refused = client.get("k", None).await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: request timed out"), "{refused}");
    assert_eq!(client.status().await.unwrap().leader(), 0);
    assert_eq!(own_count(&mut client, "k").await, Some(1), "what it has it shows to whom that is enough");

    cluster.restart(2);
    put(&mut client, "k", "3").await;
    assert_eq!(get(&mut cluster.client(2).await, "k").await.as_deref(), Some("3"));
}

/// Bytes below a directory.
fn size(directory: &Path) -> u64 {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_far_behind_gets_a_snapshot_also_when_it_is_killed_over_it() {
    /// More than the log keeps for a follower.
    const MEBIBYTES: usize = 256;
    let mut cluster = Cluster::start(3);
    let behind = (cluster.leader().await + 1) % 3;
    let mut client = cluster.client((behind + 1) % 3).await;
    put(&mut client, "early", "1").await;
    cluster.kill(behind);
    let letter = |place: usize| char::from(b"abcdefghijklmnopqrstuvwxyz"[place.wrapping_mul(place) % 8191 % 26]);
    let value: String = (0..1 << 20).map(letter).collect();
    for number in 0..MEBIBYTES {
        put(&mut client, &format!("big/{:03}", number % 20), &value).await;
        put(&mut client, &format!("small/{number:03}"), "1").await;
    }

    cluster.restart(behind);
    let incoming = cluster.path(behind).join("snapshots").join("incoming");
    let installed = |directory: &Path| directory.join("state.1").exists();
    eventually("a snapshot comes in", || async {
        (size(&incoming) > 0 || installed(&cluster.path(behind))).then_some(())
    })
    .await;
    cluster.kill(behind);

    cluster.restart(behind);
    let mut returned = cluster.client(behind).await;
    assert_eq!(own_count(&mut returned, "small/").await, Some(i64::try_from(MEBIBYTES).unwrap()));
    assert_eq!(get(&mut returned, "early").await.as_deref(), Some("1"));
    assert_eq!(get(&mut returned, "big/007").await, Some(value));
    put(&mut returned, "from/it", "1").await;

    // From its own disk, too.
    cluster.kill(behind);
    cluster.restart(behind);
    let mut returned = cluster.client(behind).await;
    assert_eq!(get(&mut returned, "from/it").await.as_deref(), Some("1"));
    assert_eq!(own_count(&mut returned, "big/").await, Some(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_another_cluster_is_refused() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(0).await;
    let before = client.status().await.unwrap();
    // The same addresses, but another token: to the stranger the first cluster's member is one of its own.
    let mut strangers = Cluster {
        directory: TempDir::new().unwrap(),
        token: "another",
        flags: &[],
        peers: vec![cluster.peers[0], free_port()],
        clients: vec![0, free_port()],
        running: vec![None, None],
    };
    strangers.found(1);
    let log = strangers.path(1).with_extension("log");
    let own = cluster.path(0).with_extension("log");
    eventually("the member tells that it refused the stranger", || async {
        std::fs::read_to_string(&own).unwrap().contains("not meant for this member").then_some(())
    })
    .await;
    assert!(!std::fs::read_to_string(log).unwrap().contains("ready to serve client requests"));
    let after = client.status().await.unwrap();
    assert_eq!(before.raft_term(), after.raft_term());
    put(&mut client, "k", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_member_of_a_lost_cluster_begins_anew() {
    let mut cluster = Cluster::start(3);
    let mut client = cluster.client(0).await;
    put(&mut client, "k", "1").await;
    assert_eq!(get(&mut client, "k").await.as_deref(), Some("1"));
    for member in 0..3 {
        cluster.kill(member);
    }
    cluster.spawn(0, &["--force-new-cluster"]);
    let mut client = cluster.client(0).await;
    assert_eq!(get(&mut client, "k").await.as_deref(), Some("1"));
    put(&mut client, "k", "2").await;
    assert_eq!(client.member_list().await.unwrap().members().len(), 1);
}
