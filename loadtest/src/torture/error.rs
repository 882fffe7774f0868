//! Why a run ended early, or badly.

use crate::history::Violation;

/// Why a run is not a success.
#[derive(Debug, thiserror::Error)]
pub enum TortureError {
    /// This machine cannot do it. Nothing was tried.
    #[error("{0}")]
    Unavailable(String),
    /// A tool failed that the faults are made with.
    #[error("`{command}` failed: {said}")]
    Tool {
        /// The command line.
        command: String,
        /// What it said.
        said: String,
    },
    /// A member ended though nothing was done to it that ends it.
    #[error("member {member} ended by itself; it said last:\n{said}")]
    Ended {
        /// Its number, from 0.
        member: usize,
        /// The end of its log.
        said: String,
    },
    /// All faults are healed, and yet the cluster does not do what it should.
    #[error("not recovered after all faults were healed: {0}")]
    NotRecovered(String),
    /// A promise was broken.
    #[error("{0}")]
    Violated(#[from] Violation),
    /// The run was asked to end.
    #[error("interrupted")]
    Interrupted,
}
