//! `/healthz`, `/livez` and `/readyz`: each a list of checks, together or one by one.

use std::sync::Arc;

use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};

use super::body::{self, Body};
use super::query::Query;
use super::status;
use crate::storage::Backend;

/// One thing that must be well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// The server answers at all.
    Ping,
    /// The server can log.
    Log,
    /// The store answers.
    Store,
}

impl Check {
    const fn name(self) -> &'static str {
        match self {
            Self::Ping => "ping",
            Self::Log => "log",
            Self::Store => "etcd",
        }
    }

    async fn run(self, backend: &dyn Backend) -> Result<(), String> {
        match self {
            Self::Ping | Self::Log => Ok(()),
            Self::Store => backend.ready().await.map_err(|e| e.to_string()),
        }
    }
}

const CHECKS: [Check; 3] = [Check::Ping, Check::Log, Check::Store];

/// The paths that anybody may read, besides the version.
pub fn public_paths() -> impl Iterator<Item = String> {
    ["/healthz", "/livez", "/readyz"].into_iter().flat_map(|root| [root.to_owned(), format!("{root}/*")])
}

/// Answers a health path; `None` if `path` is none.
pub async fn serve(backend: &Arc<dyn Backend>, path: &str, query: &Query) -> Option<Response<Body>> {
    let (root, one) = path.trim_start_matches('/').split_once('/').unwrap_or((path.trim_start_matches('/'), ""));
    if !matches!(root, "healthz" | "livez" | "readyz") {
        return None;
    }
    if one.is_empty() {
        return Some(all(backend, root, query).await);
    }
    let Some(check) = CHECKS.into_iter().find(|check| check.name() == one) else {
        return Some(status::page_not_found());
    };
    Some(match check.run(&**backend).await {
        Ok(()) => text(StatusCode::OK, "ok".to_owned()),
        Err(why) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("internal server error: {why}\n")),
    })
}

async fn all(backend: &Arc<dyn Backend>, root: &str, query: &Query) -> Response<Body> {
    let excluded: Vec<&str> = query.all("exclude").collect();
    let mut lines = String::new();
    let mut failed = false;
    for check in CHECKS {
        let name = check.name();
        let line = if excluded.contains(&name) {
            format!("[+]{name} excluded: ok\n")
        } else {
            match check.run(&**backend).await {
                Ok(()) => format!("[+]{name} ok\n"),
                Err(error) => {
                    tracing::warn!(check = name, error, "health check failed");
                    failed = true;
                    format!("[-]{name} failed: reason withheld\n")
                }
            }
        };
        lines.push_str(&line);
    }
    match (failed, query.get("verbose").is_some()) {
        (true, _) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{lines}{root} check failed\n")),
        (false, true) => text(StatusCode::OK, format!("{lines}{root} check passed\n")),
        (false, false) => text(StatusCode::OK, "ok".to_owned()),
    }
}

fn text(code: StatusCode, text: String) -> Response<Body> {
    let mut response = Response::new(body::full(text));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
