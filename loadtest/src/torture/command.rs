//! The system's tools, run one at a time: all of them answer at once.

use std::process::{Command, Stdio};

use super::error::TortureError;

/// Runs a command line, split at its spaces, and waits for it.
///
/// # Errors
/// When it cannot be run or fails, with what it said.
pub fn run(line: &str) -> Result<(), TortureError> {
    let failed = |said: String| TortureError::Tool { command: line.to_owned(), said };
    let mut words = line.split(' ');
    let program = words.next().unwrap_or_default();
    let output = Command::new(program).args(words).stdin(Stdio::null()).output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// Runs it for its effect if it can have one: to undo what may not have been done.
pub fn undo(line: &str) {
    // What is not there cannot be removed, and nothing is left to be done about the rest.
    let _ = run(line);
}
