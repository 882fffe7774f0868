//! Label and field selectors: what they accept, what they say of what they do not, and what they match.
//!
//! The grammar and the messages are those of apimachinery's `labels` and `fields` packages.

mod field;
mod label;
mod parse;

pub use field::{FieldRequirement, FieldSelector};
pub use label::{LabelSelector, Labels, Operator, Requirement};
