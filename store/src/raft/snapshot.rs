//! Snapshots. The state database is one already: building a snapshot flushes it and names the log entry it reached. The
//! data is read from it only when a follower needs it.

use std::io;
use std::sync::Arc;

use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::storage::{RaftSnapshotBuilder, Snapshot};

use super::TypeConfig;
use crate::engine::Engine;
use crate::mvcc::Mvcc;

/// What a snapshot covers: the last entry applied and the membership then.
pub type SnapshotMeta = SnapshotMetaOf<TypeConfig>;

/// The contents of a snapshot: a state database that has reached at least the entry the snapshot names. On the leader
/// it is the leader's own.
pub struct SnapshotData<E>(Arc<Mvcc<E>>);

impl<E: Engine> SnapshotData<E> {
    /// A snapshot in `mvcc`.
    pub fn new(mvcc: Arc<Mvcc<E>>) -> Self {
        Self(mvcc)
    }

    /// The database.
    pub fn engine(&self) -> &E {
        self.0.engine()
    }
}

/// Flushes the state as it was, or newer.
pub struct SnapshotBuilder<E> {
    mvcc: Arc<Mvcc<E>>,
    meta: SnapshotMeta,
}

impl<E: Engine> SnapshotBuilder<E> {
    /// Of `mvcc`, which has reached `meta`.
    pub fn new(mvcc: Arc<Mvcc<E>>, meta: SnapshotMeta) -> Self {
        Self { mvcc, meta }
    }
}

impl<E: Engine> RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder<E> {
    type SnapshotData = SnapshotData<E>;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotData<E>>> {
        let mvcc = self.mvcc.clone();
        tokio::task::spawn_blocking(move || mvcc.engine().flush())
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: SnapshotData::new(self.mvcc.clone()) })
    }
}
