//! What a store promised and did not keep.

use std::fmt;

/// A promise of etcd's API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// All operations took effect one after the other, each between its invocation and its return.
    Linearizable,
    /// What was acknowledged is still there.
    Durable,
    /// Every member tells the same past, and it follows from itself: revisions, versions, previous values.
    Consistent,
    /// Events come in the order of their revisions.
    Ordered,
    /// No event comes twice.
    Unique,
    /// No event is left out.
    Reliable,
    /// The events of one revision come together.
    Atomic,
    /// A watch goes on after an interruption where it was.
    Resumable,
    /// After a progress notification no older event comes.
    Bookmarkable,
    /// An event tells what was there before it.
    PrevKv,
}

/// A promise that was broken, and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Violation {
    /// Which promise.
    pub guarantee: Guarantee,
    /// What was seen, with what leads up to it; may have many lines.
    pub detail: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not {:?}: {}", self.guarantee, self.detail)
    }
}

impl Guarantee {
    /// This promise, broken.
    pub fn broken(self, detail: impl Into<String>) -> Violation {
        Violation { guarantee: self, detail: detail.into() }
    }
}
