//! `pintle-store check`: whether a stopped node's data is whole.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use pintle_store::engine::Engine;
use pintle_store::maintenance::check::check;
use pintle_store::raft;

use crate::{Failure, defrag, progress};

/// Checks the data directory of a stopped node.
#[derive(Args)]
pub struct Options {
    /// The data directory.
    #[arg(long)]
    data_dir: PathBuf,
}

impl Options {
    /// Reads everything there is.
    pub fn run(self) -> Result<String, Failure> {
        let (_directory, log, state) = defrag::open(&self.data_dir)?;
        let entries = raft::inspect(Arc::new(log), &state)?;
        let bar = progress::records("checking");
        let report = check(&state.snapshot(), |records| bar.inc(records));
        bar.finish_and_clear();
        let report = report.map_err(|error| format!("{error}; {REMEDY}"))?;
        if report.problem_count == 0 {
            return Ok(format!(
                "{} is whole: revision {}, {} keys, {} changes, {} leases, {} entries in the raft log\n",
                self.data_dir.display(),
                report.revision,
                report.keys,
                report.changes,
                report.leases,
                entries.end - entries.start,
            ));
        }
        let mut text =
            format!("{} does not agree with itself in {} places:", self.data_dir.display(), report.problem_count);
        for problem in &report.problems {
            write!(text, "\n  {problem}")?;
        }
        write!(text, "\n{REMEDY}")?;
        Err(text.into())
    }
}

const REMEDY: &str = "restore this node from a snapshot (pintle-store snapshot restore) or, in a cluster, remove its data \
                      directory and add it again as a new member";
