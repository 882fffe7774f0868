//! The storage backends: one contract, kept by each, what only one over the network meets, and collections on top.

mod backends;
mod collections;
mod contract;
mod network;
