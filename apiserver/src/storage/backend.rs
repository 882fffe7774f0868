//! The one trait through which the apiserver reaches its store.
//!
//! Two implementations pass the same contract suite: [`super::embedded`], a store in this process, and [`super::etcd`], any etcd v3
//! endpoint. Keys and values are opaque here; revisions are the store's.

use std::{pin::Pin, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use futures::Stream;
use tokio::sync::Notify;

/// A key with its value as of the revision that last changed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The whole key.
    pub key: Bytes,
    /// The bytes stored under it.
    pub value: Bytes,
    /// The revision of the last change of the key.
    pub mod_revision: i64,
}

/// A range read: keys from `start` up to and without `end`, in byte order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// The first key.
    pub start: Bytes,
    /// The key to stop before.
    pub end: Bytes,
    /// How many keys at most; 0 is no limit.
    pub limit: i64,
    /// Read as of this revision; `None` is a linearizable read of the newest.
    pub revision: Option<i64>,
}

/// What a range read found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPage {
    /// The keys in order.
    pub items: Vec<KeyValue>,
    /// How many keys the range holds, whatever the limit.
    pub count: i64,
    /// Whether the limit cut the answer.
    pub more: bool,
    /// The store's revision at the time of the read (not the revision asked for).
    pub revision: i64,
}

/// What became of a conditional write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Write {
    /// Done, at this revision.
    Done(i64),
    /// The condition did not hold; nothing was written. This is what stands there instead, `None` if nothing does.
    Conflict(Option<KeyValue>),
}

/// A change of one key. What stood there before is not told: who follows a prefix from a list on knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The key was written: its new value, and the revision of this change.
    Put(KeyValue),
    /// The key was deleted, or its lease ended.
    Delete {
        /// The whole key.
        key: Bytes,
        /// The revision of this change.
        revision: i64,
    },
}

impl Change {
    /// The revision that made the change.
    pub fn revision(&self) -> i64 {
        match self {
            Self::Put(current) => current.mod_revision,
            Self::Delete { revision, .. } => *revision,
        }
    }
}

/// What a watch yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchItem {
    /// One or more changes in the order of their revisions. The changes of one revision always come in one item.
    Changes(Vec<Change>),
    /// Every change up to and including this revision has been yielded.
    Progress(i64),
    /// The history from the wanted revision on is gone; this revision is the oldest that can be read. The watch is over.
    Compacted(i64),
}

/// The items of a watch. It ends after [`WatchItem::Compacted`], after an error, and when the store stops.
pub type WatchStream = Pin<Box<dyn Stream<Item = Result<WatchItem, BackendError>> + Send>>;

/// Why the store could not do as asked. A condition that does not hold is no error ([`Write::Conflict`]).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// The revision asked for has been compacted.
    #[error("required revision {0} has been compacted")]
    Compacted(i64),
    /// The revision asked for lies in the future.
    #[error("required revision {0} is a future revision")]
    FutureRevision(i64),
    /// No server can be reached, or none leads. Whether a write was done is unknown.
    #[error("{0}")]
    Unavailable(String),
    /// No answer in time. Whether a write was done is unknown.
    #[error("{0}")]
    Timeout(String),
    /// The request is larger than the store takes.
    #[error("{0}")]
    TooLarge(String),
    /// The store is out of space and takes no writes.
    #[error("{0}")]
    NoSpace(String),
    /// The store has too much to do.
    #[error("{0}")]
    Busy(String),
    /// Anything else, in the store's words.
    #[error("{0}")]
    Other(String),
}

/// A revisioned key-value store.
///
/// Reads without a revision and all writes are linearizable. A write that returns [`Write::Done`] is durable.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// The key as it stands, and the store's revision.
    async fn get(&self, key: &[u8]) -> Result<(Option<KeyValue>, i64), BackendError>;

    /// The keys of a range, of one revision.
    async fn list(&self, request: ListRequest) -> Result<ListPage, BackendError>;

    /// Writes a key that must not exist yet. `ttl_seconds` has it deleted some time after (never before) that many seconds.
    async fn create(&self, key: &[u8], value: Bytes, ttl_seconds: Option<i64>) -> Result<Write, BackendError>;

    /// Writes a key whose last change must be `expected_mod_revision`. Its time to live is set anew.
    async fn update(
        &self,
        key: &[u8],
        value: Bytes,
        expected_mod_revision: i64,
        ttl_seconds: Option<i64>,
    ) -> Result<Write, BackendError>;

    /// Deletes a key whose last change must be `expected_mod_revision`.
    async fn delete(&self, key: &[u8], expected_mod_revision: i64) -> Result<Write, BackendError>;

    /// The store's revision, read linearizably.
    async fn current_revision(&self) -> Result<i64, BackendError>;

    /// Every change under `prefix` from `start_revision` on, which may lie in the future. Whenever `progress_wanted` is notified,
    /// the store's present revision follows soon as [`WatchItem::Progress`], whether or not anything under the prefix has changed,
    /// unless the last item has told it already.
    /// Dropping the stream ends the watch.
    fn watch(&self, prefix: Bytes, start_revision: i64, progress_wanted: Arc<Notify>) -> WatchStream;

    /// Forgets the history before `revision`.
    async fn compact(&self, revision: i64) -> Result<(), BackendError>;

    /// Whether the store can serve now.
    async fn ready(&self) -> Result<(), BackendError>;
}

/// The first key after all that start with `prefix`; `\0`, which etcd reads as "no end", where there is none.
pub fn prefix_end(prefix: &[u8]) -> Bytes {
    let mut end = prefix.to_vec();
    while let Some(last) = end.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Bytes::from(end);
        }
        end.pop();
    }
    Bytes::from_static(b"\0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_where_its_last_byte_is_one_more() {
        assert_eq!(prefix_end(b"/registry/pods/"), "/registry/pods0");
        assert_eq!(prefix_end(b"a\xff\xff"), "b");
        assert_eq!(prefix_end(b"\xff"), "\0");
    }
}
