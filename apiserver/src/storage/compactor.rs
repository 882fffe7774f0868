//! Has the store forget old history, as kube-apiserver does: every few minutes, what happened before the previous round.
//!
//! Several servers on one store agree through a key: whoever gets to write it compacts, the others wait for the next round. The key is
//! kube-apiserver's, so that they may even be of both kinds.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::sleep;

use super::backend::{Backend, BackendError, Write};

/// The key that servers agree by.
const KEY: &[u8] = b"compact_rev_key";

/// Compacts every `interval` (`--etcd-compaction-interval`), for ever.
pub async fn run(backend: Arc<dyn Backend>, interval: Duration) {
    let mut compactor = Compactor::default();
    loop {
        sleep(interval).await;
        if let Err(error) = compactor.round(&*backend).await {
            tracing::warn!(%error, "cannot compact the store");
        }
    }
}

/// What one server knows from the last round.
#[derive(Debug, Default)]
struct Compactor {
    /// The revision that last changed [`KEY`]; 0 if it is not known to exist.
    marked: i64,
    /// The store's revision in the last round; 0 before the first.
    last_round: i64,
}

impl Compactor {
    /// Compacts what the last round left behind, unless another server has had a round since.
    async fn round(&mut self, backend: &dyn Backend) -> Result<(), BackendError> {
        let value = Bytes::from(self.last_round.to_string());
        let write = match self.marked {
            0 => backend.create(KEY, value, None).await?,
            marked => backend.update(KEY, value, marked, None).await?,
        };
        match write {
            Write::Done(revision) => {
                let compact = self.last_round;
                *self = Self { marked: revision, last_round: revision };
                if compact > 0 { backend.compact(compact).await } else { Ok(()) }
            }
            Write::Conflict(current) => {
                let marked = current.map_or(0, |current| current.mod_revision);
                *self = Self { marked, last_round: backend.current_revision().await? };
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::{backend::ListRequest, testing::Memory};

    async fn is_compacted(memory: &Memory, revision: i64) -> bool {
        let request = ListRequest {
            start: Bytes::from_static(b"a"),
            end: Bytes::from_static(b"b"),
            limit: 0,
            revision: Some(revision),
        };
        matches!(memory.list(request).await, Err(BackendError::Compacted(_)))
    }

    #[tokio::test]
    async fn servers_take_turns() {
        let memory = Memory::new();
        let (mut one, mut other) = (Compactor::default(), Compactor::default());
        one.round(&*memory).await.unwrap();
        other.round(&*memory).await.unwrap();
        assert!(!is_compacted(&memory, 1).await, "the first round compacts nothing");
        memory.write(&[("a", Some(serde_json::Value::Null))]);

        one.round(&*memory).await.unwrap();
        assert!(is_compacted(&memory, 1).await);
        assert!(!is_compacted(&memory, 2).await, "what happened since the last round stays");
        other.round(&*memory).await.unwrap();
        assert!(!is_compacted(&memory, 2).await, "it was not this one's turn");
        other.round(&*memory).await.unwrap();
        assert!(is_compacted(&memory, 2).await);
    }
}
