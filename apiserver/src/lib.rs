//! A Kubernetes apiserver on an etcd-compatible store.

pub mod admission;
pub mod bootstrap;
pub mod codec;
pub mod config;
pub mod discovery;
pub mod error;
pub mod go_syntax;
pub mod http;
pub mod limits;
pub mod object;
pub mod pki;
pub mod resources;
pub mod schema;
pub mod server;
pub mod storage;
pub mod validation;
pub mod verbs;
