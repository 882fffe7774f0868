//! `pintle-loadtest`: see [`pintle_loadtest::cli`] for its flags.

use std::process::ExitCode;

use clap::Parser;
use pintle_loadtest::cli::{Cli, Command, TortureOptions};
use pintle_loadtest::torture::{self, Failure, TortureError};
use pintle_loadtest::{bench, cost};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
#[allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the tables, or why there are none, are what the program says"
)]
async fn main() -> ExitCode {
    let said = match Cli::parse().command {
        Command::Bench(options) => bench::run(&options).await.map_err(|error| error.to_string()),
        Command::Cost(options) => cost::run(&options).await.map_err(|error| error.to_string()),
        Command::Torture(options) => torture(&options).await,
    };
    match said {
        Ok(said) => {
            println!("{said}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("pintle-loadtest: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What was survived, or why it was not. On a machine where it cannot be done that is said, and no failure.
#[allow(clippy::print_stdout, reason = "each fault is told as it is done")]
async fn torture(options: &TortureOptions) -> Result<String, String> {
    let beside = bench::beside("pintle-store").map_err(|error| error.to_string())?;
    let program = options.server_binary.clone().unwrap_or(beside);
    match torture::run(&program, options, |news| println!("{news}")).await {
        Ok(report) => Ok(report.to_string()),
        Err(Failure { error: TortureError::Unavailable(why), .. }) => Ok(format!("skipped: {why}")),
        Err(failure) => Err(failure.to_string()),
    }
}
