//! What the program does besides serving: `pintle-store COMMAND ...`.

use std::ffi::OsString;

use clap::Parser;

use crate::{Failure, check, defrag, import, snapshot};

/// A datastore that is an etcd. Without a command it serves; see `pintle-store --help`.
#[derive(Parser)]
#[command(name = "pintle-store", disable_version_flag = true)]
pub enum Command {
    /// Saves, looks into and restores backups in etcd's own format.
    #[command(subcommand)]
    Snapshot(snapshot::Command),
    /// Makes a data directory of a backup of etcd, or of its file `member/snap/db`.
    Import(import::Options),
    /// Checks the data directory of a stopped node.
    Check(check::Options),
    /// Gives back what the databases of a stopped node no longer need; `etcdctl defrag` does it while the node serves.
    Defrag(defrag::Options),
}

/// Whether the arguments, the program's name first, begin with a command.
pub fn is_command(arguments: impl IntoIterator<Item = OsString>) -> bool {
    let first = arguments.into_iter().nth(1);
    first.is_some_and(|first| ["snapshot", "import", "check", "defrag"].iter().any(|command| first == *command))
}

impl Command {
    /// Does it, and returns what to print.
    pub fn run(self) -> Result<String, Failure> {
        match self {
            Self::Snapshot(command) => command.run(),
            Self::Import(options) => options.run(),
            Self::Check(options) => options.run(),
            Self::Defrag(options) => options.run(),
        }
    }
}
