//! Who answers a request: a verb, a document, or nobody.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, IF_NONE_MATCH, USER_AGENT};
use http::{Method, Request, Response};
use hyper::body::Incoming;
use jiff::Timestamp;
use pintle_auth::User;
use tokio_util::sync::CancellationToken;

use super::body::{self, Body};
use super::pipeline::text;
use super::query::Query;
use super::request_info::RequestInfo;
use super::{health, openapi, openid, respond, status};
use crate::codec::negotiate::{Endpoint, accept};
use crate::discovery::{aggregated, documents, version};
use crate::error::Status;
use crate::resources::spec::{ResourceSpec, SubresourceSpec};
use crate::resources::verbs::Verbs;
use crate::schema::Registry;
use crate::validation::warnings;
use crate::verbs::{self, Api, Warnings, present};

/// Finds and runs what answers.
pub struct Router {
    api: Arc<Api>,
    /// `host:port` of the server as its clients reach it.
    address: String,
    /// Cancelled when the server begins to stop.
    stopping: CancellationToken,
}

impl Router {
    /// Routes to `api`; discovery names `address` to clients. Watches end once `stopping` is cancelled.
    pub fn new(api: Arc<Api>, address: String, stopping: CancellationToken) -> Self {
        Self { api, address, stopping }
    }

    /// The types that answers are encoded by.
    pub fn registry(&self) -> &'static Registry {
        self.api.registry
    }

    /// The answer to a request that has passed every layer.
    pub async fn answer(
        &self,
        request: Request<Incoming>,
        info: &RequestInfo,
        query: &Query,
        user: &User,
    ) -> Result<Response<Body>, Status> {
        if info.is_resource {
            return self.resource(request, info, query, user).await;
        }
        if let Some(response) = health::serve(self.api.storage.backend(), &info.path, query).await {
            return Ok(response);
        }
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match self.document(&request, &info.path, query)? {
            Some(_) if !reads => Err(Status::method_not_allowed()),
            Some(response) => Ok(response),
            None => Ok(status::page_not_found()),
        }
    }

    /// A document that is derived from the table of resources.
    fn document(
        &self,
        request: &Request<Incoming>,
        path: &str,
        query: &Query,
    ) -> Result<Option<Response<Body>>, Status> {
        let wanted = text(request.headers(), &ACCEPT);
        let path = path.trim_end_matches('/');
        if matches!(path, "/api" | "/apis") && accept(wanted, Endpoint::Discovery)?.aggregated {
            let document = aggregated::document(self.api.table, path == "/api").map_err(Status::internal)?;
            let known = request.headers().get(IF_NONE_MATCH).and_then(|v| v.to_str().ok());
            return Ok(Some(respond::tagged(aggregated::MEDIA_TYPE, &document.etag, known, document.body.into())));
        }
        if let Some(response) = openapi::answer(path, query, request.headers()) {
            return Ok(Some(response));
        }
        if let Some(response) = openid::answer(&self.api.tokens.issuer, path, &self.address, wanted)? {
            return Ok(Some(response));
        }
        if path == "/version" {
            let text = serde_json::to_vec_pretty(&version::document()).map_err(Status::internal)?;
            return Ok(Some(respond::bytes("application/json", text)));
        }
        let Some(document) = documents::at(self.api.table, path, &self.address) else { return Ok(None) };
        let accepted = accept(wanted, Endpoint::Document)?;
        let bytes = present::encode_as(self.api.registry, accepted, &document.gvk, &document.body)?;
        Ok(Some(respond::bytes(accepted.encoding.media_type(), bytes)))
    }

    async fn resource(
        &self,
        request: Request<Incoming>,
        info: &RequestInfo,
        query: &Query,
        user: &User,
    ) -> Result<Response<Body>, Status> {
        if !self.api.table.groups().iter().any(|g| g.name == info.group && g.versions.contains(&info.version)) {
            return Ok(status::page_not_found());
        }
        let spec = self.api.table.resource(&info.group, &info.version, &info.resource);
        let spec = spec.ok_or_else(Status::no_such_resource)?;
        // Authorized as a GET, but routed to nobody, as in kube-apiserver.
        if request.method() == Method::HEAD {
            return Err(Status::method_not_allowed());
        }
        let subresource = route(spec, info)?;
        let endpoint = if matches!(info.verb, "list" | "watch") { Endpoint::List } else { Endpoint::Object };
        let (head, body) = request.into_parts();
        let accepted = accept(text(&head.headers, &ACCEPT), endpoint)?;
        let body = if info.is_read() { Bytes::new() } else { body::read(body).await? };
        let request = verbs::Request {
            api: &self.api,
            info,
            spec,
            subresource,
            user,
            query,
            accepted,
            content_type: text(&head.headers, &CONTENT_TYPE),
            user_agent: text(&head.headers, &USER_AGENT),
            body,
            now: Timestamp::now(),
            warnings: Warnings::default(),
        };
        // Whoever uses a deprecated kind is told so, whatever comes of the request.
        request.warnings.extend(warnings::deprecation(&spec.gvk()).map(str::to_owned));
        let mut response = match verbs::run(&request).await {
            Ok(reply) => respond::reply(reply, accepted, &self.stopping),
            Err(error) => status::response(self.registry(), text(&head.headers, &ACCEPT), &error),
        };
        respond::warn(&mut response, &request.warnings.into_texts());
        Ok(response)
    }
}

/// The subresource that the path names, once it is sure that the path and the verb exist.
fn route<'a>(spec: &'a ResourceSpec, info: &RequestInfo) -> Result<Option<&'a SubresourceSpec>, Status> {
    // A cluster-scoped resource has no place in a namespace.
    let misplaced = !spec.namespaced && !info.namespace.is_empty() && info.resource != "namespaces";
    if misplaced {
        return Err(Status::no_such_resource());
    }
    let subresource = match info.subresource.as_str() {
        "" => None,
        name => Some(spec.subresource(name).ok_or_else(Status::no_such_resource)?),
    };
    let has_name = info.parts.len() > 1;
    let needs_namespace = spec.namespaced && info.namespace.is_empty() && !matches!(info.verb, "list" | "watch");
    let needs_name = matches!(info.verb, "get" | "update" | "patch" | "delete") && !has_name;
    let excess_name = info.verb == "create" && has_name && subresource.is_none();
    let offered = subresource.map_or(spec.verbs, |s| s.verbs);
    let known = Verbs::named(info.verb).is_some_and(|verb| offered.contains(verb));
    if needs_namespace || needs_name || excess_name || !known {
        return Err(Status::method_not_allowed());
    }
    Ok(subresource)
}
