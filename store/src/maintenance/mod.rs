//! Upkeep: compaction, quota, hashes, snapshots.

pub mod quota;
