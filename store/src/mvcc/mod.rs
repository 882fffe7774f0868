//! Multi-version concurrency control over the engine: revisions, ranges, transactions, compaction.
//!
//! Everything here is a synchronous function of an engine's contents. [`Mvcc`] ties the pieces together: one writer at
//! a time applies batches, any number of readers look through [`View`]s and never wait.

pub mod check;
pub mod compact;
pub mod directory;
pub mod hash;
pub mod head;
pub mod overlay;
mod past;
pub(crate) mod pdqsort;
pub mod range;
pub mod revision;
pub mod txn;
pub mod view;
pub mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, RwLock};

pub use self::compact::Pruned;
pub use self::directory::{Directories, Directory};
pub use self::hash::KeysHash;
pub use self::head::Head;
pub use self::revision::Revision;
pub use self::view::{Lease, Replay, View};
pub use self::writer::{Writer, Written};

use self::head::LatestHead;
use crate::auth::Rules;
use crate::engine::{Durability, Engine, Reader, WriteBatch};
use crate::error::Result;

/// The multi-version state in an engine.
pub struct Mvcc<E> {
    engine: Arc<E>,
    directories: Directories,
    /// The counts after the last batch; the lock is what makes writers take turns.
    latest: Mutex<Arc<Directory>>,
    /// Where the store stands after the last batch, for those who need nothing else.
    head: LatestHead,
    /// Who may do what after the last batch.
    rules: RwLock<Arc<Rules>>,
    /// Whether they count: asked with every request.
    auth_enabled: AtomicBool,
    /// Held while old history is dropped: what is to be dropped is read before it is written.
    pruning: Mutex<()>,
}

impl<E: Engine> Mvcc<E> {
    /// Takes up the state in `engine`, which may be empty.
    pub fn open(engine: Arc<E>) -> Result<Self> {
        let mvcc = Self {
            engine,
            directories: Directories::default(),
            latest: Mutex::default(),
            head: LatestHead::default(),
            rules: RwLock::default(),
            auth_enabled: AtomicBool::default(),
            pruning: Mutex::default(),
        };
        mvcc.reload()?;
        Ok(mvcc)
    }

    /// Takes up the state again after it was replaced as a whole, as by a snapshot.
    pub fn reload(&self) -> Result<()> {
        let mut latest = self.latest.lock();
        let snapshot = self.engine.snapshot();
        let directory = match Directory::load(&snapshot)? {
            Some(directory) => Arc::new(directory),
            None => Arc::new(self.count_keys(&snapshot)?),
        };
        let head = Head::read(&snapshot)?;
        self.directories.reset(head.revision, directory.clone());
        self.head.change(|| Ok(head))?;
        self.set_rules(Rules::load(&snapshot)?);
        *latest = directory;
        Ok(())
    }

    /// Who may do what.
    pub fn rules(&self) -> Arc<Rules> {
        self.rules.read().clone()
    }

    /// Whether clients have to show who they are.
    pub fn auth_enabled(&self) -> bool {
        self.auth_enabled.load(Ordering::Acquire)
    }

    fn set_rules(&self, rules: Rules) {
        let enabled = rules.enabled();
        *self.rules.write() = Arc::new(rules);
        self.auth_enabled.store(enabled, Ordering::Release);
    }

    /// Replaces the whole state by another member's, from a directory that [`Engine::checkpoint`] made.
    pub fn replace(&self, directory: &Path) -> Result<()> {
        {
            let _nobody_writes = self.latest.lock();
            let _nobody_prunes = self.pruning.lock();
            self.head.change(|| {
                self.engine.replace(directory)?;
                Head::read(&self.engine.snapshot())
            })?;
        }
        self.reload()
    }

    /// Counts all keys and stores what it comes to, so that the next start need not.
    fn count_keys(&self, reader: &impl Reader) -> Result<Directory> {
        let directory = Directory::of_keys(reader)?;
        let mut batch = WriteBatch::new();
        directory.store(&mut batch);
        self.engine.write(&batch, Durability::Buffered)?;
        Ok(directory)
    }

    /// The engine underneath.
    pub fn engine(&self) -> &Arc<E> {
        &self.engine
    }

    /// Where the store stands.
    pub fn head(&self) -> Head {
        self.head.get()
    }

    /// Looks at the present.
    pub fn view(&self) -> Result<View<'_, E::Snapshot<'_>>> {
        let (snapshot, head) = self.head.beside(|| self.engine.snapshot());
        View::new(snapshot, head, &self.directories)
    }

    /// Runs one batch: `work` applies commands through the writer, and what they wrote becomes visible as one, together
    /// with what `extra` adds (the applied index). Nothing changes if either fails.
    pub fn write<T>(
        &self,
        work: impl FnOnce(&mut Writer<'_, E::Snapshot<'_>>) -> Result<T>,
        extra: impl FnOnce(&mut WriteBatch),
    ) -> Result<T> {
        let mut latest = self.latest.lock();
        let snapshot = self.engine.snapshot();
        let rules = Rules::clone(&self.rules.read());
        let mut writer = Writer::new(&snapshot, &self.directories, Directory::clone(&latest), rules)?;
        let result = work(&mut writer)?;
        let mut written = writer.finish()?;
        extra(&mut written.batch);
        let directory = Arc::new(written.directory);
        // Before the engine: a reader must find the directory of any revision that it can see.
        self.directories.publish(written.head.revision, directory.clone());
        self.head.change(|| {
            self.engine.write(&written.batch, Durability::Buffered)?;
            Ok(written.head)
        })?;
        if let Some(rules) = written.rules {
            self.set_rules(rules);
        }
        *latest = directory;
        Ok(result)
    }

    /// Drops a bounded piece of what compaction made unreachable, and says what that was.
    pub fn prune(&self, max_changes: usize) -> Result<Pruned> {
        let _turn = self.pruning.lock();
        let pruned = {
            let snapshot = self.engine.snapshot();
            compact::prune(&snapshot, Head::read(&snapshot)?.compacted, max_changes)?
        };
        if !pruned.batch.is_empty() {
            self.engine.write(&pruned.batch, Durability::Buffered)?;
        }
        Ok(pruned)
    }
}
