//! The HTTP edge: listeners, the layer stack, routing, and errors as bytes.

pub mod query;
pub mod request_info;
