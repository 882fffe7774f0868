//! The client port: connections, TLS, and what is served beside gRPC.

mod authority;
mod common_name;
mod endpoint;
mod gateway;
mod health;
mod listener;
mod server;
mod tls;

pub use endpoint::{Endpoint, EndpointError};
pub use listener::{BindError, Listener};
pub use server::{Server, ServerSettings, serve, serve_metrics, serve_unix};
pub use tls::{TlsError, TlsFiles};
