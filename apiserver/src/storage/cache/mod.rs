//! The watch cache of one collection.

pub mod watcher;

use std::sync::Arc;

use bytes::Bytes;

use super::{
    backend::Backend,
    collection::ListResult,
    entry::{Describe, Entry},
    error::Error,
    key::Keys,
    options::{ListOptions, WatchOptions},
};
use watcher::Watcher;

/// A projection of one prefix of the store, kept current by a watch.
pub struct Cache {
    _keys: Keys,
}

impl Cache {
    pub(super) fn new(
        _backend: Arc<dyn Backend>,
        keys: Keys,
        _routing_field: Option<String>,
        _describe: Arc<dyn Describe>,
    ) -> Arc<Self> {
        Arc::new(Self { _keys: keys })
    }

    pub(super) fn peek(&self, _key: &Bytes) -> Option<Arc<Entry>> {
        None
    }

    pub(super) async fn get(&self, _key: &Bytes, _resource_version: &str) -> Result<Option<Arc<Entry>>, Error> {
        Err(Error::NotReady { retry_after_seconds: 1 })
    }

    pub(super) async fn list(&self, _options: &ListOptions) -> Result<ListResult, Error> {
        Err(Error::NotReady { retry_after_seconds: 1 })
    }

    pub(super) async fn watch(&self, _options: WatchOptions) -> Result<Watcher, Error> {
        Err(Error::NotReady { retry_after_seconds: 1 })
    }

    pub(super) fn is_ready(&self) -> bool {
        false
    }

    pub(super) fn count(&self) -> usize {
        0
    }

    pub(super) fn stop(&self) {}
}
