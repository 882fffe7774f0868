//! The table of built-in types. A field that has no number or no schema, or a schema that no field has, is an error: a
//! field must not be lost silently.

mod facts;
mod go_types;
mod rows;

use std::path::Path;

pub use facts::Facts;

use crate::Error;

/// The table, one type a line.
pub fn table(facts: &Facts, kubernetes_source: &Path) -> Result<String, Error> {
    let go_types = go_types::GoTypes::read(kubernetes_source, facts.types.keys())?;
    rows::write(&rows::rows(facts, &go_types)?)
}
