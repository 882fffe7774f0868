//! Integration tests of the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod against_model;
mod crash;
mod etcd_sequence;
mod golden;
mod grpc;
mod json;
mod model;
mod program;
mod recovery;
mod scripts;
mod store;
mod watch_hub;
