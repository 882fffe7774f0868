//! Does what is due with leases: ends those whose time is over, and tells what is left of long ones. Both are proposals;
//! on a node that does not lead nothing is due.

use std::future::Future;
use std::sync::Weak;
use std::time::Duration;

use futures::StreamExt;

use super::Leases;
use crate::error::StoreError;
use crate::limits::{LEASE_REVOKES_AT_ONCE, LEASE_REVOKES_PENDING, LEASES_PER_CHECKPOINT};
use crate::metrics::METRICS;

/// Something to propose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// The end of a lease.
    Revoke(i64),
    /// How many seconds are left of which lease.
    Checkpoint(Vec<(i64, i64)>),
}

/// Runs until the leases are dropped. What `propose` fails to do becomes due again after a while.
pub async fn run<F>(leases: Weak<Leases>, propose: impl Fn(Due) -> F)
where
    F: Future<Output = Result<(), StoreError>>,
{
    while let Some(due) = next_due(&leases).await {
        futures::stream::iter(due)
            .for_each_concurrent(LEASE_REVOKES_PENDING, |due| {
                let proposed = propose(due.clone());
                async move {
                    match proposed.await {
                        Ok(()) => METRICS.leases_expired.inc(),
                        Err(StoreError::LeaseNotFound) => {}
                        Err(error) => tracing::warn!(?due, %error, "cannot do what is due with a lease"),
                    }
                }
            })
            .await;
    }
}

/// Waits until something is due; `None` when nobody is interested any more.
async fn next_due(leases: &Weak<Leases>) -> Option<Vec<Due>> {
    /// How often to look whether the leases are still held by anyone.
    const LIVENESS_INTERVAL: Duration = Duration::from_secs(1);
    loop {
        let leases = leases.upgrade()?;
        let now = leases.now();
        let (expired, checkpoints, next) = {
            let mut lessor = leases.lessor.lock();
            (
                lessor.take_expired(LEASE_REVOKES_AT_ONCE, now),
                lessor.take_checkpoints(LEASES_PER_CHECKPOINT, now),
                lessor.next_due(),
            )
        };
        let mut due: Vec<Due> = expired.into_iter().map(Due::Revoke).collect();
        if !checkpoints.is_empty() {
            due.push(Due::Checkpoint(checkpoints));
        }
        if !due.is_empty() {
            return Some(due);
        }
        let wait = next.map_or(LIVENESS_INTERVAL, |next| next.saturating_sub(now)).min(LIVENESS_INTERVAL);
        // Either way it is time to look again.
        let _ = tokio::time::timeout(wait, leases.changed.notified()).await;
    }
}
