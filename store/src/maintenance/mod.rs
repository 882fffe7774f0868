//! Upkeep: compaction, quota, hashes, snapshots.
