//! The HTTP edge: listeners, the layer stack, routing, and errors as bytes.

pub mod authenticate;
pub mod authorize;
pub mod body;
pub mod health;
pub mod impersonate;
pub mod openapi;
pub mod openid;
pub mod pipeline;
pub mod query;
pub mod request_info;
pub mod respond;
pub mod router;
pub mod server;
pub mod status;
pub mod tls;
