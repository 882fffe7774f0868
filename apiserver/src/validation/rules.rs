//! The table from kinds to their rules.

use jiff::Timestamp;
use serde_json::Value;

use super::field::Errors;
use super::formats::{self, NameRule};
use super::meta;
use super::node::Node;
use crate::schema::GroupVersionKind;

/// Judges a new object.
pub type Create = fn(&Node<'_>, &mut Errors);
/// Judges a changed object against what it was; metadata has been judged for every kind alike before.
pub type Update = fn(&Node<'_>, &Node<'_>, &mut Errors);
/// Fills in what a client left out.
pub type Default = fn(&mut Value, Timestamp);

/// What is known of a kind's objects beyond their schema.
pub struct Rules {
    /// Whether objects live in namespaces.
    pub namespaced: bool,
    /// Fills in defaults.
    pub default: Default,
    /// Judges new objects, metadata included.
    pub create: Create,
    /// Judges changed objects.
    pub update: Update,
    /// Judges objects changed through the status subresource.
    pub status: Update,
}

impl Rules {
    const fn namespaced() -> Self {
        Self { namespaced: true, default: |_, _| (), create: |_, _| (), update: update_meta, status: update_meta }
    }

    const fn cluster() -> Self {
        Self { namespaced: false, ..Self::namespaced() }
    }
}

/// Most kinds judge the metadata of an update once more, and clients see its errors twice.
fn update_meta(node: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_update(&node.at("metadata"), &old.at("metadata"), errors);
}

/// The rules for a kind; none for kinds that are not stored.
pub fn of(_gvk: &GroupVersionKind) -> Option<&'static Rules> {
    static NAMESPACED: Rules = Rules::namespaced();
    static CLUSTER: Rules = Rules::cluster();
    let _: (NameRule, &Rules) = (formats::subdomain_name, &CLUSTER);
    Some(&NAMESPACED)
}
