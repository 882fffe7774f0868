//! Dropping what compactions made unreachable, at leisure: requests come first.

use std::sync::{Arc, Weak};
use std::time::{Instant, SystemTime};

use tokio::sync::Notify;

use crate::engine::rocks::RocksEngine;
use crate::error::{Result, StoreError};
use crate::limits::{PRUNE_CHANGES, PRUNE_REST};
use crate::metrics::METRICS;
use crate::mvcc::Mvcc;

/// Drops everything, a piece at a time. Returns when nothing is left, or when the store is gone.
pub async fn prune(mvcc: &Weak<Mvcc<RocksEngine>>) -> Result<()> {
    loop {
        let Some(mvcc) = mvcc.upgrade() else { return Ok(()) };
        let begun = Instant::now();
        let piece = tokio::task::spawn_blocking(move || mvcc.prune(PRUNE_CHANGES)).await;
        METRICS.pause_millis.observe(begun.elapsed().as_secs_f64() * 1000.0);
        let pruned = piece.map_err(|_| StoreError::Stopped)??;
        METRICS.compacted_versions.add(pruned.versions);
        if pruned.complete {
            return Ok(());
        }
        tokio::time::sleep(begun.elapsed() * PRUNE_REST).await;
    }
}

/// Drops whatever compactions make unreachable, beginning with what the last run left, as long as there is a store.
pub async fn whenever_compacted(mvcc: Weak<Mvcc<RocksEngine>>, compacted: Arc<Notify>) {
    while mvcc.strong_count() > 0 {
        let began = Instant::now();
        if let Err(error) = prune(&mvcc).await {
            return tracing::error!(%error, "cannot drop compacted history");
        }
        METRICS.compaction_millis.observe(began.elapsed().as_secs_f64() * 1000.0);
        compacted.notified().await;
        METRICS.last_compaction.set(unix_seconds());
    }
}

fn unix_seconds() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
