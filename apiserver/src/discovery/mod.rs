//! Discovery documents, derived from the resource table.

pub mod aggregated;
pub mod documents;
pub mod version;
