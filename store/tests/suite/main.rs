//! Integration tests of the store.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a failed run tells what went before, a skipped one why")]

mod absences;
mod against_model;
mod apply_scripts;
mod auth;
mod bad_input;
mod clients;
mod cluster;
mod crash;
mod etcd_sequence;
mod etcdctl;
mod etcdctl_auth;
mod flags;
mod gateway;
mod golden;
mod grpc;
mod http_client;
mod json;
mod lock;
mod members;
mod metrics;
mod model;
mod program;
mod recovery;
mod replay;
mod snapshots;
mod store;
mod tls;
mod torture;
mod watch_hub;
