//! An apiserver started for a benchmark, with its store inside.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;

use tempfile::TempDir;

use crate::error::BenchError;
use crate::process::Process;

use super::client::Target;

/// What it prints when it can be used.
const READY: &str = "is ready at";
/// It serves on loopback, for as long as the benchmark takes, and knows nobody else.
const TOKEN: &str = "benchmark";

/// An apiserver with a directory and a port of its own. The directory is removed with it.
#[derive(Debug)]
pub struct Apiserver {
    process: Process,
    target: Target,
    _directory: TempDir,
}

impl Apiserver {
    /// Starts `program`, which is `pintle-apiserver`, empty.
    pub async fn start(program: &Path) -> Result<Self, BenchError> {
        let failed = BenchError::local("cannot prepare a temporary directory for the apiserver");
        let directory = TempDir::new().map_err(&failed)?;
        let (data, tokens) = (directory.path().join("data"), directory.path().join("tokens.csv"));
        std::fs::write(&tokens, format!("{TOKEN},benchmark,benchmark,system:masters\n")).map_err(&failed)?;
        // Somebody could take the port before the server does; then it says so.
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let address = free.map_err(BenchError::local("no free port on 127.0.0.1"))?;
        let arguments: Vec<OsString> = vec![
            "--data-dir".into(),
            data.clone().into(),
            "--token-auth-file".into(),
            tokens.into(),
            format!("--secure-port={}", address.port()).into(),
            "--bind-address=127.0.0.1".into(),
        ];
        let process = Process::start(program, &arguments, READY).await?;
        let ca = data.join("pki").join("ca.crt");
        let target = Target { address: address.to_string(), ca, token: TOKEN.to_owned() };
        Ok(Self { process, target, _directory: directory })
    }

    /// How to reach it.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Ends it.
    pub async fn stop(self) -> Result<(), BenchError> {
        self.process.stop().await
    }
}
