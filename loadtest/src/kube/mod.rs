//! The apiserver's cases: Kubernetes' API over HTTP/2 and TLS.

mod client;
mod load;
mod manifest;
mod server;
mod watch;

use indicatif::ProgressBar;

pub use client::{Clients, Target};
pub use server::Apiserver;

use crate::case::{Case, Kind};
use crate::cli::BenchOptions;
use crate::error::BenchError;
use crate::proc_stat::Processes;
use crate::table::Row;

/// Measures a server that is running; `pids` are its processes.
pub async fn measure(
    target: &Target,
    pids: &[u32],
    options: &BenchOptions,
    bar: &ProgressBar,
) -> Result<Vec<Row>, BenchError> {
    let clients = Clients::connect(target).await?;
    let processes = Processes::new(pids.to_vec());
    manifest::make_namespaces(&clients, options.namespaces()).await?;
    let mut rows = Vec::new();
    for case in Case::selected(Kind::Apiserver, &options.only) {
        bar.set_message(format!("{}: {}", target.address, case.title()));
        let sample = match case {
            Case::WatchNamespace => watch::run(&clients, &processes, options).await?,
            case => load::run(case, &clients, &processes, options).await?,
        };
        rows.push(Row { case, sample });
        bar.inc(1);
    }
    Ok(rows)
}
