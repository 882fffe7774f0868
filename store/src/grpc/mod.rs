//! The etcd v3 gRPC services, thin over the store.
