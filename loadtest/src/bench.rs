//! A benchmark from start to end: what is started and measured, in which order, and the tables that come of it.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::case::{Case, Kind};
use crate::cli::BenchOptions;
use crate::error::BenchError;
use crate::kube::{self, Apiserver, Target};
use crate::store::{self, StoreServer};
use crate::table;

/// Measures what `options` ask for and returns the tables.
pub async fn run(options: &BenchOptions) -> Result<String, BenchError> {
    let bar = progress(options);
    let mut tables = Vec::new();
    if options.server.is_none() && !Case::selected(Kind::Store, &options.only).is_empty() {
        tables.push(stores(options, &bar).await?);
    }
    if options.endpoints.is_none() && !Case::selected(Kind::Apiserver, &options.only).is_empty() {
        tables.push(apiservers(options, &bar).await?);
    }
    bar.finish_and_clear();
    Ok(tables.join("\n"))
}

/// One server at a time, so that none is measured beside another.
async fn stores(options: &BenchOptions, bar: &ProgressBar) -> Result<String, BenchError> {
    let server = StoreServer::start(&beside("pintle-store")?, &[]).await?;
    let rows = store::measure_started(server, options, bar).await?;
    let reference = match &options.endpoints {
        Some(endpoint) => store::measure_running(endpoint, &options.pid, options, bar).await?,
        None => Vec::new(),
    };
    let title = format!(
        "pintle-store ({} keys, values of {} B, {} clients)",
        options.keys, options.value_bytes, options.clients
    );
    Ok(table::figures(&title, &rows, &reference))
}

async fn apiservers(options: &BenchOptions, bar: &ProgressBar) -> Result<String, BenchError> {
    let server = Apiserver::start(&beside("pintle-apiserver")?).await?;
    let rows = kube::measure(server.target(), &[server.pid()], options, bar).await?;
    server.stop().await?;
    let reference = match running_apiserver(options) {
        Some(target) => kube::measure(&target, &options.pid, options, bar).await?,
        None => Vec::new(),
    };
    let title = format!("pintle-apiserver ({} pods of 4 KB, {} nodes)", options.pods, options.nodes());
    Ok(table::figures(&title, &rows, &reference))
}

/// The server that `--server` names.
fn running_apiserver(options: &BenchOptions) -> Option<Target> {
    let address = options.server.as_deref()?.trim_start_matches("https://").trim_end_matches('/').to_owned();
    Some(Target { address, ca: options.ca.clone()?, token: options.token.clone()? })
}

/// A program in the directory of this one.
pub fn beside(program: &str) -> Result<PathBuf, BenchError> {
    let own = std::env::current_exe().map_err(BenchError::local("cannot find this program's directory"))?;
    Ok(own.with_file_name(program))
}

/// One step a case, on the terminal if there is one.
fn progress(options: &BenchOptions) -> ProgressBar {
    let cases = |kind| u64::try_from(Case::selected(kind, &options.only).len()).unwrap_or_default();
    let total = match (&options.endpoints, &options.server) {
        (Some(_), _) => 2 * cases(Kind::Store),
        (None, Some(_)) => 2 * cases(Kind::Apiserver),
        (None, None) => cases(Kind::Store) + cases(Kind::Apiserver),
    };
    let bar = ProgressBar::new(total);
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {bar:20} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What is being done, on the terminal if there is one.
pub(crate) fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{elapsed:>4} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
