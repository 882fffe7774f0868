//! What raft replicates: commands that were proposed together.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::apply::command;
use crate::engine::EngineError;

/// Commands that share one log entry, one sync and one write. Cheap to clone: the log's writer, the state machine and
/// replication read the same copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch(Arc<command::Entry>);

impl Batch {
    /// A batch of proposals, applied in this order.
    pub fn new(proposals: Vec<command::Proposal>) -> Self {
        Self(Arc::new(command::Entry { proposals }))
    }

    /// What was proposed, in order.
    pub fn proposals(&self) -> &[command::Proposal] {
        &self.0.proposals
    }

    /// Its bytes in the log.
    pub fn encode(&self) -> Bytes {
        self.0.encode()
    }

    /// How many bytes [`Batch::encode`] gives.
    pub fn encoded_len(&self) -> usize {
        self.0.proposals.iter().map(command::Proposal::encoded_len).sum()
    }

    /// Reads what [`Batch::encode`] wrote.
    pub fn decode(bytes: Bytes) -> Result<Self, EngineError> {
        let entry = command::Entry::decode(bytes).map_err(|error| EngineError(error.to_string()))?;
        Ok(Self(Arc::new(entry)))
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} commands", self.0.proposals.len())
    }
}
