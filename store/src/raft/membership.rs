//! Who belongs to the cluster, and how a node gets its identity.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

/// One member, as etcd's `MemberList` shows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Its human-readable name (`--name`).
    pub name: String,
    /// Where other members reach it.
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    pub client_urls: Vec<String>,
}

/// The id of a member, from what every member knows about it when the cluster begins, so that all compute the same one:
/// its peer URLs (in any order) and the cluster's token.
pub fn member_id(peer_urls: &[String], cluster_token: &str) -> u64 {
    let mut urls: Vec<&str> = peer_urls.iter().map(String::as_str).collect();
    urls.sort_unstable();
    let mut hash = Sha256::new();
    for part in urls.into_iter().chain([cluster_token]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    id(&hash.finalize())
}

/// The id of a cluster, from its first members.
pub fn cluster_id(members: &BTreeMap<u64, Member>) -> u64 {
    let mut hash = Sha256::new();
    for member in members.keys() {
        hash.update(member.to_be_bytes());
    }
    id(&hash.finalize())
}

/// The first eight bytes of a hash. Never 0, which etcd's API reads as "no id".
fn id(hash: &[u8]) -> u64 {
    hash.iter().take(8).fold(0, |id, byte| id << 8 | u64::from(*byte)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_id_depends_on_urls_and_token_but_not_on_order() {
        let (a, b) = ("http://a:2380".to_owned(), "http://b:2380".to_owned());
        let id = member_id(&[a.clone(), b.clone()], "token");
        assert_eq!(id, member_id(&[b.clone(), a.clone()], "token"));
        assert_ne!(id, member_id(&[a.clone(), b], "another"));
        assert_ne!(id, member_id(&[a], "token"));
    }
}
