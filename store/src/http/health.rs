//! What is served beside etcd's API, as etcd answers it: `/health`, `/livez`, `/readyz` and `/version`, and the way to
//! `/metrics` and `/debug/vars`.

use std::collections::HashSet;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use pintle_proto::etcdserverpb as pb;
use serde_json::json;

use super::{debug_vars, metrics};
use crate::error::StoreError;
use crate::metrics::METRICS;
use crate::store::Store;
use crate::version;

/// A whole answer.
type Answer = Response<Bytes>;

/// Answers a request that is not gRPC.
pub(super) async fn answer<B>(store: &Store, request: &Request<B>) -> Answer {
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let path = request.uri().path();
    let (kind, rest) = match path.strip_prefix('/').unwrap_or(path).split_once('/') {
        Some((kind, rest)) => (kind, Some(rest)),
        None => (path.strip_prefix('/').unwrap_or(path), None),
    };
    match (kind, rest) {
        ("health" | "livez" | "readyz" | "version", _) if request.method() != Method::GET && known(kind, rest) => {
            method_not_allowed()
        }
        ("debug", Some("vars")) if request.method() != Method::GET => method_not_allowed(),
        ("health", None) => health(store, &query).await,
        ("version", None) => version(),
        ("metrics", None) => metrics::answer(store, request.method()).await.unwrap_or_else(|error| unreadable(&error)),
        ("debug", Some("vars")) => debug_vars::answer(store).unwrap_or_else(|error| unreadable(&error)),
        ("livez", rest) => checks(store, LIVEZ, rest, &query).await,
        ("readyz", rest) => checks(store, READYZ, rest, &query).await,
        _ => not_found(),
    }
}

/// Something that must hold for the server to be alive or ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] = &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::NonLearner => "non_learner",
        }
    }

    /// What is wrong, if anything.
    async fn run(self, store: &Store) -> Result<(), String> {
        match self {
            Self::DataCorruption => {
                let alarms = store.alarms().map_err(|error| error.to_string())?;
                let raised = alarms.iter().any(|member| member.alarm() == pb::AlarmType::Corrupt);
                if raised { Err("alarm activated: CORRUPT".to_owned()) } else { Ok(()) }
            }
            Self::SerializableRead => read(store, true).await.map_err(|error| format!("range error: {error}")),
            Self::LinearizableRead => read(store, false).await.map_err(|error| format!("range error: {error}")),
            Self::NonLearner if store.standing().is_learner => Err("not supported for learner".to_owned()),
            Self::NonLearner => Ok(()),
        }
    }
}

fn known(kind: &str, rest: Option<&str>) -> bool {
    let among = |checks: &[Check]| rest.is_none_or(|rest| checks.iter().any(|check| check.name() == rest));
    match kind {
        "livez" => among(LIVEZ),
        "readyz" => among(READYZ),
        _ => rest.is_none(),
    }
}

/// Runs all checks, or the one that is named.
async fn checks(store: &Store, all: &[Check], only: Option<&str>, query: &Query) -> Answer {
    let chosen: Vec<Check> = match only {
        Some(name) => all.iter().copied().filter(|check| check.name() == name).collect(),
        None => all.iter().copied().filter(|check| !query.excluded.contains(check.name())).collect(),
    };
    if only.is_some() && chosen.is_empty() {
        return not_found();
    }
    let mut report = String::new();
    let mut failed = false;
    for check in chosen {
        match check.run(store).await {
            Ok(()) => report.extend(["[+]", check.name(), " ok\n"]),
            Err(reason) => {
                failed = true;
                report.extend(["[-]", check.name(), " failed: ", &reason, "\n"]);
            }
        }
    }
    if failed {
        tracing::warn!(%report, "health check failed");
        return plain_error(StatusCode::SERVICE_UNAVAILABLE, &report);
    }
    let report = if query.verbose { report } else { String::new() };
    text(StatusCode::OK, report + "ok\n")
}

async fn health(store: &Store, query: &Query) -> Answer {
    let reason = unhealthy(store, query).await;
    let body = json!({ "health": if reason.is_none() { "true" } else { "false" }, "reason": reason.as_deref().unwrap_or_default() });
    match reason {
        None => {
            METRICS.health_ok.inc();
            let mut answer = text(StatusCode::OK, body.to_string());
            answer.headers_mut().remove(X_CONTENT_TYPE_OPTIONS);
            answer
        }
        Some(reason) => {
            METRICS.health_failed.inc();
            tracing::warn!(%reason, "/health is false");
            plain_error(StatusCode::SERVICE_UNAVAILABLE, &body.to_string())
        }
    }
}

/// Why the server is not healthy, if so.
async fn unhealthy(store: &Store, query: &Query) -> Option<String> {
    let alarms = match store.alarms() {
        Ok(alarms) => alarms,
        Err(error) => return Some(format!("RANGE ERROR:{error}")),
    };
    if let Some(alarm) = alarms.iter().find(|alarm| !query.excluded.contains(alarm.alarm().as_str_name())) {
        return Some(format!("ALARM {}", alarm.alarm().as_str_name()));
    }
    if !query.serializable && store.standing().leader_id == 0 {
        return Some("RAFT NO LEADER".to_owned());
    }
    read(store, query.serializable).await.err().map(|error| format!("RANGE ERROR:{error}"))
}

/// Reads a key that may well not exist.
async fn read(store: &Store, serializable: bool) -> Result<(), StoreError> {
    let request = pb::RangeRequest {
        key: Bytes::from_static(b"\0"),
        keys_only: true,
        limit: 1,
        serializable,
        ..pb::RangeRequest::default()
    };
    store.range(request).await.map(drop)
}

fn version() -> Answer {
    let body = format!(
        r#"{{"etcdserver":"{server}","etcdcluster":"{cluster}","storage":"{cluster}"}}"#,
        server = version::SERVER,
        cluster = version::CLUSTER,
    );
    let mut answer = Response::new(Bytes::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}

/// The store cannot be read.
fn unreadable(error: &StoreError) -> Answer {
    plain_error(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
}

/// Refuses a host name that is not on the list.
pub(super) fn misdirected(host: &str) -> Answer {
    plain_error(
        StatusCode::MISDIRECTED_REQUEST,
        &format!("the host name {host:?} is not among those of --host-whitelist: add it there, or use TLS"),
    )
}

/// What Go's multiplexer says of a path that it does not know.
pub(super) fn not_found() -> Answer {
    plain_error(StatusCode::NOT_FOUND, "404 page not found")
}

fn method_not_allowed() -> Answer {
    let mut answer = plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
    answer
}

/// An error as Go's `http.Error` writes it.
fn plain_error(status: StatusCode, message: &str) -> Answer {
    text(status, format!("{message}\n"))
}

fn text(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Bytes::from(body));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    answer
}

/// The parts of a query that these paths understand.
#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    excluded: HashSet<String>,
    serializable: bool,
    verbose: bool,
}

impl Query {
    fn parse(query: &str) -> Self {
        let mut parsed = Self::default();
        let mut serializable = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "exclude" if !value.is_empty() => {
                    parsed.excluded.insert(value.to_owned());
                }
                "serializable" => serializable = serializable.or(Some(value == "true")),
                "verbose" => parsed.verbose = true,
                _ => {}
            }
        }
        parsed.serializable = serializable == Some(true);
        parsed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_choose_checks() {
        let query = Query::parse("exclude=NOSPACE&exclude=non_learner&verbose&serializable=true&serializable=false");
        assert!(query.verbose && query.serializable);
        assert_eq!(query.excluded, HashSet::from(["NOSPACE".to_owned(), "non_learner".to_owned()]));
        assert_eq!(Query::parse("exclude="), Query::default());
    }
}
