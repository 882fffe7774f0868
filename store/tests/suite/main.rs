//! Integration tests of the store.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod against_model;
mod apply_scripts;
mod crash;
mod etcd_sequence;
mod golden;
mod grpc;
mod json;
mod model;
mod program;
mod recovery;
mod store;
mod watch_hub;
