//! One schema per type; transcoding, pruning, patching, managed fields and OpenAPI are derived from it.

pub mod builtin;
pub mod complete;
pub mod docs;
mod documented;
pub mod registry;
pub mod types;

pub use complete::complete;
pub use registry::{GroupVersionKind, Registry};
pub use types::{Field, Form, ListType, MapType, PatchStrategy, Type, TypeRef, ValueType};
