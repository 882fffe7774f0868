//! The store as a program: a drop-in for etcd, of one node.

mod auth_token;
mod flags;
mod unsupported;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use clap::error::ErrorKind;
use pintle_store::http::{self, Endpoint, Listener, Server, ServerSettings};
use pintle_store::{Store, version};
use rustls::ServerConfig;
use tokio::signal::unix::{SignalKind, signal};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::flags::Flags;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the program ends with if it cannot start or go on: one line for the person who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let (arguments, ignored) = unsupported::take_out(std::env::args());
    let flags = match Flags::try_parse_from(arguments) {
        Ok(flags) => flags,
        Err(error) => return refuse(&error),
    };
    if flags.version {
        return print(&format!("etcd Version: {}\nPintle Version: {}\n", version::SERVER, env!("CARGO_PKG_VERSION")));
    }
    start_log(&flags);
    for flag in ignored.into_iter().chain(unsupported::in_environment(std::env::vars())) {
        tracing::warn!(flag, "this flag of etcd has no effect here and is ignored");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start threads: {error}; check the limits on processes and memory")),
    };
    match runtime.block_on(run(&flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure.to_string()),
    }
}

/// Opens the store, serves it until a signal comes, and closes it.
async fn run(flags: &Flags) -> Result<(), Failure> {
    // Before anything else, so that a signal during a long start is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let config = flags.store_config()?;
    let endpoints = flags.client_endpoints()?;
    let metrics_endpoints = flags.metrics_endpoints()?;
    let tls = if endpoints.iter().chain(&metrics_endpoints).any(|(_, endpoint)| endpoint.tls) {
        Some(flags.tls_files().load()?)
    } else {
        None
    };
    // The ports before the data: who finds them in use has not touched anything yet.
    let listeners = bind(endpoints).await?;
    let metrics_listeners = bind(metrics_endpoints).await?;

    let store = tokio::select! {
        store = Store::open(config) => store?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let settings = flags.server_settings(&store);
    let servers = serve(&store, listeners, metrics_listeners, tls.as_ref(), settings);

    let halted = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        reason = store.stopped() => Some(reason.unwrap_or_else(|| "the store has stopped".to_owned())),
    };
    tracing::info!("stopping");
    for server in servers {
        server.shutdown().await;
    }
    store.shutdown().await?;
    halted.map_or(Ok(()), |reason| Err(reason.into()))
}

type Bound = Vec<(String, Endpoint, Listener)>;

async fn bind(endpoints: Vec<(String, Endpoint)>) -> Result<Bound, Failure> {
    let mut bound = Vec::new();
    for (url, endpoint) in endpoints {
        let listener = Listener::bind(&endpoint.address).await?;
        bound.push((url, endpoint, listener));
    }
    Ok(bound)
}

fn serve(
    store: &Store,
    clients: Bound,
    metrics: Bound,
    tls: Option<&Arc<ServerConfig>>,
    settings: ServerSettings,
) -> Vec<Server> {
    let tls_of = |endpoint: &Endpoint| tls.filter(|_| endpoint.tls).cloned();
    let mut servers = Vec::new();
    for (url, endpoint, listener) in metrics {
        tracing::info!(%url, "serving health");
        servers.push(http::serve_metrics(store, listener, tls_of(&endpoint)));
    }
    for (url, endpoint, listener) in clients {
        let address = listener.tcp_address().map(|address| address.to_string());
        servers.push(http::serve(store, listener, tls_of(&endpoint), settings));
        tracing::info!(%url, address, "ready to serve client requests");
    }
    servers
}

/// Logs to standard error, as etcd does.
fn start_log(flags: &Flags) {
    let level = flags.log_level.0;
    // What openraft calls info tells of its inside.
    let raft_level = if level == LevelFilter::DEBUG { level } else { level.min(LevelFilter::WARN) };
    let filter = Targets::new().with_default(level).with_target("openraft", raft_level);
    let writer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let registry = tracing_subscriber::registry().with(filter);
    if flags.log_format == "console" {
        registry.with(writer).init();
    } else {
        registry.with(writer.json().flatten_event(true)).init();
    }
}

/// Answers a command line that does not parse, or asks for help.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return print(&error.to_string());
    }
    let text = error.to_string();
    let line = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
    fail(&format!("{line}; see --help"))
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(line: &str) -> ExitCode {
    // If standard error is closed there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "pintle-store: {line}");
    ExitCode::FAILURE
}
