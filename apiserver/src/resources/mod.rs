//! The table of resources, and what single kinds do beyond create, read, update and delete.

pub mod certificatesigningrequests;
pub mod daemonsets;
pub mod facts;
pub mod hooks;
pub mod jobs;
pub mod namespaces;
pub mod persistentvolumes;
pub mod pods;
pub mod printers;
pub mod services;
pub mod spec;
pub mod table;
pub mod verbs;

pub use spec::{ResourceSpec, ResourceTable, SubresourceSpec, table};
pub use verbs::Verbs;
