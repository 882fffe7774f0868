//! Looking after a store: backups in etcd's own format, and moving to and from etcd.

pub mod backend;
pub mod bbolt;
pub mod check;
pub mod compactor;
pub mod corruption;
pub mod downgrade;
pub mod export;
pub mod import;
pub mod restore;
pub mod snapshot_file;
pub mod status;

use std::path::PathBuf;

use crate::data_dir::DataDirError;
use crate::engine::{EngineError, rocks};
use crate::error::StoreError;
use crate::raft::node::StartError;

/// Why a backup could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is no database that can be read.
    #[error(transparent)]
    Database(#[from] bbolt::Error),
    /// The database is not one of etcd's.
    #[error("not a database of etcd: {0}")]
    Foreign(&'static str),
    /// A backup does not end with its hash.
    #[error("snapshot missing hash but --skip-hash-check=false; a file copied from a data directory has none")]
    HashMissing,
    /// A backup's hash is another's.
    #[error("the snapshot does not match its sha256: it was cut off or damaged on the way; save it again")]
    HashDiffers,
    /// The data is to go where something is already.
    #[error("data-dir {0:?} not empty or could not be read; choose another directory")]
    NotEmpty(PathBuf),
    /// The member is not part of the cluster.
    #[error("couldn't find local name {0:?} in the initial cluster configuration; see --name and --initial-cluster")]
    NotAMember(String),
    /// The member's URLs are not those that the others will know.
    #[error("--initial-cluster has {given} for this member, but --initial-advertise-peer-urls has {announced}")]
    OtherPeerUrls {
        /// In the initial cluster.
        given: String,
        /// Its own flag.
        announced: String,
    },
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// Raft's log and the state do not belong together.
    #[error(transparent)]
    Raft(#[from] StartError),
    /// A database did not open.
    #[error(transparent)]
    Open(#[from] rocks::OpenError),
    /// The store's own state cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Reading or writing a file failed.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl From<EngineError> for Error {
    fn from(error: EngineError) -> Self {
        Self::Store(error.into())
    }
}

/// The result of making or reading a backup.
pub type Result<T, E = Error> = std::result::Result<T, E>;
