//! The store behind one trait, and the watch cache above it.
