//! The store behind one trait, and the watch cache above it.
//!
//! [`Storage`] hands out one [`Collection`] for each storage prefix. A collection creates, reads, updates and deletes objects as stored
//! bytes, and lists and watches them from a cache that it fills on first use. Nothing here knows what is inside an object beyond its
//! [`Attributes`].

pub mod backend;
pub mod cache;
pub mod collection;
pub mod compactor;
pub mod continue_token;
pub mod embedded;
pub mod entry;
pub mod error;
pub mod etcd;
pub mod key;
mod lease_pool;
pub mod options;
pub mod read_plan;
mod requests;
pub mod resource_version;
#[cfg(test)]
mod testing;

use std::{
    collections::{HashMap, hash_map},
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;

pub use backend::{Backend, BackendError};
use cache::Origin;
pub use cache::watcher::{EventKind, WatchEvent, Watcher};
pub use collection::{Collection, CollectionSpec, ListResult};
pub use entry::{Attributes, Describe, Entry, WireForm};
pub use error::Error;
pub use options::{Everything, ListOptions, ResourceVersionMatch, Scope, Select, WatchOptions};

/// All collections of a server on one backend.
pub struct Storage {
    backend: Arc<dyn Backend>,
    /// `--etcd-prefix`.
    prefix: String,
    collections: RwLock<HashMap<String, Arc<Collection>>>,
    origin: Origin,
    stopped: CancellationToken,
}

impl Storage {
    /// Collections under `prefix` (`/registry`) of `backend`.
    pub fn new(backend: Arc<dyn Backend>, prefix: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            backend,
            prefix: prefix.into(),
            collections: RwLock::default(),
            origin: Origin::default(),
            stopped: CancellationToken::new(),
        })
    }

    /// Marks the server's start: what happens from now on can be watched later, as far as the store and the caches remember it, even
    /// in collections that nobody has used yet.
    pub async fn begin(&self) -> Result<(), Error> {
        let revision = self.backend.current_revision().await?;
        // A second start changes nothing.
        self.origin.get_or_init(|| revision);
        Ok(())
    }

    /// The collection of a resource; made on first use, the same one for every later call with the same prefix.
    pub fn collection(&self, spec: &CollectionSpec) -> Arc<Collection> {
        if let Some(collection) = self.collections.read().get(&spec.prefix) {
            return Arc::clone(collection);
        }
        match self.collections.write().entry(spec.prefix.clone()) {
            hash_map::Entry::Occupied(known) => Arc::clone(known.get()),
            hash_map::Entry::Vacant(vacant) => {
                let collection = Collection::new(Arc::clone(&self.backend), &self.prefix, spec, &self.origin);
                Arc::clone(vacant.insert(collection))
            }
        }
    }

    /// Forgets a collection: its custom resource definition is gone or has changed. Its watchers end.
    pub fn forget(&self, resource_prefix: &str) {
        if let Some(collection) = self.collections.write().remove(resource_prefix) {
            collection.stop();
        }
    }

    /// Has the store forget old history every `interval` from now on, as [`compactor`] describes.
    pub fn compact_every(&self, interval: Duration) {
        let compactor = compactor::run(Arc::clone(&self.backend), interval);
        tokio::spawn(self.stopped.clone().run_until_cancelled_owned(compactor));
    }

    /// Ends all collections with their watches, and compaction: nothing uses the backend any more.
    pub fn stop(&self) {
        self.stopped.cancel();
        for (_, collection) in self.collections.write().drain() {
            collection.stop();
        }
    }

    /// The store itself.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }
}
