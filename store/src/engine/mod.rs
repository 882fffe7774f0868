//! The ordered key-value engine under the store: a trait, RocksDB and memory.
