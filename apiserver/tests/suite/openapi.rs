//! The published schemas, against the recorded documents of kube-apiserver, which hold no prose.

use pintle_apiserver::discovery::openapi::{v2, v3};
use pintle_apiserver::resources::table;
use pintle_apiserver::schema::builtin;
use serde_json::{Map, Value};

use crate::testdata;

/// Takes out what is prose: a description that is a text, not a property of that name.
fn strip(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("description").is_some_and(Value::is_string) {
                members.remove("description");
            }
            members.values_mut().for_each(strip);
        }
        Value::Array(items) => items.iter_mut().for_each(strip),
        _ => {}
    }
}

/// Where two documents differ, and how.
fn differences(got: &Value, want: &Value, at: &str, found: &mut Vec<String>) {
    match (got, want) {
        (Value::Object(got), Value::Object(want)) => {
            for (name, want) in want {
                match got.get(name) {
                    Some(got) => differences(got, want, &format!("{at}/{name}"), found),
                    None => found.push(format!("{at}/{name} is missing: {want}")),
                }
            }
            let more = got.iter().filter(|(name, _)| !want.contains_key(*name));
            found.extend(more.map(|(name, got)| format!("{at}/{name} is too much: {got}")));
        }
        _ if got == want => {}
        _ => found.push(format!("{at}: got {got}, want {want}")),
    }
}

#[test]
fn version_3_equals_the_recorded_documents() {
    let recorded: Map<String, Value> = testdata::gunzip("openapi-v3.json.gz");
    let documents = v3::documents(table(), builtin::registry());
    assert_eq!(documents.keys().collect::<Vec<_>>(), recorded.keys().collect::<Vec<_>>());
    let mut found = Vec::new();
    for (path, want) in &recorded {
        let mut got: Value = serde_json::from_slice(&documents[path].body).unwrap();
        strip(&mut got);
        differences(&got, want, path, &mut found);
    }
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}

/// Puts each shared parameter in the place that refers to it: their names hold a hash of the prose.
fn resolve(value: &mut Value, parameters: &Value) {
    match value {
        Value::Object(members) => {
            let name =
                members.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix("#/parameters/"));
            if let Some(parameter) = name.map(|name| parameters[name].clone()) {
                *value = parameter;
            } else {
                members.values_mut().for_each(|member| resolve(member, parameters));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| resolve(item, parameters)),
        _ => {}
    }
}

#[test]
fn version_2_equals_the_recorded_document() {
    let mut want: Value = testdata::gunzip("openapi-v2.json.gz");
    let mut got = v2::document(table(), builtin::registry());
    strip(&mut got);
    for document in [&mut got, &mut want] {
        let parameters = document.as_object_mut().unwrap().remove("parameters").unwrap();
        resolve(document, &parameters);
        // The original lists versions that it does not serve.
        for kind in ["DeleteOptions", "WatchEvent"] {
            let marks = &mut document["definitions"][format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}")];
            assert!(marks["x-kubernetes-group-version-kind"].as_array().unwrap().len() > 20);
            marks.as_object_mut().unwrap().remove("x-kubernetes-group-version-kind");
        }
    }
    let mut found = Vec::new();
    differences(&got, &want, "", &mut found);
    assert!(found.is_empty(), "{} differences:\n{}", found.len(), found.join("\n"));
}
