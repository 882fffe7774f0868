//! What each API verb does, for every kind alike.
//!
//! A verb takes a [`Request`] and gives a [`Reply`]; it knows neither HTTP nor encodings beyond what the client accepts.

pub mod act;
pub mod create;
pub mod decode;
pub mod delete;
pub mod delete_collection;
pub mod endpoint;
pub mod get;
pub mod list;
pub mod options;
pub mod patch;
pub mod present;
pub mod resource;
pub mod strategy;
pub mod update;
pub mod watch;
pub mod write;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use parking_lot::Mutex;
use pintle_auth::User;
use pintle_auth::authorize::Authorizer;
use serde_json::Value;

use crate::admission::Chain;
use crate::codec::negotiate::Accepted;
use crate::error::{Qualified, Status};
use crate::http::query::Query;
use crate::http::request_info::RequestInfo;
use crate::limits;
use crate::object::managed_fields;
use crate::resources::services::Pools;
use crate::resources::spec::{ResourceSpec, ResourceTable, SubresourceSpec};
use crate::resources::tokens::Tokens;
use crate::schema::Registry;
use crate::storage::Storage;

use self::resource::Resource;

/// Everything that outlives a request.
pub struct Api {
    /// Which resources are served.
    pub table: &'static ResourceTable,
    /// The type of every kind.
    pub registry: &'static Registry,
    /// Where objects are.
    pub storage: Arc<Storage>,
    /// The plugins that see every write.
    pub admission: Chain,
    /// How long events are kept, in seconds (`--event-ttl`).
    pub event_ttl_seconds: i64,
    /// What services get their addresses and node ports from.
    pub services: Pools,
    /// What a caller may do.
    pub authorizer: Arc<dyn Authorizer>,
    /// Whom bearer tokens stand for.
    pub tokens: Tokens,
    resources: HashMap<String, Arc<Resource>>,
}

impl Api {
    /// Serves `table` from `storage`.
    #[allow(clippy::too_many_arguments, reason = "each is one part of the server")]
    pub fn new(
        table: &'static ResourceTable,
        registry: &'static Registry,
        storage: Arc<Storage>,
        admission: Chain,
        event_ttl_seconds: i64,
        services: Pools,
        authorizer: Arc<dyn Authorizer>,
        tokens: Tokens,
    ) -> Self {
        let bound = table.rows().iter().zip(0_u16..).filter_map(|(spec, row)| {
            let resource = Resource::bind(spec, row, registry, &storage)?;
            Some((key(&spec.group, &spec.version, &spec.plural), Arc::new(resource)))
        });
        let resources = bound.collect();
        Self { table, registry, storage, admission, event_ttl_seconds, services, authorizer, tokens, resources }
    }

    /// Begins to fill every cache, so that watches can be resumed from the server's start on.
    pub fn warm(&self) {
        for resource in self.resources.values() {
            resource.collection.is_ready();
        }
    }

    /// The stored resource of that name, if one is served.
    pub fn resource(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        self.resources.get(&key(group, version, plural))
    }
}

fn key(group: &str, version: &str, plural: &str) -> String {
    format!("{group}/{version}/{plural}")
}

/// One request for an API object.
pub struct Request<'a> {
    /// The server.
    pub api: &'a Api,
    /// What is asked for.
    pub info: &'a RequestInfo,
    /// Its row in the table.
    pub spec: &'a Arc<ResourceSpec>,
    /// The subresource, where the request names one.
    pub subresource: Option<&'a SubresourceSpec>,
    /// Who asks.
    pub user: &'a User,
    /// The query of the URL.
    pub query: &'a Query,
    /// What the client accepts.
    pub accepted: Accepted,
    /// `Content-Type`; empty where absent.
    pub content_type: &'a str,
    /// `User-Agent`; empty where absent.
    pub user_agent: &'a str,
    /// The body.
    pub body: Bytes,
    /// When the request came.
    pub now: Timestamp,
    /// What the client should hear, whatever comes of the request.
    pub warnings: Warnings,
}

/// Texts for `Warning` headers, each once.
#[derive(Debug, Default)]
pub struct Warnings(Mutex<Vec<String>>);

impl Warnings {
    /// Adds texts that are not there yet.
    pub fn extend(&self, texts: impl IntoIterator<Item = String>) {
        let mut known = self.0.lock();
        for text in texts {
            if !known.contains(&text) {
                known.push(text);
            }
        }
    }

    /// The texts in the order in which they were added.
    pub fn into_texts(self) -> Vec<String> {
        self.0.into_inner()
    }
}

impl Request<'_> {
    /// The resource as error texts name it.
    pub fn qualified(&self) -> Qualified<'_> {
        Qualified { group: &self.spec.group, name: &self.spec.plural }
    }

    /// The kind as error texts name it: the one that is stored, whatever version the client speaks.
    pub fn qualified_kind(&self) -> Qualified<'_> {
        let group = self.spec.storage.as_ref().map_or(&self.spec.group, |storage| &storage.gvk.group);
        Qualified { group, name: &self.spec.kind }
    }

    /// The stored resource that the request is about.
    pub fn resource(&self) -> Result<&Arc<Resource>, Status> {
        let found = self.api.resource(&self.spec.group, &self.spec.version, &self.spec.plural);
        found.ok_or_else(Status::method_not_allowed)
    }

    /// The namespace whose objects the request is about; empty for cluster-scoped resources and all namespaces.
    pub fn namespace(&self) -> &str {
        if self.spec.namespaced { &self.info.namespace } else { "" }
    }

    /// The name of the subresource; empty where the request is about the object itself.
    pub fn subresource_name(&self) -> &str {
        self.subresource.map_or("", |s| s.name.as_str())
    }

    /// Who owns the fields that this request sets.
    pub fn manager(&self, field_manager: &str) -> String {
        managed_fields::manager_name(field_manager, self.user_agent)
    }
}

/// What a verb answers.
pub struct Reply {
    /// The HTTP status code.
    pub code: u16,
    /// The body.
    pub body: ReplyBody,
}

/// The body of an answer.
pub enum ReplyBody {
    /// Bytes at hand.
    Bytes(Bytes),
    /// Chunks, made as the client takes them.
    Chunks(Box<dyn Iterator<Item = Bytes> + Send>),
    /// A watch, framed, until it ends.
    Watch(futures::stream::BoxStream<'static, Bytes>),
}

impl Reply {
    /// An answer of bytes at hand.
    pub fn bytes(code: u16, bytes: Bytes) -> Self {
        Self { code, body: ReplyBody::Bytes(bytes) }
    }

    /// An answer with an object, encoded as the client accepts.
    pub fn object(request: &Request<'_>, code: u16, object: &Value) -> Result<Self, Status> {
        Ok(Self::bytes(code, present::object(request, object)?))
    }
}

/// Carries out a request.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    if request.info.verb == "create"
        && let Some(answer) = act::run(request).await
    {
        return answer;
    }
    if request.subresource.is_some_and(|subresource| !is_view(request.spec, subresource)) {
        return Err(Status::method_not_allowed());
    }
    match request.info.verb {
        "get" => get::run(request).await,
        "list" => list::run(request).await,
        "watch" => watch::run(request).await,
        "create" => in_time(create::run(request)).await,
        "update" => in_time(update::run(request)).await,
        "patch" => in_time(patch::run(request)).await,
        "delete" => in_time(delete::run(request)).await,
        // Of many objects: only what bounds every request bounds it.
        "deletecollection" => delete_collection::run(request).await,
        _ => Err(Status::method_not_allowed()),
    }
}

/// Whether a subresource shows or changes the object itself. Those that connect to it, such as `exec`, must not be mistaken for
/// it.
fn is_view(spec: &ResourceSpec, subresource: &SubresourceSpec) -> bool {
    let scales = subresource.name == "scale" && spec.scale.is_some();
    scales || (subresource.gvk == spec.gvk() && subresource.name != "log")
}

/// A change that gives up after its time (`k8s.io/apiserver/pkg/endpoints/handlers/finisher.FinishRequest`).
async fn in_time(change: impl Future<Output = Result<Reply, Status>>) -> Result<Reply, Status> {
    const LATE: &str = "request did not complete within requested timeout - context deadline exceeded";
    tokio::time::timeout(limits::MUTATION, change).await.unwrap_or_else(|_| Err(Status::timeout(LATE, 0)))
}
