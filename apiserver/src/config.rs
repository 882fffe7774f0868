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
#[command(name = "pintle-apiserver", version, max_term_width = 120, args_override_self = true, after_help = AFTER_HELP)]
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
    #[arg(long, value_name = "CIDR", default_value = "10.0.0.0/24", value_parser = ranges)]
    pub service_cluster_ip_range: String,

    /// How long events are kept, such as 1h or 30m.
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = seconds)]
    pub event_ttl: i64,

    /// Verbosity of the log, kube-apiserver's scale: 0 warnings, 2 the usual, 4 debugging.
    #[arg(short, long = "v", value_name = "LEVEL", default_value_t = 1)]
    pub verbosity: u8,
}

const AFTER_HELP: &str = "\
Other flags of kube-apiserver are accepted and have no effect; a warning names each.

Try it:
  pintle-apiserver &
  export KUBECONFIG=$PWD/pintle-data/admin.kubeconfig
  kubectl get namespaces
  etcdctl --endpoints unix://$PWD/pintle-data/store/etcd.sock get --prefix --keys-only /registry/";

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
    "admission-control",
    "admission-control-config-file",
    "aggregator-reject-forwarding-redirect",
    "allow-metric-labels",
    "allow-metric-labels-manifest",
    "allow-privileged",
    "api-audiences",
    "audit-log-batch-buffer-size",
    "audit-log-batch-max-size",
    "audit-log-batch-max-wait",
    "audit-log-batch-throttle-burst",
    "audit-log-batch-throttle-enable",
    "audit-log-batch-throttle-qps",
    "audit-log-compress",
    "audit-log-format",
    "audit-log-maxage",
    "audit-log-maxbackup",
    "audit-log-maxsize",
    "audit-log-mode",
    "audit-log-path",
    "audit-log-truncate-enabled",
    "audit-log-truncate-max-batch-size",
    "audit-log-truncate-max-event-size",
    "audit-log-version",
    "audit-policy-file",
    "audit-webhook-batch-buffer-size",
    "audit-webhook-batch-initial-backoff",
    "audit-webhook-batch-max-size",
    "audit-webhook-batch-max-wait",
    "audit-webhook-batch-throttle-burst",
    "audit-webhook-batch-throttle-enable",
    "audit-webhook-batch-throttle-qps",
    "audit-webhook-config-file",
    "audit-webhook-initial-backoff",
    "audit-webhook-mode",
    "audit-webhook-truncate-enabled",
    "audit-webhook-truncate-max-batch-size",
    "audit-webhook-truncate-max-event-size",
    "audit-webhook-version",
    "authentication-config",
    "authentication-token-webhook-cache-ttl",
    "authentication-token-webhook-config-file",
    "authentication-token-webhook-version",
    "authorization-config",
    "authorization-mode",
    "authorization-policy-file",
    "authorization-webhook-cache-authorized-ttl",
    "authorization-webhook-cache-unauthorized-ttl",
    "authorization-webhook-config-file",
    "authorization-webhook-version",
    "cert-dir",
    "cloud-provider",
    "contention-profiling",
    "coordinated-leadership-lease-duration",
    "coordinated-leadership-renew-deadline",
    "coordinated-leadership-retry-period",
    "cors-allowed-origins",
    "debug-socket-path",
    "default-not-ready-toleration-seconds",
    "default-unreachable-toleration-seconds",
    "default-watch-cache-size",
    "delete-collection-workers",
    "disable-admission-plugins",
    "disable-http2-serving",
    "disabled-metrics",
    "egress-selector-config-file",
    "emulated-version",
    "emulation-forward-compatible",
    "enable-admission-plugins",
    "enable-aggregator-routing",
    "enable-bootstrap-token-auth",
    "enable-garbage-collector",
    "enable-logs-handler",
    "enable-priority-and-fairness",
    "encryption-provider-config",
    "encryption-provider-config-automatic-reload",
    "endpoint-reconciler-type",
    "etcd-count-metric-poll-period",
    "etcd-db-metric-poll-interval",
    "etcd-healthcheck-timeout",
    "etcd-readycheck-timeout",
    "etcd-servers-overrides",
    "external-hostname",
    "feature-gates",
    "goaway-chance",
    "http2-max-streams-per-connection",
    "kubelet-certificate-authority",
    "kubelet-client-certificate",
    "kubelet-client-key",
    "kubelet-port",
    "kubelet-preferred-address-types",
    "kubelet-read-only-port",
    "kubelet-timeout",
    "kubernetes-service-node-port",
    "lease-reuse-duration-seconds",
    "livez-grace-period",
    "log-flush-frequency",
    "log-json-info-buffer-size",
    "log-json-split-stream",
    "log-text-info-buffer-size",
    "log-text-split-stream",
    "logging-format",
    "max-connection-bytes-per-sec",
    "max-mutating-requests-inflight",
    "max-requests-inflight",
    "min-compatibility-version",
    "min-request-timeout",
    "oidc-ca-file",
    "oidc-client-id",
    "oidc-groups-claim",
    "oidc-groups-prefix",
    "oidc-issuer-url",
    "oidc-required-claim",
    "oidc-signing-algs",
    "oidc-username-claim",
    "oidc-username-prefix",
    "peer-advertise-ip",
    "peer-advertise-port",
    "peer-ca-file",
    "permit-address-sharing",
    "permit-port-sharing",
    "profiling",
    "proxy-client-cert-file",
    "proxy-client-key-file",
    "request-timeout",
    "requestheader-allowed-names",
    "requestheader-client-ca-file",
    "requestheader-extra-headers-prefix",
    "requestheader-group-headers",
    "requestheader-uid-headers",
    "requestheader-username-headers",
    "runtime-config",
    "runtime-config-emulation-forward-compatible",
    "send-retry-after-while-not-ready-once",
    "service-account-extend-token-expiration",
    "service-account-issuer",
    "service-account-jwks-uri",
    "service-account-key-file",
    "service-account-lookup",
    "service-account-max-token-expiration",
    "service-account-signing-endpoint",
    "service-account-signing-key-file",
    "service-node-port-range",
    "show-hidden-metrics-for-version",
    "shutdown-delay-duration",
    "shutdown-send-retry-after",
    "shutdown-watch-termination-grace-period",
    "storage-backend",
    "storage-initialization-timeout",
    "storage-media-type",
    "strict-transport-security-directives",
    "tls-cipher-suites",
    "tls-curve-preferences",
    "tls-min-version",
    "tls-sni-cert-key",
    "tracing-config-file",
    "vmodule",
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

/// Why a command line does not parse, in one line with a hint.
pub fn refusal(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let mut told = String::new();
    for line in lines {
        let joint = match told.chars().last() {
            None => "",
            Some(':') => " ",
            Some(_) => "; ",
        };
        told.extend([joint, line.trim_start_matches("error: ")]);
    }
    format!("{told}; see --help")
}

/// One or two ranges of addresses such as `10.0.0.0/24`, separated by a comma.
fn ranges(text: &str) -> Result<String, String> {
    for range in text.split(',') {
        let parts = range.split_once('/').and_then(|(base, bits)| Some((base.parse().ok()?, bits.parse::<u8>().ok()?)));
        match parts {
            Some((IpAddr::V4(_), ..=32) | (IpAddr::V6(_), ..=128)) => {}
            _ => return Err("write it as 10.0.0.0/24".to_owned()),
        }
    }
    Ok(text.to_owned())
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
    fn a_refusal_is_one_line_with_a_hint() {
        let refused = |arguments: &[&str]| {
            let all = std::iter::once("pintle-apiserver").chain(arguments.iter().copied());
            refusal(&Config::try_parse_from(all).unwrap_err())
        };
        assert_eq!(
            refused(&["--bind-adress", "::1"]),
            "unexpected argument '--bind-adress' found; tip: a similar argument exists: '--bind-address'; see --help"
        );
        assert_eq!(
            refused(&["--tls-cert-file=a"]),
            "the following required arguments were not provided: --tls-private-key-file <FILE>; see --help"
        );
        let range = refused(&["--service-cluster-ip-range=10.0.0.0"]);
        assert!(range.contains("write it as 10.0.0.0/24"), "{range}");
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
