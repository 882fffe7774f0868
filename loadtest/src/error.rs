//! Why a benchmark cannot go on. What single requests answer is counted instead.

use std::fmt::Display;
use std::io;
use std::path::PathBuf;

/// Why there are no figures. Each text is one line that says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The program to measure cannot be run.
    #[error("cannot start {}: {source}; build it first (make bench does)", program.display())]
    Spawn {
        /// Which program.
        program: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It did not say in time that it is ready.
    #[error("{} is not ready; it said:\n{said}", program.display())]
    NotReady {
        /// Which program.
        program: PathBuf,
        /// The last lines of its output.
        said: String,
    },
    /// Its processor time or memory cannot be read.
    #[error("cannot read the figures of process {pid}: {source}; is it still running?")]
    Figures {
        /// Which process.
        pid: u32,
        /// What went wrong.
        source: io::Error,
    },
    /// A connection, or a request that the cases stand on, failed.
    #[error("{what}: {reason}")]
    Request {
        /// What was attempted.
        what: &'static str,
        /// What came back.
        reason: String,
    },
    /// A local file or port.
    #[error("{what}: {source}")]
    Local {
        /// What was attempted.
        what: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl BenchError {
    /// A [`BenchError::Request`].
    pub fn request(what: &'static str, reason: impl Display) -> Self {
        Self::Request { what, reason: reason.to_string() }
    }

    /// Makes a [`BenchError::Local`] of an error of the system.
    pub fn local(what: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Local { what, source }
    }
}

/// Says what was attempted when something failed.
pub trait During<T> {
    /// Makes a [`BenchError::Request`] of any error.
    fn during(self, what: &'static str) -> Result<T, BenchError>;
}

impl<T, E: Display> During<T> for Result<T, E> {
    fn during(self, what: &'static str) -> Result<T, BenchError> {
        self.map_err(|error| BenchError::request(what, error))
    }
}
