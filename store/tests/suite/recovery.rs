//! What is left after a stop that nobody prepared for: everything acknowledged, or one clear refusal.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::mvccpb::{Event, KeyValue};
use pintle_store::engine::Span;
use pintle_store::watch::WatchItem;
use pintle_store::{Store, StoreConfig};

use crate::store::{everything, put};

async fn open(path: &Path) -> Store {
    Store::open(StoreConfig::embedded(path)).await.unwrap()
}

/// Copies a data directory as a kill at this moment would leave it. RocksDB removes files that it no longer needs in the
/// background; a copy that such a removal falls into is made once more.
fn kill(live: &Path) -> tempfile::TempDir {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let before = files(live);
        let copy = tempfile::tempdir().unwrap();
        let copied = copy_directory(live, copy.path());
        if copied.is_ok() && before == files(live) {
            return copy;
        }
        assert!(Instant::now() < deadline, "the directory never holds still: {copied:?}");
    }
}

/// The names of all files below a directory.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => found.extend(files(&entry.path())),
            _ => drop(found.insert(entry.path())),
        }
    }
    found
}

fn copy_directory(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_directory(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Everything that clients can see of a store.
#[derive(Debug, PartialEq)]
struct Contents {
    revision: i64,
    compacted: i64,
    keys: Vec<KeyValue>,
    past: Vec<KeyValue>,
    history: Vec<Event>,
    leases: Vec<(i64, i64, Vec<bytes::Bytes>)>,
    alarms: Vec<pb::AlarmMember>,
    members: usize,
}

impl Contents {
    async fn of(store: &Store) -> Self {
        let all = store.range(everything()).await.unwrap();
        let status = store.status().unwrap();
        let (revision, compacted) = (status.head.revision, status.head.compacted);
        let past = store.range(pb::RangeRequest { revision: revision - 1, ..everything() }).await.unwrap().kvs;
        let mut leases = Vec::new();
        for lease in store.lease_leases().await.unwrap().leases {
            let left = store.lease_time_to_live(pb::LeaseTimeToLiveRequest { id: lease.id, keys: true }).await.unwrap();
            leases.push((lease.id, left.granted_ttl, left.keys));
        }
        leases.sort();
        Self {
            revision,
            compacted,
            keys: all.kvs,
            past,
            history: history(store, compacted.max(1), revision).await,
            leases,
            alarms: store.alarms().unwrap(),
            members: store.members().len(),
        }
    }
}

/// The events after `from` through `to`.
async fn history(store: &Store, from: i64, to: i64) -> Vec<Event> {
    let range = Span::of_request("\0", "\0");
    let mut watch = store.watches().watch(range, from + 1, to, true).unwrap();
    let mut seen = Vec::new();
    let all = async {
        while let Some(item) = watch.next().await {
            match item {
                WatchItem::Events { events, revision } => {
                    seen.extend(events);
                    if revision >= to {
                        break;
                    }
                }
                WatchItem::Progress(revision) if revision >= to => break,
                WatchItem::Progress(_) => {}
                WatchItem::Compacted(revision) => panic!("compacted at {revision}"),
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all).await.unwrap();
    seen
}

/// Changes something in every column of the state.
async fn touch_everything(store: &Store, round: usize) {
    let lease = store.lease_grant(pb::LeaseGrantRequest { ttl: 1000, id: 0 }).await.unwrap().id;
    for n in 0..20 {
        store.put(put(format!("key-{n}"), format!("{round}"))).await.unwrap();
        store.put(pb::PutRequest { lease, ..put(format!("leased-{round}-{n}"), "1") }).await.unwrap();
    }
    store.delete_range(pb::DeleteRangeRequest { key: "key-3".into(), ..Default::default() }).await.unwrap();
    let gone = store.lease_grant(pb::LeaseGrantRequest { ttl: 1000, id: 0 }).await.unwrap().id;
    store.lease_revoke(pb::LeaseRevokeRequest { id: gone }).await.unwrap();
    let revision = store.status().unwrap().head.revision - 5;
    store.compact(pb::CompactionRequest { revision, physical: round == 1 }).await.unwrap();
    let alarm = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Activate.into(),
        member_id: round as u64 + 1,
        alarm: pb::AlarmType::Nospace.into(),
    };
    store.alarm(alarm).await.unwrap();
    let action = pb::alarm_request::AlarmAction::Deactivate.into();
    store.alarm(pb::AlarmRequest { action, ..alarm }).await.unwrap();
}

#[tokio::test]
async fn a_kill_between_flushes_loses_nothing_of_any_column() {
    let directory = tempfile::tempdir().unwrap();
    let mut store = open(directory.path()).await;
    for round in 0..3 {
        touch_everything(&store, round).await;
        let alarm = pb::AlarmRequest { action: 1, member_id: 77, alarm: pb::AlarmType::Nospace.into() };
        store.alarm(alarm).await.unwrap();
        let expected = Contents::of(&store).await;

        let killed = kill(directory.path());
        let survivor = open(killed.path()).await;
        assert_eq!(Contents::of(&survivor).await, expected, "round {round}");
        // What was replayed and not flushed is replayed once more, to the same end.
        let killed_again = kill(killed.path());
        let second = open(killed_again.path()).await;
        assert_eq!(Contents::of(&second).await, expected, "round {round}, the second time");
        second.shutdown().await.unwrap();
        survivor.shutdown().await.unwrap();

        store.alarm(pb::AlarmRequest { action: 2, ..alarm }).await.unwrap();
        // The next round begins on flushed state, with a log that reaches back before it.
        store.shutdown().await.unwrap();
        store = open(directory.path()).await;
    }
    store.shutdown().await.unwrap();
}

/// The write-ahead log of the raft database.
fn write_ahead_log(data_dir: &Path) -> PathBuf {
    let files = std::fs::read_dir(data_dir.join("raft")).unwrap().map(|file| file.unwrap().path());
    let mut logs: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|ext| ext == "log")).collect();
    assert_eq!(logs.len(), 1, "{logs:?}");
    logs.remove(0)
}

/// A data directory after `count` puts, one after the other, of keys 0, 1, 2...; nothing is flushed.
async fn killed_after_puts(count: usize) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for n in 0..count {
        store.put(put(format!("{n:04}"), "x".repeat(300))).await.unwrap();
    }
    let killed = kill(directory.path());
    store.shutdown().await.unwrap();
    killed
}

async fn keys(path: &Path) -> Result<Vec<String>, String> {
    let store = Store::open(StoreConfig::embedded(path)).await.map_err(|error| error.to_string())?;
    let kvs = store.range(everything()).await.unwrap().kvs;
    let keys = kvs.iter().map(|kv| String::from_utf8_lossy(&kv.key).into_owned()).collect();
    store.shutdown().await.unwrap();
    Ok(keys)
}

#[tokio::test]
async fn a_flipped_byte_in_the_log_is_refused_with_the_remedy() {
    const PUTS: usize = 300;
    let original = killed_after_puts(PUTS).await;
    let length = std::fs::metadata(write_ahead_log(original.path())).unwrap().len();
    let mut refused = 0;
    for step in 1..=8_u64 {
        let damaged = kill(original.path());
        let log = write_ahead_log(damaged.path());
        let mut bytes = std::fs::read(&log).unwrap();
        // All over the log, but for its last write: that might be one that a crash interrupted.
        let at = usize::try_from(length * step / 9).unwrap();
        bytes[at] ^= 0x10;
        std::fs::write(&log, bytes).unwrap();
        match keys(damaged.path()).await {
            Err(error) => {
                assert!(error.contains("is damaged") && error.contains("restore this node"), "byte {at}: {error}");
                assert!(!error.contains('\n'), "one line: {error}");
                refused += 1;
            }
            // The byte was padding.
            Ok(keys) => assert_eq!(keys.len(), PUTS, "byte {at}"),
        }
    }
    assert!(refused >= 7, "{refused}");
}

#[tokio::test]
async fn a_torn_end_costs_only_the_write_that_was_torn() {
    const PUTS: usize = 50;
    let original = killed_after_puts(PUTS).await;
    let expected: Vec<String> = (0..PUTS).map(|n| format!("{n:04}")).collect();
    for cut in [1, 40, 200] {
        let torn = kill(original.path());
        let log = write_ahead_log(torn.path());
        let length = std::fs::metadata(&log).unwrap().len();
        std::fs::File::options().write(true).open(&log).unwrap().set_len(length - cut).unwrap();
        assert_eq!(keys(torn.path()).await.unwrap(), expected[..PUTS - 1], "{cut} bytes cut off");
        assert_eq!(keys(torn.path()).await.unwrap(), expected[..PUTS - 1], "{cut} bytes cut off, opened again");
    }
}

#[tokio::test]
async fn a_log_that_lost_what_the_state_has_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    store.put(put("a", "1")).await.unwrap();
    let early = kill(directory.path());
    store.put(put("b", "1")).await.unwrap();
    store.shutdown().await.unwrap();
    std::fs::remove_dir_all(directory.path().join("raft")).unwrap();
    copy_directory(&early.path().join("raft"), &directory.path().join("raft")).unwrap();
    let error = keys(directory.path()).await.unwrap_err();
    assert!(error.contains("the log has lost entries") && error.contains("restore this node"), "{error}");
}

#[tokio::test]
async fn a_long_log_is_cut_and_what_is_left_suffices() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let value = "v".repeat(1 << 20);
    for n in 0..80 {
        store.put(put(format!("{}", n % 4), &value)).await.unwrap();
    }
    let deadline = Instant::now() + Duration::from_secs(30);
    while store.status().unwrap().log_bytes > 40 << 20 {
        assert!(Instant::now() < deadline, "the log keeps {} bytes", store.status().unwrap().log_bytes);
        tokio::task::yield_now().await;
    }
    let expected = Contents::of(&store).await;
    let killed = kill(directory.path());
    store.shutdown().await.unwrap();
    let survivor = open(killed.path()).await;
    assert_eq!(Contents::of(&survivor).await, expected);
    survivor.shutdown().await.unwrap();

    std::fs::remove_dir_all(killed.path().join("state")).unwrap();
    let error = keys(killed.path()).await.unwrap_err();
    assert!(error.contains("the state has lost entries") && error.contains("restore this node"), "{error}");
}
