//! Integration tests of the apiserver.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "replays tell what does not agree yet")]

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
