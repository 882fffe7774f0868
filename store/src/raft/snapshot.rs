//! Snapshots. The state database is one already: building a snapshot flushes it and names the log entry it reached. The
//! data is read from it only when a follower needs it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::storage::{RaftSnapshotBuilder, Snapshot};

use super::TypeConfig;
use crate::engine::{Engine, EngineError};

/// What a snapshot covers: the last entry applied and the membership then.
pub type SnapshotMeta = SnapshotMetaOf<TypeConfig>;

/// The contents of a snapshot: a state database that has reached at least the entry the snapshot names. On the leader it
/// is the leader's own.
pub struct SnapshotData<E>(Arc<E>);

impl<E: Engine> SnapshotData<E> {
    /// A snapshot in `engine`.
    pub fn new(engine: Arc<E>) -> Self {
        Self(engine)
    }

    /// Writes the files that a follower is sent into `directory`, which must not exist yet.
    pub fn checkpoint(&self, directory: &Path) -> Result<(), EngineError> {
        self.0.checkpoint(directory)
    }

    /// The database.
    pub fn engine(&self) -> &E {
        &self.0
    }
}

/// Flushes the state as it was, or newer.
pub struct SnapshotBuilder<E> {
    engine: Arc<E>,
    meta: SnapshotMeta,
}

impl<E: Engine> SnapshotBuilder<E> {
    /// Of `engine`, which has reached `meta`.
    pub fn new(engine: Arc<E>, meta: SnapshotMeta) -> Self {
        Self { engine, meta }
    }
}

impl<E: Engine> RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder<E> {
    type SnapshotData = SnapshotData<E>;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotData<E>>> {
        let engine = self.engine.clone();
        tokio::task::spawn_blocking(move || engine.flush())
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: SnapshotData::new(self.engine.clone()) })
    }
}
