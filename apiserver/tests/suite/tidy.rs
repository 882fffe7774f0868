//! What parts of the apiserver must not name, so that they can be tested, and replaced, on their own: ARCHITECTURE.md's
//! invariants, read off the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// Asynchrony, clocks and randomness, of which what only computes has none.
const IMPURE: [&str; 8] =
    ["tokio", "Timestamp::now", "SystemTime", "Instant::now", "rand::", "Uuid::", "std::env::var", "std::net::Tcp"];

/// What may panic on what came from outside.
const PANICS: [&str; 6] = [".unwrap()", ".expect(", "unreachable!(", "panic!(", "todo!(", "unimplemented!("];

/// A file below `src`.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// The lines of code: neither comments nor those of the tests at the file's end.
    fn code(&self) -> impl Iterator<Item = &str> {
        let code = self.text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        code.lines().filter(|line| !line.trim_start().starts_with("//"))
    }

    /// The first line of code that contains one of `names`.
    fn names(&self, names: &[&str]) -> Option<&str> {
        self.code().find(|line| names.iter().any(|name| line.contains(name)))
    }

    fn is_in(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

/// The sources, without what is compiled for tests alone.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut pending = vec![root.clone()];
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
                && !path.ends_with("testing.rs")
            {
                let text = fs::read_to_string(&path).unwrap();
                found.push(Source { path: path.strip_prefix(&root).unwrap().to_owned(), text });
            }
        }
    }
    assert!(found.len() > 100, "the sources are not where they are looked for");
    found
}

/// Asserts that only files at or below `places` name one of `names`, and that every place does.
#[track_caller]
fn only_in(places: &[&str], names: &[&str]) {
    let naming: Vec<Source> = sources().into_iter().filter(|source| source.names(names).is_some()).collect();
    for source in &naming {
        assert!(source.is_in(places), "{} must not name {:?}", source.path.display(), source.names(names));
    }
    for place in places {
        assert!(naming.iter().any(|source| source.is_in(&[place])), "{place} names none of {names:?} any more");
    }
}

/// Asserts that no file at or below `places` names one of `names`.
#[track_caller]
fn none_in(places: &[&str], names: &[&str]) {
    let sources = sources();
    for place in places {
        let mut concerned = sources.iter().filter(|source| source.is_in(&[place])).peekable();
        assert!(concerned.peek().is_some(), "{place} is gone");
        for source in concerned {
            assert_eq!(source.names(names), None, "in {}", source.path.display());
        }
    }
}

#[test]
fn what_only_computes_is_pure() {
    let places = [
        "codec",
        "schema",
        "object",
        "validation",
        "discovery",
        "resources/printers",
        "storage/read_plan.rs",
        "storage/key.rs",
    ];
    none_in(&places, &IMPURE);
}

#[test]
fn the_network_is_named_at_the_edges() {
    only_in(&["http"], &["hyper::", "hyper_util::server"]);
    only_in(&["storage/etcd"], &["tonic::", "tower::"]);
}

#[test]
fn the_store_is_reached_through_one_trait() {
    only_in(&["storage/embedded.rs", "server.rs"], &["pintle_store::"]);
}

#[test]
fn nothing_panics_on_purpose() {
    for source in sources() {
        assert_eq!(source.names(&PANICS), None, "in {}", source.path.display());
    }
}

#[test]
fn every_limit_holds_somewhere() {
    let sources = sources();
    let limits = sources.iter().find(|source| source.path == Path::new("limits.rs")).unwrap();
    let constants: Vec<&str> =
        limits.code().filter_map(|line| line.strip_prefix("pub const ")?.split(':').next()).collect();
    assert!(constants.len() > 10, "limits.rs has its constants elsewhere");
    for constant in constants {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let names = |line: &str| line.split(|c| !is_word(c)).any(|word| word == constant);
        let defines = |line: &str| line.strip_prefix("pub const ").is_some_and(|rest| rest.starts_with(constant));
        let mut code = sources.iter().flat_map(Source::code);
        assert!(code.any(|line| names(line) && !defines(line)), "nothing heeds {constant}");
    }
}

#[test]
fn nothing_is_left_to_do() {
    for source in sources() {
        for word in ["TODO", "FIXME"] {
            assert!(!source.text.contains(word), "{} says {word}", source.path.display());
        }
    }
}
