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
    /// The snapshot as files, which cover `at_least` this entry.
    pub async fn files(self, at_least: Option<LogId>) -> Result<SnapshotFiles, EngineError> {
        match self {
            Self::Own(source) => tokio::task::spawn_blocking(move || source.checkpoint(at_least))
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

    /// What a follower would get now, of a state that has come to `newest`. Raft believes that the follower has all of it,
    /// so that the last copy must not pass for a newer one.
    pub fn offer(&self, newest: SnapshotMeta) -> SnapshotMeta {
        // One that is just being made is not waited for: whoever is promised a newer one gets it.
        let made = self.made.try_lock();
        let made = made.as_ref().and_then(|made| made.as_ref()).filter(|files| self.is_useful(files));
        made.map_or(newest, |files| files.meta.clone())
    }

    fn is_useful(&self, files: &SnapshotFiles) -> bool {
        (self.continues)(files.meta.last_log_id)
    }

    /// A copy of the state as files: the last one if it is still of use and covers `at_least` this entry, so that a
    /// transfer which was cut off goes on where it ended.
    fn checkpoint(&self, at_least: Option<LogId>) -> Result<SnapshotFiles, EngineError> {
        let failed = |error: io::Error| EngineError(error.to_string());
        let mut made = self.made.lock();
        let covers = |files: &&SnapshotFiles| files.meta.last_log_id >= at_least && self.is_useful(files);
        if let Some(files) = made.as_ref().filter(covers) {
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use openraft::StoredMembership;
    use openraft::testing::log_id;

    use super::*;
    use crate::engine::memory::MemoryEngine;

    /// What a state covers that has come to this entry.
    fn meta(index: u64) -> SnapshotMeta {
        SnapshotMeta {
            last_log_id: Some(log_id::<TypeConfig>(1, 0, index)),
            last_membership: StoredMembership::default(),
        }
    }

    fn come_to(mvcc: &Mvcc<MemoryEngine>, index: u64) {
        let applied = Applied { last: meta(index).last_log_id, ..Applied::default() };
        mvcc.write(|_| Ok::<_, crate::error::StoreError>(()), |batch| applied.store(batch)).unwrap();
    }

    #[test]
    fn a_copy_never_passes_for_a_newer_one() {
        let directory = tempfile::tempdir().unwrap();
        let mvcc = Arc::new(Mvcc::open(Arc::new(MemoryEngine::new())).unwrap());
        let useful = Arc::new(AtomicBool::new(true));
        let known = useful.clone();
        let source = Source::new(mvcc.clone(), directory.path(), move |_| known.load(Ordering::Relaxed)).unwrap();
        let last = |at_least: u64| source.checkpoint(meta(at_least).last_log_id).unwrap().meta.last_log_id;

        come_to(&mvcc, 5);
        assert_eq!(source.offer(meta(5)), meta(5));
        assert_eq!(last(5), meta(5).last_log_id);
        // The state goes on; a transfer that was cut off is offered, and gets, the same copy again.
        come_to(&mvcc, 9);
        assert_eq!(source.offer(meta(9)), meta(5));
        assert_eq!(last(5), meta(5).last_log_id);
        // Who was promised more gets more.
        assert_eq!(last(8), meta(9).last_log_id);
        come_to(&mvcc, 12);
        useful.store(false, Ordering::Relaxed);
        assert_eq!(source.offer(meta(12)), meta(12), "the log has forgotten what follows the copy");
    }
}
