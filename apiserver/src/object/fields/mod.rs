//! Sets of an object's fields and the operations on objects that are told in such sets: what server-side apply and
//! `metadata.managedFields` are made of. The rules are those of the structured-merge-diff library.

mod atom;
mod compare;
mod extract;
mod merge;
mod path;
mod reconcile;
mod remove;
mod set;
mod validate;

pub use atom::Shape;
pub use compare::{Comparison, compare};
pub use extract::field_set;
pub use merge::merge;
pub use path::{Path, PathElement, display_path};
pub use reconcile::reconcile;
pub use remove::{remove, with_named_fields};
pub use set::FieldSet;
pub use validate::{Duplicates, validate};

use std::fmt;

/// What keeps an object from being taken apart by its schema: faults with the place of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, path: &[PathElement], fault: impl fmt::Display) {
        let place = display_path(path);
        self.0.push(if place.is_empty() { fault.to_string() } else { format!("{place}: {fault}") });
    }

    fn into_result<T>(self, value: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return f.write_str(only);
        }
        f.write_str("errors:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for Faults {}
