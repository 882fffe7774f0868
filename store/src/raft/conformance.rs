//! openraft's own suite for storage, run on ours.

use std::sync::Arc;

use openraft::StorageError;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::TypeConfig;
use super::log_store::LogStore;
use super::state_machine::{Machine, StateMachine};
use crate::apply::Reply;
use crate::apply::command::Command;
use crate::engine::WriteBatch;
use crate::engine::rocks::{Memory, RocksEngine};
use crate::error::StoreError;

/// The suite applies no commands.
struct NoCommands;

impl Machine for NoCommands {
    fn apply(&mut self, command: &Command, _batch: &mut WriteBatch) -> Result<Reply, StoreError> {
        panic!("the suite sends no commands, but this came: {command:?}")
    }

    fn publish(&mut self) {}

    fn reload(&mut self) -> Result<(), StoreError> {
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
        let (log, _thread) = LogStore::open(Arc::new(raft)).unwrap();
        let machine = StateMachine::open(Arc::new(state), Box::new(NoCommands), Box::new(|| {})).unwrap();
        Ok((directory, log, machine))
    }
}

#[tokio::test]
async fn the_log_and_the_state_machine_are_what_openraft_expects() {
    Suite::test_all(OnDisk).await.unwrap();
}
