//! Thousands of one-field changes of valid objects, judged without a server, against what kube-apiserver answered.
//!
//! Judged are the errors of validation (422), and that what was accepted (200, 201) has none. Other answers are not of
//! validation. What a request goes through before it is played here: the server's own metadata, and status is dropped.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::Timestamp;
use pintle_apiserver::codec::json::{self, FieldValidation};
use pintle_apiserver::schema::{GroupVersionKind, builtin};
use pintle_apiserver::validation::{self, field};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::testdata;

/// What passes today; a change may only raise it.
const PASSING_FLOOR: usize = 8959;

#[derive(Deserialize)]
struct Recording {
    bases: BTreeMap<String, Base>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Base {
    body: Value,
    path: String,
    #[serde(default)]
    fixed: bool,
}

#[derive(Deserialize)]
struct Case {
    base: String,
    verb: String,
    set: Vec<Vec<Value>>,
    want: Want,
}

#[derive(Deserialize)]
struct Want {
    code: u16,
    body: Value,
}

/// Refusals that stand among those of validation, but are of the storage.
const NOT_OF_VALIDATION: &[&str] = &["must be specified for an update", "provided port is already allocated"];

impl Want {
    fn says(&self, text: &str) -> bool {
        self.body.get("message").and_then(Value::as_str).is_some_and(|message| message.contains(text))
    }
}

/// Applies `[path, value]`, which sets, and `[path]`, which removes.
pub(super) fn apply(body: &mut Value, change: &[Value]) -> Option<()> {
    let (last, path) = change.first()?.as_array()?.split_last()?;
    let mut at = body;
    for key in path {
        at = match key {
            Value::String(key) => {
                let entry = at.as_object_mut()?.entry(key).or_insert(Value::Null);
                if entry.is_null() {
                    *entry = Value::Object(Map::new());
                }
                entry
            }
            _ => at.get_mut(usize::try_from(key.as_u64()?).ok()?)?,
        };
    }
    match (at, last, change.get(1)) {
        (Value::Object(fields), Value::String(key), Some(value)) => drop(fields.insert(key.clone(), value.clone())),
        (Value::Object(fields), Value::String(key), None) => drop(fields.remove(key)),
        (Value::Array(items), index, value) => {
            let index = usize::try_from(index.as_u64()?).ok()?;
            match value {
                Some(value) if index == items.len() => items.push(value.clone()),
                Some(value) => *items.get_mut(index)? = value.clone(),
                None => drop(items.remove(index)),
            }
        }
        _ => return None,
    }
    Some(())
}

/// What the object is when validation sees it.
fn admitted(gvk: &GroupVersionKind, base: &Base, object: &Value, created: bool) -> Option<Value> {
    let ty = builtin::registry().kind(gvk)?;
    let mut object = json::decode(&serde_json::to_vec(object).ok()?, &ty, FieldValidation::Ignore).ok()?.object;
    validation::default(gvk, &mut object, Timestamp::UNIX_EPOCH);
    let fields = object.as_object_mut()?;
    if gvk.kind != "CertificateSigningRequest" {
        fields.insert("status".to_owned(), json!({}));
    }
    let meta = fields.get_mut("metadata")?.as_object_mut()?;
    if let Some((_, rest)) = base.path.split_once("/namespaces/") {
        let namespace = rest.split('/').next()?;
        if meta.get("namespace").and_then(Value::as_str).unwrap_or_default().is_empty() {
            meta.insert("namespace".to_owned(), json!(namespace));
        }
    } else {
        meta.remove("namespace");
    }
    meta.entry("uid").or_insert_with(|| json!("00000000-0000-0000-0000-000000000001"));
    meta.insert("creationTimestamp".to_owned(), json!("2026-01-02T03:04:05Z"));
    meta.remove("generation");
    meta.remove("deletionTimestamp");
    meta.remove("managedFields");
    meta.remove("selfLink");
    drop(validation::meta::dedup_owner_references(&mut object));
    prepare(gvk, &mut object, created);
    Some(object)
}

/// What strategies and admission add that validation relies on.
fn prepare(gvk: &GroupVersionKind, object: &mut Value, created: bool) -> Option<()> {
    if created {
        validation::prepare::create(gvk, object);
    }
    if gvk.kind == "Pod" && created {
        let spec = object.get_mut("spec")?.as_object_mut()?;
        let account = spec.entry("serviceAccountName").or_insert_with(|| json!("default"));
        if account == "" {
            *account = json!("default");
        }
        spec.insert("serviceAccount".to_owned(), spec.get("serviceAccountName")?.clone());
    }
    Some(())
}

/// What strategies change in an update.
fn prepare_update(gvk: &GroupVersionKind, new: &mut Value, old: &mut Value) {
    for object in [&mut *new, &mut *old] {
        if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            meta.entry("resourceVersion").or_insert_with(|| json!("1"));
        }
    }
    if gvk.kind == "CertificateSigningRequest" {
        for part in ["spec", "status"] {
            new[part] = old[part].clone();
        }
    }
    validation::prepare::update(gvk, new, old);
}

fn first_line(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default()
}

fn causes(errors: &[field::Error]) -> Vec<String> {
    errors.iter().map(|error| format!("{}: {}", error.field, first_line(&error.body()))).collect()
}

fn wanted_causes(body: &Value) -> Vec<String> {
    let causes = body.pointer("/details/causes").and_then(Value::as_array).cloned().unwrap_or_default();
    let text = |cause: &Value, name: &str| cause.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    causes.iter().map(|cause| format!("{}: {}", text(cause, "field"), first_line(&text(cause, "message")))).collect()
}

/// Plays one case; none if its answer is not of validation.
fn play(recording: &Recording, case: &Case) -> Option<Result<(), String>> {
    let base = recording.bases.get(&case.base)?;
    if !matches!(case.want.code, 200 | 201 | 422) || NOT_OF_VALIDATION.iter().any(|it| case.want.says(it)) {
        return None;
    }
    let kind = base.body.get("kind")?.as_str()?;
    let gvk = GroupVersionKind::from_api_version(base.body.get("apiVersion")?.as_str()?, kind);
    let mut body = base.body.clone();
    for change in &case.set {
        apply(&mut body, change)?;
    }
    let errors = if case.verb == "create" {
        let name = base.body.pointer("/metadata/name")?;
        let meta = body.get_mut("metadata")?.as_object_mut()?;
        if meta.get("name") == Some(name) && !base.fixed {
            meta.insert("name".to_owned(), json!(format!("{}-x", name.as_str()?)));
        }
        validation::validate_create(&gvk, &admitted(&gvk, base, &body, true)?)
    } else {
        let (mut new, mut old) = (admitted(&gvk, base, &body, false)?, admitted(&gvk, base, &base.body, true)?);
        prepare_update(&gvk, &mut new, &mut old);
        validation::validate_update(&gvk, &new, &old)
    };
    let (want, got) = (wanted_causes(&case.want.body), causes(&errors));
    Some(if want == got { Ok(()) } else { Err(format!("want {want:#?}\n got {got:#?}")) })
}

#[test]
fn one_field_changes_are_judged_as_recorded() {
    let recording: Recording = testdata::gunzip("mutations.json.gz");
    let mut scores: BTreeMap<(&str, &str), (usize, usize)> = BTreeMap::new();
    let mut report = String::new();
    for case in &recording.cases {
        let Some(outcome) = play(&recording, case) else { continue };
        let score = scores.entry((&case.base, &case.verb)).or_default();
        score.1 += 1;
        match outcome {
            Ok(()) => score.0 += 1,
            Err(difference) => {
                let set = serde_json::to_string(&case.set).unwrap();
                writeln!(report, "{} {} {set}\n{difference}", case.base, case.verb).unwrap();
            }
        }
    }
    let passed: usize = scores.values().map(|(passed, _)| passed).sum();
    let all: usize = scores.values().map(|(_, all)| all).sum();
    let mut summary = format!("{passed} of {all}\n");
    for ((base, verb), (passed, all)) in &scores {
        writeln!(summary, "{base} {verb}: {passed} of {all}").unwrap();
    }
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutations.txt");
    std::fs::write(&file, format!("{summary}{report}")).unwrap();
    assert!(passed >= PASSING_FLOOR, "fewer than {PASSING_FLOOR}; differences in {}\n{summary}", file.display());
}
