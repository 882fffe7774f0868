//! Whether members agree about the data: what the hashes of their keys say. Pure.
//!
//! Etcd's rules (`server/etcdserver/corrupt.go`).

use std::collections::BTreeMap;

use crate::mvcc::KeysHash;

/// A member's answer: the hash at the revision asked for, and the revision that the member has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The hash.
    pub keys: KeysHash,
    /// The newest revision.
    pub current: i64,
}

/// The member that a periodic check finds to be corrupt. `before` and `after` are the leader's own answers for the
/// present, before and after the others were asked for `before`'s revision.
pub fn differing(leader: u64, before: Answer, after: Answer, others: &BTreeMap<u64, Answer>) -> Option<u64> {
    let same_moment = before.keys.revision == after.keys.revision && before.keys.compacted == after.keys.compacted;
    if same_moment && before.keys.hash != after.keys.hash {
        return Some(leader);
    }
    let differs = |other: &Answer| {
        other.current > after.current
            || other.keys.compacted > after.keys.compacted
            || (other.keys.compacted == before.keys.compacted && other.keys.hash != before.keys.hash)
    };
    others.iter().find(|(_, other)| differs(other)).map(|(id, _)| *id)
}

/// What a comparison at a compacted revision comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// All members have the same data.
    Agreed,
    /// Those that answered have; others did not answer, or are compacted to another revision.
    Incomplete,
    /// These members differ from the majority; only 0, which stands for the cluster, if no hash has a majority.
    Corrupt(Vec<u64>),
}

/// Compares the leader's hash with those of `others`; `None` of one that did not answer.
pub fn judge(leader: u64, mine: KeysHash, others: &BTreeMap<u64, Option<KeysHash>>) -> Verdict {
    let comparable = others.iter().filter_map(|(id, hash)| Some((*id, (*hash)?)));
    let mut members_by_hash = BTreeMap::from([(mine.hash, vec![leader])]);
    let mut compared = 0;
    for (id, hash) in comparable.filter(|(_, hash)| hash.compacted == mine.compacted) {
        compared += 1;
        members_by_hash.entry(hash.hash).or_default().push(id);
    }
    if members_by_hash.len() == 1 {
        return if compared == others.len() { Verdict::Agreed } else { Verdict::Incomplete };
    }
    let members = others.len() + 1;
    let quorum = members / 2 + 1;
    let majority = members_by_hash.iter().find(|(_, members)| members.len() >= quorum).map(|(hash, _)| *hash);
    match majority {
        None => Verdict::Corrupt(vec![0]),
        Some(majority) => {
            members_by_hash.remove(&majority);
            let mut corrupt: Vec<u64> = members_by_hash.into_values().flatten().collect();
            corrupt.sort_unstable();
            Verdict::Corrupt(corrupt)
        }
    }
}

/// Whether a member that starts must not: at the same revision, and compacted alike, another has other data.
pub fn differs_at_start(mine: KeysHash, others: &BTreeMap<u64, Answer>) -> bool {
    others.values().any(|other| other.keys.hash != mine.hash && other.keys.compacted == mine.compacted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(hash: u32, compacted: i64) -> KeysHash {
        KeysHash { hash, revision: 10, compacted }
    }

    fn at(hash: u32, compacted: i64, current: i64) -> Answer {
        Answer { keys: keys(hash, compacted), current }
    }

    #[test]
    fn a_periodic_check_names_who_differs() {
        let others = |two, three| BTreeMap::from([(2, two), (3, three)]);
        let same = at(7, 4, 10);
        assert_eq!(differing(1, same, same, &others(same, same)), None);
        assert_eq!(differing(1, same, same, &others(same, at(8, 4, 10))), Some(3));
        assert_eq!(differing(1, same, at(8, 4, 10), &others(same, same)), Some(1), "the leader's own data changed");
        let later = Answer { keys: KeysHash { hash: 8, revision: 11, compacted: 4 }, current: 11 };
        assert_eq!(differing(1, same, later, &others(same, at(7, 4, 11))), None, "it was written to meanwhile");
        assert_eq!(differing(1, same, same, &others(at(7, 4, 11), same)), Some(2), "ahead of its leader");
        assert_eq!(differing(1, same, same, &others(at(9, 3, 10), same)), None, "not compacted as far, so unlike");
        assert_eq!(differing(1, same, same, &others(at(7, 5, 10), same)), Some(2), "compacted before its leader");
    }

    #[test]
    fn the_majority_is_right() {
        let verdict = |others: &[Option<KeysHash>]| judge(1, keys(7, 4), &(2..).zip(others.iter().copied()).collect());
        let (same, other, third) = (Some(keys(7, 4)), Some(keys(8, 4)), Some(keys(9, 4)));
        let elsewhere = Some(keys(8, 3));
        assert_eq!(verdict(&[]), Verdict::Agreed);
        assert_eq!(verdict(&[same, same]), Verdict::Agreed);
        assert_eq!(verdict(&[same, None]), Verdict::Incomplete);
        assert_eq!(verdict(&[same, elsewhere]), Verdict::Incomplete);
        assert_eq!(verdict(&[same, other]), Verdict::Corrupt(vec![3]));
        assert_eq!(verdict(&[other, other]), Verdict::Corrupt(vec![1]));
        assert_eq!(verdict(&[other, third]), Verdict::Corrupt(vec![0]));
        assert_eq!(verdict(&[other]), Verdict::Corrupt(vec![0]));
        assert_eq!(verdict(&[other, None]), Verdict::Corrupt(vec![0]));
        assert_eq!(verdict(&[same, same, other, other]), Verdict::Corrupt(vec![4, 5]));
    }

    #[test]
    fn a_start_minds_only_what_can_be_compared() {
        let others = |answer| BTreeMap::from([(2, answer)]);
        assert!(!differs_at_start(keys(7, 4), &others(at(7, 4, 12))));
        assert!(differs_at_start(keys(7, 4), &others(at(8, 4, 12))));
        assert!(!differs_at_start(keys(7, 4), &others(at(8, 5, 12))));
    }
}
