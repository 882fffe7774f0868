//! Which lease a key with a time to live is attached to.
//!
//! Granting a lease costs a write of its own, so keys that expire at about the same time share one, as in kube-apiserver's lease manager:
//! a lease is granted for a little longer than asked, and serves all who ask within that margin. Pure: the time is an argument.

use std::time::Duration;

/// A lease serves others for this part of its time to live,
const REUSE_PERCENT: i64 = 5;
/// but at most for this long.
const REUSE_MAX_SECONDS: i64 = 60;
/// How many keys one lease has at most: they are all deleted in one revision.
const MAX_KEYS: u32 = 1000;

/// The last lease granted, and how far it is used up.
#[derive(Debug, Default)]
pub struct LeasePool {
    last: Option<Granted>,
}

#[derive(Debug)]
struct Granted {
    id: i64,
    /// On the clock of the caller.
    expires: Duration,
    keys: u32,
}

impl LeasePool {
    /// A lease granted before that expires soon enough, but not before `ttl_seconds` from `now`.
    pub fn reuse(&mut self, ttl_seconds: i64, now: Duration) -> Option<i64> {
        let last = self.last.as_mut()?;
        let earliest = now + seconds(ttl_seconds);
        let latest = now + seconds(granted_ttl_seconds(ttl_seconds));
        if earliest >= last.expires || latest < last.expires || last.keys >= MAX_KEYS {
            return None;
        }
        last.keys += 1;
        Some(last.id)
    }

    /// Takes note of a lease granted at `now`, for [`granted_ttl_seconds`], and of its first key.
    pub fn granted(&mut self, id: i64, ttl_seconds: i64, now: Duration) {
        self.last = Some(Granted { id, expires: now + seconds(granted_ttl_seconds(ttl_seconds)), keys: 1 });
    }

    /// Forgets a lease that turned out to be gone.
    pub fn forget(&mut self, id: i64) {
        self.last.take_if(|last| last.id == id);
    }
}

/// For how long to grant a lease to a key that shall live `ttl_seconds`.
pub fn granted_ttl_seconds(ttl_seconds: i64) -> i64 {
    ttl_seconds.saturating_add((ttl_seconds.saturating_mul(REUSE_PERCENT) / 100).min(REUSE_MAX_SECONDS))
}

fn seconds(seconds: i64) -> Duration {
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3600;

    #[test]
    fn keys_that_expire_together_share_a_lease() {
        let mut pool = LeasePool::default();
        assert_eq!(pool.reuse(HOUR, seconds(0)), None);
        pool.granted(7, HOUR, seconds(0));
        assert_eq!(granted_ttl_seconds(HOUR), HOUR + 60);
        assert_eq!(pool.reuse(HOUR, seconds(0)), Some(7));
        assert_eq!(pool.reuse(HOUR, seconds(59)), Some(7));
        assert_eq!(pool.reuse(HOUR, seconds(60)), None, "it would live too short");
        assert_eq!(pool.reuse(10, seconds(0)), None, "it would live too long");
        assert_eq!(granted_ttl_seconds(10), 10);
    }

    #[test]
    fn a_lease_holds_so_many_keys() {
        let mut pool = LeasePool::default();
        pool.granted(7, HOUR, seconds(0));
        assert_eq!((1..MAX_KEYS).filter_map(|_| pool.reuse(HOUR, seconds(1))).count(), 999);
        assert_eq!(pool.reuse(HOUR, seconds(1)), None);
    }

    #[test]
    fn a_lost_lease_is_forgotten() {
        let mut pool = LeasePool::default();
        pool.granted(7, HOUR, seconds(0));
        pool.forget(6);
        assert_eq!(pool.reuse(HOUR, seconds(1)), Some(7));
        pool.forget(7);
        assert_eq!(pool.reuse(HOUR, seconds(1)), None);
    }
}
