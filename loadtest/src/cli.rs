//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::case::Case;
use crate::torture::Fault;

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
    /// Starts a cluster of stores in network namespaces (needs root), does everything to it that can happen to one while clients
    /// work, and checks that nothing was lost: linearizability, the promises of watches, equal members.
    Torture(TortureOptions),
    /// Starts pintle-store and an etcd on this machine, drives both case by case, and prints what the one costs against the other.
    Cost(CostOptions),
}

/// How to torture a cluster.
#[derive(Debug, Clone, Args)]
pub struct TortureOptions {
    /// What faults and requests come of; a random one unless given.
    #[arg(long)]
    pub seed: Option<u64>,

    /// How long, as 45s, 30m or 2h; a number alone is in seconds. After every minute all faults are healed and everything is
    /// checked.
    #[arg(long, default_value = "60s", value_parser = parse_duration)]
    pub duration: Duration,

    /// Members of the cluster.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    pub members: u8,

    /// Clients that write and read.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub clients: u16,

    /// Do only these. Separated by commas.
    #[arg(long, value_name = "FAULT,...", value_delimiter = ',')]
    pub faults: Vec<Fault>,

    /// The server: pintle-store beside this program unless given, or any drop-in for etcd.
    #[arg(long, value_name = "PATH")]
    pub server_binary: Option<PathBuf>,
}

fn parse_duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds_per_unit = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(format!("{unit:?} is none of s, m and h")),
    };
    let number: u64 = number.parse().map_err(|_| "not a number".to_owned())?;
    number.checked_mul(seconds_per_unit).map(Duration::from_secs).ok_or_else(|| "too long".to_owned())
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

/// How to compare the store with an etcd.
#[derive(Debug, Clone, Args)]
pub struct CostOptions {
    /// The etcd to compare with; one on PATH if none is named. Without any, the store's own figures are printed.
    #[arg(long, env = "ETCD", value_name = "PATH")]
    pub etcd: Option<PathBuf>,

    /// How long a case runs on each server that has no natural end.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,

    /// Keys at first.
    #[arg(long, default_value_t = 60_000, value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    pub keys: u64,

    /// Keys in the cases that show how the cost grows with them.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1000..=1_000_000))]
    pub many_keys: u64,

    /// Bytes of each value.
    #[arg(long, default_value_t = 512, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub value_bytes: u32,

    /// Requests that are open at a time.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..))]
    pub clients: u16,

    /// Watchers of one prefix.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub watchers: u16,
}

impl CostOptions {
    /// How long a case runs that has no natural end.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
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

    #[test]
    fn durations() {
        assert_eq!(parse_duration("90"), Ok(Duration::from_secs(90)));
        assert_eq!(parse_duration("30m"), Ok(Duration::from_secs(1800)));
        assert!(parse_duration("m").is_err() && parse_duration("3d").is_err() && parse_duration("").is_err());
        let torture = Cli::try_parse_from(["pintle-loadtest", "torture", "--faults", "kill,power-loss-all"]).unwrap();
        assert!(matches!(torture.command, Command::Torture(options) if options.faults.len() == 2));
    }
}
