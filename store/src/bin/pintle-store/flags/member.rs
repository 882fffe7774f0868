//! Flags of the member itself: its name, its data, where it listens, what it takes from clients.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{ArgAction, Args};
use pintle_store::http::{Access, Endpoint, KeepAlive, ServerSettings};
use pintle_store::{Store, StoreConfig, limits};

use super::FlagError;
use super::values::{GoDuration, go_bool};

/// Where this member is and how much it takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Member")]
pub struct MemberFlags {
    /// Name of this member, for people and for --initial-cluster.
    #[arg(long, default_value = "default")]
    pub name: String,

    /// Directory of the data; <NAME>.etcd if not given.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,

    /// Directory of the raft log, such as one on a faster disk; below --data-dir if not given.
    #[arg(long, value_name = "DIR")]
    wal_dir: Option<PathBuf>,

    /// URLs to serve clients on: http://, https://, unix:// or unixs://, separated by commas.
    #[arg(long, value_name = "URLS", default_value = "http://localhost:2379")]
    listen_client_urls: String,

    /// URLs to serve plain HTTP on, which --listen-client-urls then leave to gRPC.
    #[arg(long, value_name = "URLS", default_value = "")]
    listen_client_http_urls: String,

    /// URLs that clients are told to use; those listened on if not given.
    #[arg(long, value_name = "URLS")]
    advertise_client_urls: Option<String>,

    /// Milliseconds between heartbeats.
    #[arg(long, value_name = "MS", default_value_t = 100)]
    heartbeat_interval: u64,

    /// Milliseconds without a heartbeat after which an election begins: at least five heartbeats.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    election_timeout: u64,

    /// Bytes of data above which writes are refused; 0 means the default of 2 GiB.
    #[arg(long, value_name = "BYTES", default_value_t = 0, allow_negative_numbers = true)]
    quota_backend_bytes: i64,

    /// Operations that a transaction may have.
    #[arg(long, value_name = "N", default_value_t = limits::MAX_TXN_OPS)]
    max_txn_ops: usize,

    /// Bytes that a request may have.
    #[arg(long, value_name = "BYTES", default_value_t = limits::MAX_REQUEST_BYTES)]
    max_request_bytes: usize,

    /// Requests that one connection may have open.
    #[arg(long, value_name = "N", default_value_t = limits::DEFAULT_CONCURRENT_STREAMS)]
    max_concurrent_streams: u32,

    /// How long a connection may be silent before the client is asked whether it is there; 0s for never.
    #[arg(long, value_name = "DURATION")]
    grpc_keepalive_interval: Option<GoDuration>,

    /// How long a client may take to answer that.
    #[arg(long, value_name = "DURATION")]
    grpc_keepalive_timeout: Option<GoDuration>,

    /// Let several processes listen on the same port.
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
    pub socket_reuse_port: bool,

    /// How often watches that ask for it hear of progress, such as 10m or 500ms.
    #[arg(long, value_name = "DURATION", alias = "experimental-watch-progress-notify-interval")]
    watch_progress_notify_interval: Option<GoDuration>,

    /// Serve etcd's JSON API below /v3/.
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
    enable_grpc_gateway: bool,
}

/// The longest election timeout; etcd's `maxElectionMs`.
const MAX_ELECTION_MILLIS: u64 = 50_000;

impl MemberFlags {
    /// Where the data lies.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", self.name).into())
    }

    /// What they say of how to open the store.
    pub fn configure(&self, config: &mut StoreConfig) -> Result<(), FlagError> {
        self.check_timing()?;
        config.name.clone_from(&self.name);
        config.wal_dir.clone_from(&self.wal_dir);
        config.client_urls = self.advertised_client_urls()?;
        config.quota_bytes = match self.quota_backend_bytes {
            0 => limits::DEFAULT_QUOTA_BYTES,
            // As in etcd, a negative quota is none.
            bytes => u64::try_from(bytes).unwrap_or(u64::MAX),
        };
        config.max_txn_ops = self.max_txn_ops;
        config.max_request_bytes = self.max_request_bytes;
        config.heartbeat_millis = self.heartbeat_interval;
        config.election_millis = self.election_timeout;
        Ok(())
    }

    fn check_timing(&self) -> Result<(), FlagError> {
        let (heartbeat, election) = (self.heartbeat_interval, self.election_timeout);
        let wrong = |text: String| Err(FlagError::Timing(text));
        if heartbeat == 0 {
            return wrong("--heartbeat-interval must be >0 (set to 0ms)".to_owned());
        }
        if election == 0 {
            return wrong("--election-timeout must be >0 (set to 0ms)".to_owned());
        }
        if heartbeat.saturating_mul(5) > election {
            return wrong(format!(
                "--election-timeout[{election}ms] should be at least as 5 times as --heartbeat-interval[{heartbeat}ms]"
            ));
        }
        if election > MAX_ELECTION_MILLIS {
            return wrong(format!(
                "--election-timeout[{election}ms] is too long, and should be set less than {MAX_ELECTION_MILLIS}ms"
            ));
        }
        Ok(())
    }

    fn advertised_client_urls(&self) -> Result<Vec<String>, FlagError> {
        match &self.advertise_client_urls {
            Some(given) => super::advertised("advertise-client-urls", given),
            None => super::advertised("listen-client-urls", &self.listen_client_urls),
        }
    }

    /// Where to serve clients.
    pub fn client_endpoints(&self) -> Result<Vec<(String, Endpoint)>, FlagError> {
        super::endpoints("listen-client-urls", &self.listen_client_urls)
    }

    /// Where to serve plain HTTP alone.
    pub fn http_endpoints(&self) -> Result<Vec<(String, Endpoint)>, FlagError> {
        super::endpoints("listen-client-http-urls", &self.listen_client_http_urls)
    }

    /// How to serve.
    pub fn server_settings(&self, store: &Store, access: Access) -> ServerSettings {
        let mut settings = ServerSettings::of(store);
        settings.max_concurrent_streams = self.max_concurrent_streams;
        settings.gateway = self.enable_grpc_gateway;
        settings.access = Some(Arc::new(access));
        if let Some(GoDuration(interval)) = self.grpc_keepalive_interval {
            let timeout = limits::HTTP2_PING_TIMEOUT;
            settings.keep_alive = (!interval.is_zero()).then_some(KeepAlive { interval, timeout });
        }
        if let (Some(keep_alive), Some(GoDuration(timeout))) = (&mut settings.keep_alive, self.grpc_keepalive_timeout) {
            keep_alive.timeout = timeout;
        }
        if let Some(GoDuration(interval)) = self.watch_progress_notify_interval
            && !interval.is_zero()
        {
            settings.watch.progress_interval = interval.max(limits::MIN_WATCH_PROGRESS_INTERVAL);
        }
        settings
    }

    /// The hosts that clients are served on, for which a certificate is made.
    pub fn listen_hosts(&self) -> Result<Vec<String>, FlagError> {
        let endpoints = self.client_endpoints()?.into_iter().chain(self.http_endpoints()?);
        Ok(endpoints.filter_map(|(_, endpoint)| endpoint.host().map(str::to_owned)).collect())
    }
}
