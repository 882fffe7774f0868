//! Calls of gRPC methods, under the names that Go's gRPC middleware gives them. Methods that do not exist share one
//! label, so that clients cannot make up new ones.

use std::collections::HashMap;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::instrument::{Counter, Histogram};
use super::text::{Kind, Text, float};
use super::{METRICS, SlowMillis};

const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// gRPC's codes by number.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];
/// The code of a call whose client has gone.
pub const CANCELED: usize = 1;
/// The code of an answer that has none.
pub const UNKNOWN: usize = 2;

const UNARY: &str = "unary";
const SERVER_STREAM: &str = "server_stream";
const BIDI_STREAM: &str = "bidi_stream";

/// Services and their methods; those that are not named with a kind answer one request with one response.
const SERVICES: &[(&str, &[&str])] = &[
    ("etcdserverpb.KV", &["Range", "RangeStream", "Put", "DeleteRange", "Txn", "Compact"]),
    ("etcdserverpb.Watch", &["Watch"]),
    ("etcdserverpb.Lease", &["LeaseGrant", "LeaseRevoke", "LeaseKeepAlive", "LeaseTimeToLive", "LeaseLeases"]),
    ("etcdserverpb.Cluster", &["MemberAdd", "MemberRemove", "MemberUpdate", "MemberList", "MemberPromote"]),
    (
        "etcdserverpb.Maintenance",
        &["Alarm", "Status", "Defragment", "Hash", "HashKV", "Snapshot", "MoveLeader", "Downgrade"],
    ),
    (
        "etcdserverpb.Auth",
        &[
            "AuthEnable",
            "AuthDisable",
            "AuthStatus",
            "Authenticate",
            "UserAdd",
            "UserGet",
            "UserList",
            "UserDelete",
            "UserChangePassword",
            "UserGrantRole",
            "UserRevokeRole",
            "RoleAdd",
            "RoleGet",
            "RoleList",
            "RoleDelete",
            "RoleGrantPermission",
            "RoleRevokePermission",
        ],
    ),
    ("v3lockpb.Lock", &["Lock", "Unlock"]),
    ("v3electionpb.Election", &["Campaign", "Proclaim", "Leader", "Observe", "Resign"]),
    ("grpc.health.v1.Health", &["Check", "List", "Watch"]),
];

fn kind(service: &str, method: &str) -> &'static str {
    match (service, method) {
        ("etcdserverpb.Watch", "Watch") | (_, "LeaseKeepAlive") => BIDI_STREAM,
        (_, "RangeStream" | "Snapshot" | "Observe" | "Watch") => SERVER_STREAM,
        _ => UNARY,
    }
}

/// What is known of one method.
#[derive(Debug)]
pub struct Method {
    service: &'static str,
    name: &'static str,
    kind: &'static str,
    /// Calls that began.
    pub started: Counter,
    /// Messages that came.
    pub received: Counter,
    /// Messages that went.
    pub sent: Counter,
    handled: [AtomicU64; CODES.len()],
    seconds: Histogram,
}

impl Method {
    const fn new(service: &'static str, name: &'static str, kind: &'static str) -> Self {
        Self {
            service,
            name,
            kind,
            started: Counter::new(),
            received: Counter::new(),
            sent: Counter::new(),
            handled: [const { AtomicU64::new(0) }; CODES.len()],
            seconds: Histogram::new(SECONDS),
        }
    }

    /// Whether one request is answered with one response.
    pub fn is_unary(&self) -> bool {
        self.kind == UNARY
    }

    /// A call has ended.
    pub fn handled(&self, code: usize, took: Duration) {
        if self.is_unary() && SlowMillis::is_slow(&METRICS.slow_millis.request, took) {
            tracing::warn!(service = self.service, method = self.name, ?took, "a request took too long");
        }
        let handled = self.handled.get(code).or_else(|| self.handled.get(UNKNOWN));
        if let Some(handled) = handled {
            handled.fetch_add(1, Ordering::Relaxed);
        }
        self.seconds.observe(took.as_secs_f64());
    }
}

/// All methods.
#[derive(Debug)]
pub struct Rpcs {
    known: LazyLock<HashMap<String, Method>>,
    unknown: Method,
}

impl Rpcs {
    pub(super) const fn new() -> Self {
        Self { known: LazyLock::new(known), unknown: Method::new("unknown", "unknown", UNARY) }
    }

    /// The method at an HTTP path, `/etcdserverpb.KV/Put`.
    pub fn of(&self, path: &str) -> &Method {
        self.known.get(path).unwrap_or(&self.unknown)
    }

    pub(super) fn write(&self, text: &mut Text, extensive: bool) {
        let mut methods: Vec<&Method> = self.known.values().chain([&self.unknown]).collect();
        methods.sort_by_key(|method| (method.name, method.service));
        for method in methods {
            let labels = [("grpc_method", method.name), ("grpc_service", method.service), ("grpc_type", method.kind)];
            let mut count = |name, help, value| text.sample(name, help, Kind::Counter, &labels, float(value));
            count("grpc_server_started_total", "Calls that began.", method.started.get());
            count("grpc_server_msg_received_total", "Messages received.", method.received.get());
            count("grpc_server_msg_sent_total", "Messages sent.", method.sent.get());
            for (code, handled) in CODES.into_iter().zip(&method.handled) {
                let [name, service, kind] = labels;
                let labels = [("grpc_code", code), name, service, kind];
                let handled = float(handled.load(Ordering::Relaxed));
                let help = "Calls that ended, whether they succeeded or failed.";
                text.sample("grpc_server_handled_total", help, Kind::Counter, &labels, handled);
            }
            if extensive {
                text.histogram("grpc_server_handling_seconds", "How long calls took.", &labels, &method.seconds);
            }
        }
    }
}

fn known() -> HashMap<String, Method> {
    let methods = SERVICES.iter().flat_map(|(service, methods)| methods.iter().map(move |name| (*service, *name)));
    let entry = |(service, name)| (format!("/{service}/{name}"), Method::new(service, name, kind(service, name)));
    methods.map(entry).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_make_up_is_one_label() {
        let rpcs = Rpcs::new();
        rpcs.of("/etcdserverpb.KV/Put").started.inc();
        for path in ["/a/b", "/etcdserverpb.KV/Steal", ""] {
            rpcs.of(path).started.inc();
        }
        let mut text = Text::default();
        rpcs.write(&mut text, false);
        let text = text.finish();
        let label = "grpc_method=\"Put\",grpc_service=\"etcdserverpb.KV\",grpc_type=\"unary\"";
        assert!(text.contains(&format!("grpc_server_started_total{{{label}}} 1\n")));
        let label = "grpc_method=\"unknown\",grpc_service=\"unknown\",grpc_type=\"unary\"";
        assert!(text.contains(&format!("grpc_server_started_total{{{label}}} 3\n")));
        assert!(!text.contains("Steal"));
    }
}
