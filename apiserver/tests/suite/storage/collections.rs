//! Collections on a real store.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use pintle_apiserver::storage::{
    Attributes, CollectionSpec, Describe, EventKind, ListOptions, Storage, WatchEvent, WatchOptions,
};
use tokio::time::timeout;

use super::backends::{Running, embedded, etcd};

/// The stored bytes are the value of the label `app`.
struct AppLabel;

impl Describe for AppLabel {
    fn describe(&self, stored: &[u8]) -> Result<Attributes, String> {
        let app = std::str::from_utf8(stored).map_err(|error| error.to_string())?;
        Ok(Attributes::new([("app".into(), app.into())], []))
    }
}

fn resource(prefix: &str) -> CollectionSpec {
    CollectionSpec { prefix: prefix.to_owned(), namespaced: true, routing_field: None, describe: Arc::new(AppLabel) }
}

async fn on_each(test: impl AsyncFn(Arc<Storage>)) {
    for running in [embedded().await, etcd().await] {
        let Running { backend, .. } = &running;
        test(Storage::new(Arc::clone(backend), "/registry")).await;
    }
}

#[tokio::test]
async fn a_list_sees_what_was_acknowledged_here_and_elsewhere() {
    on_each(async |storage| {
        let (pods, secrets) =
            (storage.collection(&resource("/registry/pods")), storage.collection(&resource("/registry/secrets")));
        for i in 0..50usize {
            pods.create("default", &format!("{i:02}"), "web".into(), None).await.unwrap();
            let list = pods.list(&ListOptions::default()).await.unwrap();
            assert_eq!(list.items.len(), i + 1);
            let elsewhere = secrets.create("default", &format!("{i:02}"), "s".into(), None).await.unwrap();
            let list = pods.list(&ListOptions::default()).await.unwrap();
            assert!(list.revision >= elsewhere.revision);
        }
    })
    .await;
}

#[tokio::test]
async fn a_watch_follows_a_life() {
    on_each(async |storage| {
        let pods = storage.collection(&resource("/registry/pods"));
        let options =
            WatchOptions { send_initial_events: Some(true), allow_bookmarks: true, ..WatchOptions::default() };
        let mut watcher = pods.watch(options).await.unwrap();
        let created = pods.create("default", "a", "web".into(), None).await.unwrap();
        let updated = pods.update("default", "a", "db".into(), created.revision, None).await.unwrap();
        let deleted = pods.delete("default", "a", updated.revision).await.unwrap();
        let mut next = async || timeout(Duration::from_secs(20), watcher.next()).await.expect("the watch is silent");
        assert!(matches!(next().await, Some(WatchEvent::Bookmark { initial_events_end: true, .. })));
        for (kind, stored, revision) in [
            (EventKind::Added, "web", created.revision),
            (EventKind::Modified, "db", updated.revision),
            (EventKind::Deleted, "db", deleted),
        ] {
            match next().await {
                Some(WatchEvent::Object { kind: seen, entry, .. }) => {
                    assert_eq!((seen, &entry.stored, entry.revision), (kind, &Bytes::from(stored), revision));
                }
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_restarted_server_finds_everything() {
    let directory = tempfile::tempdir().unwrap();
    let open = || pintle_store::Store::open(pintle_store::StoreConfig::embedded(directory.path()));
    let mut revision = 0;
    for life in 0..3usize {
        let store = open().await.unwrap();
        let storage = Storage::new(pintle_apiserver::storage::embedded::backend(store.clone()), "/registry");
        let pods = storage.collection(&resource("/registry/pods"));
        let list = pods.list(&ListOptions::default()).await.unwrap();
        assert_eq!(list.items.len(), life);
        assert!(list.revision >= revision);
        revision = pods.create("default", &format!("{life}"), "web".into(), None).await.unwrap().revision;
        storage.stop();
        drop((pods, storage));
        store.shutdown().await.unwrap();
    }
}
