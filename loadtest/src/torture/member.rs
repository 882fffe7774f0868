//! One member of the cluster: a real process in a namespace of its own.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::command::{run, undo};
use super::error::TortureError;

/// Lines of its output that a report repeats.
const LINES_SAID: usize = 30;
/// How long a member may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a member is started.
#[derive(Debug, Clone)]
pub struct Program {
    /// The server, a drop-in for etcd.
    pub path: PathBuf,
    /// Its flags.
    pub arguments: Vec<String>,
    /// The network namespace it runs in.
    pub namespace: String,
    /// Where its output goes.
    pub output: PathBuf,
}

/// A member, running or not. Killed when dropped.
#[derive(Debug)]
pub struct Member {
    program: Program,
    child: Option<Child>,
}

impl Member {
    /// A member that does not run yet.
    pub fn new(program: Program) -> Self {
        Self { program, child: None }
    }

    /// Starts it if it does not run. Its clock that never goes back begins `clock_ahead` later than the machine's.
    pub fn start(&mut self, clock_ahead: Duration) -> Result<(), TortureError> {
        if self.child.is_some() {
            return Ok(());
        }
        let failed = |said: String| TortureError::Tool { command: self.program.path.display().to_string(), said };
        let output = OpenOptions::new().create(true).append(true).open(&self.program.output);
        let output = output.map_err(|error| failed(error.to_string()))?;
        let errors = output.try_clone().map_err(|error| failed(error.to_string()))?;
        let mut command = Command::new("nsenter");
        command.arg(format!("--net=/run/netns/{}", self.program.namespace)).arg("--");
        if !clock_ahead.is_zero() {
            let seconds = clock_ahead.as_secs().to_string();
            command.args(["unshare", "--time", "--monotonic", &seconds, "--boottime", &seconds, "--"]);
        }
        command.arg(&self.program.path).args(&self.program.arguments);
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        self.child = Some(command.spawn().map_err(|error| failed(error.to_string()))?);
        Ok(())
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Whether it was started and has ended since without being killed here.
    pub fn has_ended(&mut self) -> bool {
        self.child.is_some() && !self.is_running()
    }

    /// Sends it a signal; nothing if it does not run.
    pub fn signal(&self, signal: &str) -> Result<(), TortureError> {
        self.child.as_ref().map_or(Ok(()), |child| run(&format!("kill -{signal} {}", child.id())))
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Asks it to end, and ends it if it does not in time.
    pub fn stop(&mut self) {
        if let Some(child) = &self.child {
            undo(&format!("kill -TERM {}", child.id()));
            let deadline = Instant::now() + PATIENCE;
            while self.is_running() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(10));
            }
            self.kill();
        }
    }

    /// The end of what it said.
    pub fn said(&self) -> String {
        last_lines(&self.program.output)
    }
}

fn last_lines(path: &Path) -> String {
    let text = std::fs::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_SAID)..].join("\n")
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}
