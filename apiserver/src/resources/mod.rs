//! The table of resources, and what single kinds do beyond create, read, update and delete.

pub mod certificatesigningrequests;
pub mod facts;
pub mod hooks;
pub mod namespaces;
pub mod persistentvolumes;
pub mod pods;
pub mod printers;
pub mod reviews;
pub mod services;
pub mod spec;
pub mod table;
pub mod tokens;
pub mod verbs;

pub use spec::{ResourceSpec, ResourceTable, SubresourceSpec, table};
pub use verbs::Verbs;
