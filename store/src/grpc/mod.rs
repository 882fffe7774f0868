//! The etcd v3 gRPC services, thin over the store.

mod auth;
mod behalf;
mod caller;
pub mod client;
mod cluster;
mod election;
mod health;
mod kv;
mod lease;
mod local;
mod lock;
mod maintenance;
mod observe;
mod range_body;
mod reflection;
pub(crate) mod status;
mod watch;

use bytes::Bytes;
pub use caller::CommonName;
use pintle_proto::etcdserverpb::auth_server::AuthServer;
use pintle_proto::etcdserverpb::cluster_server::ClusterServer;
use pintle_proto::etcdserverpb::kv_server::KvServer;
use pintle_proto::etcdserverpb::lease_server::LeaseServer;
use pintle_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use pintle_proto::etcdserverpb::watch_server::WatchServer;
use pintle_proto::health::health_server::HealthServer;
use pintle_proto::v3electionpb::election_server::ElectionServer;
use pintle_proto::v3lockpb::lock_server::LockServer;
pub use tonic::body::Body;
use tonic::service::Routes;
use tower::ServiceExt;

pub use self::local::{Failure, Responses};
use self::observe::Call;
use crate::error::StoreError;
use crate::limits::REQUEST_OVERHEAD_BYTES;
use crate::store::Store;
use crate::watch::StreamSettings;

/// What the paths of the KV service's methods begin with.
const KV_PATH: &str = "/etcdserverpb.KV/";

/// All services of a store, as one HTTP service.
#[derive(Clone)]
pub struct Services {
    store: Store,
    /// Apart from the others: nearly every request is for keys, and routing it would cost a tenth of answering it.
    kv: KvServer<kv::KvService>,
    routes: Routes,
    max_message_bytes: usize,
    /// Whether calls are counted: those of clients are, those of one service to another are not.
    counted: bool,
}

impl Services {
    /// Serves `store`.
    pub fn new(store: Store, settings: StreamSettings) -> Self {
        // A message may be a little larger than the request in it, so that a request that is too large is told so by
        // its own error.
        let max_message_bytes = store.config().max_request_bytes + REQUEST_OVERHEAD_BYTES;
        let kv = KvServer::new(kv::KvService::new(store.clone())).max_decoding_message_size(max_message_bytes);
        let routes = Routes::new(kv.clone())
            .add_service(
                WatchServer::new(watch::WatchService::new(store.clone(), settings))
                    .max_decoding_message_size(max_message_bytes),
            )
            .add_service(
                LeaseServer::new(lease::LeaseService::new(store.clone())).max_decoding_message_size(max_message_bytes),
            )
            .add_service(
                AuthServer::new(auth::AuthService::new(store.clone())).max_decoding_message_size(max_message_bytes),
            )
            .add_service(ClusterServer::new(cluster::ClusterService::new(store.clone())))
            .add_service(MaintenanceServer::new(maintenance::MaintenanceService::new(store.clone())))
            .add_service(HealthServer::new(health::HealthService));
        let basis = Self {
            store: store.clone(),
            kv: kv.clone(),
            routes: routes.clone().prepare(),
            max_message_bytes,
            counted: false,
        };
        let routes = routes
            .add_service(
                LockServer::new(lock::LockService::new(basis.clone())).max_decoding_message_size(max_message_bytes),
            )
            .add_service(
                ElectionServer::new(election::ElectionService::new(basis)).max_decoding_message_size(max_message_bytes),
            );
        let routes = reflection::add_to(routes).prepare();
        Self { store, kv, routes, max_message_bytes, counted: true }
    }

    /// Bytes that an encoded request may have.
    pub fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// Answers one request.
    pub async fn call<B>(&self, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        if !self.counted {
            return self.answer(request).await;
        }
        let call = Call::begin(request.uri().path(), request.headers());
        let request = request.map(|body| call.request(body));
        call.answer(self.answer(request).await)
    }

    async fn answer<B>(&self, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        if needs_leader(request.headers()) && self.store.standing().leader_id == 0 {
            return status::status(StoreError::NoLeader).into_http();
        }
        let uri = request.uri().clone();
        if self.counted && !for_learners(uri.path()) && self.store.is_learner() {
            return status::status(StoreError::NotForLearners).into_http();
        }
        let answered = if uri.path().starts_with(KV_PATH) {
            self.kv.clone().oneshot(request).await.map(range_body::put_back)
        } else {
            self.routes.clone().oneshot(request).await
        };
        match answered {
            Ok(response) => status::reworded(response, uri.path()),
            Err(never) => match never {},
        }
    }
}

/// Whether a learner answers calls of the method at `path`, as far as that says it: it has no say in the cluster and may
/// be far behind. Of ranges it answers serializable ones ([`kv`]).
fn for_learners(path: &str) -> bool {
    matches!(path, "/etcdserverpb.KV/Range" | "/etcdserverpb.Maintenance/Status" | "/etcdserverpb.Maintenance/Snapshot")
}

/// Whether a request is gRPC.
pub fn is_grpc(headers: &http::HeaderMap) -> bool {
    let content_type = headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], http::HeaderValue::as_bytes);
    content_type.starts_with(b"application/grpc")
}

/// Whether the client would rather fail than be served by a member that knows no leader (etcd's `WithRequireLeader`).
fn needs_leader(headers: &http::HeaderMap) -> bool {
    headers.get("hasleader").is_some_and(|value| value == "true")
}
