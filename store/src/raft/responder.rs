//! Who is told what became of a proposal.

use openraft::OptionalSend;

use super::{LogId, TypeConfig};

type Committed = Box<dyn FnOnce() + Send>;
type Completed<T> = Box<dyn FnOnce(T) + Send>;

/// Called by openraft where the news arises, so that an answer takes no detour through another task.
pub struct Responder<T> {
    committed: Option<Committed>,
    completed: Completed<T>,
}

impl<T> Responder<T> {
    /// `committed` runs when the proposal is on disk on a majority, `completed` when it was applied or refused. When a
    /// proposal is refused only `completed` runs; when the node halts neither does.
    pub fn new(committed: impl FnOnce() + Send + 'static, completed: impl FnOnce(T) + Send + 'static) -> Self {
        Self { committed: Some(Box::new(committed)), completed: Box::new(completed) }
    }
}

impl<T: OptionalSend + 'static> openraft::raft::responder::Responder<TypeConfig, T> for Responder<T> {
    fn on_commit(&mut self, _log_id: LogId) {
        if let Some(committed) = self.committed.take() {
            committed();
        }
    }

    fn on_complete(self, result: T) {
        (self.completed)(result);
    }
}
