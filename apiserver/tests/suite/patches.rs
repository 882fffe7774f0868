//! Replays recorded lives of objects under many writers through the pure functions that patch objects and attribute their
//! fields: no server, no admission, no validation. Each step starts from the object that kube-apiserver answered last, so
//! that a step stands for itself. What those other parts decide is left out of the count.

use std::collections::BTreeMap;

use jiff::Timestamp;
use pintle_apiserver::codec::json::{FieldValidation, decode};
use pintle_apiserver::object::fields::FieldSet;
use pintle_apiserver::object::managed_fields::{self, Context};
use pintle_apiserver::object::meta;
use pintle_apiserver::object::patch::{PatchError, apply, json, merge, strategic};
use pintle_apiserver::resources::{ResourceSpec, table};
use pintle_apiserver::schema::builtin::registry;
use pintle_apiserver::schema::complete;
use pintle_apiserver::schema::types::TypeRef;
use pintle_apiserver::validation;
use serde_json::{Value, json};

use crate::testdata::gunzip;

/// Steps that came out exactly as recorded when this was last raised; never to be lowered.
const FLOOR: usize = 2_240;

/// What stands for every time and every allocated port: the recording masks them.
const NOW: &str = "2026-01-01T00:00:00Z";
const MICRO_NOW: &str = "2026-01-01T00:00:00.000000Z";
const PORT: i64 = 30_000;
/// The fields whose times have microseconds.
const MICRO_TIMES: [&str; 4] = ["renewTime", "acquireTime", "eventTime", "lastObservedTime"];

struct Life<'a> {
    resource: &'a ResourceSpec,
    ty: TypeRef,
    name: &'a str,
}

/// What a step comes to: an object, or the code and message of a failure.
type Outcome = Result<Value, (u16, String)>;

#[test]
#[allow(clippy::print_stderr, reason = "the score, and with REPLAY_VERBOSE=apply the steps of that kind that differ")]
fn recorded_lives_replay() {
    let mut recorded: Value = gunzip("patches.json.gz");
    normalize(&mut recorded["lives"]);
    let mut score: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let verbose = std::env::var("REPLAY_VERBOSE").ok();
    for life in recorded["lives"].as_array().unwrap() {
        let path = life["path"].as_str().unwrap();
        let resource = resource_at(path);
        let ty = registry().kind(&resource.gvk()).unwrap();
        let this = Life { resource, ty, name: life["name"].as_str().unwrap() };
        let mut last: Option<Value> = None;
        for (step, want) in life["steps"].as_array().unwrap().iter().zip(life["want"].as_array().unwrap()) {
            let Some(code) = want["code"].as_u64() else { continue };
            let live = last.as_ref().map(|last| this.decoded(last).unwrap());
            if let Some(kind) = in_scope(step, code, &want["body"]) {
                let got = this.step(step, live.as_ref());
                let difference = this.difference(&got, code, &want["body"]);
                let (passed, all) = score.entry(kind.clone()).or_default();
                *passed += usize::from(difference.is_none());
                *all += 1;
                if let (Some(difference), Some(filter)) = (difference, &verbose)
                    && kind.contains(filter.as_str())
                {
                    eprintln!("{kind} {path}/{}: {step}\n{difference}\n", this.name);
                }
            }
            if code < 300 && step["dry"].as_bool() != Some(true) {
                last = Some(want["body"].clone());
            }
        }
    }
    for (kind, (passed, all)) in &score {
        eprintln!("{kind:25} {passed:5} of {all:5}");
    }
    let passed: usize = score.values().map(|(passed, _)| passed).sum();
    assert!(passed >= FLOOR, "{passed} steps replay, there were {FLOOR} before");
    assert!(passed < FLOOR + 10, "{passed} steps replay: raise the floor");
}

/// Makes what the recorder masked usable; the times in requests, which it did not mask, become the same time.
fn normalize(value: &mut Value) {
    match value {
        Value::String(text) if text == "<port>" => *value = json!(PORT),
        Value::String(text) if text == "<time>" || text.parse::<Timestamp>().is_ok() => NOW.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(normalize),
        Value::Object(members) => {
            members.values_mut().for_each(normalize);
            for (_, time) in
                members.iter_mut().filter(|(name, time)| *time == NOW && MICRO_TIMES.contains(&name.as_str()))
            {
                *time = json!(MICRO_NOW);
            }
        }
        _ => {}
    }
}

fn resource_at(path: &str) -> &'static ResourceSpec {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let (group, version) = if parts[0] == "api" { ("", parts[1]) } else { (parts[1], parts[2]) };
    table().resource(group, version, parts.last().unwrap()).unwrap()
}

/// The kind of a step that these functions decide; nothing for the verdicts of validation and of the verbs.
fn in_scope(step: &Value, code: u64, body: &Value) -> Option<String> {
    let method = step["m"].as_str().unwrap();
    let kind = match step["sub"].as_str() {
        Some(subresource) => format!("{method} {subresource}"),
        None => method.to_owned(),
    };
    let generic = body["message"] == "the server rejected our request due to an error in our request";
    match code {
        200 | 201 => Some(kind),
        400 | 409 | 500 if method == "apply" => Some(format!("{kind} refused")),
        500 if method == "strategic" => Some(format!("{kind} refused")),
        422 if generic || body["message"].as_str().unwrap().starts_with(" \"\" is invalid: patch: ") => {
            Some(format!("{kind} refused"))
        }
        _ => None,
    }
}

impl Life<'_> {
    fn step(&self, step: &Value, last: Option<&Value>) -> Outcome {
        let patch = &step["b"];
        let live = last.ok_or((0, "no object".to_owned()));
        let refused = |error: PatchError| match &error {
            PatchError::BadRequest(_) => (400, error.message().to_owned()),
            PatchError::TooLarge(_) => (413, error.message().to_owned()),
            PatchError::Unprocessable(_) => (422, error.message().to_owned()),
            PatchError::Unknown(_) => (500, error.message().to_owned()),
        };
        let new = match step["m"].as_str().unwrap() {
            "apply" => return self.apply(step, last),
            "POST" => patch.clone(),
            "PUT" => put(live?, &step["set"]),
            "merge" => merge::apply(live?, patch).map_err(refused)?,
            "strategic" => strategic::apply(live?, patch, &self.ty).map_err(refused)?,
            "json" => json::Patch::decode(patch).map_err(refused)?.apply(live?).map_err(refused)?,
            other => panic!("unknown step {other}"),
        };
        let mut new = self.decoded(&new).map_err(|error| match step["m"].as_str() {
            Some("POST" | "PUT") => (400, error),
            _ => (422, format!(" \"\" is invalid: patch: Invalid value: <object>: {error}")),
        })?;
        let reset = self.reset(step);
        let kind = self.resource.gvk();
        managed_fields::update(last, &mut new, &self.context(step, &kind, &reset));
        Ok(self.stored(step, last, new))
    }

    fn apply(&self, step: &Value, last: Option<&Value>) -> Outcome {
        let reset = self.reset(step);
        let kind = self.resource.gvk();
        let force = step["force"].as_bool() == Some(true);
        let applied = apply::apply(last, &step["b"], &self.context(step, &kind, &reset), force);
        let new = applied.map_err(|error| match error {
            apply::ApplyError::BadRequest(message) => (400, message),
            apply::ApplyError::Conflicts { message, .. } => (409, message),
            apply::ApplyError::Unknown(message) => (500, message),
        })?;
        Ok(self.stored(step, last, self.decoded(&new).map_err(|error| (500, error))?))
    }

    fn context<'c>(
        &'c self,
        step: &'c Value,
        kind: &'c pintle_apiserver::schema::GroupVersionKind,
        reset: &'c FieldSet,
    ) -> Context<'c> {
        Context {
            ty: &self.ty,
            kind,
            manager: step["manager"].as_str().unwrap_or("unknown"),
            subresource: step["sub"].as_str(),
            now: NOW,
            reset,
        }
    }

    fn reset_paths(&self, step: &Value) -> &'static [&'static str] {
        let strategy = &self.resource.strategy;
        if step["sub"].is_string() { strategy.reset_on_status_update } else { strategy.reset_on_update }
    }

    fn reset(&self, step: &Value) -> FieldSet {
        FieldSet::of_dotted(self.reset_paths(step).iter().copied())
    }

    fn decoded(&self, object: &Value) -> Result<Value, String> {
        let data = serde_json::to_vec(object).unwrap();
        let decoded = decode(&data, &self.ty, FieldValidation::Ignore).map_err(|error| error.to_string())?;
        let mut object = decoded.object;
        validation::default(&self.resource.gvk(), &mut object, Timestamp::UNIX_EPOCH);
        Ok(object)
    }

    /// How an outcome differs from what was recorded, if it does.
    fn difference(&self, got: &Outcome, code: u64, want: &Value) -> Option<String> {
        match got {
            Err((got_code, message)) => {
                let mut message = message.lines().next().unwrap_or_default();
                if message.starts_with("Apply failed with ") {
                    message = message.split(':').next().unwrap_or_default();
                }
                let same = u64::from(*got_code) == code && want["message"] == message;
                (!same).then(|| format!("  want {code} {}\n  got  {got_code} {message}", want["message"]))
            }
            Ok(got) if code < 300 => {
                let mut lines = Vec::new();
                compare(&comparable(&self.decoded(want).unwrap()), &comparable(got), "", &mut lines);
                (!lines.is_empty()).then(|| lines.join("\n"))
            }
            Ok(_) => Some(format!("  want {code} {}\n  got  an object", want["message"])),
        }
    }

    /// What the verbs do with the object before it is stored, in short.
    fn stored(&self, step: &Value, last: Option<&Value>, mut new: Value) -> Value {
        let kept = if last.is_some() { self.reset_paths(step) } else { self.resource.strategy.reset_on_create };
        let empty = json!({});
        for path in kept {
            let pointer = format!("/{}", path.replace('.', "/"));
            let old = last.unwrap_or(&empty).pointer(&pointer).cloned();
            let (parent, field) = pointer.rsplit_once('/').unwrap();
            let parent = new.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
            match old {
                Some(old) => parent.insert(field.to_owned(), old),
                None if last.is_none() => parent.insert(field.to_owned(), json!({})),
                None => parent.remove(field),
            };
        }
        complete(&mut new, &self.ty);
        new
    }
}

/// The object with fields set and removed, as the recorder did.
fn put(object: &Value, sets: &Value) -> Value {
    let mut body = object.clone();
    for set in sets.as_array().unwrap() {
        let path = set[0].as_array().unwrap();
        if put_one(&mut body, path, set.get(1)).is_none() {
            return object.clone();
        }
    }
    body
}

fn put_one(body: &mut Value, path: &[Value], value: Option<&Value>) -> Option<()> {
    let (last, parents) = path.split_last()?;
    let mut at = body;
    for step in parents {
        at = match (at, step) {
            (Value::Array(items), Value::Number(index)) => items.get_mut(usize::try_from(index.as_u64()?).ok()?)?,
            (Value::Object(members), Value::String(name)) => {
                let member = members.entry(name.clone()).or_insert(Value::Null);
                if member.is_null() {
                    *member = json!({});
                }
                member
            }
            _ => return None,
        };
    }
    match (at, last, value) {
        (Value::Object(members), Value::String(name), Some(value)) => {
            members.insert(name.clone(), value.clone());
        }
        (Value::Object(members), Value::String(name), None) => {
            members.remove(name);
        }
        (Value::Array(items), Value::Number(index), value) => {
            let index = usize::try_from(index.as_u64()?).ok()?;
            match value {
                Some(value) if index == items.len() => items.push(value.clone()),
                Some(value) => *items.get_mut(index)? = value.clone(),
                None if index < items.len() => {
                    items.remove(index);
                }
                None => return None,
            }
        }
        _ => return None,
    }
    Some(())
}

/// An object without what storing it decides, its managed fields in an order that does not depend on the clock.
fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    for field in ["uid", "resourceVersion", "creationTimestamp", "generation"] {
        meta::set(&mut object, field, None);
    }
    let mut entries = meta::managed_fields(&object).to_vec();
    entries.sort_by_key(|entry| {
        ["manager", "operation", "subresource", "apiVersion"]
            .map(|field| entry[field].as_str().unwrap_or("None").to_owned())
    });
    meta::set(&mut object, "managedFields", (!entries.is_empty()).then_some(Value::Array(entries)));
    object
}

fn compare(want: &Value, got: &Value, path: &str, lines: &mut Vec<String>) {
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            for (name, want) in want {
                compare(want, got.get(name).unwrap_or(&json!("<absent>")), &format!("{path}.{name}"), lines);
            }
            for (name, got) in got.iter().filter(|(name, _)| !want.contains_key(*name)) {
                lines.push(format!("  {path}.{name}: want nothing, got {got}"));
            }
        }
        (Value::Array(want), Value::Array(got)) if want.len() == got.len() => {
            for (at, (want, got)) in want.iter().zip(got).enumerate() {
                compare(want, got, &format!("{path}[{at}]"), lines);
            }
        }
        _ if want != got => lines.push(format!("  {path}: want {want}, got {got}")),
        _ => {}
    }
}
