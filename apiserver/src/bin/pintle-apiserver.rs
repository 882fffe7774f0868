//! `pintle-apiserver`: see [`pintle_apiserver::config::Config`] for its flags.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::Parser;
use pintle_apiserver::config::{self, Config};
use pintle_apiserver::server::Server;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (counting, ignored) = config::separate(std::env::args());
    let config = match Config::try_parse_from(counting) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    log(config.verbosity);
    for flag in ignored {
        tracing::warn!("--{flag} has no effect here and is passed over");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(|e| format!("cannot start threads: {e}; check the limits on processes")) {
        Ok(runtime) => runtime.block_on(run(&config)),
        Err(error) => fail(&error),
    }
}

async fn run(config: &Config) -> ExitCode {
    let stop = match stop_signal() {
        Ok(stop) => stop,
        Err(error) => return fail(&format!("cannot wait for signals: {error}")),
    };
    let server = match Server::start(config).await {
        Ok(server) => server,
        Err(error) => return fail(&error.to_string()),
    };
    announce(&server);
    match server.serve(stop).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => fail(&reason),
    }
}

/// Answers a command line that does not parse, or asks for help.
fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        // If standard output is closed there is nobody to tell.
        return error.print().map_or(ExitCode::FAILURE, |()| ExitCode::SUCCESS);
    }
    fail(&config::refusal(error))
}

/// Completes at Ctrl-C or SIGTERM.
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Says to the user that the server is ready. A closed standard output is no reason to stop.
fn announce(server: &Server) {
    let mut out = std::io::stdout().lock();
    let said = writeln!(
        out,
        "pintle-apiserver is ready at {}\n  export KUBECONFIG={}",
        server.url(),
        server.kubeconfig().display()
    );
    if let Err(error) = said.and_then(|()| out.flush()) {
        tracing::debug!(%error, "nobody reads the ready line");
    }
}

#[allow(clippy::print_stderr, reason = "why the program does not start is said to its user")]
fn fail(error: &str) -> ExitCode {
    eprintln!("pintle-apiserver: {error}");
    ExitCode::FAILURE
}

fn log(verbosity: u8) {
    let level = match verbosity {
        0 | 1 => "warn",
        2 | 3 => "info",
        4 | 5 => "debug",
        _ => "trace",
    };
    // What openraft warns of is of its inside; what goes wrong for good is said by the store.
    let raft_level = if verbosity < 4 { "error" } else { level };
    let default = || EnvFilter::new(format!("{level},openraft={raft_level}"));
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default());
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
}
