//! The store's cases: etcd's API over gRPC, as an apiserver uses it.

mod client;
pub mod load;
mod server;
pub mod watch;

use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::Instant;

pub use client::Clients;
pub use server::StoreServer;

use crate::case::{Case, Kind};
use crate::cli::BenchOptions;
use crate::error::BenchError;
use crate::measure::{Sample, Stopwatch, Tally};
use crate::proc_stat::Processes;
use crate::table::Row;

/// Measures a server that is already running. It is not restarted: that is left to whoever started it.
pub async fn measure_running(
    endpoint: &str,
    pids: &[u32],
    options: &BenchOptions,
    bar: &ProgressBar,
) -> Result<Vec<Row>, BenchError> {
    let clients = Clients::connect(endpoint).await?;
    let processes = Processes::new(pids.to_vec());
    let mut rows = Vec::new();
    for case in Case::selected(Kind::Store, &options.only) {
        if case == Case::Restart {
            continue;
        }
        bar.set_message(format!("{endpoint}: {}", case.title()));
        rows.push(Row { case, sample: run(case, &clients, &processes, options).await? });
        bar.inc(1);
    }
    Ok(rows)
}

/// Measures a server that was started for this, and ends it.
pub async fn measure_started(
    server: StoreServer,
    options: &BenchOptions,
    bar: &ProgressBar,
) -> Result<Vec<Row>, BenchError> {
    let mut rows = measure_running(server.endpoint(), &[server.pid()], options, bar).await?;
    if Case::selected(Kind::Store, &options.only).contains(&Case::Restart) {
        bar.set_message(format!("{}: {}", server.endpoint(), Case::Restart.title()));
        rows.push(Row { case: Case::Restart, sample: restart(server).await? });
        bar.inc(1);
    } else {
        server.stop().await?;
    }
    Ok(rows)
}

async fn run(
    case: Case,
    clients: &Clients,
    processes: &Processes,
    options: &BenchOptions,
) -> Result<Sample, BenchError> {
    match case {
        Case::Watch => watch::run(clients, processes, usize::from(options.watchers), options.value_bytes).await,
        case => load::run(case, clients, processes, options).await,
    }
}

/// Ends the server, starts it again on the same data, and reads. Its latency is from the start of the process to the answer.
async fn restart(server: StoreServer) -> Result<Sample, BenchError> {
    let (server, begun) = server.restart().await?;
    let processes = Processes::new(vec![server.pid()]);
    let (elapsed, result) = first_read(&server, begun).await;
    let mut tally = Tally::default();
    tally.count(elapsed, result);
    let sample = Stopwatch::start(&processes)?.stop(tally)?;
    let sample = Sample { elapsed, cpu: processes.cpu()?, ..sample };
    server.stop().await?;
    Ok(sample)
}

async fn first_read(server: &StoreServer, begun: Instant) -> (Duration, Result<u64, String>) {
    let clients = Clients::connect(server.endpoint()).await;
    let result = match &clients {
        Ok(clients) => load::get(clients.kv(0), 0, false).await,
        Err(error) => Err(error.to_string()),
    };
    (begun.elapsed(), result)
}
