//! Leases: when they end, and ending them.

pub mod expiry;
pub mod lessor;

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, watch};

use lessor::Lessor;
pub use lessor::{Renewal, TimeToLive};

use crate::metrics::METRICS;
use crate::mvcc;

/// The lessor, shared by the state machine, the services and the expiry loop, with the clock it runs by.
#[derive(Debug)]
pub struct Leases {
    lessor: Mutex<Lessor>,
    origin: Instant,
    /// A deadline may have come nearer.
    changed: Notify,
    /// A lease has ended, was checkpointed, or this node has begun or ceased to lead.
    news: watch::Sender<()>,
}

impl Default for Leases {
    fn default() -> Self {
        Self { lessor: Mutex::default(), origin: Instant::now(), changed: Notify::new(), news: watch::Sender::new(()) }
    }
}

impl Leases {
    /// Takes note of a lease that was granted.
    pub fn grant(&self, id: i64, granted_ttl_seconds: i64) {
        self.change(|lessor, now| lessor.grant(id, seconds(granted_ttl_seconds), now));
    }

    /// Takes note of a lease that has ended.
    pub fn revoke(&self, id: i64) {
        self.change(|lessor, _| lessor.revoke(id));
    }

    /// Takes note of what is left of a lease, as its leader tells.
    pub fn checkpoint(&self, id: i64, remaining_ttl_seconds: i64) {
        self.change(|lessor, now| lessor.checkpoint(id, seconds(remaining_ttl_seconds), now));
    }

    /// Replaces all leases by those that are stored.
    pub fn reset(&self, leases: impl IntoIterator<Item = mvcc::Lease>) {
        let leases = leases.into_iter().map(|lease| {
            let remaining = (lease.remaining_ttl_seconds > 0).then(|| seconds(lease.remaining_ttl_seconds));
            (lease.id, seconds(lease.granted_ttl_seconds), remaining)
        });
        self.change(|lessor, now| lessor.reset(leases, now));
    }

    /// This node has begun to lead; see [`Lessor::promote`].
    pub fn promote(&self, extension: Duration) {
        self.change(|lessor, now| lessor.promote(extension, now));
    }

    /// This node leads no longer.
    pub fn demote(&self) {
        self.change(|lessor, _| lessor.demote());
    }

    /// Starts the lease's time over.
    pub fn renew(&self, id: i64) -> Renewal {
        let now = self.now();
        let renewed = self.lessor.lock().renew(id, now);
        if matches!(renewed, Renewal::Renewed(_)) {
            METRICS.leases_renewed.inc();
        }
        renewed
    }

    /// Whether a lease's time is over and this node may say so.
    pub fn has_expired(&self, id: i64) -> bool {
        let now = self.now();
        self.lessor.lock().has_expired(id, now)
    }

    /// Tells of whatever may change the outcome of [`Leases::renew`].
    pub fn news(&self) -> watch::Receiver<()> {
        self.news.subscribe()
    }

    /// What is left of a lease; `None` if there is no such lease.
    pub fn time_to_live(&self, id: i64) -> Option<TimeToLive> {
        let now = self.now();
        self.lessor.lock().time_to_live(id, now)
    }

    /// All leases, those that end first at the beginning.
    pub fn ids(&self) -> Vec<i64> {
        self.lessor.lock().ids()
    }

    fn change(&self, change: impl FnOnce(&mut Lessor, Duration)) {
        let now = self.now();
        change(&mut self.lessor.lock(), now);
        self.changed.notify_one();
        self.news.send_replace(());
    }

    fn now(&self) -> Duration {
        self.origin.elapsed()
    }
}

/// A lease that was granted for nothing has a TTL of 0.
fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or(0))
}
