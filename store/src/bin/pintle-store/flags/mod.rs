//! The flags of etcd that have an effect here.
#![expect(clippy::doc_markdown, reason = "what documents a flag is its help")]

mod auth;
mod auth_token;
mod cluster;
mod feature_gates;
mod member;
mod monitoring;
mod security;
mod upkeep;
pub mod values;

use std::path::PathBuf;

use clap::Parser;
use pintle_store::http::{Endpoint, EndpointError, ServerSettings, split_url};
use pintle_store::metrics::METRICS;
use pintle_store::tls::{ServerTls, TlsError, TlsSettings};
use pintle_store::{Store, StoreConfig};

use self::auth::AuthFlags;
use self::auth_token::AuthTokenError;
use self::cluster::ClusterFlags;
pub use self::feature_gates::FeatureGates;
use self::member::MemberFlags;
pub use self::monitoring::{LogFormat, MonitoringFlags};
use self::security::SecurityFlags;
use self::upkeep::UpkeepFlags;
use self::values::list;

/// A flag whose value cannot be used. Where etcd has a text for it, it is etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Not a URL.
    #[error("invalid value {value:?} for flag -{flag}: {cause}")]
    Url {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        cause: EndpointError,
    },
    /// A URL that nobody could be told.
    #[error("--{flag} {value:?} must be \"host:port\" (unexpected empty host ({value}))")]
    NoHost {
        /// The flag.
        flag: &'static str,
        /// What was given.
        value: String,
    },
    /// Not a member.
    #[error("--initial-cluster has {0:?}, which is not a member: write name=URL, separated by commas")]
    Member(String),
    /// Heartbeats and elections that do not go together.
    #[error("{0}")]
    Timing(String),
    /// Versions and ciphers that leave nothing.
    #[error("{0}")]
    Tls(String),
    /// A certificate that cannot be used.
    #[error(transparent)]
    Certificate(#[from] TlsError),
    /// Tokens that cannot be made.
    #[error(transparent)]
    AuthToken(#[from] AuthTokenError),
    /// Neither time nor revisions.
    #[error("unknown auto-compaction-mode {0:?}")]
    CompactionMode(String),
    /// Not a length of history.
    #[error("error parsing CompactionRetention: {0:?} is neither a duration such as 10m nor a number")]
    CompactionRetention(String),
    /// A check that would never rest.
    #[error("--compact-hash-check-time must be >0 (set to 0s)")]
    CompactHashCheckTime,
    /// `default` stands for a place that depends on how the program was started.
    #[error("multi logoutput for \"default\" is not supported yet: name stderr, stdout or files")]
    DefaultLogOutput,
}

/// An etcd-compatible datastore: one node, or a member of a raft cluster.
///
/// Flags are etcd's, with one dash or two. Each can be given as a variable too: --data-dir is ETCD_DATA_DIR. The command
/// line wins over variables, and of a repeated flag the last. With --config-file, a file in etcd's YAML is all that
/// counts.
#[derive(Debug, Parser)]
#[command(name = "pintle-store", args_override_self = true, disable_version_flag = true)]
pub struct Flags {
    /// Print the version and exit.
    #[arg(long)]
    pub version: bool,

    /// File with the settings, in etcd's YAML. Other flags and variables are then ignored.
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,

    /// Features to switch, name=true or name=false, separated by commas.
    #[arg(long, value_name = "GATES", default_value = "")]
    pub feature_gates: FeatureGates,

    #[command(flatten)]
    member: MemberFlags,

    #[command(flatten)]
    cluster: ClusterFlags,

    #[command(flatten)]
    security: SecurityFlags,

    #[command(flatten)]
    auth: AuthFlags,

    #[command(flatten)]
    upkeep: UpkeepFlags,

    #[command(flatten)]
    pub monitoring: MonitoringFlags,
}

impl Flags {
    /// How to open the store. Makes certificates if asked for.
    pub fn store_config(&self) -> Result<StoreConfig, FlagError> {
        let mut config = StoreConfig::standalone(self.member.data_dir());
        self.member.configure(&mut config)?;
        self.cluster.configure(&mut config)?;
        self.auth.configure(&mut config)?;
        self.upkeep.configure(&self.feature_gates, &mut config)?;
        let hosts = config
            .cluster
            .listen_peer
            .iter()
            .filter_map(|(_, peer)| peer.host().map(str::to_owned))
            .collect::<Vec<_>>();
        config.cluster.peer_tls = self.security.peer_tls(&config.data_dir, &hosts)?;
        // Said even where no URL is encrypted: a name that nobody has is a mistake in any case.
        self.security.protocols()?;
        Ok(config)
    }

    /// Where to serve clients: gRPC, and plain HTTP unless that has places of its own.
    pub fn client_endpoints(&self) -> Result<Vec<(String, Endpoint)>, FlagError> {
        self.member.client_endpoints()
    }

    /// Where to serve plain HTTP alone.
    pub fn http_endpoints(&self) -> Result<Vec<(String, Endpoint)>, FlagError> {
        self.member.http_endpoints()
    }

    /// Where to serve health and metrics alone.
    pub fn metrics_endpoints(&self) -> Result<Vec<(String, Endpoint)>, FlagError> {
        self.monitoring.metrics_endpoints()
    }

    /// Whether other processes may listen on the same ports.
    pub fn reuses_port(&self) -> bool {
        self.member.socket_reuse_port
    }

    /// Says what is to be measured.
    pub fn monitor(&self) {
        self.monitoring.monitor();
        // Said once; a second time would say the same.
        let _ = METRICS.features.set(self.feature_gates.all().collect());
    }

    /// How to serve.
    pub fn server_settings(&self, store: &Store) -> ServerSettings {
        let mut settings = self.member.server_settings(store, self.security.access());
        settings.certificates_name_users = self.security.client_cert_auth;
        settings
    }

    /// TLS for clients, if a URL asks for it.
    pub fn client_tls(&self, any_encrypted: bool) -> Result<Option<ServerTls>, FlagError> {
        if !any_encrypted {
            if self.security.client_cert_auth {
                tracing::warn!("no URL for clients is https, so --client-cert-auth asks nobody for a certificate");
            }
            return Ok(None);
        }
        Ok(Some(ServerTls::load(&self.client_tls_settings()?)?))
    }

    fn client_tls_settings(&self) -> Result<TlsSettings, FlagError> {
        self.security.client_tls(&self.member.data_dir(), &self.member.listen_hosts()?)
    }
}

/// URLs to listen on.
fn endpoints(flag: &'static str, urls: &str) -> Result<Vec<(String, Endpoint)>, FlagError> {
    let parse = |url: &str| url.parse().map_err(|cause| FlagError::Url { flag, value: url.to_owned(), cause });
    list(urls).map(|url| Ok((url.to_owned(), parse(url)?))).collect()
}

/// URLs that others are told.
fn advertised(flag: &'static str, urls: &str) -> Result<Vec<String>, FlagError> {
    let check = |url: &str| {
        let value = url.to_owned();
        match split_url(url) {
            Ok(endpoint) if endpoint.host() == Some("") => Err(FlagError::NoHost { flag, value }),
            Ok(_) => Ok(value),
            Err(cause) => Err(FlagError::Url { flag, value, cause }),
        }
    };
    list(urls).map(check).collect()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use pintle_store::limits;

    use super::*;

    fn parse(arguments: &[&str]) -> Flags {
        Flags::try_parse_from(["pintle-store"].iter().chain(arguments)).unwrap()
    }

    #[test]
    fn of_a_repeated_flag_the_last_wins() {
        let flags = parse(&["--name=a", "--name", "b", "--client-cert-auth", "--client-cert-auth=false"]);
        assert_eq!(flags.store_config().unwrap().name, "b");
        assert_eq!(flags.store_config().unwrap().data_dir, PathBuf::from("b.etcd"));
        assert!(!flags.client_tls_settings().unwrap().client_cert_auth);
    }

    #[test]
    fn a_quota_of_zero_is_the_default() {
        assert_eq!(parse(&[]).store_config().unwrap().quota_bytes, limits::DEFAULT_QUOTA_BYTES);
        assert_eq!(parse(&["--quota-backend-bytes=-1"]).store_config().unwrap().quota_bytes, u64::MAX);
        assert_eq!(parse(&["--quota-backend-bytes", "7"]).store_config().unwrap().quota_bytes, 7);
    }

    #[test]
    fn a_cluster_is_named_by_its_members() {
        let flags = parse(&[
            "--initial-cluster=a=http://h:1,b=http://h:2,a=http://h:3",
            "--initial-cluster-state=existing",
            "--pre-vote=false",
            "--listen-peer-urls=https://127.0.0.1:2380",
        ]);
        let cluster = flags.store_config().unwrap().cluster;
        let urls = |name: &str| cluster.initial_members[name].join(" ");
        assert_eq!((urls("a"), urls("b")), ("http://h:1 http://h:3".to_owned(), "http://h:2".to_owned()));
        assert_eq!(cluster.initial_state, pintle_store::InitialState::Existing);
        assert!(!cluster.pre_vote && cluster.strict_reconfig_check && cluster.listen_peer[0].1.tls);
    }

    #[test]
    fn what_cannot_be_is_told_as_etcd_tells_it() {
        let error = |arguments: &[&str]| parse(arguments).store_config().unwrap_err().to_string();
        assert_eq!(
            error(&["--heartbeat-interval=300"]),
            "--election-timeout[1000ms] should be at least as 5 times as --heartbeat-interval[300ms]"
        );
        assert_eq!(
            error(&["--election-timeout=60000"]),
            "--election-timeout[60000ms] is too long, and should be set less than 50000ms"
        );
        assert_eq!(
            error(&["--tls-min-version=TLS1.1"]),
            "unexpected TLS version \"TLS1.1\" (must be one of: TLS1.2, TLS1.3)"
        );
        assert_eq!(
            error(&["--tls-min-version=TLS1.3", "--tls-max-version=TLS1.2"]),
            "min version (TLS1.3) is greater than max version (TLS1.2)"
        );
        assert_eq!(
            error(&["--tls-min-version=TLS1.3", "--cipher-suites=x"]),
            "cipher suites cannot be configured when only TLS1.3 is enabled"
        );
        assert!(error(&["--cipher-suites=x"]).starts_with("unexpected TLS cipher suite \"x\""));
        assert_eq!(
            error(&["--listen-peer-urls=ftp://x"]),
            "invalid value \"ftp://x\" for flag -listen-peer-urls: URL scheme must be http, https, unix, or unixs: ftp://x"
        );
        assert!(error(&["--advertise-client-urls=http://:1"]).contains("unexpected empty host (http://:1)"));
        assert!(error(&["--initial-cluster=a"]).contains("name=URL"));
        let outputs = parse(&["--log-outputs=stderr,default"]).monitoring.log_outputs();
        assert!(outputs.unwrap_err().to_string().starts_with("multi logoutput for \"default\" is not supported yet"));
    }

    #[test]
    fn the_definition_is_consistent() {
        Flags::command().debug_assert();
    }
}
