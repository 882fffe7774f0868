//! One of the servers that are compared.

use std::path::Path;
use std::time::Duration;

use crate::error::BenchError;
use crate::measure::{Sample, Stopwatch, Tally};
use crate::proc_stat::Processes;
use crate::store::{Clients, StoreServer, load};

/// Room for every case: a million values, twice.
const QUOTA: &str = "--quota-backend-bytes=8589934592";

/// A running server and connections to it.
pub struct Subject {
    server: StoreServer,
    /// Connections to it.
    pub clients: Clients,
    /// Its process.
    pub processes: Processes,
}

impl Subject {
    /// Starts `program`, empty.
    pub async fn start(program: &Path) -> Result<Self, BenchError> {
        Self::connect(StoreServer::start(program, &[QUOTA]).await?).await
    }

    async fn connect(server: StoreServer) -> Result<Self, BenchError> {
        let clients = Clients::connect(server.endpoint()).await?;
        let processes = Processes::new(vec![server.pid()]);
        Ok(Self { server, clients, processes })
    }

    /// Ends it and starts it again on the same data. The sample's only latency is from the start of the process to its first answer.
    pub async fn restart(self) -> Result<(Self, Sample), BenchError> {
        let (server, begun) = self.server.restart().await?;
        let subject = Self::connect(server).await?;
        let mut tally = Tally::default();
        let result = load::get(subject.clients.kv(0), 0, false).await;
        tally.count(begun.elapsed(), result);
        let sample = Stopwatch::start(&subject.processes)?.stop(tally)?;
        Ok((subject, sample))
    }

    /// Returns once it does nothing any more by itself, such as sorting what was written, or when that takes very long.
    pub async fn settle(&self) -> Result<(), BenchError> {
        const LOOK: Duration = Duration::from_secs(1);
        const IDLE: Duration = Duration::from_millis(50);
        const LOOKS: usize = 60;
        for _ in 0..LOOKS {
            let before = self.processes.cpu()?;
            tokio::time::sleep(LOOK).await;
            if self.processes.cpu()?.saturating_sub(before) <= IDLE {
                break;
            }
        }
        Ok(())
    }

    /// Ends it.
    pub async fn stop(self) -> Result<(), BenchError> {
        self.server.stop().await
    }
}
