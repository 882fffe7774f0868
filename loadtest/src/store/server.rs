//! A store started for a benchmark: ours or an etcd, with the same flags.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tokio::time::Instant;

use crate::error::BenchError;
use crate::process::Process;

/// What both print when they can be used.
const READY: &str = "ready to serve client requests";

/// A store with a directory and ports of its own. The directory is removed with it.
#[derive(Debug)]
pub struct StoreServer {
    process: Process,
    program: PathBuf,
    arguments: Vec<OsString>,
    endpoint: String,
    directory: TempDir,
}

impl StoreServer {
    /// Starts `program`, a drop-in for etcd, alone and empty, with `flags` besides those that say where everything is.
    pub async fn start(program: &Path, flags: &[&str]) -> Result<Self, BenchError> {
        let directory = TempDir::new().map_err(BenchError::local("cannot make a temporary directory"))?;
        let [endpoint, peer] = free_addresses()?;
        let mut arguments: Vec<OsString> = vec!["--data-dir".into(), directory.path().join("data").into()];
        arguments.extend(
            [
                format!("--listen-client-urls=http://{endpoint}"),
                format!("--advertise-client-urls=http://{endpoint}"),
                format!("--listen-peer-urls=http://{peer}"),
                format!("--initial-advertise-peer-urls=http://{peer}"),
                format!("--initial-cluster=default=http://{peer}"),
            ]
            .map(OsString::from),
        );
        arguments.extend(flags.iter().map(OsString::from));
        let process = Process::start(program, &arguments, READY).await?;
        Ok(Self { process, program: program.to_owned(), arguments, endpoint, directory })
    }

    /// Where it serves clients: host and port.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it.
    pub async fn stop(self) -> Result<(), BenchError> {
        self.process.stop().await
    }

    /// Ends it and starts it again on the same data. Also tells when the new process was started.
    pub async fn restart(self) -> Result<(Self, Instant), BenchError> {
        let Self { process, program, arguments, endpoint, directory } = self;
        process.stop().await?;
        let started = Instant::now();
        let process = Process::start(&program, &arguments, READY).await?;
        Ok((Self { process, program, arguments, endpoint, directory }, started))
    }
}

/// Two addresses on loopback that nobody listens on. Somebody could take them before the server does; then it says so.
fn free_addresses() -> Result<[String; 2], BenchError> {
    let failed = BenchError::local("no free port on 127.0.0.1");
    let listen = || TcpListener::bind("127.0.0.1:0");
    let listeners = [listen().map_err(&failed)?, listen().map_err(&failed)?];
    let [a, b] = listeners.map(|listener| listener.local_addr().map(|address| address.to_string()));
    Ok([a.map_err(&failed)?, b.map_err(&failed)?])
}
