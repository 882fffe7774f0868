//! The command line, with kube-apiserver's flag names.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;

/// A Kubernetes apiserver with its store inside.
///
/// Without --etcd-servers it keeps everything in one directory, creates its own certificates there, and writes a kubeconfig for its
/// administrator.
#[derive(Debug, Clone, Parser)]
#[command(name = "pintle-apiserver", version, max_term_width = 120, args_override_self = true)]
pub struct Config {
    /// Where everything is kept: the store, the certificates and the administrator's kubeconfig.
    #[arg(long, value_name = "DIR", default_value = "pintle-data")]
    pub data_dir: PathBuf,

    /// The port to serve HTTPS on.
    #[arg(long, value_name = "PORT", default_value_t = 6443)]
    pub secure_port: u16,

    /// The address to listen on. By default this machine alone can connect; with --advertise-address everybody can.
    #[arg(long, value_name = "IP")]
    pub bind_address: Option<IpAddr>,

    /// The address at which the members of the cluster reach this server.
    #[arg(long, value_name = "IP")]
    pub advertise_address: Option<IpAddr>,

    /// The serving certificate, with its chain. By default one is made.
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,

    /// The key of --tls-cert-file.
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,

    /// The CAs whose client certificates identify callers. By default the server's own.
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,

    /// Static bearer tokens: a CSV file with the columns token, user, uid and, optionally, "group1,group2".
    #[arg(long, value_name = "FILE")]
    pub token_auth_file: Option<PathBuf>,

    /// Whether requests without credentials are let in as system:anonymous, which may read health and version.
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, default_missing_value = "true",
          action = clap::ArgAction::Set)]
    pub anonymous_auth: bool,

    /// Endpoints of an etcd, or of pintle-store, to use instead of the store inside. Separated by commas.
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    pub etcd_servers: Vec<String>,

    /// What all keys in the store begin with.
    #[arg(long, value_name = "PREFIX", default_value = "/registry")]
    pub etcd_prefix: String,

    /// The CA that --etcd-servers are verified by.
    #[arg(long, value_name = "FILE")]
    pub etcd_cafile: Option<PathBuf>,

    /// The client certificate shown to --etcd-servers.
    #[arg(long, value_name = "FILE", requires = "etcd_keyfile")]
    pub etcd_certfile: Option<PathBuf>,

    /// The key of --etcd-certfile.
    #[arg(long, value_name = "FILE", requires = "etcd_certfile")]
    pub etcd_keyfile: Option<PathBuf>,

    /// How often the store is made to forget old history, such as 5m; 0 leaves that to others.
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = interval)]
    pub etcd_compaction_interval: Duration,

    /// The addresses that services get.
    #[arg(long, value_name = "CIDR", default_value = "10.0.0.0/24")]
    pub service_cluster_ip_range: String,

    /// How long events are kept, such as 1h or 30m.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = seconds)]
    pub event_ttl: i64,

    /// Verbosity of the log, kube-apiserver's scale: 0 warnings, 2 the usual, 4 debugging.
    #[arg(short, long = "v", value_name = "LEVEL", default_value_t = 1)]
    pub verbosity: u8,
}

impl Config {
    /// The address to listen on.
    pub fn listen_address(&self) -> IpAddr {
        let default = match self.advertise_address {
            Some(_) => Ipv4Addr::UNSPECIFIED,
            None => Ipv4Addr::LOCALHOST,
        };
        self.bind_address.unwrap_or(IpAddr::V4(default))
    }

    /// The address to name to clients.
    pub fn public_address(&self) -> IpAddr {
        let listen = Some(self.listen_address()).filter(|a| !a.is_unspecified());
        self.advertise_address.or(listen).unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }
}

/// Flags of kube-apiserver that mean nothing here, or nothing yet. They are accepted, so that a manifest made for kube-apiserver
/// starts this server, and each is named in a warning.
const IGNORED: &[&str] = &[
    "allow-privileged",
    "api-audiences",
    "audit-log-maxage",
    "audit-log-maxbackup",
    "audit-log-maxsize",
    "audit-log-path",
    "audit-policy-file",
    "authorization-mode",
    "cloud-provider",
    "default-not-ready-toleration-seconds",
    "default-unreachable-toleration-seconds",
    "disable-admission-plugins",
    "enable-admission-plugins",
    "enable-aggregator-routing",
    "enable-bootstrap-token-auth",
    "enable-priority-and-fairness",
    "endpoint-reconciler-type",
    "external-hostname",
    "feature-gates",
    "goaway-chance",
    "kubelet-certificate-authority",
    "kubelet-client-certificate",
    "kubelet-client-key",
    "kubelet-preferred-address-types",
    "max-mutating-requests-inflight",
    "max-requests-inflight",
    "profiling",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "requestheader-allowed-names",
    "requestheader-client-ca-file",
    "requestheader-extra-headers-prefix",
    "requestheader-group-headers",
    "requestheader-username-headers",
    "runtime-config",
    "service-account-issuer",
    "service-account-jwks-uri",
    "service-account-key-file",
    "service-account-lookup",
    "service-account-signing-key-file",
    "service-node-port-range",
    "shutdown-delay-duration",
    "storage-backend",
    "storage-media-type",
    "tls-cipher-suites",
    "tls-min-version",
    "watch-cache",
    "watch-cache-sizes",
];

/// Splits a command line into the flags that count and the names of those that are passed over.
pub fn separate(arguments: impl IntoIterator<Item = String>) -> (Vec<String>, Vec<String>) {
    let (mut counting, mut ignored) = (Vec::new(), Vec::new());
    let mut arguments = arguments.into_iter().peekable();
    while let Some(argument) = arguments.next() {
        let name = argument.trim_start_matches('-').split('=').next().unwrap_or_default();
        if !argument.starts_with("--") || !IGNORED.contains(&name) {
            counting.push(argument);
            continue;
        }
        ignored.push(name.to_owned());
        // The value of `--flag value` goes with its flag.
        if !argument.contains('=') {
            arguments.next_if(|next| !next.starts_with('-'));
        }
    }
    (counting, ignored)
}

/// A duration such as `1h30m`, or 0.
fn interval(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let span: jiff::SignedDuration = text.parse().map_err(|e| format!("{e}; write it as 1h or 30m"))?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}

/// A duration such as `1h30m`, in seconds.
fn seconds(text: &str) -> Result<i64, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|e| format!("{e}; write it as 1h or 30m"))?;
    match span.as_secs() {
        seconds @ 1.. => Ok(seconds),
        _ => Err("must be at least one second".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> (Config, Vec<String>) {
        let all = std::iter::once("pintle-apiserver").chain(arguments.iter().copied()).map(str::to_owned);
        let (counting, ignored) = separate(all);
        (Config::try_parse_from(counting).unwrap(), ignored)
    }

    #[test]
    fn takes_a_kubeadm_manifest() {
        let (config, ignored) = parse(&[
            "--advertise-address=10.1.1.1",
            "--allow-privileged=true",
            "--authorization-mode",
            "Node,RBAC",
            "--etcd-servers=https://a:2379,https://b:2379",
            "--anonymous-auth=false",
            "--secure-port=6443",
            "--secure-port=7443",
        ]);
        assert_eq!(ignored, ["allow-privileged", "authorization-mode"]);
        assert_eq!(config.etcd_servers, ["https://a:2379", "https://b:2379"]);
        assert_eq!((config.secure_port, config.anonymous_auth), (7443, false));
        assert!(config.listen_address().is_unspecified());
    }

    #[test]
    fn is_closed_by_default() {
        let (config, _) = parse(&[]);
        assert!(config.listen_address().is_loopback());
        assert_eq!(config.event_ttl, 3600);
    }

    #[test]
    fn durations_are_written_as_go_writes_them() {
        let interval = |text| parse(&["--etcd-compaction-interval", text]).0.etcd_compaction_interval;
        assert_eq!(interval("5m0s"), Duration::from_secs(300));
        assert_eq!(interval("0"), Duration::ZERO);
        assert_eq!(interval("0s"), Duration::ZERO);
        assert_eq!(parse(&["--event-ttl=1h0m0s"]).0.event_ttl, 3600);
    }
}
