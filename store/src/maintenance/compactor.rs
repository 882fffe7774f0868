//! When to compact by itself, and to which revision (etcd's `--auto-compaction-mode`). Pure: time and the store's
//! revision are arguments.
//!
//! As in etcd (`server/etcdserver/api/v3compactor`): by period, revisions are noted ten times a period (ten times an
//! hour, if it is longer), and the oldest of them is compacted to once a period (once an hour); by revision, all but
//! the newest so many go, every five minutes.

use std::collections::VecDeque;
use std::time::Duration;

/// What is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// What happened this long ago.
    Period(Duration),
    /// So many revisions.
    Revisions(i64),
}

/// Revisions are noted this often in a period.
const NOTES_PER_PERIOD: u32 = 10;
/// A longer period is looked at as if it were this long.
const LONGEST_INTERVAL: Duration = Duration::from_secs(3600);
/// How often revisions are counted.
const COUNT_INTERVAL: Duration = Duration::from_secs(300);

/// Decides.
#[derive(Debug)]
pub struct Compactor {
    retention: Retention,
    /// The revisions of the last period, the oldest first.
    noted: VecDeque<i64>,
    /// When the last compaction succeeded; the beginning before the first.
    compacted_at: Duration,
    /// What was compacted to last.
    compacted: i64,
    /// How long after the last success the next may be.
    pause: Duration,
}

impl Compactor {
    /// Begins at `now`, when the store is at `revision`.
    pub fn new(retention: Retention, revision: i64, now: Duration) -> Self {
        let pause = if let Retention::Period(period) = retention { period } else { Duration::ZERO };
        Self { retention, noted: VecDeque::from([revision]), compacted_at: now, compacted: 0, pause }
    }

    /// How often to call [`Compactor::due`].
    pub fn interval(&self) -> Duration {
        match self.retention {
            Retention::Period(period) => period.min(LONGEST_INTERVAL) / NOTES_PER_PERIOD,
            Retention::Revisions(_) => COUNT_INTERVAL,
        }
    }

    /// The revision to compact to now, if this member leads. Call it once an interval, with the store's revision.
    pub fn due(&mut self, revision: i64, leads: bool, now: Duration) -> Option<i64> {
        let target = match self.retention {
            Retention::Period(period) => {
                let oldest = self.noted.front().copied().unwrap_or(revision);
                let rests = now.saturating_sub(self.compacted_at) < self.pause;
                self.note(revision, period);
                (!rests).then_some(oldest)
            }
            Retention::Revisions(kept) => Some(revision.saturating_sub(kept)),
        };
        let target = target.filter(|target| leads && *target > 0 && *target != self.compacted)?;
        if let Retention::Period(period) = self.retention {
            // Only the first waits for the whole of a long period.
            self.pause = period.min(LONGEST_INTERVAL);
        }
        Some(target)
    }

    /// What was due has been done.
    pub fn done(&mut self, revision: i64, now: Duration) {
        self.compacted = revision;
        self.compacted_at = now;
    }

    fn note(&mut self, revision: i64, period: Duration) {
        self.noted.push_back(revision);
        let interval = self.interval().max(Duration::from_nanos(1));
        let kept = usize::try_from(period.as_nanos() / interval.as_nanos()).unwrap_or(usize::MAX).saturating_add(1);
        while self.noted.len() > kept {
            self.noted.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(minutes * 60)
    }

    /// Runs for so many intervals with one revision a minute, and returns when (in minutes) it compacted to what.
    fn run(retention: Retention, intervals: u32, leads: impl Fn(u64) -> bool) -> Vec<(u64, i64)> {
        let mut compactor = Compactor::new(retention, 1, Duration::ZERO);
        let mut done = Vec::new();
        for round in 1..=intervals {
            let now = compactor.interval() * round;
            let minute = now.as_secs() / 60;
            let revision = 1 + i64::try_from(minute).unwrap();
            if let Some(target) = compactor.due(revision, leads(minute), now) {
                done.push((minute, target));
                compactor.done(target, now);
            }
        }
        done
    }

    #[test]
    fn an_hour_is_kept() {
        let done = run(Retention::Period(minutes(60)), 30, |_| true);
        assert_eq!(done, [(60, 1), (120, 55), (180, 115)]);
    }

    #[test]
    fn of_a_day_the_oldest_hour_goes_every_hour() {
        let done = run(Retention::Period(minutes(24 * 60)), 260, |_| true);
        assert_eq!(done, [(1440, 1), (1500, 55), (1560, 115)]);
    }

    #[test]
    fn ten_minutes_are_kept() {
        let done = run(Retention::Period(minutes(10)), 35, |_| true);
        assert_eq!(done, [(10, 1), (20, 10), (30, 20)]);
    }

    #[test]
    fn only_the_leader_compacts_and_a_new_one_knows_the_past() {
        let done = run(Retention::Period(minutes(10)), 35, |minute| minute >= 25);
        assert_eq!(done, [(25, 15), (35, 25)]);
    }

    #[test]
    fn so_many_revisions_are_kept() {
        assert_eq!(run(Retention::Revisions(7), 3, |_| true), [(10, 4), (15, 9)]);
        assert_eq!(run(Retention::Revisions(100), 3, |_| true), []);
    }

    #[test]
    fn what_failed_is_due_again_and_what_rests_is_not() {
        let mut compactor = Compactor::new(Retention::Revisions(5), 10, Duration::ZERO);
        assert_eq!(compactor.due(10, true, minutes(5)), Some(5));
        assert_eq!(compactor.due(10, true, minutes(10)), Some(5));
        compactor.done(5, minutes(10));
        assert_eq!(compactor.due(10, true, minutes(15)), None);
    }
}
