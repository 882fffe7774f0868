//! What parts of the store must not name, so that they can be replaced, and replayed, on their own: ARCHITECTURE.md's
//! invariants, read off the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Asynchrony, clocks and randomness, none of which what is replicated or replayed may depend on.
const IMPURE: [&str; 9] =
    ["tokio", "std::thread", "Instant", "SystemTime", "rand::", "RandomState", "DefaultHasher", "std::env", "std::net"];

/// The sources below `src`, with their paths from there.
fn sources() -> Vec<(PathBuf, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(&root).unwrap().to_owned(), text));
            }
        }
    }
    found
}

/// The lines of code, neither comments nor those of the tests at a file's end, that contain one of `names`.
fn lines_naming<'a>(text: &'a str, names: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.filter(|line| names.iter().any(|name| line.contains(name)))
}

/// Asserts that exactly the files for which `may` holds name one of `names`.
fn only(names: &[&str], may: impl Fn(&Path) -> bool) {
    let mut allowed = 0;
    for (path, text) in sources() {
        match lines_naming(&text, names).next() {
            Some(_) if may(&path) => allowed += 1,
            Some(line) => panic!("{} must not name {names:?}: {line}", path.display()),
            None => {}
        }
    }
    assert!(allowed > 0, "nothing names {names:?} any more");
}

/// Asserts that no file at or below `place` names one of `names`.
fn none_in(place: &str, names: &[&str]) {
    let sources = sources();
    let concerned: Vec<_> = sources.iter().filter(|(path, _)| path.starts_with(place)).collect();
    assert!(!concerned.is_empty(), "{place} is gone");
    for (path, text) in concerned {
        if let Some(line) = lines_naming(text, names).next() {
            panic!("{} must not name any of {names:?}: {line}", path.display());
        }
    }
}

#[test]
fn one_file_names_rocksdb() {
    only(&["rocksdb"], |path| path == Path::new("engine/rocks.rs"));
}

#[test]
fn one_module_names_openraft() {
    // The program's log filter names it as a text.
    only(&["openraft::", "openraft_"], |path| path.starts_with("raft"));
}

#[test]
fn the_network_is_named_at_the_edge() {
    only(&["tonic::"], |path| path.starts_with("grpc") || path.starts_with("raft/peer"));
    only(&["hyper::", "hyper_util::", "tokio::net", "tokio_rustls"], |path| path.starts_with("http"));
}

#[test]
fn errors_become_bytes_in_one_place() {
    only(&["Status::new(", "Status::unimplemented(", "Status::not_found("], |path| path == Path::new("grpc/status.rs"));
}

#[test]
fn what_is_replicated_or_replayed_is_pure() {
    for place in [
        "apply",
        "auth",
        "mvcc",
        "engine",
        "watch/hub.rs",
        "watch/interval.rs",
        "watch/event.rs",
        "lease/lessor.rs",
        "maintenance/bbolt",
        "maintenance/export.rs",
        "maintenance/import.rs",
    ] {
        none_in(place, &IMPURE);
    }
}
