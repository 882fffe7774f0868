//! A server as a child process: started, waited for, stopped.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::BenchError;

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);
/// Lines of its output that an error repeats.
const LINES_SAID: usize = 20;

/// A running server. Killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pid: u32,
}

impl Process {
    /// Runs `program` and waits until it prints a line that contains `ready`.
    pub async fn start(program: &Path, arguments: &[OsString], ready: &str) -> Result<Self, BenchError> {
        let spawn = |source| BenchError::Spawn { program: program.to_owned(), source };
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().map_err(spawn)?;
        let (sender, mut lines) = mpsc::channel(LINES_SAID);
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            tokio::spawn(follow(stdout, sender.clone()));
            tokio::spawn(follow(stderr, sender));
        }
        let deadline = Instant::now() + PATIENCE;
        let mut said = VecDeque::new();
        while let Ok(Some(line)) = timeout_at(deadline, lines.recv()).await {
            if line.contains(ready) {
                let pid = child.id().ok_or_else(|| spawn(std::io::ErrorKind::NotFound.into()))?;
                return Ok(Self { child, pid });
            }
            if said.len() == LINES_SAID {
                said.pop_front();
            }
            said.push_back(line);
        }
        Err(BenchError::NotReady { program: program.to_owned(), said: Vec::from(said).join("\n") })
    }

    /// Its id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(mut self) -> Result<(), BenchError> {
        let failed = BenchError::local("cannot stop the server");
        let sent = Command::new("kill").arg("-TERM").arg(self.pid.to_string()).status().await.map_err(&failed)?;
        if !sent.success() {
            return Err(failed(std::io::Error::other("it is gone")));
        }
        match timeout(PATIENCE, self.child.wait()).await {
            Ok(status) => status.map(drop).map_err(failed),
            Err(_) => self.child.kill().await.map_err(failed),
        }
    }
}

/// Reads to the end, so that the program never waits for its output to be read, whether anybody still wants the lines or not.
async fn follow(pipe: impl AsyncRead + Unpin, sender: mpsc::Sender<String>) {
    let mut lines = BufReader::new(pipe).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let _ = sender.send(line).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> [OsString; 2] {
        ["-c".into(), script.into()]
    }

    #[tokio::test]
    async fn ready_then_stopped() {
        let script = shell("echo starting; echo now ready >&2; exec sleep 60");
        let process = Process::start(Path::new("sh"), &script, "ready").await.unwrap();
        assert!(process.pid() > 0);
        process.stop().await.unwrap();
    }

    #[tokio::test]
    async fn what_it_said_instead() {
        let error = Process::start(Path::new("sh"), &shell("echo no port"), "ready").await.unwrap_err();
        assert!(error.to_string().ends_with("no port"), "{error}");
        let missing = Process::start(Path::new("/nonexistent"), &[], "ready").await.unwrap_err();
        assert!(matches!(missing, BenchError::Spawn { .. }));
    }
}
