//! Snapshots. The state database is one already: building a snapshot flushes it and names the log entry it reached. The
//! data is read from it only when a follower needs it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::alias::{SnapshotMetaOf, SnapshotOf};
use openraft::storage::{RaftSnapshotBuilder, Snapshot};

use parking_lot::Mutex;

use super::network::SnapshotFiles;
use super::state_machine::Applied;
use super::{LogId, TypeConfig};
use crate::engine::{Engine, EngineError};
use crate::mvcc::Mvcc;

/// What a snapshot covers: the last entry applied and the membership then.
pub type SnapshotMeta = SnapshotMetaOf<TypeConfig>;

/// The contents of a snapshot.
pub enum SnapshotData<E> {
    /// The state of this node, at least as new as the snapshot says: files are made of it when a follower needs them.
    Own(Source<E>),
    /// Files that the leader sent.
    Received(SnapshotFiles),
}

impl<E: Engine> SnapshotData<E> {
    /// The snapshot as files.
    pub async fn files(self) -> Result<SnapshotFiles, EngineError> {
        match self {
            Self::Own(source) => tokio::task::spawn_blocking(move || source.checkpoint())
                .await
                .map_err(|error| EngineError(error.to_string()))?,
            Self::Received(files) => Ok(files),
        }
    }
}

/// Where snapshots come from: the state, and a directory for copies of it.
pub struct Source<E> {
    mvcc: Arc<Mvcc<E>>,
    /// One copy at a time, shared by the followers that need it.
    made: Arc<Mutex<Option<SnapshotFiles>>>,
    directory: PathBuf,
    /// Whether the log still has what a copy that ends with this entry lacks.
    continues: Continues,
}

/// Whether the log still has the entries that follow this one.
type Continues = Arc<dyn Fn(Option<LogId>) -> bool + Send + Sync>;

impl<E> Clone for Source<E> {
    fn clone(&self) -> Self {
        Self {
            mvcc: self.mvcc.clone(),
            made: self.made.clone(),
            directory: self.directory.clone(),
            continues: self.continues.clone(),
        }
    }
}

impl<E: Engine> Source<E> {
    /// Copies of the state in `mvcc` will lie below `directory`. What an earlier process left there is removed. A copy is
    /// of use as long as the log `continues` from it.
    pub fn new(
        mvcc: Arc<Mvcc<E>>,
        directory: &Path,
        continues: impl Fn(Option<LogId>) -> bool + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let directory = directory.join(OUTGOING);
        remove(&directory)?;
        std::fs::create_dir_all(&directory)?;
        Ok(Self { mvcc, made: Arc::default(), directory, continues: Arc::new(continues) })
    }

    /// The state.
    pub fn mvcc(&self) -> &Arc<Mvcc<E>> {
        &self.mvcc
    }

    /// A copy of the state as files: the last one if it is still of use, so that a transfer which was cut off goes on
    /// where it ended.
    fn checkpoint(&self) -> Result<SnapshotFiles, EngineError> {
        let failed = |error: io::Error| EngineError(error.to_string());
        let mut made = self.made.lock();
        if let Some(files) = made.as_ref().filter(|files| (self.continues)(files.meta.last_log_id)) {
            return Ok(files.clone());
        }
        if let Some(old) = made.take() {
            remove(&old.directory).map_err(failed)?;
        }
        let index = Applied::load(&**self.mvcc.engine())?.last.map_or(0, |id| id.index);
        let directory = self.directory.join(index.to_string());
        remove(&directory).map_err(failed)?;
        self.mvcc.engine().checkpoint(&directory)?;
        let applied = Applied::load_checkpoint(&**self.mvcc.engine(), &directory)?;
        let meta = SnapshotMeta { last_log_id: applied.last, last_membership: applied.membership };
        let files = SnapshotFiles { meta, directory };
        *made = Some(files.clone());
        Ok(files)
    }
}

/// Where copies for followers lie, in the directory of snapshots.
const OUTGOING: &str = "outgoing";

/// Removes a directory that need not exist.
pub fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Flushes the state as it was, or newer.
pub struct SnapshotBuilder<E> {
    source: Source<E>,
    meta: SnapshotMeta,
}

impl<E: Engine> SnapshotBuilder<E> {
    /// Of `source`, which has reached `meta`.
    pub fn new(source: Source<E>, meta: SnapshotMeta) -> Self {
        Self { source, meta }
    }
}

impl<E: Engine> RaftSnapshotBuilder<TypeConfig> for SnapshotBuilder<E> {
    type SnapshotData = SnapshotData<E>;

    async fn build_snapshot(&mut self) -> io::Result<SnapshotOf<TypeConfig, SnapshotData<E>>> {
        let mvcc = self.source.mvcc.clone();
        tokio::task::spawn_blocking(move || mvcc.engine().flush())
            .await
            .map_err(io::Error::other)?
            .map_err(io::Error::other)?;
        Ok(Snapshot { meta: self.meta.clone(), snapshot: SnapshotData::Own(self.source.clone()) })
    }
}
