//! Multi-version concurrency control over the engine: revisions, ranges, transactions, compaction.

pub mod revision;
