//! Looking after a store: backups in etcd's own format, and moving to and from etcd.

pub mod backend;
pub mod bbolt;
pub mod export;

use crate::engine::EngineError;
use crate::error::StoreError;

/// Why a backup could not be made or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is no database that can be read.
    #[error(transparent)]
    Database(#[from] bbolt::Error),
    /// The database is not one of etcd's.
    #[error("not a database of etcd: {0}")]
    Foreign(&'static str),
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
