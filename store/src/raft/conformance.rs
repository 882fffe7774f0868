//! openraft's own suite for storage, run on ours.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use pintle_proto::mvccpb::Event;
use tempfile::TempDir;

use super::TypeConfig;
use super::log_progress::LogProgress;
use super::log_store::{LogBounds, LogStore};
use super::log_writer::LogDisk;
use super::snapshot::Source;
use super::state_machine::{Observer, StateMachine};
use crate::apply::{Command, Response};
use crate::engine::rocks::{Memory, RocksEngine};
use crate::error::StoreError;
use crate::mvcc::Mvcc;

/// Nobody listens.
struct Unobserved;

impl Observer for Unobserved {
    fn took_effect(&self, _command: &Command, _response: &Response) {}

    fn advanced(&self, _revision: i64, _events: Vec<Event>) {}

    fn replaced(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

struct OnDisk;

impl StoreBuilder<TypeConfig, LogStore<RocksEngine>, StateMachine<RocksEngine>, TempDir> for OnDisk {
    async fn build(
        &self,
    ) -> Result<(TempDir, LogStore<RocksEngine>, StateMachine<RocksEngine>), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::new(8 << 20);
        let raft = RocksEngine::open_raft(&directory.path().join("raft"), &memory).unwrap();
        let state = RocksEngine::open_state(&directory.path().join("state"), &memory).unwrap();
        let log = LogStore::open(Arc::new(raft), LogBounds::default(), LogDisk::default()).unwrap();
        let mvcc = Arc::new(Mvcc::open(Arc::new(state)).unwrap());
        let source = Source::new(mvcc, &directory.path().join("snapshots"), |_| true).unwrap();
        // The suite applies entries that no log has.
        let machine = StateMachine::open(source, LogProgress::new(u64::MAX), Box::new(Unobserved)).unwrap();
        Ok((directory, log, machine))
    }
}

#[tokio::test]
async fn the_log_and_the_state_machine_are_what_openraft_expects() {
    Suite::test_all(OnDisk).await.unwrap();
}
