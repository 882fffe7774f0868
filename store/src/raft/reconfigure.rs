//! Whether members may change as somebody asks, and what raft is to be told. Pure.
//!
//! The rules, their order and their errors are etcd's (`server/etcdserver/server.go` and
//! `server/etcdserver/api/membership/cluster.go`). What differs is how a voter is added: raft hears of it as a learner,
//! so that a process that does not run yet cannot cost the quorum, and it gets its vote once it has caught up
//! ([`Cluster::next_step`]). Clients never see the difference.

use std::collections::{BTreeMap, BTreeSet};

use openraft::ChangeMembers;

use super::Member;
use crate::error::StoreError;

/// A change of the members that somebody asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds a member, which need not run yet.
    Add(u64, Member),
    /// Removes a member, dead or alive.
    Remove(u64),
    /// Changes where other members reach one.
    Update(u64, Vec<String>),
    /// Gives a learner its vote.
    Promote(u64),
    /// A member that has started says its name and where clients reach it.
    Publish {
        /// The member.
        id: u64,
        /// Its human-readable name.
        name: String,
        /// Where clients reach it.
        client_urls: Vec<String>,
    },
}

/// What holds for every change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Refuses what would endanger the quorum (etcd's `--strict-reconfig-check`).
    pub strict: bool,
    /// Learners that there may be (etcd's `--max-learners`).
    pub max_learners: usize,
}

/// The cluster, as its leader sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cluster {
    /// All members, voters and others.
    pub members: BTreeMap<u64, Member>,
    /// Those that have a vote already.
    pub voters: BTreeSet<u64>,
    /// Whether raft is between two sets of voters.
    pub changing: bool,
    /// Those that answered lately, the leader among them.
    pub connected: BTreeSet<u64>,
    /// How many entries of the log each is known to have.
    pub matched: BTreeMap<u64, u64>,
    /// Entries in the leader's log.
    pub last: u64,
}

/// What to tell raft.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The change.
    pub change: ChangeMembers<u64, Member>,
    /// Whether who loses its vote stays as a learner.
    pub retain: bool,
}

/// A learner may be promoted by hand when it has this part of the log; etcd's `readyPercentThreshold`.
const READY_PERCENT: u64 = 90;

/// Entries that a member which waits for its vote may lag behind when it gets it.
const VOTE_LAG_ENTRIES: u64 = 256;

impl Cluster {
    /// Those that have a vote, or get one when they have caught up: the voters in etcd's eyes.
    fn voting(&self) -> impl Iterator<Item = (u64, &Member)> {
        self.members.iter().filter(|(_, member)| !member.is_learner).map(|(id, member)| (*id, member))
    }

    /// Judges a change. No step is needed if everything is as asked for.
    pub fn plan(&self, change: Change, rules: Rules) -> Result<Option<Step>, StoreError> {
        match change {
            Change::Add(id, member) => self.add(id, member, rules).map(Some),
            Change::Remove(id) => self.remove(id, rules).map(Some),
            Change::Update(id, peer_urls) => {
                let member = self.member(id)?;
                self.check_urls_are_free(Some(id), &peer_urls)?;
                Ok(self.set(id, &Member { peer_urls, ..member.clone() }))
            }
            Change::Promote(id) => self.promote(id, rules).map(Some),
            Change::Publish { id, name, client_urls } => {
                let member = self.member(id)?;
                Ok(self.set(id, &Member { name, client_urls, ..member.clone() }))
            }
        }
    }

    fn add(&self, id: u64, member: Member, rules: Rules) -> Result<Step, StoreError> {
        if rules.strict {
            if !member.is_learner {
                self.check_started_after_adding()?;
            }
            let voting = self.voting().count();
            if voting > 1 && self.connected_voting() < quorum(voting + 1) {
                return Err(StoreError::Unhealthy);
            }
        }
        if self.members.contains_key(&id) {
            return Err(StoreError::MemberExists);
        }
        self.check_urls_are_free(None, &member.peer_urls)?;
        let learners = self.members.values().filter(|member| member.is_learner).count();
        if member.is_learner && learners >= rules.max_learners {
            return Err(StoreError::TooManyLearners);
        }
        Ok(Step { change: ChangeMembers::AddNodes(BTreeMap::from([(id, member)])), retain: true })
    }

    fn remove(&self, id: u64, rules: Rules) -> Result<Step, StoreError> {
        let is_learner = self.members.get(&id).is_some_and(|member| member.is_learner);
        if rules.strict && !is_learner {
            let others: Vec<&Member> =
                self.voting().filter(|(other, _)| *other != id).map(|(_, member)| member).collect();
            if started(others.iter().copied()) < quorum(others.len()) {
                return Err(StoreError::NotEnoughStarted);
            }
            // Who is down already can go: the active quorum does not change.
            let voting = self.voting().count();
            if self.connected.contains(&id) && self.connected_voting().saturating_sub(1) < quorum(voting - 1) {
                return Err(StoreError::Unhealthy);
            }
        }
        self.member(id)?;
        if !self.voters.contains(&id) {
            return Ok(Step { change: ChangeMembers::RemoveNodes(BTreeSet::from([id])), retain: true });
        }
        if self.voters.len() == 1 {
            return Err(StoreError::NotEnoughStarted);
        }
        Ok(Step { change: ChangeMembers::RemoveVoters(BTreeSet::from([id])), retain: false })
    }

    fn promote(&self, id: u64, rules: Rules) -> Result<Step, StoreError> {
        let member = self.member(id)?;
        let matched = self.matched.get(&id).copied().unwrap_or(0);
        if member.is_learner && matched.saturating_mul(100) < self.last.saturating_mul(READY_PERCENT) {
            return Err(StoreError::LearnerNotReady);
        }
        if rules.strict && 1 + started(self.voting().map(|(_, member)| member)) < quorum(1 + self.voting().count()) {
            return Err(StoreError::NotEnoughStarted);
        }
        if !member.is_learner {
            return Err(StoreError::NotLearner);
        }
        let member = Member { is_learner: false, ..member.clone() };
        let change = ChangeMembers::Batch(vec![
            ChangeMembers::SetNodes(BTreeMap::from([(id, member)])),
            ChangeMembers::AddVoterIds(BTreeSet::from([id])),
        ]);
        Ok(Step { change, retain: true })
    }

    fn set(&self, id: u64, member: &Member) -> Option<Step> {
        let step = || Step { change: ChangeMembers::SetNodes(BTreeMap::from([(id, member.clone())])), retain: true };
        (self.members.get(&id) != Some(member)).then(step)
    }

    fn member(&self, id: u64) -> Result<&Member, StoreError> {
        self.members.get(&id).ok_or(StoreError::MemberNotFound)
    }

    /// With one voter more, most must have started. One voter alone may always get a second.
    fn check_started_after_adding(&self) -> Result<(), StoreError> {
        let after = 1 + self.voting().count();
        let started = started(self.voting().map(|(_, member)| member));
        if (started == 1 && after == 2) || started >= quorum(after) {
            Ok(())
        } else {
            Err(StoreError::NotEnoughStarted)
        }
    }

    fn check_urls_are_free(&self, except: Option<u64>, peer_urls: &[String]) -> Result<(), StoreError> {
        let others = self.members.iter().filter(|(id, _)| Some(**id) != except);
        let mut taken = others.flat_map(|(_, member)| &member.peer_urls);
        if taken.any(|url| peer_urls.contains(url)) { Err(StoreError::PeerUrlExists) } else { Ok(()) }
    }

    fn connected_voting(&self) -> usize {
        self.voting().filter(|(id, _)| self.connected.contains(id)).count()
    }

    /// What the leader does by itself: ends a change that was left half-way, and gives a member its vote that was added
    /// as a voter and has caught up.
    pub fn next_step(&self) -> Option<Step> {
        if self.changing {
            return Some(Step { change: ChangeMembers::AddVoterIds(BTreeSet::new()), retain: false });
        }
        let waiting = self.voting().map(|(id, _)| id).filter(|id| !self.voters.contains(id));
        let mut ready = waiting.filter(|id| {
            let matched = self.matched.get(id).copied().unwrap_or(0);
            matched > 0 && self.last.saturating_sub(matched) <= VOTE_LAG_ENTRIES && self.connected.contains(id)
        });
        ready.next().map(|id| Step { change: ChangeMembers::AddVoterIds(BTreeSet::from([id])), retain: true })
    }

    /// Who should lead when `leader` goes: a voter that answers, and has most of the log.
    pub fn successor(&self, leader: u64) -> Option<u64> {
        let others = self.voters.iter().filter(|id| **id != leader && self.connected.contains(id));
        others.max_by_key(|id| self.matched.get(id)).copied()
    }

    /// Whether something is left for [`Cluster::next_step`], now or later.
    pub fn is_unsettled(&self) -> bool {
        self.changing || self.voting().any(|(id, _)| !self.voters.contains(&id))
    }
}

/// How many have said their name.
fn started<'a>(members: impl Iterator<Item = &'a Member>) -> usize {
    members.filter(|member| !member.name.is_empty()).count()
}

fn quorum(members: usize) -> usize {
    members / 2 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRICT: Rules = Rules { strict: true, max_learners: 1 };
    const LAX: Rules = Rules { strict: false, max_learners: 1 };

    fn member(id: u64) -> Member {
        Member { name: format!("n{id}"), peer_urls: vec![format!("http://n{id}:2380")], ..Member::default() }
    }

    fn unstarted(id: u64) -> Member {
        Member { name: String::new(), ..member(id) }
    }

    fn learner(id: u64) -> Member {
        Member { is_learner: true, ..member(id) }
    }

    /// `voters` members that run and answer; 1 leads.
    fn cluster(voters: u64) -> Cluster {
        Cluster {
            members: (1..=voters).map(|id| (id, member(id))).collect(),
            voters: (1..=voters).collect(),
            changing: false,
            connected: (1..=voters).collect(),
            matched: (1..=voters).map(|id| (id, 100)).collect(),
            last: 100,
        }
    }

    fn with(mut cluster: Cluster, id: u64, member: Member) -> Cluster {
        cluster.members.insert(id, member);
        cluster
    }

    fn without_answer(mut cluster: Cluster, ids: &[u64]) -> Cluster {
        cluster.connected.retain(|id| !ids.contains(id));
        cluster
    }

    /// What comes of a change: raft's words for it, or etcd's error.
    fn outcome(cluster: &Cluster, change: Change, rules: Rules) -> String {
        match cluster.plan(change, rules) {
            Ok(Some(step)) => format!("{}{}", step.change, if step.retain { "" } else { " and forget" }),
            Ok(None) => "nothing".to_owned(),
            Err(error) => error.to_string().trim_start_matches("etcdserver: ").to_owned(),
        }
    }

    #[test]
    fn adding() {
        let few = "re-configuration failed due to not enough started members";
        let table = [
            // One voter may always get a second, but not a third before the second has started.
            (cluster(1), unstarted(9), STRICT, "AddNodes"),
            (with(cluster(1), 2, unstarted(2)), unstarted(9), STRICT, few),
            (with(cluster(1), 2, unstarted(2)), unstarted(9), LAX, "AddNodes"),
            (cluster(3), unstarted(9), STRICT, "AddNodes"),
            (with(cluster(3), 4, unstarted(4)), unstarted(9), STRICT, "AddNodes"),
            (with(with(cluster(3), 4, unstarted(4)), 5, unstarted(5)), unstarted(9), STRICT, few),
            // The new one counts as down.
            (without_answer(cluster(3), &[3]), unstarted(9), STRICT, "unhealthy cluster"),
            (without_answer(cluster(3), &[3]), learner(9), STRICT, "unhealthy cluster"),
            (without_answer(cluster(3), &[3]), unstarted(9), LAX, "AddNodes"),
            (without_answer(cluster(4), &[3]), unstarted(9), STRICT, "AddNodes"),
            (cluster(3), member(2), STRICT, "Peer URLs already exists"),
            (cluster(3), learner(9), STRICT, "AddNodes"),
            (with(cluster(3), 4, learner(4)), learner(9), STRICT, "too many learner members in cluster"),
            (with(cluster(3), 4, learner(4)), unstarted(9), STRICT, "AddNodes"),
        ];
        for (row, (cluster, member, rules, expected)) in table.into_iter().enumerate() {
            let outcome = outcome(&cluster, Change::Add(9, member), rules);
            assert!(outcome.starts_with(expected), "row {row}: {outcome}");
        }
        assert_eq!(outcome(&cluster(3), Change::Add(2, unstarted(9)), STRICT), "member ID already exist");
    }

    #[test]
    fn removing() {
        let few = "re-configuration failed due to not enough started members";
        let table = [
            (cluster(3), 2, STRICT, "RemoveVoters([2]) and forget"),
            (cluster(2), 2, STRICT, "RemoveVoters([2]) and forget"),
            (cluster(1), 1, STRICT, few),
            (cluster(1), 1, LAX, few),
            (cluster(3), 7, STRICT, "member not found"),
            // Who is down can go, but nobody who is needed then.
            (without_answer(cluster(3), &[3]), 3, STRICT, "RemoveVoters([3]) and forget"),
            (without_answer(cluster(3), &[3]), 2, STRICT, "unhealthy cluster"),
            (without_answer(cluster(3), &[3]), 2, LAX, "RemoveVoters([2]) and forget"),
            // Who never started can go, and nobody can on whom those depend who have.
            (with(cluster(1), 2, unstarted(2)), 2, STRICT, "RemoveNodes([2])"),
            (with(cluster(1), 2, unstarted(2)), 1, STRICT, few),
            (with(cluster(3), 4, learner(4)), 4, STRICT, "RemoveNodes([4])"),
        ];
        for (row, (cluster, id, rules, expected)) in table.into_iter().enumerate() {
            assert_eq!(outcome(&cluster, Change::Remove(id), rules), expected, "row {row}");
        }
    }

    #[test]
    fn updating() {
        let update = |id, url: &str| outcome(&cluster(3), Change::Update(id, vec![url.to_owned()]), STRICT);
        assert!(update(2, "http://elsewhere:2380").starts_with("SetNodes"));
        assert_eq!(update(2, "http://n2:2380"), "nothing");
        assert_eq!(update(2, "http://n3:2380"), "Peer URLs already exists");
        assert_eq!(update(7, "http://n7:2380"), "member not found");
    }

    #[test]
    fn promoting() {
        let at = |matched| {
            let mut cluster = with(cluster(3), 4, learner(4));
            cluster.matched.insert(4, matched);
            cluster
        };
        let promote = |cluster: &Cluster, id| outcome(cluster, Change::Promote(id), STRICT);
        assert_eq!(promote(&at(89), 4), "can only promote a learner member which is in sync with leader");
        let step = at(90).plan(Change::Promote(4), STRICT).unwrap().unwrap();
        let ChangeMembers::Batch(changes) = step.change else { panic!("{step:?}") };
        assert!(matches!(&changes[0], ChangeMembers::SetNodes(nodes) if !nodes[&4].is_learner));
        assert_eq!(changes[1], ChangeMembers::AddVoterIds(BTreeSet::from([4])));
        assert_eq!(promote(&at(90), 2), "can only promote a learner member");
        assert_eq!(promote(&at(90), 7), "member not found");
    }

    #[test]
    fn publishing() {
        let publish = |id, name: &str| {
            outcome(&cluster(3), Change::Publish { id, name: name.to_owned(), client_urls: Vec::new() }, STRICT)
        };
        assert!(publish(2, "other").starts_with("SetNodes"));
        assert_eq!(publish(2, "n2"), "nothing");
        assert_eq!(publish(7, "n7"), "member not found");
    }

    #[test]
    fn a_vote_comes_with_having_caught_up() {
        let waiting = |matched, connected| {
            let mut cluster = with(cluster(3), 4, unstarted(4));
            cluster.last = 1000;
            cluster.matched.insert(4, matched);
            if connected {
                cluster.connected.insert(4);
            }
            cluster
        };
        assert!(waiting(0, false).is_unsettled());
        assert_eq!(waiting(0, true).next_step(), None);
        assert_eq!(waiting(1000 - VOTE_LAG_ENTRIES - 1, true).next_step(), None);
        assert_eq!(waiting(1000, false).next_step(), None);
        let vote = Step { change: ChangeMembers::AddVoterIds(BTreeSet::from([4])), retain: true };
        assert_eq!(waiting(1000 - VOTE_LAG_ENTRIES, true).next_step(), Some(vote));
        assert_eq!(with(cluster(3), 4, learner(4)).next_step(), None, "who was added as a learner stays one");
        assert!(!with(cluster(3), 4, learner(4)).is_unsettled());
    }

    #[test]
    fn a_change_left_half_way_is_ended_first() {
        let cluster = Cluster { changing: true, ..with(cluster(3), 4, unstarted(4)) };
        assert_eq!(
            cluster.next_step(),
            Some(Step { change: ChangeMembers::AddVoterIds(BTreeSet::new()), retain: false })
        );
    }

    #[test]
    fn the_successor_answers_and_has_most() {
        let mut three = with(cluster(3), 4, learner(4));
        three.connected.insert(4);
        three.matched.extend([(2, 90), (3, 95), (4, 100)]);
        assert_eq!(three.successor(1), Some(3));
        assert_eq!(without_answer(three, &[3]).successor(1), Some(2));
        assert_eq!(cluster(1).successor(1), None);
    }
}
