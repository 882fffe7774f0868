//! The client port: connections and what is served beside gRPC.

mod access;
mod authority;
mod common_name;
pub(crate) mod connect;
mod debug_vars;
mod endpoint;
mod gateway;
mod gather;
mod health;
mod listener;
mod members;
mod metrics;
mod residence;
mod server;

pub use access::{Access, Allowed};
pub use endpoint::{Address, Endpoint, EndpointError, split_url};
pub use listener::{BindError, Listener};
pub use server::{KeepAlive, Server, ServerSettings, Traffic, serve, serve_metrics, serve_peers, serve_unix};
