//! How a member finds its cluster: what etcd's `initial-*` flags say. Read when a data directory is made; afterwards the
//! membership in it counts.

use std::collections::{BTreeMap, BTreeSet};

use crate::http::Endpoint;
use crate::tls::TlsSettings;

/// Whether the members found their cluster or this one joins it (`--initial-cluster-state`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitialState {
    /// All members of [`ClusterConfig::initial_members`] start for the first time.
    #[default]
    New,
    /// This member was added to a running cluster.
    Existing,
}

/// The cluster around a member.
#[derive(Clone, Debug, Default)]
pub struct ClusterConfig {
    /// Peer URLs by member name (`--initial-cluster`); empty when this member is alone.
    pub initial_members: BTreeMap<String, Vec<String>>,
    /// Whether that cluster exists already.
    pub initial_state: InitialState,
    /// Where to listen for other members (`--listen-peer-urls`), as given and as understood; nowhere if empty.
    pub listen_peer: Vec<(String, Endpoint)>,
    /// Certificates between members.
    pub peer_tls: TlsSettings,
    /// Begin anew as the only member, with the data that is there (`--force-new-cluster`).
    pub force_new: bool,
    /// Refuse changes of membership that would cost the quorum (`--strict-reconfig-check`).
    pub strict_reconfig_check: bool,
    /// Learners that the cluster may have (`--max-learners`).
    pub max_learners: usize,
    /// Ask before standing for election (`--pre-vote`).
    pub pre_vote: bool,
}

/// Why the `initial-*` flags do not describe a cluster with this member in it. The texts are etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootstrapError {
    /// This member is not among those named.
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    NotNamed(String),
    /// Two members would be reached at the same URL.
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),
    /// A URL of this member that it does not advertise.
    #[error("--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={advertised}")]
    NotAdvertised {
        /// What only the cluster has.
        missing: String,
        /// What is advertised.
        advertised: String,
    },
    /// A URL that it advertises and the cluster does not have.
    #[error("--initial-advertise-peer-urls has {missing} but missing from --initial-cluster={cluster}")]
    NotInCluster {
        /// What is only advertised.
        missing: String,
        /// What this member would have to be called there.
        cluster: String,
    },
}

impl ClusterConfig {
    /// What etcd's defaults are, of a member that nobody can reach.
    pub fn alone() -> Self {
        Self { strict_reconfig_check: true, max_learners: 1, pre_vote: true, ..Self::default() }
    }

    /// Whether `name`, reached at `peer_urls`, can begin as the flags say (etcd's `VerifyBootstrap` and
    /// `VerifyJoinExisting`). To be asked only when the data directory is made.
    ///
    /// # Errors
    /// What does not fit.
    pub fn verify(&self, name: &str, peer_urls: &[String]) -> Result<(), BootstrapError> {
        if self.initial_members.is_empty() {
            return Ok(());
        }
        let named = self.initial_members.get(name).ok_or_else(|| BootstrapError::NotNamed(name.to_owned()))?;
        let named: BTreeSet<&String> = named.iter().collect();
        let advertised: BTreeSet<&String> = peer_urls.iter().collect();
        // A member that joins has told the cluster its URLs before.
        if self.initial_state == InitialState::New {
            let missing: Vec<_> = named.difference(&advertised).copied().collect();
            if !missing.is_empty() {
                let advertised = advertised.into_iter().cloned().collect::<Vec<_>>().join(",");
                return Err(BootstrapError::NotAdvertised { missing: pairs(name, missing), advertised });
            }
            let missing: Vec<&str> = advertised.difference(&named).map(|url| url.as_str()).collect();
            if !missing.is_empty() {
                let cluster = pairs(name, advertised.iter().copied());
                return Err(BootstrapError::NotInCluster { missing: missing.join(","), cluster });
            }
        }
        let mut seen = BTreeSet::new();
        if self.initial_members.values().flatten().all(|url| seen.insert(url)) {
            return Ok(());
        }
        let members = self.initial_members.iter().map(|(name, urls)| pairs(name, urls));
        Err(BootstrapError::DuplicateUrl(members.collect::<Vec<_>>().join(",")))
    }
}

fn pairs<'a>(name: &str, urls: impl IntoIterator<Item = &'a String>) -> String {
    urls.into_iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(members: &[(&str, &[&str])]) -> ClusterConfig {
        let mut config = ClusterConfig::alone();
        for (name, urls) in members {
            config.initial_members.insert((*name).to_owned(), urls.iter().map(|url| (*url).to_owned()).collect());
        }
        config
    }

    #[test]
    fn a_member_must_be_where_the_cluster_says() {
        let config = cluster(&[("a", &["http://a:1", "http://a:2"]), ("b", &["http://b:1"])]);
        let verify = |name: &str, urls: &[&str]| {
            let urls: Vec<String> = urls.iter().map(|url| (*url).to_owned()).collect();
            config.verify(name, &urls).map_err(|error| error.to_string())
        };
        assert_eq!(verify("a", &["http://a:2", "http://a:1"]), Ok(()));
        assert_eq!(
            verify("c", &["http://c:1"]),
            Err("couldn't find local name \"c\" in the initial cluster configuration".to_owned())
        );
        assert_eq!(
            verify("a", &["http://a:1"]),
            Err("--initial-cluster has a=http://a:2 but missing from --initial-advertise-peer-urls=http://a:1"
                .to_owned())
        );
        assert_eq!(
            verify("b", &["http://b:1", "http://b:2"]),
            Err("--initial-advertise-peer-urls has http://b:2 but missing from --initial-cluster=b=http://b:1,b=http://b:2"
                .to_owned())
        );
        let joins = ClusterConfig { initial_state: InitialState::Existing, ..config.clone() };
        assert_eq!(joins.verify("a", &["http://a:1".to_owned()]), Ok(()));
    }

    #[test]
    fn two_members_are_not_in_one_place() {
        let config = cluster(&[("a", &["http://a:1"]), ("b", &["http://a:1"])]);
        assert!(matches!(config.verify("a", &["http://a:1".to_owned()]), Err(BootstrapError::DuplicateUrl(_))));
    }
}
