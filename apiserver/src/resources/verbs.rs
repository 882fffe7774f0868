//! The set of verbs that a resource answers to.

use std::fmt;
use std::ops::BitOr;

/// A set of API verbs, by the names that discovery and authorization use.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Verbs(u16);

impl Verbs {
    /// No verb.
    pub const NONE: Self = Self(0);
    /// `create`: POST to the collection.
    pub const CREATE: Self = Self(1);
    /// `delete`: DELETE of one object.
    pub const DELETE: Self = Self(1 << 1);
    /// `deletecollection`: DELETE of the collection.
    pub const DELETE_COLLECTION: Self = Self(1 << 2);
    /// `get`: GET of one object.
    pub const GET: Self = Self(1 << 3);
    /// `list`: GET of the collection.
    pub const LIST: Self = Self(1 << 4);
    /// `patch`: PATCH of one object.
    pub const PATCH: Self = Self(1 << 5);
    /// `update`: PUT of one object.
    pub const UPDATE: Self = Self(1 << 6);
    /// `watch`: GET of the collection with `watch=true`.
    pub const WATCH: Self = Self(1 << 7);

    /// Every verb of a stored resource.
    pub const ALL: Self = Self(0xff);

    /// Each verb with its name, in alphabetical order, which is the order of discovery.
    const NAMES: [(Self, &'static str); 8] = [
        (Self::CREATE, "create"),
        (Self::DELETE, "delete"),
        (Self::DELETE_COLLECTION, "deletecollection"),
        (Self::GET, "get"),
        (Self::LIST, "list"),
        (Self::PATCH, "patch"),
        (Self::UPDATE, "update"),
        (Self::WATCH, "watch"),
    ];

    /// The set of the named verbs; names that are no verb are passed over.
    pub fn of(names: &str) -> Self {
        names.split(' ').filter_map(Self::named).fold(Self::NONE, BitOr::bitor)
    }

    /// The verb of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, n)| *n == name).map(|(verb, _)| *verb)
    }

    /// Whether all of `other` are in the set.
    pub fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The verbs' names in the order of discovery.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES.iter().filter(move |(verb, _)| self.contains(*verb)).map(|(_, name)| *name)
    }

    /// Whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Verbs {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Verbs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back_in_alphabetical_order() {
        let verbs = Verbs::of("watch get create nonsense");
        assert_eq!(verbs.names().collect::<Vec<_>>(), ["create", "get", "watch"]);
        assert!(verbs.contains(Verbs::GET) && !verbs.contains(Verbs::GET | Verbs::LIST));
        assert_eq!(Verbs::ALL.names().count(), 8);
    }
}
