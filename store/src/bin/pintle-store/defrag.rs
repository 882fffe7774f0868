//! `pintle-store defrag`: rewrites a stopped node's databases without what they no longer need.

use std::path::{Path, PathBuf};

use clap::Args;
use pintle_store::data_dir::DataDir;
use pintle_store::engine::Engine;
use pintle_store::engine::rocks::{Memory, RocksEngine};
use pintle_store::limits;

use crate::{Failure, progress};

/// Gives back what the databases of a stopped node no longer need.
#[derive(Args)]
pub struct Options {
    /// The data directory.
    #[arg(long)]
    data_dir: PathBuf,
}

impl Options {
    /// Rewrites both databases.
    pub fn run(self) -> Result<String, Failure> {
        let before = bytes_below(&self.data_dir);
        let (directory, log, state) = open(&self.data_dir)?;
        let bar = progress::records("rewriting");
        for database in [&log, &state] {
            database.defragment()?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        drop((log, state, directory));
        Ok(format!("{}: {before} bytes before, {} now\n", self.data_dir.display(), bytes_below(&self.data_dir)))
    }
}

/// Opens a data directory that exists, and its databases of log and state.
pub fn open(path: &Path) -> Result<(DataDir, RocksEngine, RocksEngine), Failure> {
    if !path.join("format").exists() {
        return Err(format!("{} is no data directory of pintle-store: check --data-dir", path.display()).into());
    }
    let directory = DataDir::open(path)?;
    let memory = Memory::new(limits::STANDALONE_CACHE_BYTES);
    let log = RocksEngine::open_raft(&directory.raft(), &memory)?;
    let state = RocksEngine::open_state(&directory.state(), &memory)?;
    Ok((directory, log, state))
}

fn bytes_below(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}
