//! Integration tests of the store.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod absences;
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
