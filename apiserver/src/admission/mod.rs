//! The admission chain and its plugins: what is changed or refused beyond a kind's own rules.

pub mod chain;
pub mod namespace_lifecycle;

pub use chain::{Attributes, Chain, Operation, Plugin};
