//! Members over gRPC: the client and the server between them.

pub mod client;
mod convert;
mod incoming;
pub mod server;

/// The metadata that names the cluster of a call, the member that calls and the one that is meant.
const CLUSTER: &str = "pintle-cluster";
const FROM: &str = "pintle-from";
const TO: &str = "pintle-to";
