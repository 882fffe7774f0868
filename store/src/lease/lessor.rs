//! When leases end.
//!
//! Pure: `now` is an argument everywhere, the time since some fixed moment. That a lease exists is replicated state;
//! when it ends is known to the leader alone, which proposes the revoke. Other nodes keep the list, so that they can
//! take over. So that a long lease does not begin anew with every leader, the leader tells now and then how much of it
//! is left: a checkpoint.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::limits::{LEASE_CHECKPOINT_INTERVAL, LEASE_REVOKE_RETRY};

/// The leases of one node.
#[derive(Debug, Default)]
pub struct Lessor {
    leases: BTreeMap<i64, Lease>,
    /// When to look at which lease. Stale entries are recognised by a deadline that is not the lease's.
    deadlines: BinaryHeap<Reverse<(Duration, i64)>>,
    /// When to tell of which lease how much is left. Stale entries are recognised alike.
    checkpoints: BinaryHeap<Reverse<(Duration, i64)>>,
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
    /// When to tell how much is left.
    checkpoint_due: Option<Duration>,
}

/// What is known of a lease's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeToLive {
    /// Seconds it was granted for.
    pub granted_seconds: i64,
    /// Whole seconds left.
    pub remaining_seconds: i64,
}

/// What became of a request to start a lease's time over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It started over, with this many seconds.
    Renewed(i64),
    /// All members believe that less than the whole TTL is left: they must be told otherwise first, lest the next leader
    /// ends the lease early.
    Checkpointed,
    /// Its time is over. It is about to be revoked, unless the leader changes before.
    Ending,
    /// There is no such lease.
    Unknown,
    /// Only the leader knows.
    NotLeader,
}

impl Lessor {
    /// Takes note of a lease that was granted.
    pub fn grant(&mut self, id: i64, granted_ttl: Duration, now: Duration) {
        let lease = Lease {
            granted_ttl,
            remaining_ttl: granted_ttl,
            deadline: None,
            due: Duration::ZERO,
            checkpoint_due: None,
        };
        self.leases.insert(id, lease);
        if self.leads {
            self.set_deadline(id, now.saturating_add(granted_ttl));
            self.schedule_checkpoint(id, now);
        }
    }

    /// Takes note of a lease that has ended.
    pub fn revoke(&mut self, id: i64) {
        self.leases.remove(&id);
    }

    /// Takes note of what is left of a lease, as its leader tells; zero is all of it.
    pub fn checkpoint(&mut self, id: i64, remaining_ttl: Duration, now: Duration) {
        if let Some(lease) = self.leases.get_mut(&id) {
            lease.remaining_ttl = if remaining_ttl.is_zero() { lease.granted_ttl } else { remaining_ttl };
            if self.leads {
                self.schedule_checkpoint(id, now);
            }
        }
    }

    /// Replaces all leases: id, granted time, and what was left if a leader has told.
    pub fn reset(&mut self, leases: impl IntoIterator<Item = (i64, Duration, Option<Duration>)>, now: Duration) {
        self.leases.clear();
        self.deadlines.clear();
        self.checkpoints.clear();
        for (id, granted_ttl, remaining_ttl) in leases {
            self.grant(id, granted_ttl, now);
            if let Some(remaining_ttl) = remaining_ttl {
                self.checkpoint(id, remaining_ttl, now);
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
            self.schedule_checkpoint(id, now);
        }
    }

    /// This node leads no longer.
    pub fn demote(&mut self) {
        self.leads = false;
        self.deadlines.clear();
        self.checkpoints.clear();
        for lease in self.leases.values_mut() {
            lease.deadline = None;
            lease.checkpoint_due = None;
        }
    }

    /// Starts the lease's time over.
    pub fn renew(&mut self, id: i64, now: Duration) -> Renewal {
        if !self.leads {
            return Renewal::NotLeader;
        }
        let Some(lease) = self.leases.get(&id) else { return Renewal::Unknown };
        if lease.deadline.is_none_or(|deadline| deadline <= now) {
            return Renewal::Ending;
        }
        if lease.remaining_ttl < lease.granted_ttl {
            return Renewal::Checkpointed;
        }
        let granted_ttl = lease.granted_ttl;
        self.set_deadline(id, now.saturating_add(granted_ttl));
        Renewal::Renewed(whole_seconds(granted_ttl))
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
        while expired.len() < limit && self.next_expiry().is_some_and(|due| due <= now) {
            let Some(Reverse((_, id))) = self.deadlines.pop() else { break };
            if let Some(lease) = self.leases.get_mut(&id) {
                lease.due = now.saturating_add(LEASE_REVOKE_RETRY);
                self.deadlines.push(Reverse((lease.due, id)));
                expired.push(id);
            }
        }
        expired
    }

    /// Whether a lease's time is over and this node may say so.
    pub fn has_expired(&self, id: i64, now: Duration) -> bool {
        self.leases.get(&id).is_some_and(|lease| lease.deadline.is_some_and(|deadline| deadline <= now))
    }

    /// At most `limit` leases of which to tell all members how many seconds are left.
    pub fn take_checkpoints(&mut self, limit: usize, now: Duration) -> Vec<(i64, i64)> {
        let mut checkpoints = Vec::new();
        while checkpoints.len() < limit && self.next_checkpoint().is_some_and(|due| due <= now) {
            let Some(Reverse((_, id))) = self.checkpoints.pop() else { break };
            // The next one, should this one come to nothing; otherwise it is scheduled anew when it is applied.
            self.schedule_checkpoint(id, now);
            let Some(left) = self.leases.get(&id).and_then(|lease| lease.deadline?.checked_sub(now)) else { continue };
            let left = left.saturating_add(Duration::from_millis(999));
            if self.leases.get(&id).is_some_and(|lease| left < lease.granted_ttl) {
                checkpoints.push((id, whole_seconds(left)));
            }
        }
        checkpoints
    }

    /// When there is something next to expire or to tell; `None` while there is not.
    pub fn next_due(&mut self) -> Option<Duration> {
        self.next_expiry().into_iter().chain(self.next_checkpoint()).min()
    }

    fn next_expiry(&mut self) -> Option<Duration> {
        while let Some(Reverse((due, id))) = self.deadlines.peek() {
            if self.leases.get(id).is_some_and(|lease| lease.due == *due && lease.deadline.is_some()) {
                return Some(*due);
            }
            self.deadlines.pop();
        }
        None
    }

    fn next_checkpoint(&mut self) -> Option<Duration> {
        while let Some(Reverse((due, id))) = self.checkpoints.peek() {
            if self.leases.get(id).is_some_and(|lease| lease.checkpoint_due == Some(*due)) {
                return Some(*due);
            }
            self.checkpoints.pop();
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

    /// Only leases that outlive the interval are worth it.
    fn schedule_checkpoint(&mut self, id: i64, now: Duration) {
        let Some(lease) = self.leases.get_mut(&id) else { return };
        lease.checkpoint_due =
            (lease.remaining_ttl > LEASE_CHECKPOINT_INTERVAL).then(|| now.saturating_add(LEASE_CHECKPOINT_INTERVAL));
        if let Some(due) = lease.checkpoint_due {
            self.checkpoints.push(Reverse((due, id)));
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
        assert_eq!(lessor.renew(1, s(110)), Renewal::Ending, "its time is over even though it is not revoked yet");
        assert!(lessor.has_expired(1, s(110)) && !lessor.has_expired(1, s(109)));
        lessor.revoke(1);
        assert_eq!(lessor.next_due(), None);
        assert_eq!(lessor.time_to_live(1, s(110)), None);
    }

    #[test]
    fn renewing_starts_over() {
        let mut lessor = leader();
        lessor.grant(1, s(10), s(0));
        assert_eq!(lessor.renew(1, s(9)), Renewal::Renewed(10));
        assert!(lessor.take_expired(9, s(18)).is_empty());
        assert_eq!(lessor.take_expired(9, s(19)), [1]);
        assert_eq!(lessor.renew(2, s(0)), Renewal::Unknown);
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
        lessor.checkpoint(2, s(4), s(0));
        assert_eq!(lessor.next_due(), None);
        assert_eq!(lessor.renew(1, s(1)), Renewal::NotLeader);
        lessor.promote(s(3), s(50));
        assert_eq!(lessor.next_due(), Some(s(57)), "what was left of lease 2, and the extension");
        assert_eq!(lessor.time_to_live(1, s(50)), Some(TimeToLive { granted_seconds: 10, remaining_seconds: 13 }));
        lessor.demote();
        assert_eq!(lessor.next_due(), None);
        assert!(lessor.take_expired(9, s(1000)).is_empty());
    }

    #[test]
    fn of_a_long_lease_the_leader_tells_what_is_left() {
        let mut lessor = leader();
        lessor.grant(1, s(1000), s(0));
        lessor.grant(2, s(300), s(0));
        assert_eq!(lessor.next_due(), Some(s(300)));
        assert!(lessor.take_checkpoints(9, s(299)).is_empty());
        assert_eq!(lessor.take_checkpoints(9, s(300)), [(1, 700)], "not of a lease that ends before the next");
        assert!(lessor.take_checkpoints(9, s(300)).is_empty());
        assert_eq!(lessor.take_checkpoints(9, s(600)), [(1, 400)], "the first came to nothing");
        lessor.checkpoint(1, s(400), s(601));
        assert_eq!(lessor.take_checkpoints(9, s(901)), [(1, 99)]);
        lessor.checkpoint(1, s(99), s(902));
        assert!(lessor.take_checkpoints(9, s(1_000_000)).is_empty(), "it ends before another would be due");
        lessor.demote();
        lessor.promote(s(3), s(2000));
        assert_eq!(lessor.time_to_live(1, s(2000)).unwrap().remaining_seconds, 102);
    }

    #[test]
    fn a_lease_is_not_renewed_before_all_know_that_it_has_more_time_than_they_were_told() {
        let mut lessor = leader();
        lessor.grant(1, s(1000), s(0));
        lessor.checkpoint(1, s(700), s(300));
        assert_eq!(lessor.renew(1, s(301)), Renewal::Checkpointed);
        lessor.checkpoint(1, s(0), s(302));
        assert_eq!(lessor.renew(1, s(303)), Renewal::Renewed(1000));
        assert_eq!(lessor.time_to_live(1, s(303)).unwrap().remaining_seconds, 1000);
        assert!(lessor.take_checkpoints(9, s(302)).is_empty());
        assert_eq!(lessor.take_checkpoints(9, s(602)), [(1, 701)]);
    }

    #[test]
    fn renewals_do_not_pile_up() {
        let mut lessor = leader();
        lessor.grant(1, s(1000), s(0));
        for now in 0..10_000 {
            assert_eq!(lessor.renew(1, Duration::from_millis(now)), Renewal::Renewed(1000));
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
