//! Load generation and benchmarks: both servers, seen only over the wire.
//!
//! [`bench`](mod@bench) starts what is measured and prints the tables; [`cost`] compares
//! the store with an etcd; [`measure`] drives one case; [`store`] and [`kube`] say what the
//! cases do.

pub mod bench;
pub mod case;
pub mod cli;
pub mod cost;
pub mod error;
pub mod histogram;
pub mod history;
pub mod kube;
pub mod measure;
pub mod proc_stat;
pub mod process;
pub mod store;
pub mod table;
pub mod torture;
