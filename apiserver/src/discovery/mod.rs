//! Discovery documents, derived from the resource table.

pub mod aggregated;
mod digest;
pub mod documents;
pub mod openapi;
pub mod version;
