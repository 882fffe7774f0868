//! Load generation, benchmarks and history checking.
