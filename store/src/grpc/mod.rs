//! The etcd v3 gRPC services, thin over the store.

mod cluster;
mod health;
mod kv;
mod lease;
mod maintenance;
mod status;
mod watch;

use pintle_proto::etcdserverpb::cluster_server::ClusterServer;
use pintle_proto::etcdserverpb::kv_server::KvServer;
use pintle_proto::etcdserverpb::lease_server::LeaseServer;
use pintle_proto::etcdserverpb::maintenance_server::MaintenanceServer;
use pintle_proto::etcdserverpb::watch_server::WatchServer;
use pintle_proto::health::health_server::HealthServer;
pub use tonic::body::Body;
use tonic::service::Routes;

use crate::limits::REQUEST_OVERHEAD_BYTES;
use crate::store::Store;
use crate::watch::StreamSettings;

/// All services of `store`, as one HTTP service.
pub fn routes(store: &Store, settings: StreamSettings) -> Routes {
    // A message may be a little larger than the request in it, so that a request that is too large is told so by its own error.
    let max_message_bytes = store.config().max_request_bytes + REQUEST_OVERHEAD_BYTES;
    Routes::new(KvServer::new(kv::KvService::new(store.clone())).max_decoding_message_size(max_message_bytes))
        .add_service(
            WatchServer::new(watch::WatchService::new(store.clone(), settings))
                .max_decoding_message_size(max_message_bytes),
        )
        .add_service(
            LeaseServer::new(lease::LeaseService::new(store.clone())).max_decoding_message_size(max_message_bytes),
        )
        .add_service(ClusterServer::new(cluster::ClusterService::new(store.clone())))
        .add_service(MaintenanceServer::new(maintenance::MaintenanceService::new(store.clone())))
        .add_service(HealthServer::new(health::HealthService))
        .prepare()
}
