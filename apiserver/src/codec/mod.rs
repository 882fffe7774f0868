//! Bytes to objects and back: JSON, YAML, protobuf, tables, and content negotiation.

pub mod negotiate;
pub mod table;
