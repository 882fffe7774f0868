//! Discovery documents, derived from the resource table.
