//! Who belongs to the cluster, and how a node gets its identity.

use std::collections::BTreeMap;

use sha1::{Digest, Sha1};

/// One member, as etcd's `MemberList` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Its human-readable name (`--name`).
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
    /// Whether it is meant to stay without a vote. One that is not has its vote, or gets it when it has caught up.
    pub is_learner: bool,
}

/// The id of a member, from what every member knows about it when the cluster begins, so that all compute the same one:
/// its peer URLs (in any order) and the cluster's token. One that is added later has no token, but the second since
/// 1970 in which it was added. Etcd's `computeMemberID`, so that the same flags give the same ids.
pub fn member_id(peer_urls: &[String], cluster_token: &str, added_at_seconds: Option<u64>) -> u64 {
    let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    let mut hash = Sha1::new();
    for part in urls.into_iter().chain([cluster_token]) {
        hash.update(part);
    }
    if let Some(seconds) = added_at_seconds {
        hash.update(seconds.to_string());
    }
    first_eight_bytes(&hash.finalize())
}

/// The id of a cluster, from its first members: etcd's `genID`.
pub fn cluster_id(members: &BTreeMap<u64, Member>) -> u64 {
    let mut hash = Sha1::new();
    for member in members.keys() {
        hash.update(member.to_be_bytes());
    }
    first_eight_bytes(&hash.finalize())
}

fn first_eight_bytes(hash: &[u8]) -> u64 {
    hash.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_etcds() {
        let urls = ["http://localhost:2380".to_owned()];
        let id = member_id(&urls, "etcd-cluster", None);
        assert_eq!(id, 0x8e9e_05c5_2164_694d);
        assert_eq!(cluster_id(&BTreeMap::from([(id, Member::default())])), 0xcdf8_1819_4e3a_8c32);
    }

    #[test]
    fn a_member_id_depends_on_urls_token_and_time_but_not_on_order() {
        let (a, b) = ("http://a:2380".to_owned(), "http://b:2380".to_owned());
        let id = member_id(&[a.clone(), b.clone()], "token", None);
        assert_eq!(id, member_id(&[b.clone(), a.clone()], "token", None));
        assert_ne!(id, member_id(&[a.clone(), b.clone()], "another", None));
        assert_ne!(id, member_id(&[a.clone(), b], "token", Some(1)));
        assert_ne!(id, member_id(&[a], "token", None));
    }
}
