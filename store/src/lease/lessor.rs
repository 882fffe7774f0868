//! When leases end.
//!
//! Pure: `now` is an argument everywhere, the time since some fixed moment. That a lease exists is replicated state;
//! when it ends is known to the leader alone, which proposes the revoke. Other nodes keep the list, so that they can
//! take over.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::limits::LEASE_REVOKE_RETRY;

/// The leases of one node.
#[derive(Debug, Default)]
pub struct Lessor {
    leases: BTreeMap<i64, Lease>,
    /// When to look at which lease. Stale entries are recognised by a deadline that is not the lease's.
    deadlines: BinaryHeap<Reverse<(Duration, i64)>>,
    /// Whether this node decides when leases end.
    leads: bool,
}

#[derive(Debug)]
struct Lease {
    granted_ttl: Duration,
    /// What was left when last told by a leader; the whole TTL until then.
    remaining_ttl: Duration,
    /// When the lease ends. Only the leader has it.
    deadline: Option<Duration>,
    /// When to propose the revoke, again if the last attempt came to nothing.
    due: Duration,
}

/// What is known of a lease's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive {
    /// Seconds it was granted for.
    pub granted_seconds: i64,
    /// Whole seconds left.
    pub remaining_seconds: i64,
}

impl Lessor {
    /// Takes note of a lease that was granted.
    pub fn grant(&mut self, id: i64, granted_ttl: Duration, now: Duration) {
        let lease = Lease { granted_ttl, remaining_ttl: granted_ttl, deadline: None, due: Duration::ZERO };
        self.leases.insert(id, lease);
        if self.leads {
            self.set_deadline(id, now.saturating_add(granted_ttl));
        }
    }

    /// Takes note of a lease that has ended.
    pub fn revoke(&mut self, id: i64) {
        self.leases.remove(&id);
    }

    /// Takes note of what is left of a lease, as its leader tells.
    pub fn checkpoint(&mut self, id: i64, remaining_ttl: Duration) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.remaining_ttl = remaining_ttl;
        }
    }

    /// Replaces all leases: id, granted time, and what was left if a leader has told.
    pub fn reset(&mut self, leases: impl IntoIterator<Item = (i64, Duration, Option<Duration>)>, now: Duration) {
        self.leases.clear();
        self.deadlines.clear();
        for (id, granted_ttl, remaining_ttl) in leases {
            self.grant(id, granted_ttl, now);
            if let Some(remaining_ttl) = remaining_ttl {
                self.checkpoint(id, remaining_ttl);
            }
        }
    }

    /// This node has begun to lead. Every lease lives at least `extension` beyond what was left of it, since its owner
    /// may have been unable to renew it while there was no leader.
    pub fn promote(&mut self, extension: Duration, now: Duration) {
        self.leads = true;
        let ends: Vec<(i64, Duration)> = self
            .leases
            .iter()
            .map(|(id, lease)| (*id, now.saturating_add(lease.remaining_ttl).saturating_add(extension)))
            .collect();
        for (id, deadline) in ends {
            self.set_deadline(id, deadline);
        }
    }

    /// This node leads no longer.
    pub fn demote(&mut self) {
        self.leads = false;
        self.deadlines.clear();
        for lease in self.leases.values_mut() {
            lease.deadline = None;
        }
    }

    /// Starts the lease's time over and returns the seconds granted; `None` if there is no such lease or its time is
    /// over.
    pub fn renew(&mut self, id: i64, now: Duration) -> Option<i64> {
        let lease = self.leases.get_mut(&id)?;
        if lease.deadline? <= now {
            return None;
        }
        lease.remaining_ttl = lease.granted_ttl;
        let granted_ttl = lease.granted_ttl;
        self.set_deadline(id, now.saturating_add(granted_ttl));
        Some(whole_seconds(granted_ttl))
    }

    /// What is left of a lease; `None` if there is no such lease.
    pub fn time_to_live(&self, id: i64, now: Duration) -> Option<TimeToLive> {
        let lease = self.leases.get(&id)?;
        let remaining = lease.deadline.map_or(lease.remaining_ttl, |deadline| deadline.saturating_sub(now));
        Some(TimeToLive {
            granted_seconds: whole_seconds(lease.granted_ttl),
            remaining_seconds: whole_seconds(remaining),
        })
    }

    /// All leases, those that end first at the beginning, as etcd lists them.
    pub fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<(Option<Duration>, i64)> =
            self.leases.iter().map(|(id, lease)| (lease.deadline, *id)).collect();
        ids.sort_unstable();
        ids.into_iter().map(|(_, id)| id).collect()
    }

    /// At most `limit` leases whose time is over. One that is still there after a while is returned again.
    pub fn take_expired(&mut self, limit: usize, now: Duration) -> Vec<i64> {
        let mut expired = Vec::new();
        while expired.len() < limit && self.next_due().is_some_and(|due| due <= now) {
            let Some(Reverse((_, id))) = self.deadlines.pop() else { break };
            if let Some(lease) = self.leases.get_mut(&id) {
                lease.due = now.saturating_add(LEASE_REVOKE_RETRY);
                self.deadlines.push(Reverse((lease.due, id)));
                expired.push(id);
            }
        }
        expired
    }

    /// When [`Lessor::take_expired`] has something next; `None` while no lease can end.
    pub fn next_due(&mut self) -> Option<Duration> {
        while let Some(Reverse((due, id))) = self.deadlines.peek() {
            if self.leases.get(id).is_some_and(|lease| lease.due == *due && lease.deadline.is_some()) {
                return Some(*due);
            }
            self.deadlines.pop();
        }
        None
    }

    fn set_deadline(&mut self, id: i64, deadline: Duration) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        lease.deadline = Some(deadline);
        lease.due = deadline;
        self.deadlines.push(Reverse((deadline, id)));
        // Every renewal leaves a stale entry behind; clear them out before they outnumber the leases.
        if self.deadlines.len() > 2 * self.leases.len() + 64 {
            self.deadlines = self
                .leases
                .iter()
                .filter(|(_, lease)| lease.deadline.is_some())
                .map(|(id, lease)| Reverse((lease.due, *id)))
                .collect();
        }
    }
}

fn whole_seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn leader() -> Lessor {
        let mut lessor = Lessor::default();
        lessor.promote(s(0), s(0));
        lessor
    }

    #[test]
    fn a_lease_ends_when_nobody_renews_it() {
        let mut lessor = leader();
        lessor.grant(1, s(10), s(100));
        assert_eq!(lessor.next_due(), Some(s(110)));
        assert!(lessor.take_expired(9, s(109)).is_empty());
        assert_eq!(lessor.time_to_live(1, s(104)), Some(TimeToLive { granted_seconds: 10, remaining_seconds: 6 }));
        assert_eq!(lessor.take_expired(9, s(110)), [1]);
        assert_eq!(lessor.renew(1, s(110)), None, "its time is over even though it is not revoked yet");
        lessor.revoke(1);
        assert_eq!(lessor.next_due(), None);
        assert_eq!(lessor.time_to_live(1, s(110)), None);
    }

    #[test]
    fn renewing_starts_over() {
        let mut lessor = leader();
        lessor.grant(1, s(10), s(0));
        assert_eq!(lessor.renew(1, s(9)), Some(10));
        assert!(lessor.take_expired(9, s(18)).is_empty());
        assert_eq!(lessor.take_expired(9, s(19)), [1]);
        assert_eq!(lessor.renew(2, s(0)), None);
    }

    #[test]
    fn a_revoke_that_fails_is_tried_again() {
        let mut lessor = leader();
        lessor.grant(1, s(1), s(0));
        assert_eq!(lessor.take_expired(9, s(1)), [1]);
        assert!(lessor.take_expired(9, s(1)).is_empty());
        assert_eq!(lessor.take_expired(9, s(1) + LEASE_REVOKE_RETRY), [1]);
    }

    #[test]
    fn expiry_is_bounded_and_in_order() {
        let mut lessor = leader();
        for id in 1..=5 {
            lessor.grant(id, s(10 - u64::try_from(id).unwrap()), s(0));
        }
        assert_eq!(lessor.ids(), [5, 4, 3, 2, 1]);
        assert_eq!(lessor.take_expired(3, s(100)), [5, 4, 3]);
        assert_eq!(lessor.take_expired(3, s(100)), [2, 1]);
    }

    #[test]
    fn only_a_leader_ends_leases_and_a_new_one_is_patient() {
        let mut lessor = Lessor::default();
        lessor.grant(1, s(10), s(0));
        lessor.grant(2, s(10), s(0));
        lessor.checkpoint(2, s(4));
        assert_eq!(lessor.next_due(), None);
        assert_eq!(lessor.renew(1, s(1)), None);
        lessor.promote(s(3), s(50));
        assert_eq!(lessor.next_due(), Some(s(57)), "what was left of lease 2, and the extension");
        assert_eq!(lessor.time_to_live(1, s(50)), Some(TimeToLive { granted_seconds: 10, remaining_seconds: 13 }));
        lessor.demote();
        assert_eq!(lessor.next_due(), None);
        assert!(lessor.take_expired(9, s(1000)).is_empty());
    }

    #[test]
    fn renewals_do_not_pile_up() {
        let mut lessor = leader();
        lessor.grant(1, s(1000), s(0));
        for now in 0..10_000 {
            assert_eq!(lessor.renew(1, Duration::from_millis(now)), Some(1000));
        }
        assert!(lessor.deadlines.len() < 100);
    }

    #[test]
    fn the_longest_lease_does_not_overflow() {
        let mut lessor = leader();
        lessor.grant(1, s(u64::MAX), s(u64::MAX / 2));
        assert!(lessor.take_expired(9, s(u64::MAX / 2)).is_empty());
    }
}
