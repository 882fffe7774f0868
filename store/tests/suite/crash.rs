//! Kills the real program at random moments under load and looks at what it has when it is started again.
//!
//! Seeded: a failure names its seed, and `PINTLE_SEED` repeats the same commands and moments (not the same
//! interleaving).

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::kv_client::KvClient;
use pintle_proto::etcdserverpb::request_op::Request;
use pintle_proto::etcdserverpb::watch_client::WatchClient;
use pintle_proto::mvccpb::Event;
use pintle_proto::mvccpb::event::EventType;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::process::{Child, Command};
use tonic::transport::{Channel, Endpoint};

use crate::store::{everything, put};

const KILLS: usize = 8;
const WRITERS: u64 = 6;
/// How long a server may take to start, or a watch to catch up.
const PATIENCE: Duration = Duration::from_secs(30);

/// What writers were told and what watchers saw.
#[derive(Default)]
struct Ledger {
    /// Writes that were acknowledged, by revision: key and value, or none if the key was deleted.
    acknowledged: Mutex<BTreeMap<i64, Vec<Change>>>,
}

/// A key and its new value; none if it was deleted.
type Change = (String, Option<String>);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_keeps_every_acknowledged_write_and_watches_resume() {
    let seed = std::env::var("PINTLE_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    let run = tokio::spawn(run(seed)).await;
    assert!(run.is_ok(), "failed with PINTLE_SEED={seed}");
}

async fn run(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(Ledger::default());
    let mut everyone = Watcher::new("\0", "\0");
    let mut one_key = Watcher::new("key-0-0", "");

    for round in 0..KILLS {
        let mut server = Server::start(directory.path());
        let channel = server.connect().await;
        check_contents(&channel, &ledger).await;
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let random = StdRng::seed_from_u64(seed ^ (round as u64) << 32 ^ writer);
                tokio::spawn(write_until_killed(channel.clone(), writer, round, random, ledger.clone()))
            })
            .collect();
        let moment = Duration::from_millis(random.random_range(20..600));
        // One watcher is there while the server dies; the other joins only now and then.
        if random.random() {
            let _ = tokio::join!(
                everyone.follow(&channel, None),
                one_key.follow(&channel, None),
                server.kill_after(moment)
            );
        } else {
            let _ = tokio::join!(everyone.follow(&channel, None), server.kill_after(moment));
        }
        for writer in writers {
            writer.await.unwrap();
        }
    }

    let server = Server::start(directory.path());
    let channel = server.connect().await;
    let revision = check_contents(&channel, &ledger).await;
    for watcher in [&mut everyone, &mut one_key] {
        tokio::time::timeout(PATIENCE, watcher.follow(&channel, Some(revision))).await.unwrap();
    }
    check_watches(&everyone.seen, &one_key.seen, &ledger, revision);
}

/// A running server.
struct Server {
    process: Child,
    socket: PathBuf,
}

impl Server {
    fn start(directory: &Path) -> Self {
        let socket = directory.join("client.sock");
        let process = Command::new(env!("CARGO_BIN_EXE_pintle-store"))
            .arg("--data-dir")
            .arg(directory.join("data"))
            .arg("--listen-client-urls")
            .arg(format!("unix://{}", socket.display()))
            .args(["--listen-peer-urls", "http://127.0.0.1:0", "--log-level", "error"])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { process, socket }
    }

    /// Connects, once the server answers.
    async fn connect(&self) -> Channel {
        let endpoint = Endpoint::new(format!("unix://{}", self.socket.display())).unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(channel) = endpoint.connect().await
                && KvClient::new(channel.clone()).range(pb::RangeRequest { limit: 1, ..everything() }).await.is_ok()
            {
                return channel;
            }
            assert!(Instant::now() < deadline, "the server does not answer");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL, after a while.
    async fn kill_after(&mut self, moment: Duration) {
        tokio::time::sleep(moment).await;
        self.process.kill().await.unwrap();
    }
}

/// Writes as fast as answers come, until one does not come.
async fn write_until_killed(channel: Channel, writer: u64, round: usize, mut random: StdRng, ledger: Arc<Ledger>) {
    let mut client = KvClient::new(channel);
    for n in 0.. {
        let key = format!("key-{writer}-{}", random.random_range(0..4));
        let value = format!("{round}-{n}-{}", "x".repeat(random.random_range(0..2000)));
        let (answer, changes) = match random.random_range(0..10) {
            0 => {
                let request = pb::DeleteRangeRequest { key: key.clone().into(), ..Default::default() };
                let answer = client.delete_range(request).await.map(tonic::Response::into_inner);
                // Deleting what is not there changes nothing and takes no revision.
                let deleted = answer.as_ref().map_or(0, |answer| answer.deleted);
                (answer.map(|answer| answer.header), if deleted > 0 { vec![(key, None)] } else { Vec::new() })
            }
            1 => {
                let keys = [key, format!("key-{writer}-pair")];
                let puts = keys.iter().map(|key| Request::RequestPut(put(key, &value)));
                let success = puts.map(|put| pb::RequestOp { request: Some(put) }).collect();
                let answer = client.txn(pb::TxnRequest { success, ..Default::default() }).await;
                let changes = keys.map(|key| (key, Some(value.clone()))).to_vec();
                (answer.map(|answer| answer.into_inner().header), changes)
            }
            _ => {
                let answer = client.put(put(&key, &value)).await;
                (answer.map(|answer| answer.into_inner().header), vec![(key, Some(value))])
            }
        };
        let Ok(header) = answer else { return };
        if !changes.is_empty() {
            let previous = ledger.acknowledged.lock().insert(header.unwrap().revision, changes);
            assert!(previous.is_none(), "two writes were told the same revision");
        }
    }
}

/// A watch that goes on where it was cut off.
struct Watcher {
    request: pb::WatchCreateRequest,
    seen: Vec<Event>,
}

impl Watcher {
    fn new(key: &'static str, range_end: &'static str) -> Self {
        let request = pb::WatchCreateRequest {
            key: key.into(),
            range_end: range_end.into(),
            start_revision: 1,
            prev_kv: true,
            ..Default::default()
        };
        Self { request, seen: Vec::new() }
    }

    /// Watches until the connection breaks, or until everything through a revision was seen.
    async fn follow(&mut self, channel: &Channel, through: Option<i64>) {
        if through.is_some_and(|through| through < self.request.start_revision) {
            // A watch that begins in the future hears of no progress before that.
            return;
        }
        let create = pb::WatchRequest {
            request_union: Some(pb::watch_request::RequestUnion::CreateRequest(self.request.clone())),
        };
        let progress = pb::WatchRequest {
            request_union: Some(pb::watch_request::RequestUnion::ProgressRequest(pb::WatchProgressRequest {})),
        };
        let (requests, outgoing) = tokio::sync::mpsc::channel(4);
        requests.send(create).await.unwrap();
        let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
        let Ok(answer) = WatchClient::new(channel.clone()).watch(outgoing).await else { return };
        let mut answers = answer.into_inner();
        while let Ok(Some(answer)) = answers.message().await {
            assert!(!answer.canceled, "canceled: {}", answer.cancel_reason);
            for event in answer.events {
                self.request.start_revision = revision_of(&event) + 1;
                self.seen.push(event);
            }
            if let Some(through) = through {
                if !answer.created && answer.header.unwrap().revision >= through {
                    return;
                }
                // Answered when everything before it was delivered.
                let _ = requests.try_send(progress.clone());
            }
        }
        assert!(through.is_none(), "the connection broke");
    }
}

fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().unwrap().mod_revision
}

fn change_of(event: &Event) -> Change {
    let kv = event.kv.as_ref().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let value = (event.r#type == EventType::Put as i32).then(|| text(&kv.value));
    (text(&kv.key), value)
}

/// Every acknowledged write is there, unless a newer one took its place. Returns the store's revision.
async fn check_contents(channel: &Channel, ledger: &Ledger) -> i64 {
    let acknowledged = ledger.acknowledged.lock().clone();
    let answer = KvClient::new(channel.clone()).range(everything()).await.unwrap().into_inner();
    let revision = answer.header.unwrap().revision;
    let newest = acknowledged.last_key_value().map_or(1, |(revision, _)| *revision);
    assert!(revision >= newest, "the store is at {revision}, but {newest} was acknowledged");

    let present: BTreeMap<&[u8], (i64, &[u8])> =
        answer.kvs.iter().map(|kv| (kv.key.as_ref(), (kv.mod_revision, kv.value.as_ref()))).collect();
    let mut expected = BTreeMap::new();
    for (revision, changes) in &acknowledged {
        for (key, value) in changes {
            expected.insert(key, (revision, value));
        }
    }
    for (key, (revision, value)) in expected {
        match (present.get(key.as_bytes()), value) {
            (Some((found, _)), _) if found > revision => {}
            (Some((found, bytes)), Some(value)) => {
                assert_eq!((found, *bytes), (revision, value.as_bytes()), "{key} was acknowledged");
            }
            // A write nobody was told of may have deleted it; what the watches saw decides in the end.
            (None, _) => {}
            (Some((found, _)), None) => panic!("{key} was deleted at {revision}, but is there from {found}"),
        }
    }
    revision
}

/// Revisions came one by one, no event was lost or seen twice, and each is what was acknowledged.
fn check_watches(everyone: &[Event], one_key: &[Event], ledger: &Ledger, revision: i64) {
    let mut seen: BTreeMap<i64, Vec<Change>> = BTreeMap::new();
    for pair in everyone.windows(2) {
        let (before, after) = (revision_of(&pair[0]), revision_of(&pair[1]));
        assert!(after == before || after == before + 1, "{after} follows {before}");
    }
    for event in everyone {
        seen.entry(revision_of(event)).or_default().push(change_of(event));
    }
    let through: BTreeSet<i64> = seen.keys().copied().collect();
    assert_eq!(through, (2..=revision).collect(), "revisions without gaps");
    for (revision, changes) in ledger.acknowledged.lock().iter() {
        assert_eq!(seen.get(revision), Some(changes), "revision {revision} was acknowledged");
    }
    // Each event knows the state before it: a chain without gaps, for each key.
    let mut state: BTreeMap<String, String> = BTreeMap::new();
    for event in everyone {
        let (key, value) = change_of(event);
        let before = event.prev_kv.as_ref().map(|kv| String::from_utf8(kv.value.to_vec()).unwrap());
        let known = match value {
            Some(value) => state.insert(key, value),
            None => state.remove(&key),
        };
        assert_eq!(known, before, "at revision {}", revision_of(event));
    }
    let same_key: Vec<&Event> = everyone.iter().filter(|event| change_of(event).0 == "key-0-0").collect();
    assert_eq!(one_key.iter().collect::<Vec<_>>(), same_key, "both watches saw the same");
}
