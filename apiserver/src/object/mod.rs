//! Operations on decoded objects: metadata, selectors, quantities, patches, managed fields.

pub mod fields;
pub mod go_text;
pub mod managed_fields;
pub mod meta;
pub mod patch;
pub mod quantity;
pub mod selector;
