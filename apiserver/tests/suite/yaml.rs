//! YAML as `sigs.k8s.io/yaml` 1.6 reads and writes it: texts recorded from it.

use pintle_apiserver::codec::{json, yaml};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::Value;

use super::testdata::gunzip;

#[derive(Deserialize)]
struct Recorded {
    write: Vec<Written>,
    read: Vec<Read>,
}

#[derive(Deserialize)]
struct Written {
    json: String,
    yaml: String,
}

#[derive(Deserialize)]
struct Read {
    yaml: String,
    #[serde(default)]
    json: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    strict: String,
}

fn assert_none(failures: &[String], of: usize) {
    let shown = failures[..failures.len().min(12)].join("\n");
    assert!(failures.is_empty(), "{} of {of} failed, first:\n{shown}", failures.len());
}

#[test]
fn values_are_written_as_recorded() {
    let recorded: Recorded = gunzip("yaml.json.gz");
    let failures = recorded.write.iter().filter_map(|case| {
        let value: Value = serde_json::from_str(&case.json).unwrap();
        let found = String::from_utf8(yaml::write(&value)).unwrap();
        let differs = || found.lines().zip(case.yaml.lines()).find(|(found, wanted)| found != wanted);
        (found != case.yaml).then(|| format!("{:.120}\n  {:?}", case.json, differs()))
    });
    assert_none(&failures.collect::<Vec<_>>(), recorded.write.len());
}

#[test]
fn what_is_written_is_read_back() {
    let recorded: Recorded = gunzip("yaml.json.gz");
    // A key `<<` is written as upstream writes it, which reads back as a merge.
    let written = recorded.write.iter().filter(|case| !case.yaml.contains("<<:"));
    let failures = written.filter_map(|case| {
        let value: Value = serde_json::from_str(&case.json).unwrap();
        let found = yaml::read(&yaml::write(&value)).map(|converted| json::encode_unstructured(&converted.value));
        let expected = json::encode_unstructured(&value);
        (found.as_ref() != Ok(&expected)).then(|| format!("{:.200}: {found:?}", case.json))
    });
    assert_none(&failures.collect::<Vec<_>>(), recorded.write.len());
}

#[test]
fn texts_are_read_as_recorded() {
    let recorded: Recorded = gunzip("yaml.json.gz");
    let failures = recorded.read.iter().filter_map(|case| {
        let (found, strict) = match yaml::to_json(case.yaml.as_bytes()) {
            Ok((text, strict)) => (Ok(String::from_utf8(text).unwrap()), strict.unwrap_or_default()),
            Err(error) => (Err(error.to_string()), String::new()),
        };
        let same = match &found {
            Ok(text) => case.error.is_empty() && *text == case.json && strict == case.strict,
            Err(error) => *error == case.error || !case.error.is_empty() && is_worded_otherwise(&case.error),
        };
        (!same).then(|| {
            format!("{:?}: {found:?} {strict:?}\n  not {:?} {:?}{:?}", case.yaml, case.json, case.strict, case.error)
        })
    });
    assert_none(&failures.collect::<Vec<_>>(), recorded.read.len());
}

/// These texts have a Go value or an anchor's name in them.
fn is_worded_otherwise(error: &str) -> bool {
    ["map key", "anchor"].iter().any(|part| error.contains(part))
}

#[test]
fn aliases_do_not_explode() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (before, name) in ('a'..='h').zip('b'..='i') {
        let aliases = vec![format!("*{before}"); 10].join(",");
        bomb.extend([format!("{name}: &{name} [{aliases}]\n")]);
    }
    let error = yaml::to_json(bomb.as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "yaml: document contains excessive aliasing");

    let long = "x".repeat(1_000_000);
    let aliases = ["*a"; 90].join(",");
    let error = yaml::to_json(format!("a: &a {long}\nb: [{aliases}]\n").as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "yaml: document contains excessive aliasing");

    assert!(yaml::to_json("[".repeat(100_000).as_bytes()).is_err());
    assert!(yaml::to_json("- ".repeat(100_000).as_bytes()).is_err());
    assert!(yaml::to_json("a: &a [*a]".as_bytes()).is_err());
}

proptest! {
    /// Texts from anywhere are refused or read, never worse.
    #[test]
    fn malformed_texts_are_refused(text in "[-a-z:?#&*!|>'\"%@`{}\\[\\], \n\t0-9~<.]{0,120}") {
        let _ = yaml::to_json(text.as_bytes());
    }

    /// Any string survives being written and read.
    #[test]
    fn strings_survive(text in any::<String>(), key in "[ -~]{1,140}") {
        let value = serde_json::json!({ key: [text.clone(), {"nested": text}] });
        let written = yaml::write(&value);
        prop_assert_eq!(yaml::read(&written).map(|converted| converted.value), Ok(value), "{}", String::from_utf8_lossy(&written));
    }
}
