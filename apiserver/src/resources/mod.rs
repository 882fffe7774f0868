//! The table of resources, and what single kinds do beyond create, read, update and delete.

pub mod facts;
pub mod hooks;
pub mod namespaces;
pub mod printers;
pub mod spec;
pub mod table;
pub mod verbs;

pub use spec::{ResourceSpec, ResourceTable, SubresourceSpec, table};
pub use verbs::Verbs;
