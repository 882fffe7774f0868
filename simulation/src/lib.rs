//! A seeded simulator: a cluster of the store's real cores over a network, disks and a clock of its own. Everything is in
//! the tests; this crate is apart from the store's so that only they are built with a clock that can be stopped.
