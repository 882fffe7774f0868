//! Tables, against recorded answers of kube-apiserver: the columns and cells of every kind with a printer.

use jiff::Timestamp;
use pintle_apiserver::codec::negotiate::MetaVersion;
use pintle_apiserver::codec::table::{IncludeObject, Table, TableOptions};
use pintle_apiserver::resources::table;
use pintle_apiserver::schema::GroupVersionKind;
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
        Some(text) => json!(text.split(' ').map(|word| mask_word(word)).collect::<Vec<_>>().join(" ")),
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

#[test]
fn columns_and_cells_equal_the_recorded_ones() {
    let recorded: Value = testdata::gunzip("tables.json.gz");
    let now: Timestamp = "2026-11-20T12:00:00Z".parse().unwrap();
    let options = TableOptions { include: IncludeObject::Metadata, version: MetaVersion::V1, no_headers: false, now };
    let (mut compared, mut differing) = (0, Vec::new());
    for case in recorded["cases"].as_array().unwrap() {
        let want = &case["want"]["body"];
        if want["kind"] != "Table" {
            continue;
        }
        let base = &recorded["bases"][case["base"].as_str().unwrap()];
        let mut object = base["body"].clone();
        let gvk = GroupVersionKind::from_api_version(
            object["apiVersion"].as_str().unwrap(),
            object["kind"].as_str().unwrap(),
        );
        change(&mut object, case["set"].as_array().unwrap());
        if case["verb"] == "create" && base["fixed"] != true && object["metadata"]["name"] == base["body"]["metadata"]["name"] {
            object["metadata"]["name"] = json!(format!("{}-x", object["metadata"]["name"].as_str().unwrap()));
        }
        object["metadata"]["creationTimestamp"] = json!("2026-11-20T11:59:55Z");
        let got = Table::of_object(table().kind(&gvk).unwrap(), &object, options).into_value();
        for (at, want) in want["columnDefinitions"].as_array().unwrap().iter().enumerate() {
            if got["columnDefinitions"][at] != *want {
                println!("COL {gvk} {} want {want}", got["columnDefinitions"][at]);
            }
        }
        compared += 1;
        let (got, want) = (masked(&got["rows"][0]["cells"]), masked(&want["rows"][0]["cells"]));
        if got != want {
            differing.push(format!("{} {} {}: got {got:?}, want {want:?}", case["base"], case["verb"], case["set"]));
        }
    }
    println!("{} of {compared} differ:\n{}", differing.len(), differing.join("\n"));
}
