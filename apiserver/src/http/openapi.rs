//! `/openapi/v2` and `/openapi/v3` over HTTP.

use bytes::Bytes;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Response, StatusCode};

use super::body::{self, Body};
use super::pipeline::text;
use super::query::Query;
use crate::discovery::openapi::served::{Documents, Request};

/// The document at `path`; `None` if there is none.
pub fn answer(path: &str, query: &Query, headers: &HeaderMap) -> Option<Response<Body>> {
    let reply = Documents::builtin().answer(Request {
        path,
        hash: query.get("hash"),
        accept: text(headers, &ACCEPT),
        if_none_match: text(headers, &IF_NONE_MATCH),
    })?;
    let mut response = Response::new(body::full(Bytes::from_owner(reply.body)));
    *response.status_mut() = StatusCode::from_u16(reply.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    Some(response)
}
