//! Ends leases whose time is over, by proposing their revoke.

use std::future::Future;
use std::sync::Weak;
use std::time::Duration;

use futures::StreamExt;

use super::Leases;
use crate::error::StoreError;
use crate::limits::{LEASE_REVOKES_AT_ONCE, LEASE_REVOKES_PENDING};

/// Runs until the leases are dropped. `revoke` proposes the end of one lease; on a node that does not lead there is
/// nothing to end.
pub async fn run<F>(leases: Weak<Leases>, revoke: impl Fn(i64) -> F)
where
    F: Future<Output = Result<(), StoreError>>,
{
    while let Some(expired) = next_expired(&leases).await {
        futures::stream::iter(expired)
            .for_each_concurrent(LEASE_REVOKES_PENDING, |id| {
                let revoking = revoke(id);
                async move {
                    match revoking.await {
                        Ok(()) | Err(StoreError::LeaseNotFound) => {}
                        // Tried again after a while.
                        Err(error) => tracing::warn!(lease = id, %error, "cannot end an expired lease"),
                    }
                }
            })
            .await;
    }
}

/// Waits for leases to end; `None` when nobody is interested any more.
async fn next_expired(leases: &Weak<Leases>) -> Option<Vec<i64>> {
    /// How often to look whether the leases are still held by anyone.
    const LIVENESS_INTERVAL: Duration = Duration::from_secs(1);
    loop {
        let leases = leases.upgrade()?;
        let now = leases.now();
        let (expired, due) = {
            let mut lessor = leases.lessor.lock();
            (lessor.take_expired(LEASE_REVOKES_AT_ONCE, now), lessor.next_due())
        };
        if !expired.is_empty() {
            return Some(expired);
        }
        let wait = due.map_or(LIVENESS_INTERVAL, |due| due.saturating_sub(now)).min(LIVENESS_INTERVAL);
        // Either way it is time to look again.
        let _ = tokio::time::timeout(wait, leases.changed.notified()).await;
    }
}
