//! A Kubernetes apiserver on an etcd-compatible store.

pub mod admission;
pub mod codec;
pub mod discovery;
pub mod error;
pub mod http;
pub mod limits;
pub mod object;
pub mod resources;
pub mod schema;
pub mod storage;
pub mod validation;
pub mod verbs;
