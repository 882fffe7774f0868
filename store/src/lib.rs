//! An etcd-compatible datastore: multi-version key-value state, replicated by raft, kept in RocksDB.

pub mod apply;
pub mod auth;
pub mod data_dir;
pub mod engine;
pub mod error;
pub mod grpc;
pub mod http;
pub mod lease;
pub mod limits;
pub mod maintenance;
pub mod metrics;
pub mod mvcc;
pub mod raft;
pub mod store;
pub mod tls;
pub mod version;
pub mod watch;

pub use store::{
    AuthConfig, BootstrapError, Caller, Client, ClusterConfig, InitialState, OpenError, Presented, Status, Store,
    StoreConfig, TokenKind,
};
