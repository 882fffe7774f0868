//! The store as a library, end to end: what is acknowledged is there after every kind of stop.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use pintle_proto::etcdserverpb as pb;
use pintle_store::watch::{KeyRange, WatchItem};
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
    let status = store.status();
    assert_eq!((first.cluster_id, first.member_id), (status.cluster_id, status.member_id));
    assert!(first.raft_term > 0);
    let before = contents(&store).await;
    store.shutdown().await.unwrap();

    let store = open(directory.path()).await;
    assert_eq!(contents(&store).await, before);
    assert!(store.status().standing.term > status.standing.term);
    assert_eq!(store.status().member_id, status.member_id);
    assert_eq!(store.put(put("c", "3")).await.unwrap().header.unwrap().revision, 4);
}

#[tokio::test]
async fn a_watch_sees_the_past_and_what_is_applied_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(directory.path()).await;
    for key in ["a", "b", "a"] {
        store.put(put(key, "1")).await.unwrap();
    }
    let range = KeyRange::key("a");
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
}
