//! Scripts that a person can read: commands, each followed by what it printed when the script was recorded.
//!
//! ```text
//! # a comment
//! > put a=1
//! revision 2
//! ```
//!
//! With `UPDATE_GOLDEN=1` the scripts are rewritten with what the commands print now; review the difference.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Runs every script of a directory of `testdata/`, each on a machine of its own, and compares.
pub fn run<M>(directory: &str, new_machine: impl Fn() -> M, mut run: impl FnMut(&mut M, &str) -> String) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(directory);
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    scripts.sort();
    assert!(!scripts.is_empty(), "no scripts in {}", directory.display());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for path in scripts {
        let recorded = std::fs::read_to_string(&path).unwrap();
        let mut machine = new_machine();
        let mut now = String::new();
        for line in recorded.lines() {
            if let Some(command) = line.strip_prefix("> ") {
                writeln!(now, "{line}").unwrap();
                let printed = run(&mut machine, command);
                if !printed.is_empty() {
                    writeln!(now, "{}", printed.trim_end()).unwrap();
                }
            } else if line.is_empty() || line.starts_with('#') {
                writeln!(now, "{line}").unwrap();
            }
        }
        if update {
            std::fs::write(&path, now).unwrap();
        } else {
            let first_difference = recorded.lines().zip(now.lines()).position(|(recorded, now)| recorded != now);
            assert!(recorded == now, "{} differs from line {first_difference:?} on; now:\n{now}", path.display());
        }
    }
}
