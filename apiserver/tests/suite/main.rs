//! Integration tests of the apiserver.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::missing_panics_doc)]

mod codec;
mod decoding;
mod defaults;
mod discovery;
mod hostile;
mod kubectl;
mod mutations;
mod openapi;
mod parity;
mod patches;
mod program;
mod server;
mod storage;
mod tables;
mod testdata;
mod tidy;
mod writes;
mod yaml;
