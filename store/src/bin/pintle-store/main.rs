//! The store as a program: a drop-in for etcd.

mod arguments;
mod check;
mod command;
mod config_file;
mod defrag;
mod flags;
mod import;
mod log;
mod progress;
mod snapshot;
mod unsupported;

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use clap::error::{ContextKind, ErrorKind};
use pintle_store::http::{self, Endpoint, Listener, Server, ServerSettings, Traffic};
use pintle_store::tls::ServerTls;
use pintle_store::{Store, version};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::{ArgumentError, Arguments};
use crate::command::Command;
use crate::flags::Flags;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the program ends with if it cannot start or go on: one line for the person who started it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    if command::is_command(std::env::args_os()) {
        return match Command::try_parse() {
            Ok(command) => command.run().map_or_else(|failure| fail(&failure.to_string()), |text| print(&text)),
            Err(error) => refuse(&error),
        };
    }
    let arguments = match arguments::gather(std::env::args(), std::env::vars()) {
        Ok(arguments) => arguments,
        Err(ArgumentError::Flags(error)) => return refuse(&error),
        Err(error) => return fail(&error.to_string()),
    };
    let flags = &arguments.flags;
    if flags.version {
        return print(&format!("etcd Version: {}\nPintle Version: {}\n", version::SERVER, env!("CARGO_PKG_VERSION")));
    }
    if let Err(failure) = log::start(&flags.monitoring) {
        return fail(&failure.to_string());
    }
    tell(&arguments);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("cannot start threads: {error}; check the limits on processes and memory")),
    };
    match runtime.block_on(run(flags)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure.to_string()),
    }
}

/// Opens the store, serves it until a signal comes, and closes it.
async fn run(flags: &Flags) -> Result<(), Failure> {
    // Before anything else, so that a signal during a long start is not lost.
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    flags.monitor();
    let config = flags.store_config()?;
    let places = [
        (Role::Metrics, flags.metrics_endpoints()?),
        (Role::Http, flags.http_endpoints()?),
        (Role::Clients, flags.client_endpoints()?),
    ];
    let peers = config.cluster.listen_peer.clone();
    let peer_tls = if peers.iter().any(|(_, endpoint)| endpoint.tls) {
        Some(ServerTls::load(&config.cluster.peer_tls)?)
    } else {
        None
    };
    let any_encrypted = places.iter().flat_map(|(_, endpoints)| endpoints).any(|(_, endpoint)| endpoint.tls);
    let tls = flags.client_tls(any_encrypted)?;
    // The ports before the data: who finds them in use has not touched anything yet.
    let mut bound = Vec::new();
    for (role, endpoints) in places {
        for (url, endpoint) in endpoints {
            let listener = Listener::bind(&endpoint.address, flags.reuses_port()).await?;
            bound.push(Bound { role, url, endpoint, listener });
        }
    }

    let mut peer_listeners = Vec::new();
    for (url, endpoint) in peers {
        let listener = Listener::bind(&endpoint.address, flags.reuses_port()).await?;
        peer_listeners.push((url, endpoint, listener));
    }

    let store = tokio::select! {
        store = Store::start(config) => store?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    // Before the store is ready, which it is not without its peers.
    let mut servers = serve_peers(&store, peer_listeners, peer_tls.as_ref());
    let ready = tokio::select! {
        ready = store.ready() => ready.map(|()| true).map_err(Failure::from),
        reason = store.stopped() => Err(reason.unwrap_or_else(|| "the store has stopped".to_owned()).into()),
        _ = terminate.recv() => Ok(false),
        _ = interrupt.recv() => Ok(false),
    };
    if !matches!(ready, Ok(true)) {
        stop(store, servers).await?;
        return ready.map(drop);
    }
    let settings = flags.server_settings(&store);
    servers.extend(serve(&store, bound, tls.as_ref(), &settings));

    let halted = tokio::select! {
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        reason = store.stopped() => Some(reason.unwrap_or_else(|| "the store has stopped".to_owned())),
    };
    if halted.is_none() {
        // While the others can still be heard.
        store.hand_over().await;
    }
    stop(store, servers).await?;
    halted.map_or(Ok(()), |reason| Err(reason.into()))
}

/// Closes everything. Connections first, so that nothing is cut off that could still be answered.
async fn stop(store: Store, servers: Vec<Server>) -> Result<(), Failure> {
    tracing::info!("stopping");
    for server in servers {
        server.shutdown().await;
    }
    Ok(store.shutdown().await?)
}

/// Serves other members.
fn serve_peers(store: &Store, listeners: Vec<(String, Endpoint, Listener)>, tls: Option<&ServerTls>) -> Vec<Server> {
    let serve = |(url, endpoint, listener): (String, Endpoint, Listener)| {
        tracing::info!(%url, "serving peer traffic");
        http::serve_peers(store, listener, tls.filter(|_| endpoint.tls).cloned())
    };
    listeners.into_iter().map(serve).collect()
}

/// What a listener is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Health and metrics alone.
    Metrics,
    /// Plain HTTP alone, which the listeners for clients then leave out.
    Http,
    /// Everything.
    Clients,
}

struct Bound {
    role: Role,
    url: String,
    endpoint: Endpoint,
    listener: Listener,
}

fn serve(store: &Store, bound: Vec<Bound>, tls: Option<&ServerTls>, settings: &ServerSettings) -> Vec<Server> {
    let apart = bound.iter().any(|bound| bound.role == Role::Http);
    let mut servers = Vec::new();
    for Bound { role, url, endpoint, listener } in bound {
        let tls = tls.filter(|_| endpoint.tls).cloned();
        let address = listener.tcp_address().map(|address| address.to_string());
        let traffic = match role {
            Role::Metrics => {
                servers.push(http::serve_metrics(store, listener, tls));
                tracing::info!(%url, address, "serving metrics and health");
                continue;
            }
            Role::Http => Traffic::Http,
            Role::Clients if apart => Traffic::Grpc,
            Role::Clients => Traffic::All,
        };
        servers.push(http::serve(store, listener, tls, ServerSettings { traffic, ..settings.clone() }));
        if role == Role::Clients {
            tracing::info!(%url, address, "ready to serve client requests");
        } else {
            tracing::info!(%url, address, "serving plain HTTP");
        }
    }
    servers
}

/// Logs what of the settings does not count.
fn tell(arguments: &Arguments) {
    for flag in &arguments.without_effect {
        tracing::warn!(flag, "this flag of etcd has no effect here and is ignored");
    }
    for name in &arguments.unknown {
        tracing::warn!(name, "unrecognized setting");
    }
    for flag in &arguments.outvoted {
        tracing::warn!(flag, "with --config-file, other flags and environment variables are ignored");
    }
    if !arguments.flags.feature_gates.is_empty() {
        tracing::warn!(
            flag = "--feature-gates",
            "what etcd's feature gates choose between is not there to be chosen here"
        );
    }
}

/// Answers a command line that does not parse, or asks for help.
fn refuse(error: &clap::Error) -> ExitCode {
    if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
        return print(&error.to_string());
    }
    fail(&format!("{}; see --help", complaint(error)))
}

/// What is wrong with a command line, in etcd's words where it has some.
fn complaint(error: &clap::Error) -> String {
    let context = |kind| error.get(kind).map(ToString::to_string);
    let flag = context(ContextKind::InvalidArg).map(|flag| {
        let name = flag.split([' ', '=', '[']).next().unwrap_or_default();
        name.trim_start_matches('-').to_owned()
    });
    match (error.kind(), flag, context(ContextKind::InvalidValue)) {
        (ErrorKind::UnknownArgument, Some(flag), _) => format!("flag provided but not defined: --{flag}"),
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, Some(flag), Some(value)) => {
            let cause =
                std::error::Error::source(error).map_or_else(|| "invalid value".to_owned(), ToString::to_string);
            format!("invalid value {value:?} for flag -{flag}: {cause}")
        }
        _ => error.to_string().lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned(),
    }
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
