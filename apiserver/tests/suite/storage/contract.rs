//! What every backend must do. Each test runs on each backend of [`super::backends`], below a prefix of its own.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use pintle_apiserver::storage::backend::{
    Backend, BackendError, Change, KeyValue, ListRequest, WatchItem, WatchStream, Write, prefix_end,
};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

const DEADLINE: Duration = Duration::from_secs(20);

/// A backend and the prefix that a test has for itself.
pub struct Subject {
    pub backend: Arc<dyn Backend>,
    pub prefix: String,
}

impl Subject {
    fn key(&self, name: &str) -> Vec<u8> {
        format!("{}{name}", self.prefix).into_bytes()
    }

    async fn create(&self, name: &str, value: &'static str) -> i64 {
        done(self.backend.create(&self.key(name), Bytes::from_static(value.as_bytes()), None).await.unwrap())
    }

    async fn update(&self, name: &str, value: &'static str, expected: i64) -> i64 {
        let value = Bytes::from_static(value.as_bytes());
        done(self.backend.update(&self.key(name), value, expected, None).await.unwrap())
    }

    async fn delete(&self, name: &str, expected: i64) -> i64 {
        done(self.backend.delete(&self.key(name), expected).await.unwrap())
    }

    fn everything(&self) -> ListRequest {
        let start = Bytes::from(self.prefix.clone());
        ListRequest { end: prefix_end(&start), start, limit: 0, revision: None }
    }

    fn watch(&self, start_revision: i64) -> Followed {
        let progress_wanted = Arc::new(Notify::new());
        let prefix = Bytes::from(self.prefix.clone());
        let items = self.backend.watch(prefix, start_revision, Arc::clone(&progress_wanted));
        Followed { items, progress_wanted, prefix_len: self.prefix.len() }
    }

    fn kv(&self, name: &str, value: &'static str, mod_revision: i64) -> KeyValue {
        KeyValue { key: self.key(name).into(), value: value.into(), mod_revision }
    }
}

fn done(write: Write) -> i64 {
    match write {
        Write::Done(revision) => revision,
        Write::Conflict(current) => panic!("conflict with {current:?}"),
    }
}

/// A watch being read.
struct Followed {
    items: WatchStream,
    progress_wanted: Arc<Notify>,
    prefix_len: usize,
}

impl Followed {
    async fn next(&mut self) -> Option<Result<WatchItem, BackendError>> {
        timeout(DEADLINE, self.items.next()).await.expect("the watch is silent")
    }

    /// So many changes, in short: `name=value@revision`, `-name@revision`.
    async fn changes(&mut self, count: usize) -> Vec<String> {
        let mut seen = Vec::new();
        while seen.len() < count {
            match self.next().await {
                Some(Ok(WatchItem::Changes(changes))) => {
                    seen.extend(changes.iter().map(|change| short(change, self.prefix_len)));
                }
                Some(Ok(WatchItem::Progress(_))) => {}
                other => panic!("{other:?} after {seen:?}"),
            }
        }
        seen
    }

    /// Waits until the watch tells that it has come to a revision, without any change on the way.
    async fn progress_to(&mut self, revision: i64) {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            self.progress_wanted.notify_one();
            match timeout(Duration::from_millis(50), self.items.next()).await {
                Ok(Some(Ok(WatchItem::Progress(reached)))) if reached >= revision => return,
                Ok(Some(Ok(WatchItem::Progress(_)))) | Err(_) => {}
                Ok(other) => panic!("{other:?}"),
            }
        }
        panic!("no progress to {revision}");
    }
}

fn short(change: &Change, prefix_len: usize) -> String {
    let name = |key: &Bytes| String::from_utf8(key.slice(prefix_len..).to_vec()).unwrap();
    match change {
        Change::Put(kv) => {
            format!("{}={}@{}", name(&kv.key), std::str::from_utf8(&kv.value).unwrap(), kv.mod_revision)
        }
        Change::Delete { key, revision } => format!("-{}@{revision}", name(key)),
    }
}

pub async fn a_write_is_read_back(subject: Subject) {
    let before = subject.backend.current_revision().await.unwrap();
    let (nothing, revision) = subject.backend.get(&subject.key("a")).await.unwrap();
    assert_eq!(nothing, None);
    assert!(revision >= before);

    let created = subject.create("a", "1").await;
    assert!(created > before);
    let (found, revision) = subject.backend.get(&subject.key("a")).await.unwrap();
    assert_eq!(found, Some(subject.kv("a", "1", created)));
    assert!(revision >= created);
    assert!(subject.backend.current_revision().await.unwrap() >= created);
    subject.backend.ready().await.unwrap();
}

pub async fn writes_are_conditional(subject: Subject) {
    let created = subject.create("a", "1").await;
    let current = Write::Conflict(Some(subject.kv("a", "1", created)));
    let key = subject.key("a");
    assert_eq!(subject.backend.create(&key, "2".into(), None).await.unwrap(), current);
    assert_eq!(subject.backend.update(&key, "2".into(), created + 1, None).await.unwrap(), current);
    assert_eq!(subject.backend.delete(&key, created - 1).await.unwrap(), current);

    let updated = subject.update("a", "2", created).await;
    assert!(updated > created);
    let deleted = subject.delete("a", updated).await;
    assert!(deleted > updated);
    assert_eq!(subject.backend.update(&key, "3".into(), updated, None).await.unwrap(), Write::Conflict(None));
    assert_eq!(subject.backend.delete(&key, updated).await.unwrap(), Write::Conflict(None));
    subject.create("a", "again").await;
}

pub async fn one_of_many_creates_wins(subject: Subject) {
    let key = subject.key("a");
    let creates = (0..20).map(|i| subject.backend.create(&key, Bytes::from(format!("{i}")), None));
    let outcomes = futures::future::join_all(creates).await;
    let won = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Write::Done(_)))).count();
    let lost = outcomes.iter().filter(|outcome| matches!(outcome, Ok(Write::Conflict(Some(_))))).count();
    assert_eq!((won, lost), (1, 19));
}

pub async fn ranges_come_in_pages_of_one_revision(subject: Subject) {
    for name in ["a", "b", "c", "d"] {
        subject.create(name, "1").await;
    }
    let names = |items: &[KeyValue]| items.iter().map(|kv| char::from(*kv.key.last().unwrap())).collect::<String>();
    let request = ListRequest { limit: 3, ..subject.everything() };
    let first = subject.backend.list(request.clone()).await.unwrap();
    assert_eq!((names(&first.items).as_str(), first.count, first.more), ("abc", 4, true));

    let removed = first.items[3 - 1].mod_revision;
    let deleted = subject.delete("c", removed).await;
    subject.create("cc", "1").await;
    let start = Bytes::from(subject.key("b\0"));
    let past = ListRequest { start, revision: Some(first.revision), ..request };
    let rest = subject.backend.list(past).await.unwrap();
    assert_eq!((names(&rest.items).as_str(), rest.count, rest.more), ("cd", 2, false));
    assert!(rest.revision >= deleted, "the revision is the store's, not the one asked for");

    let future = ListRequest { revision: Some(rest.revision + 1000), ..subject.everything() };
    let error = subject.backend.list(future).await.unwrap_err();
    assert_eq!(error, BackendError::FutureRevision(rest.revision + 1000));
}

pub async fn a_watch_tells_the_past_and_the_present(subject: Subject) {
    let created = subject.create("a", "1").await;
    let updated = subject.update("a", "2", created).await;
    let mut watch = subject.watch(updated);
    assert_eq!(watch.changes(1).await, [format!("a=2@{updated}")]);
    let deleted = subject.delete("a", updated).await;
    let again = subject.create("a", "3").await;
    assert_eq!(watch.changes(2).await, [format!("-a@{deleted}"), format!("a=3@{again}")]);
    let mut other = subject.watch(created);
    assert_eq!(
        other.changes(4).await,
        [format!("a=1@{created}"), format!("a=2@{updated}"), format!("-a@{deleted}"), format!("a=3@{again}")]
    );
}

pub async fn a_watch_ends_at_its_prefix(subject: Subject) {
    let below =
        |prefix: &str| Subject { backend: Arc::clone(&subject.backend), prefix: format!("{}{prefix}", subject.prefix) };
    let (pods, podtemplates) = (below("pods/"), below("podtemplates/"));
    let revision = subject.backend.current_revision().await.unwrap();
    let mut watch = pods.watch(revision + 1);
    podtemplates.create("x", "1").await;
    let created = pods.create("x", "1").await;
    assert_eq!(watch.changes(1).await, [format!("x=1@{created}")]);
}

pub async fn a_quiet_prefix_advances(subject: Subject) {
    let quiet = Subject { backend: Arc::clone(&subject.backend), prefix: format!("{}quiet/", subject.prefix) };
    let revision = subject.backend.current_revision().await.unwrap();
    let mut watch = quiet.watch(revision + 1);
    for name in ["a", "b", "c"] {
        let created = subject.create(name, "1").await;
        watch.progress_to(created).await;
    }
    let created = quiet.create("x", "1").await;
    assert_eq!(watch.changes(1).await, [format!("x=1@{created}")]);
}

pub async fn a_watch_may_begin_in_the_future(subject: Subject) {
    let created = subject.create("a", "1").await;
    let mut watch = subject.watch(created + 2);
    let second = subject.update("a", "2", created).await;
    let third = subject.update("a", "3", second).await;
    assert_eq!((second, third), (created + 1, created + 2), "nobody else writes");
    assert_eq!(watch.changes(1).await, [format!("a=3@{third}")]);
}

pub async fn what_has_a_time_to_live_is_gone_after_it(subject: Subject) {
    let key = subject.key("short");
    let begin = Instant::now();
    let created = done(subject.backend.create(&key, "1".into(), Some(2)).await.unwrap());
    let renewed = done(subject.backend.update(&key, "2".into(), created, Some(2)).await.unwrap());
    let kept = done(subject.backend.create(&subject.key("kept"), "1".into(), Some(2)).await.unwrap());
    let kept = subject.update("kept", "2", kept).await;
    let mut watch = subject.watch(kept + 1);
    let gone = watch.changes(1).await;
    assert!(gone[0].starts_with("-short@"), "{gone:?}");
    assert!(begin.elapsed() >= Duration::from_secs(2));
    assert_eq!(subject.backend.get(&key).await.unwrap().0, None, "renewed at {renewed}");
    assert!(subject.backend.get(&subject.key("kept")).await.unwrap().0.is_some(), "an update without one ends it");
}

pub async fn compacted_history_is_gone(subject: Subject) {
    let created = subject.create("a", "1").await;
    let updated = subject.update("a", "2", created).await;
    subject.backend.compact(updated).await.unwrap();
    subject.backend.compact(updated).await.unwrap();
    let past = ListRequest { revision: Some(created), ..subject.everything() };
    assert_eq!(subject.backend.list(past).await.unwrap_err(), BackendError::Compacted(created));
    let now = ListRequest { revision: Some(updated), ..subject.everything() };
    assert_eq!(subject.backend.list(now).await.unwrap().items, [subject.kv("a", "2", updated)]);

    let mut watch = subject.watch(created);
    assert_eq!(watch.next().await, Some(Ok(WatchItem::Compacted(updated))));
    assert_eq!(watch.next().await, None);
}

pub async fn many_changes_arrive_whole(subject: Subject) {
    let revision = subject.backend.current_revision().await.unwrap();
    let mut watch = subject.watch(revision + 1);
    let mut expected = Vec::new();
    for i in 0..150 {
        let created = subject.create(&format!("{i:03}"), "1").await;
        expected.push(format!("{i:03}=1@{created}"));
    }
    assert_eq!(watch.changes(expected.len()).await, expected);
    assert!(watch.items.next().now_or_never().is_none(), "nothing more comes");
}
