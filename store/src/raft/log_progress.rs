//! How far the raft log has come to disk, and who waits for it to come further.

use tokio::sync::watch;

use crate::engine::EngineError;

/// How far the log has come to disk. Clones are handles of the same.
#[derive(Debug, Clone)]
pub struct LogProgress(watch::Sender<Reached>);

#[derive(Debug)]
struct Reached {
    /// The index after the last entry on disk: all before it are there, too, or were purged.
    next: u64,
    /// Why nothing is written any more.
    failed: Option<EngineError>,
}

impl LogProgress {
    /// The entries before `next` are on disk.
    pub fn new(next: u64) -> Self {
        Self(watch::Sender::new(Reached { next, failed: None }))
    }

    /// The index after the last entry on disk.
    pub fn next(&self) -> u64 {
        self.0.borrow().next
    }

    /// Why nothing is written any more, if that is so.
    pub fn failure(&self) -> Option<EngineError> {
        self.0.borrow().failed.clone()
    }

    /// The entries before `next` are on disk, and none from there on.
    pub fn reach(&self, next: u64) {
        self.0.send_modify(|reached| reached.next = next);
    }

    /// Nothing will be written any more.
    pub fn fail(&self, error: EngineError) {
        self.0.send_modify(|reached| reached.failed = Some(error));
    }

    /// Returns once the entry at `index` is on disk.
    ///
    /// # Errors
    /// When it never will be.
    pub async fn reaches(&self, index: u64) -> Result<(), EngineError> {
        if self.next() > index {
            return Ok(());
        }
        let mut progress = self.0.subscribe();
        // This handle is a sender, so that there always is one.
        let Ok(reached) = progress.wait_for(|reached| reached.next > index || reached.failed.is_some()).await else {
            return Ok(());
        };
        match &reached.failed {
            Some(error) if reached.next <= index => Err(error.clone()),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn an_entry_is_waited_for_until_it_is_on_disk_or_never_will_be() {
        let progress = LogProgress::new(5);
        assert!(matches!(progress.reaches(4).now_or_never(), Some(Ok(()))));
        let mut waiting = Box::pin(progress.reaches(5));
        assert!((&mut waiting).now_or_never().is_none());
        progress.reach(6);
        assert!(matches!(waiting.now_or_never(), Some(Ok(()))));

        let mut waiting = Box::pin(progress.reaches(6));
        assert!((&mut waiting).now_or_never().is_none());
        progress.fail(EngineError("the disk is gone".to_owned()));
        assert!(matches!(waiting.now_or_never(), Some(Err(_))));
        assert!(matches!(progress.reaches(5).now_or_never(), Some(Ok(()))));
        assert!(progress.failure().is_some());
    }
}
