//! The recorded conversations with kube-apiserver, held again with this server.
//!
//! What differs from run to run (uids, times, resource versions, allocated addresses, random suffixes) is replaced by placeholders
//! on both sides; everything else must be equal: status code, media type, warnings and body.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::GzDecoder;
use http_body_util::BodyExt;
use regex::Regex;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, timeout_at};

use crate::server::{Client, Server};

/// How many conversations went as recorded when this was last changed. It only ever rises.
const FLOOR: usize = 195;

static CASES: &[u8] = include_bytes!("../../testdata/cases.json.gz");

#[tokio::test]
async fn conversations_go_as_recorded() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--service-cluster-ip-range=10.0.0.0/24"]);
    let client = server.client();
    let mut text = String::new();
    GzDecoder::new(CASES).read_to_string(&mut text).unwrap();
    let cases: Vec<Value> = serde_json::from_str(&text).unwrap();
    let only = std::env::var("PARITY_ONLY").unwrap_or_default();

    let (mut passed, mut failed) = (0, Vec::new());
    for case in cases.iter().filter(|c| c["id"].as_str().unwrap().contains(&only)) {
        let id = case["id"].as_str().unwrap();
        let got = hold(&client, case).await;
        let differences = differences(&case["want"], &Value::Array(got), id);
        if differences.is_empty() {
            passed += 1;
        } else {
            failed.push((id, differences));
        }
    }
    for (id, differences) in &failed {
        println!("not yet: {id}");
        for line in differences.iter().take(if only.is_empty() { 1 } else { 20 }) {
            println!("    {line}");
        }
    }
    println!("{passed} of {} conversations go as recorded", passed + failed.len());
    assert!(passed >= FLOOR || !only.is_empty(), "{passed} conversations go as recorded, {FLOOR} did before");
}

/// Holds one conversation and returns the answers.
async fn hold(client: &Client, case: &Value) -> Vec<Value> {
    let id = case["id"].as_str().unwrap().replace('/', "-").to_lowercase();
    let mut saved = HashMap::from([("id".to_owned(), id)]);
    let mut got = Vec::new();
    let mut watches = Vec::new();
    for step in case["steps"].as_array().unwrap() {
        if let Some(seconds) = step["sleep"].as_f64() {
            // Part of the recorded conversation: the pause between two steps.
            tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
            got.push(json!({}));
            continue;
        }
        let ignored: Vec<Vec<String>> = step["ignore"].as_array().into_iter().flatten().map(split_path).collect();
        if step["watch"] == true {
            let (client, step, saved) = (client.clone(), step.clone(), saved.clone());
            let (established, ready) = tokio::sync::oneshot::channel();
            watches.push((got.len(), ignored, tokio::spawn(watch(client, step, saved, established))));
            let _ = ready.await;
            got.push(Value::Null);
            continue;
        }
        let (answer, body) = ask(client, step, &saved, &ignored).await;
        for (name, path) in step["save"].as_object().into_iter().flatten() {
            let value = path.as_str().unwrap().split('.').fold(&body, |at, key| match at {
                Value::Array(items) => &items[key.parse::<usize>().unwrap()],
                other => &other[key],
            });
            saved.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        got.push(if step["quiet"] == true { json!({}) } else { answer });
    }
    for (at, ignored, task) in watches {
        let mut answer = task.await.unwrap();
        if let Some(events) = answer["events"].as_array_mut() {
            let mut ignored = ignored.clone();
            ignored.extend(ignored.clone().into_iter().map(|path| [vec!["object".to_owned()], path].concat()));
            for event in events {
                *event = normalize(event, &ignored);
            }
        }
        got[at] = answer;
    }
    got
}

fn split_path(path: &Value) -> Vec<String> {
    path.as_str().unwrap().split('.').map(str::to_owned).collect()
}

async fn send(client: &Client, step: &Value, saved: &HashMap<String, String>) -> crate::server::Response {
    let fill = |text: &str| substitute(text, saved);
    let mut headers: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in step["h"].as_object().into_iter().flatten() {
        headers.insert(name.to_lowercase(), fill(value.as_str().unwrap()));
    }
    match step.get("as").map_or("admin", |who| who.as_str().unwrap_or_default()) {
        "" => {}
        who => {
            headers.insert("authorization".to_owned(), format!("Bearer {who}-token"));
        }
    }
    let body = step.get("b").filter(|b| !b.is_null()).map(|body| match body {
        Value::String(text) => fill(text),
        other => fill_value(other, saved).to_string(),
    });
    if body.is_some() {
        headers.entry("content-type".to_owned()).or_insert_with(|| "application/json".to_owned());
    }
    headers.entry("accept".to_owned()).or_insert_with(|| "application/json".to_owned());
    let headers: Vec<(String, String)> = headers.into_iter().collect();
    let path = fill(step["p"].as_str().unwrap()).replace(' ', "%20");
    client.send(step["m"].as_str().unwrap(), &path, &headers, Bytes::from(body.unwrap_or_default())).await
}

async fn ask(
    client: &Client,
    step: &Value,
    saved: &HashMap<String, String>,
    ignored: &[Vec<String>],
) -> (Value, Value) {
    let response = send(client, step, saved).await;
    let header = |name: &str| response.headers.get(name).map(|v| v.to_str().unwrap().to_owned());
    let (code, media_type) = (response.code, header("content-type").unwrap_or_default());
    let warnings: Vec<String> =
        response.headers.get_all("warning").iter().map(|v| v.to_str().unwrap().to_owned()).collect();
    let bytes = response.bytes().await;
    let body = body_value(&bytes, &media_type);
    let shown = if media_type.contains("as=") { media_type.as_str() } else { media_type.split(';').next().unwrap() };
    let mut answer = json!({ "code": code, "type": shown, "body": normalize(&body, ignored) });
    if !warnings.is_empty() {
        answer["warning"] = placeholder(&warnings.join(", ")).into();
    }
    (answer, body)
}

fn body_value(bytes: &[u8], media_type: &str) -> Value {
    let parsed = if media_type.contains("json") { serde_json::from_slice(bytes).ok() } else { None };
    parsed.unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned().into())
}

async fn watch(
    client: Client,
    step: Value,
    saved: HashMap<String, String>,
    established: tokio::sync::oneshot::Sender<()>,
) -> Value {
    let wanted = usize::try_from(step["n"].as_u64().unwrap()).unwrap();
    let deadline = Instant::now() + Duration::from_secs_f64(step["timeout"].as_f64().unwrap_or(4.0));
    let mut answer = json!({ "events": [] });
    let Ok(mut response) = timeout_at(deadline, send(&client, &step, &saved)).await else { return answer };
    answer["code"] = response.code.into();
    let _ = established.send(());
    if response.code != 200 {
        let media_type = response.headers.get("content-type").unwrap().to_str().unwrap().to_owned();
        answer["body"] = normalize(&body_value(&response.bytes().await, &media_type), &[]);
        return answer;
    }
    let mut buffer = Vec::new();
    let mut events = Vec::new();
    while events.len() < wanted {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, response.body.frame()).await else { break };
        buffer.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        while let Some(end) = buffer.iter().position(|&b| b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            if events.len() < wanted {
                events.push(serde_json::from_slice(&line).unwrap());
            }
        }
    }
    answer["events"] = Value::Array(events);
    answer
}

fn substitute(text: &str, saved: &HashMap<String, String>) -> String {
    static REPEAT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{\{repeat:(\w+):(\d+)\}\}").unwrap());
    static NAME: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\{\{([\w.]+)\}\}").unwrap());
    let text = REPEAT.replace_all(text, |m: &regex::Captures<'_>| m[1].repeat(m[2].parse().unwrap()));
    let value = |m: &regex::Captures<'_>| saved.get(&m[1]).cloned().unwrap_or_else(|| "<unset>".to_owned());
    NAME.replace_all(&text, value).into_owned()
}

fn fill_value(value: &Value, saved: &HashMap<String, String>) -> Value {
    match value {
        Value::String(text) => substitute(text, saved).into(),
        Value::Array(items) => items.iter().map(|i| fill_value(i, saved)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(k, v)| (substitute(k, saved), fill_value(v, saved))).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

/// Replaces what differs from run to run.
fn normalize(value: &Value, ignored: &[Vec<String>]) -> Value {
    let matches = |path: &Vec<String>, key: &str| path[0] == key || path[0] == "*";
    let below = |key: &str| -> Vec<Vec<String>> {
        ignored.iter().filter(|p| p.len() > 1 && matches(p, key)).map(|p| p[1..].to_vec()).collect()
    };
    let dropped = |key: &str| ignored.iter().any(|p| p.len() == 1 && matches(p, key));
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(k, _)| *k != "remainingItemCount" && !dropped(k));
            let kept = kept.map(|(k, v)| {
                let shown = match (placeholder_of(k), v) {
                    (Some(place), Value::String(text)) if !text.is_empty() && text != "None" => place.into(),
                    (Some(place), Value::Number(_)) => place.into(),
                    (_, Value::Array(items)) if k == "clusterIPs" => {
                        items.iter().map(|i| if i == "None" { i.clone() } else { "<ip>".into() }).collect()
                    }
                    _ => normalize(v, &below(k)),
                };
                (k.clone(), shown)
            });
            Value::Object(kept.collect())
        }
        Value::Array(items) => {
            let items = items.iter().enumerate();
            items.map(|(at, item)| normalize(item, &below(&at.to_string()))).collect()
        }
        Value::String(text) => placeholder(text).into(),
        other => other.clone(),
    }
}

fn placeholder_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "uid" => "<uid>",
        "resourceVersion" => "<rv>",
        "continue" => "<continue>",
        "clusterIP" => "<ip>",
        "nodePort" | "healthCheckNodePort" => "<port>",
        _ => return None,
    })
}

fn placeholder(text: &str) -> String {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "<uid>"),
            (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "<time>"),
            (r"(gen-[a-z]*-|Bad_)[a-z0-9]{5}\b", "${1}<rand>"),
            (r"^\d+s$", "<age>"),
            (r"(kube-api-access-)[a-z0-9]{5}\b", "${1}<rand>"),
            ("resourceVersion: \"\\d+\"", "resourceVersion: \"<rv>\""),
            (r"resource version: \d+( \(\d+\))?", "resource version: <rv>"),
            (r"Too large resource version: <rv>, current: \d+", "Too large resource version: <rv>, current: <rv>"),
            (r"ResourceVersion in record \(\d+\)", "ResourceVersion in record (<rv>)"),
        ];
        rules.map(|(pattern, with)| (Regex::new(pattern).unwrap(), with)).to_vec()
    });
    // An address, but not a range of them.
    static ADDRESS: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b10\.0\.0\.\d{1,3}\b(/?)").unwrap());
    let text = ADDRESS.replace_all(
        text,
        |m: &regex::Captures<'_>| {
            if m[1].is_empty() { "<ip>".to_owned() } else { m[0].to_owned() }
        },
    );
    RULES.iter().fold(text.into_owned(), |text, (pattern, with)| pattern.replace_all(&text, *with).into_owned())
}

/// Where two answers differ, a line each.
fn differences(want: &Value, got: &Value, path: &str) -> Vec<String> {
    let short = |v: &Value| v.to_string().chars().take(200).collect::<String>();
    match (want, got) {
        (Value::Object(want), Value::Object(got)) => {
            let mut lines = Vec::new();
            for (key, value) in want {
                match got.get(key) {
                    Some(other) => lines.extend(differences(value, other, &format!("{path}.{key}"))),
                    None => lines.push(format!("{path}.{key}: missing, want {}", short(value))),
                }
            }
            let extra = got.iter().filter(|(key, _)| !want.contains_key(*key));
            lines.extend(extra.map(|(key, value)| format!("{path}.{key}: not wanted: {}", short(value))));
            lines
        }
        (Value::Array(want), Value::Array(got)) => {
            let mut lines = Vec::new();
            if want.len() != got.len() {
                lines.push(format!("{path}: want {} items, got {}", want.len(), got.len()));
            }
            for (at, (a, b)) in want.iter().zip(got).enumerate() {
                lines.extend(differences(a, b, &format!("{path}[{at}]")));
            }
            lines
        }
        (want, got) if want == got => Vec::new(),
        (want, got) => vec![format!("{path}: want {} got {}", short(want), short(got))],
    }
}
