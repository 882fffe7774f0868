//! The store as a library, end to end: what is acknowledged is there after every kind of stop.

use std::path::Path;
use std::time::{Duration, Instant};

use futures::StreamExt;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::mvccpb::event::EventType;
use pintle_store::engine::Span;
use pintle_store::error::StoreError;
use pintle_store::limits::PROPOSAL_QUEUE_COMMANDS;
use pintle_store::watch::WatchItem;
use pintle_store::{Store, StoreConfig};

pub fn put(key: impl Into<String>, value: impl Into<String>) -> pb::PutRequest {
    pb::PutRequest { key: key.into().into(), value: value.into().into(), ..Default::default() }
}

pub fn everything() -> pb::RangeRequest {
    pb::RangeRequest { key: "\0".into(), range_end: "\0".into(), ..Default::default() }
}

async fn open(path: &Path) -> Store {
    Store::open(StoreConfig::embedded(path)).await.unwrap()
}

/// Everything that can be seen of a store's keys.
async fn contents(store: &Store) -> (i64, Vec<pintle_proto::mvccpb::KeyValue>) {
    let all = store.range(everything()).await.unwrap();
    (all.header.unwrap().revision, all.kvs)
}

#[tokio::test]
async fn what_was_put_is_read_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    assert_eq!(contents(&store).await, (1, vec![]));
    let first = store.put(put("a", "1")).await.unwrap().header.unwrap();
    let second = store.put(put("b", "2")).await.unwrap().header.unwrap();
    assert_eq!((first.revision, second.revision), (2, 3));
    let status = store.status().unwrap();
    assert_eq!((first.cluster_id, first.member_id), (status.cluster_id, status.member_id));
    assert!(first.raft_term > 0);
    let before = contents(&store).await;
    store.shutdown().await.unwrap();

    let store = open(directory.path()).await;
    assert_eq!(contents(&store).await, before);
    assert!(store.status().unwrap().standing.term > status.standing.term);
    assert_eq!(store.status().unwrap().member_id, status.member_id);
    assert_eq!(store.put(put("c", "3")).await.unwrap().header.unwrap().revision, 4);
    store.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_watch_sees_the_past_and_what_is_applied_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for key in ["a", "b", "a"] {
        store.put(put(key, "1")).await.unwrap();
    }
    let range = Span::point(b"a");
    let mut watch = store.watches().watch(range, 2, 0, true).unwrap();
    store.put(put("a", "2")).await.unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&5) {
        let item = tokio::time::timeout(Duration::from_secs(10), watch.next()).await.unwrap();
        if let Some(WatchItem::Events { events, .. }) = item {
            seen.extend(events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision));
        }
    }
    assert_eq!(seen, [2, 4, 5]);
    drop(watch);
    store.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_lease_ends_by_itself_and_takes_its_keys_along() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = StoreConfig::embedded(directory.path());
    config.election_millis = 300;
    let store = Store::open(config).await.unwrap();
    let lease = store.lease_grant(pb::LeaseGrantRequest { ttl: 1, id: 0 }).await.unwrap();
    store.put(pb::PutRequest { lease: lease.id, ..put("a", "1") }).await.unwrap();
    let kept = store.lease_keep_alive(pb::LeaseKeepAliveRequest { id: lease.id }).await.unwrap();
    assert_eq!(kept.ttl, 1);
    let asked = pb::LeaseTimeToLiveRequest { id: lease.id, keys: true };
    let left = store.lease_time_to_live(asked).await.unwrap();
    assert_eq!((left.granted_ttl, left.keys), (1, vec!["a".into()]));

    let mut watch = store.watches().watch(Span::point(b"a"), 0, store.revision().unwrap(), false).unwrap();
    let gone = async {
        loop {
            if let Some(WatchItem::Events { events, .. }) = watch.next().await {
                return events;
            }
        }
    };
    let events = tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    assert_eq!(events[0].r#type, EventType::Delete as i32);
    let left = store.lease_time_to_live(asked).await.unwrap();
    assert_eq!((left.ttl, left.granted_ttl), (-1, 0));
    assert_eq!(store.lease_keep_alive(pb::LeaseKeepAliveRequest { id: lease.id }).await.unwrap().ttl, 0);
    drop(watch);
    store.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_full_store_refuses_what_adds_until_it_is_compacted_and_disarmed() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = StoreConfig::embedded(directory.path());
    config.quota_bytes = 20_000;
    let store = Store::open(config).await.unwrap();
    let value = "x".repeat(1000);
    let refused = loop {
        if let Err(error) = store.put(put("a", &value)).await {
            break error;
        }
    };
    assert!(matches!(refused, StoreError::NoSpace), "{refused}");
    let status = store.status().unwrap();
    assert!(status.head.is_raised(pb::AlarmType::Nospace));

    let revision = status.head.revision;
    store.compact(pb::CompactionRequest { revision, physical: true }).await.unwrap();
    assert!(matches!(store.put(put("a", "1")).await, Err(StoreError::NoSpace)), "the alarm is still raised");
    let disarm = pb::AlarmRequest {
        action: pb::alarm_request::AlarmAction::Deactivate.into(),
        member_id: status.member_id,
        alarm: pb::AlarmType::Nospace.into(),
    };
    store.alarm(disarm).await.unwrap();
    store.put(put("a", "1")).await.unwrap();
    store.shutdown().await.unwrap();
}

#[tokio::test]
async fn one_store_holds_the_directory_until_it_is_dropped() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    store.put(put("a", "1")).await.unwrap();
    let refusal = Store::open(StoreConfig::embedded(directory.path())).await.err().unwrap().to_string();
    assert!(refusal.contains("is in use: stop the process"), "{refusal}");
    // Without a shutdown the databases close as the tasks that use them end.
    drop(store);
    let deadline = Instant::now() + Duration::from_secs(20);
    let store = loop {
        match Store::open(StoreConfig::embedded(directory.path())).await {
            Ok(store) => break store,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(contents(&store).await.1.len(), 1);
    store.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_damaged_state_is_refused_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for n in 0..200 {
        store.put(put(format!("{n:04}"), "x".repeat(300))).await.unwrap();
    }
    store.shutdown().await.unwrap();
    let files = std::fs::read_dir(directory.path().join("state")).unwrap().map(|file| file.unwrap().path());
    for table in files.filter(|path| path.extension().is_some_and(|extension| extension == "sst")) {
        let mut bytes = std::fs::read(&table).unwrap();
        bytes[20] ^= 1;
        std::fs::write(&table, bytes).unwrap();
    }
    let refusal = Store::open(StoreConfig::embedded(directory.path())).await.err().unwrap().to_string();
    assert!(refusal.contains("is damaged") && refusal.contains("restore this node"), "{refusal}");
    assert!(!refusal.contains('\n'), "one line: {refusal}");
}

#[tokio::test]
async fn proposals_that_arrive_together_share_log_entries() {
    const PUTS: i64 = 500;
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    let before = store.status().unwrap().standing.last_index;
    let puts = (0..PUTS).map(|n| store.put(put(format!("{n}"), "x".repeat(1000))));
    let answers = futures::future::join_all(puts).await;
    let mut revisions: Vec<i64> = answers.into_iter().map(|answer| answer.unwrap().header.unwrap().revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (2..2 + PUTS).collect::<Vec<_>>());
    let entries = store.status().unwrap().standing.last_index - before;
    assert!(entries < 10, "{PUTS} puts took {entries} entries");

    // An entry has at most 1 MiB, unless one command alone is larger.
    let before = store.status().unwrap().standing.last_index;
    let large = "x".repeat(1_200_000);
    let puts = (0..5).map(|n| store.put(put(format!("{n}"), &large)));
    assert!(futures::future::join_all(puts).await.iter().all(Result::is_ok));
    assert_eq!(store.status().unwrap().standing.last_index - before, 5);
    store.shutdown().await.unwrap();
}

#[tokio::test]
async fn more_than_the_queue_holds_is_refused_and_the_rest_is_served() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    // The proposer runs on this same thread, so that nothing is taken from the queue before all have asked.
    let puts = (0..PROPOSAL_QUEUE_COMMANDS + 100).map(|_| store.put(put("a", "1")));
    let answers = futures::future::join_all(puts).await;
    let refused: Vec<String> =
        answers.iter().filter_map(|answer| answer.as_ref().err()).map(ToString::to_string).collect();
    assert_eq!(refused, vec!["etcdserver: too many requests"; 100]);

    let large = "x".repeat(1_000_000);
    let puts = (0..100).map(|_| store.put(put("a", &large)));
    let answers = futures::future::join_all(puts).await;
    let served = answers.iter().filter(|answer| answer.is_ok()).count();
    assert!((60..70).contains(&served), "64 MiB may wait, {served} MB were let in");
    store.put(put("a", "1")).await.unwrap();
    store.shutdown().await.unwrap();
}
