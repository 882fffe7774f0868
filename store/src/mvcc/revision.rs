//! The store's clock.

/// When a key changed: the transaction (`main`) and the place within it (`sub`). Ordered as things happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision {
    /// Counts transactions that wrote something; a fresh store is at 1.
    pub main: i64,
    /// Counts the changes of one transaction from 0.
    pub sub: u32,
}

impl Revision {
    /// The revision of a store that was never written to.
    pub const FRESH: i64 = 1;

    /// The first possible change of a transaction.
    pub fn first_of(main: i64) -> Self {
        Self { main, sub: 0 }
    }

    /// The last possible change of a transaction.
    pub fn last_of(main: i64) -> Self {
        Self { main, sub: u32::MAX }
    }
}
