//! The only place where an error becomes bytes.

use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use http::{Response, StatusCode};

use super::body::{self, Body};
use crate::codec::negotiate::{Accepted, Encoding, Endpoint, accept};
use crate::error::Status;
use crate::schema::Registry;
use crate::verbs::present;

/// The response that tells `status` to a client with this `Accept` header. A client that accepts nothing that the server has is
/// told in JSON.
pub fn response(registry: &Registry, accept_header: &str, status: &Status) -> Response<Body> {
    let encoding = accept(accept_header, Endpoint::Object).map(|a| a.encoding).unwrap_or_default();
    let accepted = Accepted { encoding, ..Accepted::default() };
    let (encoding, bytes) = match present::encode(registry, accepted, &status.to_value()) {
        Ok(bytes) => (encoding, bytes),
        Err(_) => (Encoding::Json, status.to_value().to_string().into()),
    };
    let mut response = Response::new(body::full(bytes));
    *response.status_mut() = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
    if let Some(seconds) = status.retry_after_seconds() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// The plain answer where nothing is served at all, as Go's `http.NotFound` words it.
pub fn page_not_found() -> Response<Body> {
    let mut response = Response::new(body::full("404 page not found\n"));
    *response.status_mut() = StatusCode::NOT_FOUND;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    response
}
