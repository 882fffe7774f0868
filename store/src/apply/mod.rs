//! The replicated commands and the pure function that applies them.

pub mod command;
