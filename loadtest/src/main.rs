//! `pintle-loadtest`: see [`pintle_loadtest::cli`] for its flags.

use std::process::ExitCode;

use clap::Parser;
use pintle_loadtest::bench;
use pintle_loadtest::cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the tables, or why there are none, are what the program says"
)]
async fn main() -> ExitCode {
    let Command::Bench(options) = Cli::parse().command;
    match bench::run(&options).await {
        Ok(tables) => {
            println!("{tables}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pintle-loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}
