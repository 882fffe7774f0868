//! For tests: a store in memory that does as told, and objects that are easy to read.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};

use super::{
    CollectionSpec, Describe, Select,
    backend::{
        Backend, BackendError, Change, KeyValue, ListPage, ListRequest, WatchItem, WatchStream, Write, prefix_end,
    },
    entry::Attributes,
};

/// A store that keeps its whole history in memory, breaks watches and compacts when told.
pub struct Memory {
    state: Arc<Mutex<State>>,
    /// Changes with every write, and when watches shall break.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct State {
    revision: i64,
    compacted: i64,
    history: Vec<Change>,
    /// How often watches were broken.
    breaks: u64,
    /// While set, no watch can be opened.
    cut_off: bool,
}

impl Memory {
    pub fn new() -> Arc<Self> {
        let state = State { revision: 1, ..State::default() };
        Arc::new(Self { state: Arc::new(Mutex::new(state)), news: watch::Sender::new(0) })
    }

    /// Makes changes of one revision; `None` deletes.
    pub fn write(&self, changes: &[(&str, Option<Value>)]) -> i64 {
        let mut state = self.state.lock();
        state.revision += 1;
        let revision = state.revision;
        for (key, value) in changes {
            let key = Bytes::from((*key).to_owned());
            state.history.push(match value {
                Some(value) => Change::Put(KeyValue { key, value: value.to_string().into(), mod_revision: revision }),
                None => Change::Delete { key, revision },
            });
        }
        drop(state);
        self.news.send_modify(|news| *news += 1);
        revision
    }

    pub fn revision(&self) -> i64 {
        self.state.lock().revision
    }

    /// Ends all watches with an error. While `cut_off`, they cannot be opened again.
    pub fn break_watches(&self, cut_off: bool) {
        let mut state = self.state.lock();
        state.cut_off = cut_off;
        state.breaks += 1;
        drop(state);
        self.news.send_modify(|news| *news += 1);
    }

    /// What is there at a revision.
    pub fn at(&self, prefix: &str, revision: i64) -> BTreeMap<Bytes, KeyValue> {
        self.state.lock().range(prefix.as_bytes(), &prefix_end(prefix.as_bytes()), revision)
    }
}

impl State {
    fn range(&self, start: &[u8], end: &[u8], revision: i64) -> BTreeMap<Bytes, KeyValue> {
        let mut live = BTreeMap::new();
        for change in self.history.iter().take_while(|change| change.revision() <= revision) {
            match change {
                Change::Put(kv) if *kv.key >= *start && *kv.key < *end => {
                    live.insert(kv.key.clone(), kv.clone());
                }
                Change::Delete { key, .. } => {
                    live.remove(key);
                }
                Change::Put(_) => {}
            }
        }
        live
    }

    fn get(&self, key: &[u8]) -> Option<KeyValue> {
        let end = [key, b"\0"].concat();
        self.range(key, &end, self.revision).into_values().next()
    }

    fn changes(&self, prefix: &[u8], from: i64) -> Vec<Change> {
        let concerns = |change: &&Change| match change {
            Change::Put(kv) => kv.key.starts_with(prefix),
            Change::Delete { key, .. } => key.starts_with(prefix),
        };
        self.history.iter().filter(|change| change.revision() >= from).filter(concerns).cloned().collect()
    }
}

/// A watch of a [`Memory`].
struct Follower {
    state: Arc<Mutex<State>>,
    news: watch::Receiver<u64>,
    progress_wanted: Arc<Notify>,
    prefix: Bytes,
    next: i64,
    breaks: u64,
    owes_progress: bool,
}

impl Follower {
    async fn next(&mut self) -> Option<Result<WatchItem, BackendError>> {
        loop {
            let state = Arc::clone(&self.state);
            let revision = {
                let state = state.lock();
                if state.breaks != self.breaks {
                    return None;
                }
                if self.next <= state.compacted {
                    return Some(Ok(WatchItem::Compacted(state.compacted)));
                }
                let changes = state.changes(&self.prefix, self.next);
                if let Some(last) = changes.last() {
                    self.next = last.revision() + 1;
                    return Some(Ok(WatchItem::Changes(changes)));
                }
                state.revision
            };
            if std::mem::take(&mut self.owes_progress) {
                self.next = self.next.max(revision + 1);
                return Some(Ok(WatchItem::Progress(revision)));
            }
            tokio::select! {
                () = self.progress_wanted.notified() => self.owes_progress = true,
                changed = self.news.changed() => changed.ok()?,
            }
        }
    }
}

#[async_trait]
impl Backend for Memory {
    async fn get(&self, key: &[u8]) -> Result<(Option<KeyValue>, i64), BackendError> {
        let state = self.state.lock();
        Ok((state.get(key), state.revision))
    }

    async fn list(&self, request: ListRequest) -> Result<ListPage, BackendError> {
        let state = self.state.lock();
        let revision = request.revision.unwrap_or(state.revision);
        if revision < state.compacted {
            return Err(BackendError::Compacted(revision));
        }
        if revision > state.revision {
            return Err(BackendError::FutureRevision(revision));
        }
        let all = state.range(&request.start, &request.end, revision);
        let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
        Ok(ListPage {
            count: i64::try_from(all.len()).unwrap(),
            more: all.len() > limit,
            items: all.into_values().take(limit).collect(),
            revision: state.revision,
        })
    }

    async fn create(&self, key: &[u8], value: Bytes, ttl_seconds: Option<i64>) -> Result<Write, BackendError> {
        self.update(key, value, 0, ttl_seconds).await
    }

    async fn update(&self, key: &[u8], value: Bytes, expected: i64, _: Option<i64>) -> Result<Write, BackendError> {
        let current = self.state.lock().get(key);
        if current.as_ref().map_or(0, |current| current.mod_revision) != expected {
            return Ok(Write::Conflict(current));
        }
        let value = serde_json::from_slice(&value).unwrap();
        Ok(Write::Done(self.write(&[(std::str::from_utf8(key).unwrap(), Some(value))])))
    }

    async fn delete(&self, key: &[u8], expected: i64) -> Result<Write, BackendError> {
        let current = self.state.lock().get(key);
        if current.as_ref().map_or(0, |current| current.mod_revision) != expected {
            return Ok(Write::Conflict(current));
        }
        Ok(Write::Done(self.write(&[(std::str::from_utf8(key).unwrap(), None)])))
    }

    async fn current_revision(&self) -> Result<i64, BackendError> {
        Ok(self.revision())
    }

    fn watch(&self, prefix: Bytes, start_revision: i64, progress_wanted: Arc<Notify>) -> WatchStream {
        let news = self.news.subscribe();
        let state = self.state.lock();
        if state.cut_off {
            return Box::pin(stream::iter([Err(BackendError::Unavailable("cut off".to_owned()))]));
        }
        let breaks = state.breaks;
        drop(state);
        let state = Arc::clone(&self.state);
        let follower =
            Follower { state, news, progress_wanted, prefix, next: start_revision, breaks, owes_progress: false };
        Box::pin(stream::unfold(follower, |mut follower| async { Some((follower.next().await?, follower)) }))
    }

    async fn compact(&self, revision: i64) -> Result<(), BackendError> {
        self.state.lock().compacted = revision;
        Ok(())
    }

    async fn ready(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

/// The field that test objects are routed by.
pub const NODE: &str = "spec.nodeName";

/// A test object: an app label and a node.
pub fn object(app: &str, node: &str) -> Value {
    json!({"app": app, "node": node})
}

/// Pods stored as [`object`]s.
pub fn pods() -> CollectionSpec {
    CollectionSpec {
        prefix: "/registry/pods".to_owned(),
        namespaced: true,
        routing_field: Some(NODE.to_owned()),
        describe: Arc::new(ObjectAttributes),
    }
}

struct ObjectAttributes;

impl Describe for ObjectAttributes {
    fn describe(&self, stored: &[u8]) -> Result<Attributes, String> {
        let object: Value = serde_json::from_slice(stored).map_err(|error| error.to_string())?;
        let text = |field: &str| Box::from(object[field].as_str().unwrap_or_default());
        Ok(Attributes::new([("app".into(), text("app"))], [(NODE.into(), text("node"))]))
    }
}

/// Selects by an app label, a field, or both.
#[derive(Debug, Clone, Default)]
pub struct Selector {
    pub app: Option<&'static str>,
    pub field: Option<(&'static str, &'static str)>,
}

impl Select for Selector {
    fn matches(&self, attributes: &Attributes) -> bool {
        let by_app = self.app.is_none_or(|app| attributes.label("app") == Some(app));
        // Keys have told about names and namespaces already.
        let by_node = |(field, value)| field != NODE || attributes.field(NODE) == Some(value);
        by_app && self.field.is_none_or(by_node)
    }

    fn is_everything(&self) -> bool {
        self.app.is_none() && self.field.is_none()
    }

    fn exact_field(&self, field: &str) -> Option<&str> {
        self.field.filter(|(name, _)| *name == field).map(|(_, value)| value)
    }
}
