//! The first start of a member: founding a cluster with others, or joining one. The checks, their order and their texts
//! are etcd's (`server/etcdserver/bootstrap.go`, `server/config/config.go`).

use std::collections::BTreeSet;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use pintle_proto::etcdserverpb as pb;

use super::{BootstrapError, InitialState, StoreConfig};
use crate::limits;
use crate::raft::Member;
use crate::raft::membership::member_id;
use crate::raft::node::{Founding, Identity};
use crate::raft::peer::client::{self, Settings};

/// Why a member cannot found or join its cluster. The texts are etcd's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FoundingError {
    /// The flags do not fit together.
    #[error(transparent)]
    Flags(#[from] BootstrapError),
    /// A member of the same id has been here before; its data is gone.
    #[error(
        "member {0:x} has already been bootstrapped: restore its data directory or, on a member that runs, remove it and add \
         it again"
    )]
    AlreadyBootstrapped(u64),
    /// Nobody answers.
    #[error("cannot fetch cluster info from peer urls: could not retrieve cluster information from the given URLs")]
    NobodyAnswers,
    /// The cluster has another number of members than the initial cluster names.
    #[error("error validating peerURLs {0}: member count is unequal")]
    MemberCount(String),
    /// The cluster has a member that the initial cluster does not name.
    #[error("error validating peerURLs {0}: PeerURLs: no match found for existing member ({1:x}, {2:?})")]
    NoMatch(String, u64, Vec<String>),
}

/// What a member does on its first start.
pub async fn founding(config: &StoreConfig, settings: &Settings) -> Result<Founding, FoundingError> {
    let cluster = &config.cluster.initial_members;
    if cluster.is_empty() {
        return Ok(Founding::New(vec![config.member()]));
    }
    config.cluster.verify(&config.name, &config.peer_urls)?;
    let found = fetch(config, settings).await;
    match config.cluster.initial_state {
        InitialState::New => {
            let own_id = member_id(&config.peer_urls, &config.cluster_token, None);
            let known = found.iter().flat_map(|found| &found.members).find(|member| member.id == own_id);
            if known.is_some_and(|member| !member.client_ur_ls.is_empty()) {
                return Err(FoundingError::AlreadyBootstrapped(own_id));
            }
            let member = |(name, peer_urls): (&String, &Vec<String>)| Member {
                name: name.clone(),
                peer_urls: peer_urls.clone(),
                ..Member::default()
            };
            Ok(Founding::New(cluster.iter().map(member).collect()))
        }
        InitialState::Existing => {
            let found = found.ok_or(FoundingError::NobodyAnswers)?;
            let member_id = own_entry(config, &found.members)?;
            let cluster_id = found.header.map_or(0, |header| header.cluster_id);
            Ok(Founding::Join(Identity { cluster_id, member_id }))
        }
    }
}

/// Asks the other members, and takes the first answer.
async fn fetch(config: &StoreConfig, settings: &Settings) -> Option<pb::MemberListResponse> {
    let others = config.cluster.initial_members.iter().filter(|(name, _)| **name != config.name);
    let mut answers: FuturesUnordered<_> =
        others.map(|(_, urls)| async move { (urls, client::fetch_members(urls, settings).await) }).collect();
    let first = async {
        while let Some((urls, answer)) = answers.next().await {
            match answer {
                Ok(list) if !list.members.is_empty() => return Some(list),
                Ok(_) => {}
                Err(error) => tracing::debug!(?urls, %error, "a member does not tell who belongs to the cluster"),
            }
        }
        None
    };
    let limit = match config.cluster.initial_state {
        InitialState::New => limits::FOUNDING_TIMEOUT,
        InitialState::Existing => limits::JOINING_TIMEOUT,
    };
    tokio::time::timeout(limit, first).await.ok().flatten()
}

/// Finds this member among those of the cluster, each of which the initial cluster must name by its URLs.
fn own_entry(config: &StoreConfig, existing: &[pb::Member]) -> Result<u64, FoundingError> {
    let described = || {
        let urls = |member: &pb::Member| format!("{:x}={}", member.id, member.peer_ur_ls.join(","));
        existing.iter().map(urls).collect::<Vec<_>>().join(",")
    };
    if existing.len() != config.cluster.initial_members.len() {
        return Err(FoundingError::MemberCount(described()));
    }
    let sorted = |urls: &[String]| urls.iter().cloned().collect::<BTreeSet<_>>();
    let mut own = None;
    for member in existing {
        let named = config.cluster.initial_members.iter().find(|(_, urls)| sorted(urls) == sorted(&member.peer_ur_ls));
        let (name, _) =
            named.ok_or_else(|| FoundingError::NoMatch(described(), member.id, member.peer_ur_ls.clone()))?;
        if *name == config.name {
            own = Some(member.id);
        }
    }
    own.ok_or_else(|| BootstrapError::NotNamed(config.name.clone()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(members: &[(&str, &str)]) -> StoreConfig {
        let mut config = StoreConfig::embedded("unused");
        config.name = "a".to_owned();
        config.peer_urls = vec!["http://a:1".to_owned()];
        for (name, url) in members {
            config.cluster.initial_members.entry((*name).to_owned()).or_default().push((*url).to_owned());
        }
        config
    }

    fn member(id: u64, url: &str) -> pb::Member {
        pb::Member { id, peer_ur_ls: vec![url.to_owned()], ..Default::default() }
    }

    #[test]
    fn who_joins_finds_itself_by_its_urls() {
        let config = config(&[("a", "http://a:1"), ("b", "http://b:1")]);
        assert_eq!(own_entry(&config, &[member(7, "http://b:1"), member(8, "http://a:1")]), Ok(8));
        let error = own_entry(&config, &[member(7, "http://b:1")]).unwrap_err();
        assert!(error.to_string().ends_with("member count is unequal"));
        let error = own_entry(&config, &[member(7, "http://b:1"), member(8, "http://c:1")]).unwrap_err();
        assert!(error.to_string().contains("no match found for existing member (8"), "{error}");
    }
}
