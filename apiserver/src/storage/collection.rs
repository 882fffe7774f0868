//! The objects of one storage prefix: conditional writes and fresh reads go to the backend, lists and watches to the cache.

use std::{fmt, sync::Arc};

use bytes::Bytes;

use super::{
    backend::{Backend, KeyValue, Write},
    cache::{Cache, Origin, watcher::Watcher},
    entry::{Attributes, Describe, Entry},
    error::Error,
    key::Keys,
    options::{ListOptions, WatchOptions},
};

/// What a collection needs to know of its resource.
#[derive(Clone)]
pub struct CollectionSpec {
    /// Where its objects are stored: `/registry/pods`, `/registry/services/specs`, `/registry/example.com/widgets`, with or without
    /// `/registry`, which stands for the server's `--etcd-prefix`.
    pub prefix: String,
    /// Whether keys have a namespace segment.
    pub namespaced: bool,
    /// The field that watches are routed by besides namespace and name (`spec.nodeName` of pods), if any.
    pub routing_field: Option<String>,
    /// Reads labels and selectable fields from stored bytes.
    pub describe: Arc<dyn Describe>,
}

impl fmt::Debug for CollectionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectionSpec").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// What a LIST found.
#[derive(Debug, Clone)]
pub struct ListResult {
    /// The objects in the order of their keys.
    pub items: Vec<Arc<Entry>>,
    /// For `metadata.resourceVersion`.
    pub revision: i64,
    /// For `metadata.continue`; `None` after the last page.
    pub continue_token: Option<String>,
    /// For `metadata.remainingItemCount`; `None` after the last page and where a selector makes it unknown.
    pub remaining: Option<i64>,
}

/// The objects of one storage prefix.
pub struct Collection {
    keys: Keys,
    backend: Arc<dyn Backend>,
    cache: Arc<Cache>,
}

impl Collection {
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        server_prefix: &str,
        spec: &CollectionSpec,
        origin: &Origin,
    ) -> Arc<Self> {
        let keys = Keys::new(server_prefix, &spec.prefix, spec.namespaced);
        let cache = Cache::new(
            Arc::clone(&backend),
            keys.clone(),
            spec.routing_field.clone(),
            Arc::clone(&spec.describe),
            Arc::clone(origin),
        );
        Arc::new(Self { keys, backend, cache })
    }

    /// One object. An empty `resource_version` reads the newest, linearizably; any other reads from the cache, once it has reached
    /// that revision (`0`: as it is).
    pub async fn get(&self, namespace: &str, name: &str, resource_version: &str) -> Result<Option<Arc<Entry>>, Error> {
        let key = self.keys.object(namespace, name)?;
        if resource_version.is_empty() {
            let (found, _) = self.backend.get(&key).await?;
            return Ok(found.map(|found| self.entry(found)));
        }
        self.cache.get(&key, resource_version).await
    }

    /// One object as the cache has it now, which may be stale or absent: a first guess for an optimistic update.
    pub fn cached(&self, namespace: &str, name: &str) -> Option<Arc<Entry>> {
        self.cache.peek(&self.keys.object(namespace, name).ok()?)
    }

    /// Stores a new object. [`Error::AlreadyExists`] if there is one.
    pub async fn create(
        &self,
        namespace: &str,
        name: &str,
        stored: Bytes,
        ttl_seconds: Option<i64>,
    ) -> Result<Arc<Entry>, Error> {
        let key = self.keys.object(namespace, name)?;
        match self.backend.create(&key, stored.clone(), ttl_seconds).await? {
            Write::Done(revision) => Ok(self.entry(KeyValue { key, value: stored, mod_revision: revision })),
            Write::Conflict(_) => Err(Error::AlreadyExists),
        }
    }

    /// Replaces an object last changed at `expected_revision`. [`Error::Conflict`], with what stands there now, if it has changed.
    pub async fn update(
        &self,
        namespace: &str,
        name: &str,
        stored: Bytes,
        expected_revision: i64,
        ttl_seconds: Option<i64>,
    ) -> Result<Arc<Entry>, Error> {
        let key = self.keys.object(namespace, name)?;
        match self.backend.update(&key, stored.clone(), expected_revision, ttl_seconds).await? {
            Write::Done(revision) => Ok(self.entry(KeyValue { key, value: stored, mod_revision: revision })),
            Write::Conflict(current) => Err(self.conflict(current)),
        }
    }

    /// Deletes an object last changed at `expected_revision` and returns the revision of the deletion. [`Error::Conflict`], with what
    /// stands there now, if it has changed.
    pub async fn delete(&self, namespace: &str, name: &str, expected_revision: i64) -> Result<i64, Error> {
        let key = self.keys.object(namespace, name)?;
        match self.backend.delete(&key, expected_revision).await? {
            Write::Done(revision) => Ok(revision),
            Write::Conflict(current) => Err(self.conflict(current)),
        }
    }

    /// LIST, with kube-apiserver's meaning of `resourceVersion`, `resourceVersionMatch`, `limit` and `continue`.
    pub async fn list(&self, options: &ListOptions) -> Result<ListResult, Error> {
        self.cache.list(options).await
    }

    /// WATCH, with kube-apiserver's meaning of `resourceVersion` and `sendInitialEvents`. An error here is the answer to the request;
    /// errors that kube-apiserver reports inside the stream come as its first event.
    pub async fn watch(&self, options: WatchOptions) -> Result<Watcher, Error> {
        self.cache.watch(options).await
    }

    /// Whether the cache is filled. Starts filling it if nothing has yet.
    pub fn is_ready(&self) -> bool {
        self.cache.is_ready()
    }

    /// How many objects the cache holds; 0 until it is filled.
    pub fn count(&self) -> usize {
        self.cache.count()
    }

    /// Ends the cache and all watches.
    pub(super) fn stop(&self) {
        self.cache.stop();
    }

    fn conflict(&self, current: Option<KeyValue>) -> Error {
        Error::Conflict(current.map(|current| self.entry(current)))
    }

    /// The entry of what the backend returned: the cache's own if it has the same revision, so that encodings are shared. Otherwise
    /// one without attributes: only lists and watches select, and reading attributes costs as much as decoding the object.
    fn entry(&self, found: KeyValue) -> Arc<Entry> {
        if let Some(entry) = self.cache.peek(&found.key)
            && entry.revision == found.mod_revision
        {
            return entry;
        }
        Arc::new(Entry::new(found.key, found.value, found.mod_revision, Arc::default()))
    }
}

impl Drop for Collection {
    fn drop(&mut self) {
        self.stop();
    }
}

/// An entry with its attributes. Bytes that cannot be read have none; whoever encodes them meets the error.
pub(super) fn describe(describe: &dyn Describe, found: KeyValue) -> Entry {
    let attributes = describe.describe(&found.value).unwrap_or_else(|error| {
        tracing::error!(key = %found.key.escape_ascii(), error, "cannot read a stored object");
        Attributes::default()
    });
    Entry::new(found.key, found.value, found.mod_revision, Arc::new(attributes))
}
