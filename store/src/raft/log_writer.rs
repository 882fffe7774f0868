//! Writes the raft log, on a thread of its own: everything that queued while the last sync ran goes to disk with the next
//! one.

use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use openraft::storage::IOFlushed;
use prost::Message;
use tokio::sync::{mpsc, oneshot};

use super::log_progress::LogProgress;
use super::record::{EntryRecord, LogIdRecord, VoteRecord};
use super::{Entry, LogId, TypeConfig, Vote};
use crate::engine::{Column, Durability, Engine, EngineError, WriteBatch};
use crate::metrics::METRICS;

/// Where the vote lies in [`Column::Vote`].
pub const VOTE: &[u8] = b"vote";
/// Where the id of the last purged entry lies in [`Column::Vote`].
pub const PURGED: &[u8] = b"purged";

/// Where the id of the last entry of the snapshot that was received last lies in [`Column::Vote`].
pub const INSTALLING: &[u8] = b"installing";

/// What to write, in the order it was asked for.
pub enum Job {
    /// Add entries; `flushed` is told after they are on disk, never before.
    Append { entries: Vec<Entry>, flushed: IOFlushed<TypeConfig> },
    /// Remove the entries from `index` on; answered once they are gone.
    Truncate { index: u64, done: oneshot::Sender<Result<(), EngineError>> },
    /// Forget the entries up to `upto`, included.
    Purge { upto: LogId },
    /// Remember a vote; answered once it is on disk.
    Vote { vote: Vote, done: oneshot::Sender<Result<(), EngineError>> },
}

/// How the log comes to disk.
#[derive(Clone, Default)]
pub enum LogDisk {
    /// By a thread of its own, which waits for the disk.
    #[default]
    Waited,
    /// By a task, which waits as long as this says before each write: the disk of a simulation, whose time is not the
    /// machine's.
    Simulated(Arc<dyn Fn() -> Duration + Send + Sync>),
}

/// Where jobs go to be done in order.
#[derive(Clone)]
pub enum Jobs {
    /// To the thread.
    Thread(Arc<Writer>),
    /// To the task.
    Task(mpsc::UnboundedSender<Job>),
}

/// The thread. When this is dropped it has done its last job and let go of the engine: a program that ends must not leave
/// it inside of RocksDB.
pub struct Writer {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    fn send(&self, job: Job) -> bool {
        self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // Without a sender the thread ends.
        self.jobs.take();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the writer of the raft log panicked");
        }
    }
}

impl Jobs {
    /// Has a job done after those before it; false if none are done any more.
    pub fn send(&self, job: Job) -> bool {
        match self {
            Self::Thread(writer) => writer.send(job),
            Self::Task(jobs) => jobs.send(job).is_ok(),
        }
    }
}

/// Starts writing to `engine`, and tells `progress` how far it has come. It ends when every sender is gone.
pub fn start<E: Engine>(engine: Arc<E>, progress: LogProgress, disk: LogDisk) -> std::io::Result<Jobs> {
    match disk {
        LogDisk::Waited => spawn(engine, progress).map(|writer| Jobs::Thread(Arc::new(writer))),
        LogDisk::Simulated(delay) => {
            let (sender, mut receiver) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while let Some(first) = receiver.recv().await {
                    tokio::time::sleep(delay()).await;
                    write(&*engine, first, || receiver.try_recv().ok(), &progress);
                }
            });
            Ok(Jobs::Task(sender))
        }
    }
}

fn spawn<E: Engine>(engine: Arc<E>, progress: LogProgress) -> std::io::Result<Writer> {
    // Unbounded, since openraft's core task must not block on it; what it holds is bounded by the proposer's limits.
    let (sender, receiver) = channel();
    let thread = std::thread::Builder::new().name("raft-log".to_owned()).spawn(move || {
        while let Ok(first) = receiver.recv() {
            write(&*engine, first, || receiver.try_recv().ok(), &progress);
        }
    })?;
    Ok(Writer { jobs: Some(sender), thread: Some(thread) })
}

/// Writes a job and what has queued behind it.
fn write<E: Engine>(engine: &E, first: Job, mut next: impl FnMut() -> Option<Job>, progress: &LogProgress) {
    let mut group = Group { next: progress.next(), ..Group::default() };
    group.add(first);
    while group.bytes < crate::limits::RAFT_LOG_WRITE_BYTES
        && let Some(job) = next()
    {
        group.add(job);
    }
    group.commit(engine, progress);
}

/// Jobs that share one write and one sync.
#[derive(Default)]
struct Group {
    batch: WriteBatch,
    bytes: usize,
    /// The index after the last entry, once this is written.
    next: u64,
    waiting: Vec<Waiting>,
}

enum Waiting {
    Append(IOFlushed<TypeConfig>),
    Other(oneshot::Sender<Result<(), EngineError>>),
}

impl Group {
    fn add(&mut self, job: Job) {
        match job {
            Job::Append { entries, flushed } => {
                for entry in &entries {
                    let value = EntryRecord::from(entry).encode_to_vec();
                    self.bytes += value.len();
                    self.next = entry.log_id.index + 1;
                    self.batch.put(Column::Log, entry_key(entry.log_id.index), value);
                }
                self.waiting.push(Waiting::Append(flushed));
            }
            Job::Truncate { index, done } => {
                self.batch.delete_range(Column::Log, entry_key(index), entry_key(u64::MAX));
                self.next = self.next.min(index);
                self.waiting.push(Waiting::Other(done));
            }
            Job::Purge { upto } => {
                self.batch.put(Column::Vote, PURGED, LogIdRecord::from(&upto).encode_to_vec());
                self.batch.delete_range(Column::Log, entry_key(0), entry_key(upto.index + 1));
                self.next = self.next.max(upto.index + 1);
            }
            Job::Vote { vote, done } => {
                self.batch.put(Column::Vote, VOTE, VoteRecord::from(&vote).encode_to_vec());
                self.waiting.push(Waiting::Other(done));
            }
        }
    }

    fn commit<E: Engine>(self, engine: &E, progress: &LogProgress) {
        // Always synced, purges and all: recovery relies on every write being whole on disk before the next begins.
        let began = Instant::now();
        // Behind a write that failed nothing is written, should the disk be well again: the log would have a hole.
        let result = progress.failure().map_or_else(|| engine.write(&self.batch, Durability::Synced), Err);
        METRICS.log_syncs.observe_since(began);
        METRICS.log_bytes.add(self.bytes as u64);
        match &result {
            Ok(()) => progress.reach(self.next),
            Err(error) => {
                tracing::error!(%error, "writing the raft log failed; this node stops taking writes");
                progress.fail(error.clone());
            }
        }
        for waiting in self.waiting {
            match waiting {
                Waiting::Append(flushed) => flushed.io_completed(result.clone().map_err(std::io::Error::other)),
                // Whoever waited may have been shut down meanwhile.
                Waiting::Other(done) => drop(done.send(result.clone())),
            }
        }
    }
}

/// The key of an entry: its index, so that keys sort as entries do.
pub fn entry_key(index: u64) -> Vec<u8> {
    index.to_be_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::Receiver;

    use openraft::testing::blank_ent;
    use openraft::type_config::TypeConfigExt;

    use super::*;
    use crate::engine::memory::MemoryEngine;

    /// An engine whose writes wait to be let through, one by one.
    struct Gated {
        engine: MemoryEngine,
        passes: parking_lot::Mutex<Receiver<()>>,
        arrived: Sender<(usize, Durability)>,
    }

    impl Engine for Gated {
        type Snapshot<'a> = <MemoryEngine as Engine>::Snapshot<'a>;

        fn snapshot(&self) -> Self::Snapshot<'_> {
            self.engine.snapshot()
        }

        fn write(&self, batch: &WriteBatch, durability: Durability) -> Result<(), EngineError> {
            self.arrived.send((batch.writes().len(), durability)).unwrap();
            self.passes.lock().recv().map_err(|_| EngineError("the disk is gone".to_owned()))?;
            self.engine.write(batch, durability)
        }

        fn flush(&self) -> Result<(), EngineError> {
            self.engine.flush()
        }

        fn checkpoint(&self, directory: &Path) -> Result<(), EngineError> {
            self.engine.checkpoint(directory)
        }

        fn read_checkpoint(
            &self,
            directory: &Path,
            column: Column,
            key: &[u8],
        ) -> Result<Option<bytes::Bytes>, EngineError> {
            self.engine.read_checkpoint(directory, column, key)
        }

        fn replace(&self, directory: &Path) -> Result<(), EngineError> {
            self.engine.replace(directory)
        }
    }

    type Flushed = oneshot::Receiver<std::io::Result<()>>;

    fn append(jobs: &Writer, index: u64) -> Flushed {
        let (flushed, told) = TypeConfig::oneshot();
        let entries = vec![blank_ent::<TypeConfig>(1, 0, index)];
        assert!(jobs.send(Job::Append { entries, flushed: IOFlushed::signal(flushed) }));
        told
    }

    #[test]
    fn nobody_is_told_before_the_sync_and_what_queues_meanwhile_shares_the_next() {
        let (pass, passes) = channel();
        let (arrived, arrivals) = channel();
        let engine = Gated { engine: MemoryEngine::default(), passes: parking_lot::Mutex::new(passes), arrived };
        let progress = LogProgress::new(0);
        let jobs = spawn(Arc::new(engine), progress.clone()).unwrap();

        let mut first = append(&jobs, 0);
        assert_eq!(arrivals.recv().unwrap(), (1, Durability::Synced));
        let later: Vec<Flushed> = (1..6).map(|index| append(&jobs, index)).collect();
        assert!(first.try_recv().is_err(), "told before the sync");
        assert_eq!(progress.next(), 0);
        pass.send(()).unwrap();
        first.blocking_recv().unwrap().unwrap();

        assert_eq!(arrivals.recv().unwrap(), (5, Durability::Synced), "one sync for five appends");
        pass.send(()).unwrap();
        for told in later {
            told.blocking_recv().unwrap().unwrap();
        }
        assert_eq!(progress.next(), 6);

        let failing = append(&jobs, 6);
        drop(pass);
        assert!(failing.blocking_recv().unwrap().is_err(), "a failed sync is not an acknowledgement");
        let behind = append(&jobs, 7);
        assert!(behind.blocking_recv().unwrap().is_err(), "the log has a hole");
        assert_eq!(progress.next(), 6);
        assert!(progress.failure().is_some());
    }
}
