//! What defaulting and conversion make of every kind's objects, against what kube-apiserver serves of them.

use std::io::Read as _;

use flate2::read::GzDecoder;
use jiff::Timestamp;
use pintle_apiserver::schema::GroupVersionKind;
use pintle_apiserver::validation;
use serde_json::Value;

/// `{"apps/v1/Deployment": {"zero": {"json", "protobuf", "served"}, "skeleton": ..., "full": ...}}`
static OBJECTS: &[u8] = include_bytes!("../../testdata/objects.json.gz");

/// What of a value depends on the moment at which the facts were recorded.
const RECORDED_AT: &str = "2026-11-20T21:41:37Z";

fn without_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}

fn differences(path: &str, want: &Value, got: &Value, out: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for name in want.keys().chain(got.keys().filter(|name| !want.contains_key(*name))) {
                let (want, got) = (want.get(name).unwrap_or(&Value::Null), got.get(name).unwrap_or(&Value::Null));
                differences(&format!("{path}.{name}"), want, got, out);
            }
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (i, (want, got)) in want.iter().zip(got).enumerate() {
                differences(&format!("{path}[{i}]"), want, got, out);
            }
        }
        _ if want == got => {}
        _ => out.push(format!("{path}: want {want}, got {got}")),
    }
}

#[test]
fn every_object_becomes_what_is_served() {
    let mut text = String::new();
    GzDecoder::new(OBJECTS).read_to_string(&mut text).expect("gzip");
    let objects: Value = serde_json::from_str(&text).expect("JSON");
    let now: Timestamp = RECORDED_AT.parse().expect("a time");
    let mut failures = Vec::new();
    for (kind, variants) in objects.as_object().expect("kinds") {
        let (api_version, kind_name) = kind.rsplit_once('/').expect("a kind");
        let gvk = GroupVersionKind::from_api_version(api_version, kind_name);
        for (variant, texts) in variants.as_object().expect("variants") {
            let Some(served) = texts.get("served").and_then(Value::as_str) else { continue };
            let mut object: Value = serde_json::from_str(texts["json"].as_str().expect("text")).expect("JSON");
            without_nulls(&mut object);
            validation::default(&gvk, &mut object, now);
            let mut want: Value = serde_json::from_str(served).expect("JSON");
            without_nulls(&mut want);
            without_nulls(&mut object);
            let mut found = Vec::new();
            differences("", &want, &object, &mut found);
            failures.extend(found.into_iter().map(|difference| format!("{kind} {variant} {difference}")));
        }
    }
    assert!(failures.is_empty(), "{} differences:\n{}", failures.len(), failures.join("\n"));
}
