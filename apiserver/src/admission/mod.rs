//! The admission chain and its plugins: what is changed or refused beyond a kind's own rules.

pub mod chain;
pub mod default_toleration_seconds;
pub mod namespace_lifecycle;
pub mod storage_object_in_use_protection;
pub mod taint_nodes_by_condition;

pub use chain::{Attributes, Chain, Operation, Plugin};
