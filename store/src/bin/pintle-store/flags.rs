//! The flags of etcd that have an effect here.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{ArgAction, Parser};
use pintle_store::http::{Endpoint, EndpointError, ServerSettings, TlsFiles};
use pintle_store::{AuthConfig, Store, StoreConfig, limits};
use tracing::level_filters::LevelFilter;

use crate::auth_token::{self, AuthTokenError};

/// A flag whose value cannot be used; the text says what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FlagError {
    /// Not a URL to listen on.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Several members.
    #[error(
        "--initial-cluster names {0} members: clusters of several nodes are not supported yet; name this one alone"
    )]
    SeveralMembers(usize),
    /// A flag that would restrict who may connect must not be ignored.
    #[error("--{0} is not supported: remove it, and restrict clients by --trusted-ca-file instead")]
    Restriction(&'static str),
    /// Tokens that cannot be made.
    #[error(transparent)]
    AuthToken(#[from] AuthTokenError),
    /// A configuration file must not be ignored.
    #[error("--config-file is not supported yet: give its settings as flags")]
    ConfigFile,
}

/// An etcd-compatible datastore of one node.
///
/// Every flag can be given as an environment variable too: --data-dir is `ETCD_DATA_DIR`. The command line wins, and of
/// a repeated flag the last.
#[derive(Debug, Parser)]
#[command(name = "pintle-store", args_override_self = true, disable_version_flag = true)]
pub struct Flags {
    /// Print the version and exit.
    #[arg(long)]
    pub version: bool,

    /// Name of this member, for people.
    #[arg(long, env = "ETCD_NAME", default_value = "default")]
    name: String,

    /// Directory of the data; <NAME>.etcd if not given.
    #[arg(long, env = "ETCD_DATA_DIR")]
    data_dir: Option<PathBuf>,

    /// URLs to serve clients on: http://, https://, unix:// or unixs://, separated by commas.
    #[arg(long, env = "ETCD_LISTEN_CLIENT_URLS", default_value = "http://localhost:2379")]
    listen_client_urls: String,

    /// URLs that clients are told to use, separated by commas.
    #[arg(long, env = "ETCD_ADVERTISE_CLIENT_URLS", default_value = "http://localhost:2379")]
    advertise_client_urls: String,

    /// URLs to serve /health, /livez and /readyz on, besides those for clients.
    #[arg(long, env = "ETCD_LISTEN_METRICS_URLS", default_value = "")]
    listen_metrics_urls: String,

    /// URLs by which other members would reach this one; they decide its id.
    #[arg(long, env = "ETCD_INITIAL_ADVERTISE_PEER_URLS", default_value = "http://localhost:2380")]
    initial_advertise_peer_urls: String,

    /// The members: this one alone.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER", default_value = "")]
    initial_cluster: String,

    /// Tells clusters apart that would otherwise begin alike.
    #[arg(long, env = "ETCD_INITIAL_CLUSTER_TOKEN", default_value = "etcd-cluster")]
    initial_cluster_token: String,

    /// Milliseconds between heartbeats.
    #[arg(long, env = "ETCD_HEARTBEAT_INTERVAL", default_value_t = 100)]
    heartbeat_interval: u64,

    /// Milliseconds without a heartbeat after which an election begins.
    #[arg(long, env = "ETCD_ELECTION_TIMEOUT", default_value_t = 1000)]
    election_timeout: u64,

    /// Bytes of data above which writes are refused; 0 means the default of 2 GiB.
    #[arg(long, env = "ETCD_QUOTA_BACKEND_BYTES", default_value_t = 0, allow_negative_numbers = true)]
    quota_backend_bytes: i64,

    /// Operations that a transaction may have.
    #[arg(long, env = "ETCD_MAX_TXN_OPS", default_value_t = limits::MAX_TXN_OPS)]
    max_txn_ops: usize,

    /// Bytes that a request may have.
    #[arg(long, env = "ETCD_MAX_REQUEST_BYTES", default_value_t = limits::MAX_REQUEST_BYTES)]
    max_request_bytes: usize,

    /// Requests that one connection may have open.
    #[arg(long, env = "ETCD_MAX_CONCURRENT_STREAMS", default_value_t = limits::DEFAULT_CONCURRENT_STREAMS)]
    max_concurrent_streams: u32,

    /// How often watches that ask for it hear of progress, such as 10m or 500ms.
    #[arg(long, env = "ETCD_WATCH_PROGRESS_NOTIFY_INTERVAL", alias = "experimental-watch-progress-notify-interval")]
    watch_progress_notify_interval: Option<GoDuration>,

    /// Certificate chain of the server (PEM).
    #[arg(long, env = "ETCD_CERT_FILE")]
    cert_file: Option<PathBuf>,

    /// Key of the server's certificate (PEM).
    #[arg(long, env = "ETCD_KEY_FILE")]
    key_file: Option<PathBuf>,

    /// Authorities whose client certificates are accepted (PEM). If given, clients must have one.
    #[arg(long, env = "ETCD_TRUSTED_CA_FILE")]
    trusted_ca_file: Option<PathBuf>,

    /// Client certificates that are revoked (PEM).
    #[arg(long, env = "ETCD_CLIENT_CRL_FILE")]
    client_crl_file: Option<PathBuf>,

    /// Clients must have a certificate.
    #[arg(
        long,
        env = "ETCD_CLIENT_CERT_AUTH",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    client_cert_auth: bool,

    /// Not supported.
    #[arg(long, env = "ETCD_CLIENT_CERT_ALLOWED_HOSTNAME", hide = true)]
    client_cert_allowed_hostname: Option<String>,

    /// Not supported.
    #[arg(long, env = "ETCD_CONFIG_FILE", hide = true)]
    config_file: Option<String>,

    /// The tokens that users are given: simple, or jwt,pub-key=FILE,priv-key=FILE,sign-method=METHOD,ttl=5m.
    #[arg(long, env = "ETCD_AUTH_TOKEN", default_value = "simple")]
    auth_token: String,

    /// Seconds that a simple token counts after its use.
    #[arg(long, env = "ETCD_AUTH_TOKEN_TTL", default_value_t = limits::SIMPLE_TOKEN_TTL.as_secs())]
    auth_token_ttl: u64,

    /// Strength of hashed passwords, from 4 to 31.
    #[arg(long, env = "ETCD_BCRYPT_COST", default_value_t = limits::BCRYPT_COST)]
    bcrypt_cost: u32,

    /// debug, info, warn, error, panic or fatal.
    #[arg(long, env = "ETCD_LOG_LEVEL", default_value = "info")]
    pub log_level: LogLevel,

    /// json or console.
    #[arg(long, env = "ETCD_LOG_FORMAT", default_value = "json")]
    pub log_format: String,
}

impl Flags {
    /// How to open the store.
    pub fn store_config(&self) -> Result<StoreConfig, FlagError> {
        if self.config_file.as_deref().is_some_and(|file| !file.is_empty()) {
            return Err(FlagError::ConfigFile);
        }
        if self.client_cert_allowed_hostname.as_deref().is_some_and(|name| !name.is_empty()) {
            return Err(FlagError::Restriction("client-cert-allowed-hostname"));
        }
        let members: std::collections::BTreeSet<&str> =
            list(&self.initial_cluster).filter_map(|member| member.split('=').next()).collect();
        if members.len() > 1 {
            return Err(FlagError::SeveralMembers(members.len()));
        }
        let data_dir = self.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", self.name).into());
        let mut config = StoreConfig::standalone(data_dir);
        config.name.clone_from(&self.name);
        config.cluster_token.clone_from(&self.initial_cluster_token);
        config.peer_urls = list(&self.initial_advertise_peer_urls).map(str::to_owned).collect();
        config.client_urls = list(&self.advertise_client_urls).map(str::to_owned).collect();
        config.quota_bytes = match self.quota_backend_bytes {
            0 => limits::DEFAULT_QUOTA_BYTES,
            // As in etcd, a negative quota is none.
            bytes => u64::try_from(bytes).unwrap_or(u64::MAX),
        };
        config.max_txn_ops = self.max_txn_ops;
        config.max_request_bytes = self.max_request_bytes;
        config.heartbeat_millis = self.heartbeat_interval;
        config.election_millis = self.election_timeout;
        config.auth = AuthConfig {
            tokens: auth_token::parse(&self.auth_token, Duration::from_secs(self.auth_token_ttl))?,
            // As in etcd, a strength that cannot be is the default.
            bcrypt_cost: if (4..=31).contains(&self.bcrypt_cost) { self.bcrypt_cost } else { limits::BCRYPT_COST },
        };
        Ok(config)
    }

    /// Where to serve clients.
    pub fn client_endpoints(&self) -> Result<Vec<(String, Endpoint)>, FlagError> {
        endpoints(&self.listen_client_urls)
    }

    /// Where to serve health alone.
    pub fn metrics_endpoints(&self) -> Result<Vec<(String, Endpoint)>, FlagError> {
        endpoints(&self.listen_metrics_urls)
    }

    /// How to serve.
    pub fn server_settings(&self, store: &Store) -> ServerSettings {
        let mut settings = ServerSettings::of(store);
        settings.max_concurrent_streams = self.max_concurrent_streams;
        settings.certificates_name_users = self.client_cert_auth;
        if let Some(GoDuration(interval)) = self.watch_progress_notify_interval
            && !interval.is_zero()
        {
            settings.watch.progress_interval = interval.max(limits::MIN_WATCH_PROGRESS_INTERVAL);
        }
        settings
    }

    /// The files for TLS.
    pub fn tls_files(&self) -> TlsFiles {
        TlsFiles {
            cert_file: self.cert_file.clone(),
            key_file: self.key_file.clone(),
            trusted_ca_file: self.trusted_ca_file.clone(),
            client_crl_file: self.client_crl_file.clone(),
            client_cert_auth: self.client_cert_auth,
        }
    }
}

fn endpoints(urls: &str) -> Result<Vec<(String, Endpoint)>, FlagError> {
    list(urls).map(|url| Ok((url.to_owned(), url.parse()?))).collect()
}

/// The parts of a list that is separated by commas.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// A level by etcd's name.
#[derive(Clone, Copy, Debug)]
pub struct LogLevel(pub LevelFilter);

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "debug" => Ok(Self(LevelFilter::DEBUG)),
            "info" => Ok(Self(LevelFilter::INFO)),
            "warn" => Ok(Self(LevelFilter::WARN)),
            "error" | "dpanic" | "panic" | "fatal" => Ok(Self(LevelFilter::ERROR)),
            _ => Err("one of debug, info, warn, error, panic, fatal is needed".to_owned()),
        }
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "a duration such as 10m, 1.5s or 500ms is needed".to_owned();
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut rest = text;
        let mut sum = Duration::ZERO;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
            let (number, unit_and_more) = rest.split_at(number_end);
            let unit_end = unit_and_more.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit_and_more.len());
            let (unit, more) = unit_and_more.split_at(unit_end);
            let unit_seconds = match unit {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(invalid()),
            };
            let number: f64 = number.parse().map_err(|_| invalid())?;
            let part = Duration::try_from_secs_f64(number * unit_seconds).map_err(|_| invalid())?;
            sum = sum.checked_add(part).ok_or_else(invalid)?;
            rest = more;
        }
        if text.is_empty() { Err(invalid()) } else { Ok(Self(sum)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Flags {
        Flags::try_parse_from(["pintle-store"].iter().chain(arguments)).unwrap()
    }

    #[test]
    fn of_a_repeated_flag_the_last_wins() {
        let flags = parse(&["--name=a", "--name", "b", "--client-cert-auth", "--client-cert-auth=false"]);
        assert_eq!(flags.store_config().unwrap().name, "b");
        assert_eq!(flags.store_config().unwrap().data_dir, PathBuf::from("b.etcd"));
        assert!(!flags.tls_files().client_cert_auth);
    }

    #[test]
    fn a_quota_of_zero_is_the_default() {
        assert_eq!(parse(&[]).store_config().unwrap().quota_bytes, limits::DEFAULT_QUOTA_BYTES);
        assert_eq!(parse(&["--quota-backend-bytes=-1"]).store_config().unwrap().quota_bytes, u64::MAX);
        assert_eq!(parse(&["--quota-backend-bytes", "7"]).store_config().unwrap().quota_bytes, 7);
    }

    #[test]
    fn what_must_not_be_ignored_is_refused() {
        let error = |arguments: &[&str]| parse(arguments).store_config().unwrap_err();
        assert_eq!(error(&["--initial-cluster=a=http://h:1,b=http://h:2"]), FlagError::SeveralMembers(2));
        assert_eq!(error(&["--config-file=x"]), FlagError::ConfigFile);
        assert_eq!(
            error(&["--client-cert-allowed-hostname=x"]),
            FlagError::Restriction("client-cert-allowed-hostname")
        );
        parse(&["--initial-cluster=a=http://h:1,a=http://h:2"]).store_config().unwrap();
    }

    #[test]
    fn durations_are_gos() {
        let parse = |text: &str| text.parse::<GoDuration>().map(|duration| duration.0);
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        for text in ["", "5", "s", "-1s", "1x", "1e99h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_definition_is_consistent() {
        use clap::CommandFactory;
        Flags::command().debug_assert();
    }
}
