//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::case::Case;

/// Load generator for Pintle's servers, and for those they replace.
#[derive(Debug, Parser)]
#[command(name = "pintle-loadtest", version, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Starts both servers on this machine, drives them case by case, and prints their processor time per operation, throughput,
    /// latency and memory.
    Bench(BenchOptions),
}

/// How to benchmark.
#[derive(Debug, Clone, Args)]
pub struct BenchOptions {
    /// Run only these cases, and what fills the servers for them. Separated by commas.
    #[arg(long, value_name = "CASE,...", value_delimiter = ',')]
    pub only: Vec<Case>,

    /// How long a case runs that has no natural end.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,

    /// Keys in the store.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub keys: u64,

    /// Bytes of each value in the store.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub value_bytes: u32,

    /// Requests that are open to the store at a time.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub clients: u16,

    /// Pods of 4 KB in the apiserver; one namespace for every 200, one node for every 20.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=200_000))]
    pub pods: u64,

    /// Watchers of the watch cases.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub watchers: u16,

    /// An etcd to start and measure in the same run, for ratios.
    #[arg(long, value_name = "PATH", conflicts_with_all = ["endpoints", "server"])]
    pub against: Option<PathBuf>,

    /// A running etcd to measure in the same run, for ratios, as host:port. The apiservers are left out.
    #[arg(long, value_name = "HOST:PORT", requires = "pid", conflicts_with = "server")]
    pub endpoints: Option<String>,

    /// A running kube-apiserver to measure in the same run, for ratios, as https://host:port. The stores are left out.
    #[arg(long, value_name = "URL", requires_all = ["pid", "token", "ca"])]
    pub server: Option<String>,

    /// The processes behind --endpoints or --server, whose processor time and memory count. Separated by commas.
    #[arg(long, value_name = "PID,...", value_delimiter = ',')]
    pub pid: Vec<u32>,

    /// A bearer token of a user in system:masters, for --server.
    #[arg(long)]
    pub token: Option<String>,

    /// The CA that --server is verified by (PEM).
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
}

impl BenchOptions {
    /// How long a case runs that has no natural end.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// Namespaces that the pods are spread over.
    pub fn namespaces(&self) -> u64 {
        self.pods.div_ceil(200)
    }

    /// Nodes that the pods are spread over.
    pub fn nodes(&self) -> u64 {
        self.pods.div_ceil(20)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_flags_are_consistent() {
        Cli::command().debug_assert();
        let parse = |arguments: &[&str]| Cli::try_parse_from([&["pintle-loadtest", "bench"], arguments].concat());
        assert!(parse(&["--only", "put,list-json", "--seconds", "1"]).is_ok());
        assert!(parse(&["--only", "nothing"]).is_err());
        assert!(parse(&["--endpoints", "127.0.0.1:2379"]).is_err(), "whose processor time?");
        assert!(parse(&["--endpoints", "127.0.0.1:2379", "--pid", "1,2"]).is_ok());
    }
}
