//! Generates the built-in schema table from recorded facts.

fn main() {}
