//! bbolt's file format, in which etcd keeps its data: written as a stream, and read with every byte in doubt.
//!
//! A file is a row of pages. The first two are meta pages, of which the newer valid one counts; it names the page of
//! the root bucket and the freelist. A bucket is a B+ tree of branch and leaf pages; the root bucket's values are the
//! other buckets. What does not fit a page runs over into the pages behind it.
//!
//! The layout is that of `go.etcd.io/bbolt` (`internal/common`). Pure: over `std::io` alone.

mod check;
mod page;
mod reader;
#[cfg(test)]
mod tests;
mod tree;
mod writer;

pub use self::reader::{Bucket, Database};
pub use self::writer::{Layout, Writer};

/// Why a file is not a database that can be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system could not read it.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Neither meta page is one.
    #[error("not a bbolt database: {0}")]
    Foreign(&'static str),
    /// A page is not what it should be.
    #[error("page {page} is damaged: {what}")]
    Damaged {
        /// The page's number.
        page: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The result of reading a database.
pub type Result<T, E = Error> = std::result::Result<T, E>;
