//! The layer stack that every request passes, readable from top to bottom.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use http::header::{ACCEPT, CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Response};
use hyper::body::Incoming;
use pintle_auth::authorize::Authorizer;
use uuid::Uuid;

use super::authenticate::Authenticators;
use super::body::Body;
use super::query::{Query, decode_path};
use super::request_info::RequestInfo;
use super::router::Router;
use super::server::Peer;
use super::{authorize, impersonate, respond, status};
use crate::error::Status;
use crate::limits;

/// What the layers need.
pub struct Pipeline {
    /// Who a caller is.
    pub authenticators: Authenticators,
    /// What a caller may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// Who answers.
    pub router: Router,
}

/// Answers one request. Whatever goes wrong is an answer too.
pub async fn handle(
    pipeline: Arc<Pipeline>,
    peer: Arc<Peer>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let accept = text(request.headers(), &ACCEPT).to_owned();
    let path = request.uri().path().to_owned();
    let audit_id = audit_id(request.headers());
    let answer = AssertUnwindSafe(layers(&pipeline, &peer, request)).catch_unwind().await;
    let answer = answer.unwrap_or_else(|_| {
        tracing::error!(path, ?audit_id, "a handler panicked");
        Err(Status::internal("the server ran into a fault of its own; its log says more"))
    });
    let mut response = answer.unwrap_or_else(|error| {
        tracing::debug!(path, code = error.code, message = error.message, "request failed");
        status::response(pipeline.router.registry(), &accept, &error)
    });
    respond::set(&mut response, CACHE_CONTROL, "no-cache, private");
    response.headers_mut().insert("audit-id", audit_id);
    Ok(response)
}

async fn layers(pipeline: &Pipeline, peer: &Peer, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let headers = request.headers();
    let query = Query::parse(request.uri().query().unwrap_or_default());
    let path = decode_path(request.uri().path()).ok_or_else(|| Status::bad_request("the URL's path is malformed"))?;
    let info = RequestInfo::new(request.method(), &path, &query);

    let caller = pipeline.authenticators.authenticate(peer, headers).await?;
    let user = impersonate::impersonate(&*pipeline.authorizer, caller, &info, headers)?;
    authorize::authorize(&*pipeline.authorizer, &user, &info)?;

    let answer = pipeline.router.answer(request, &info, &query, &user);
    // A watch's head is answered at once as well; only its body lasts.
    let in_time = tokio::time::timeout(limits::REQUEST, answer).await;
    in_time.map_err(|_| Status::timeout("request did not complete within the allotted timeout", 0))?
}

/// The request's id in logs: the client's own where it brings one that is fit to print.
fn audit_id(headers: &HeaderMap) -> HeaderValue {
    let own = headers.get("audit-id").filter(|id| id.len() <= 64 && id.to_str().is_ok());
    own.cloned().unwrap_or_else(|| {
        HeaderValue::from_str(&Uuid::new_v4().to_string()).unwrap_or(HeaderValue::from_static("unknown"))
    })
}

/// A header's text; empty where it is absent or no text.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
