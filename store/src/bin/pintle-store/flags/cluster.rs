//! Flags of the cluster: who its members are and how they reach each other.

use std::collections::BTreeMap;

use clap::{ArgAction, Args, ValueEnum};
use pintle_store::{ClusterConfig, InitialState, StoreConfig};

use super::FlagError;
use super::values::{go_bool, list};

/// The members and how they reach each other.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterFlags {
    /// URLs to listen on for other members.
    #[arg(long, value_name = "URLS", default_value = "http://localhost:2380")]
    listen_peer_urls: String,

    /// URLs by which other members reach this one; they decide its id.
    #[arg(long, value_name = "URLS", default_value = "http://localhost:2380")]
    initial_advertise_peer_urls: String,

    /// The members that found the cluster, name=URL, separated by commas; this one alone if not given.
    #[arg(long, value_name = "MEMBERS", default_value = "")]
    initial_cluster: String,

    /// `new` when all of --initial-cluster start for the first time, `existing` when this member was added.
    #[arg(long, value_name = "STATE", default_value = "new", value_enum)]
    initial_cluster_state: State,

    /// Tells clusters apart that would otherwise begin alike.
    #[arg(long, value_name = "TOKEN", default_value = "etcd-cluster")]
    initial_cluster_token: String,

    /// Refuse changes of membership that would cost the quorum.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        value_parser = go_bool
    )]
    strict_reconfig_check: bool,

    /// Ask before standing for election, so that a member which was cut off does not disturb those that work.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "true",
        default_missing_value = "true",
        value_parser = go_bool
    )]
    pre_vote: bool,

    /// Learners that the cluster may have.
    #[arg(long, value_name = "N", default_value_t = 1)]
    max_learners: usize,

    /// Begin anew as the only member, with the data that is there: a way out when the others are lost for good.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = go_bool
    )]
    force_new_cluster: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    New,
    Existing,
}

impl ClusterFlags {
    /// What they say of how to open the store.
    pub fn configure(&self, config: &mut StoreConfig) -> Result<(), FlagError> {
        config.cluster_token.clone_from(&self.initial_cluster_token);
        config.peer_urls = super::advertised("initial-advertise-peer-urls", &self.initial_advertise_peer_urls)?;
        config.cluster = ClusterConfig {
            initial_members: members(&self.initial_cluster)?,
            initial_state: match self.initial_cluster_state {
                State::New => InitialState::New,
                State::Existing => InitialState::Existing,
            },
            listen_peer: super::endpoints("listen-peer-urls", &self.listen_peer_urls)?,
            force_new: self.force_new_cluster,
            strict_reconfig_check: self.strict_reconfig_check,
            max_learners: self.max_learners,
            pre_vote: self.pre_vote,
            ..ClusterConfig::alone()
        };
        Ok(())
    }
}

/// Peer URLs by member, out of `a=http://h:1,a=http://h:2,b=http://h:3`.
fn members(text: &str) -> Result<BTreeMap<String, Vec<String>>, FlagError> {
    let mut members: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for member in list(text) {
        let (name, url) = member.split_once('=').unwrap_or((member, ""));
        let urls = super::advertised("initial-cluster", url)?;
        if urls.is_empty() {
            return Err(FlagError::Member(member.to_owned()));
        }
        members.entry(name.to_owned()).or_default().extend(urls);
    }
    Ok(members)
}
