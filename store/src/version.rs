//! The etcd that clients are told they talk to.

/// The server's version.
pub const SERVER: &str = "3.7.1";

/// The version that all members of the cluster speak.
pub const CLUSTER: &str = "3.7.0";
