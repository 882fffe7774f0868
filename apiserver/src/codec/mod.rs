//! Bytes to objects and back: JSON, YAML, protobuf, tables, and content negotiation.

pub mod base64;
pub mod json;
pub mod negotiate;
pub mod pretty;
pub mod protobuf;
pub mod revision;
pub mod table;
pub mod time;
pub mod yaml;
