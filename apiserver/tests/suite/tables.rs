//! Tables, against recorded answers of kube-apiserver: the columns and cells of every kind with a printer.

use jiff::Timestamp;
use pintle_apiserver::codec::negotiate::MetaVersion;
use pintle_apiserver::codec::table::{IncludeObject, Table, TableOptions};
use pintle_apiserver::resources::{ResourceSpec, table};
use pintle_apiserver::schema::GroupVersionKind;
use pintle_apiserver::validation;
use serde_json::{Value, json};

use crate::testdata;

/// Applies the changes of a case: `[path, value]` sets, `[path]` removes.
fn change(body: &mut Value, changes: &[Value]) {
    for change in changes {
        let path: Vec<&Value> = change[0].as_array().unwrap().iter().collect();
        let (last, parents) = path.split_last().unwrap();
        let at = parents.iter().fold(&mut *body, |at, step| enter(at, step));
        match (change.get(1), last.as_str()) {
            (Some(value), _) => *enter(at, last) = value.clone(),
            (None, Some(key)) => drop(at.as_object_mut().unwrap().remove(key)),
            (None, None) => drop(at.as_array_mut().unwrap().remove(usize::try_from(last.as_u64().unwrap()).unwrap())),
        }
    }
}

/// The member of that name or position, made if it is not there.
fn enter<'a>(at: &'a mut Value, step: &Value) -> &'a mut Value {
    if let Some(key) = step.as_str() {
        if !at.is_object() {
            *at = json!({});
        }
        return &mut at[key];
    }
    let position = usize::try_from(step.as_u64().unwrap()).unwrap();
    let items = at.as_array_mut().unwrap();
    if items.len() == position {
        items.push(Value::Null);
    }
    &mut items[position]
}

/// Ages differ from run to run: every duration in a cell becomes the placeholder of the recording.
fn masked(cells: &Value) -> Vec<Value> {
    let mask = |cell: &Value| match cell.as_str() {
        Some(text) => json!(text.split(' ').map(mask_word).collect::<Vec<_>>().join(" ")),
        None => cell.clone(),
    };
    cells.as_array().unwrap().iter().map(mask).collect()
}

fn mask_word(word: &str) -> String {
    let start = usize::from(word.starts_with('('));
    let (open, age) = word.split_at(start);
    let digits = age.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_age = age.len() > digits.len() && matches!(digits.chars().next(), Some('s' | 'm' | 'h' | 'd' | 'y'));
    let is_age = is_age && age.chars().all(|c| c.is_ascii_digit() || "smhdy".contains(c));
    if is_age { format!("{open}<age>") } else { word.to_owned() }
}

/// Whether a wanted cell holds what a server allocates, which no object of the recording has.
fn is_allocated(cell: &Value) -> bool {
    let text = cell.as_str().unwrap_or_default();
    ["<ip>", "<port>", "<uid>", "<time>"].iter().any(|placeholder| text.contains(placeholder))
}

/// The object that the server printed: the base of a case, changed, and prepared as a write prepares it.
fn printed(case: &Value, base: &Value, spec: &ResourceSpec, now: Timestamp) -> Value {
    let mut object = base["body"].clone();
    change(&mut object, case["set"].as_array().unwrap());
    if case["verb"] == "create" {
        let name = &base["body"]["metadata"]["name"];
        if base["fixed"] != true && object["metadata"]["name"] == *name {
            object["metadata"]["name"] = json!(format!("{}-x", name.as_str().unwrap()));
        }
        for path in spec.strategy.reset_on_create {
            object.as_object_mut().unwrap().remove(*path);
        }
        if let Some(phase) = spec.strategy.initial_phase {
            object["status"]["phase"] = json!(phase);
        }
    }
    if spec.kind == "CertificateSigningRequest" {
        object["spec"]["username"] = json!("admin");
    }
    object["metadata"]["creationTimestamp"] = json!("2026-11-20T11:59:55Z");
    validation::default(&spec.gvk(), &mut object, now);
    object
}

#[test]
fn columns_and_cells_equal_the_recorded_ones() {
    let recorded: Value = testdata::gunzip("tables.json.gz");
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let options = TableOptions { include: IncludeObject::Metadata, version: MetaVersion::V1, no_headers: false, now };
    let mut differing = Vec::new();
    let tables = |case: &&Value| case["want"]["body"]["kind"] == "Table";
    let cases: Vec<&Value> = recorded["cases"].as_array().unwrap().iter().filter(tables).collect();
    assert!(cases.len() > 1000);
    for case in cases {
        let want = &case["want"]["body"];
        let base = &recorded["bases"][case["base"].as_str().unwrap()];
        let kind = |field: &str| base["body"][field].as_str().unwrap();
        let gvk = GroupVersionKind::from_api_version(kind("apiVersion"), kind("kind"));
        let spec = table().kind(&gvk).unwrap();
        let got = Table::of_object(spec, &printed(case, base, spec, now), options).into_value();
        assert_eq!(got["columnDefinitions"], want["columnDefinitions"], "{gvk}");
        let mut got = masked(&got["rows"][0]["cells"]);
        let want = masked(&want["rows"][0]["cells"]);
        for (got, want) in got.iter_mut().zip(&want).filter(|(_, want)| is_allocated(want)) {
            got.clone_from(want);
        }
        if got != want {
            differing.push(format!("{} {} {}: got {got:?}, want {want:?}", case["base"], case["verb"], case["set"]));
        }
    }
    assert!(differing.is_empty(), "{} differ:\n{}", differing.len(), differing.join("\n"));
}
