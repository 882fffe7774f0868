//! Conversations that were recorded with etcd's JSON gateway, replayed over the wire.

use std::collections::{HashMap, HashSet};
use std::io::Read;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http_client::HttpClient;

/// How long a watch that has told all it is expected to tell is listened to for more.
const SILENCE: Duration = Duration::from_millis(300);

/// How long what is expected of a watch may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads a file of `testdata/`.
pub fn recorded<T: serde::de::DeserializeOwned>(file: &str) -> T {
    let path = format!("{}/testdata/{file}", env!("CARGO_MANIFEST_DIR"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// JSON with spaces, as the recorder wrote it: the gateway's errors tell columns.
fn spaced(value: &Value) -> Vec<u8> {
    struct Spaces;
    impl serde_json::ser::Formatter for Spaces {
        fn begin_object_value<W: std::io::Write + ?Sized>(&mut self, writer: &mut W) -> std::io::Result<()> {
            writer.write_all(b": ")
        }
    }
    let mut text = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, Spaces)).unwrap();
    text
}

fn json_or_text(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}

/// One long conversation: steps of path, request, answer and, perhaps, a user.
pub struct Conversation {
    address: String,
    client: HttpClient,
    tokens: HashMap<String, String>,
}

impl Conversation {
    /// Replays a conversation with a fresh server, and returns what differs.
    pub fn replay(address: &str, steps: &[Vec<Value>]) -> Vec<String> {
        let mut this =
            Self { address: address.to_owned(), client: HttpClient::connect(address), tokens: HashMap::new() };
        let mut differences = Vec::new();
        for (number, step) in steps.iter().enumerate() {
            let [path, request, expected, user @ ..] = &step[..] else { panic!("step {number}: {step:?}") };
            let path = path.as_str().unwrap();
            let token = user.first().and_then(|user| this.tokens.get(user.as_str()?)).cloned();
            let answer = match path {
                "watch" => this.watch(request, expected, token.as_deref()),
                "login" => this.login(request),
                path => clean(this.ask(path, request, token.as_deref())),
            };
            if answer != clean(expected.clone()) {
                differences
                    .push(format!("step {number} {path} {request} {user:?}\n  etcd: {expected}\n  here: {answer}"));
            }
        }
        differences
    }

    fn ask(&mut self, path: &str, request: &Value, token: Option<&str>) -> Value {
        let headers: Vec<_> = token.map(|token| ("authorization", token)).into_iter().collect();
        let (head, body) = self.client.ask("POST", path, &headers, &spaced(request));
        json!({"code": head.status, "body": json_or_text(&body)})
    }

    fn login(&mut self, request: &Value) -> Value {
        let answer = self.ask("/v3/auth/authenticate", request, None);
        if let Some(token) = answer["body"]["token"].as_str() {
            self.tokens.insert(request["name"].as_str().unwrap().to_owned(), token.to_owned());
        }
        clean(answer)
    }

    /// The events of a watch, joined, up to what is expected of it.
    fn watch(&self, request: &Value, expected: &Value, token: Option<&str>) -> Value {
        let mut client = HttpClient::connect(&self.address);
        let headers: Vec<_> = token.map(|token| ("authorization", token)).into_iter().collect();
        client.begin("POST", "/v3/watch", &headers, &spaced(request));
        let expected = expected.as_object().unwrap();
        let expected_events = expected["events"].as_array().unwrap().len();
        let mut seen = Map::new();
        let mut events = Vec::new();
        while events.len() < expected_events || expected.keys().any(|key| key != "events" && !seen.contains_key(key)) {
            let Some(line) = client.chunk_within(PATIENCE) else { break };
            let line: Value = serde_json::from_slice(&line).unwrap();
            let result = &line["result"];
            events.extend(result["events"].as_array().into_iter().flatten().cloned().map(clean));
            for key in ["created", "canceled", "compact_revision", "cancel_reason"] {
                if let Some(value) = result.get(key) {
                    seen.insert(key.to_owned(), value.clone());
                }
            }
            if result.get("canceled").is_some() || line.get("error").is_some() {
                break;
            }
        }
        seen.insert("events".to_owned(), events.into());
        seen.into()
    }
}

/// Without what differs between any two runs, and in an order where etcd's is chance.
fn clean(value: Value) -> Value {
    const VARYING: [&str; 6] = ["cluster_id", "member_id", "raft_term", "TTL", "watch_id", "token"];
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, _)| !VARYING.contains(&name.as_str()));
            fields
                .map(|(name, value)| match value {
                    Value::Array(mut list) if name == "keys" || name == "leases" => {
                        list.sort_by_key(Value::to_string);
                        (name, list.into())
                    }
                    value => (name, clean(value)),
                })
                .collect()
        }
        Value::Array(list) => list.into_iter().map(clean).collect(),
        other => other,
    }
}

/// Replays one of many short conversations, and returns its answers.
///
/// A step has a method `m`, a path `p`, a body `b`, headers `h`; `save` names parts of its answer for use as `{{name}}`
/// in later steps, `ignore` what is not compared. A step may also `sleep`, or be a `watch` of `n` lines that goes on
/// until the end.
pub fn case(address: &str, case: &Value) -> Vec<Value> {
    let mut client = HttpClient::connect(address);
    let mut variables = HashMap::new();
    let mut answers = Vec::new();
    let mut watches = Vec::new();
    for (step, expected) in case["steps"].as_array().unwrap().iter().zip(case["want"].as_array().unwrap()) {
        if let Some(seconds) = step["sleep"].as_f64() {
            std::thread::sleep(Duration::from_secs_f64(seconds));
            answers.push(json!({}));
            continue;
        }
        let ignored = step["ignore"].as_array().into_iter().flatten();
        let ignored: Vec<Vec<&str>> = ignored.map(|path| path.as_str().unwrap().split('.').collect()).collect();
        let path = substitute(&step["p"], &variables);
        let headers = substitute(&step["h"], &variables);
        let headers: Vec<(&str, &str)> = headers
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let body = step.get("b").map(|body| match substitute(body, &variables) {
            Value::String(text) => text.into_bytes(),
            body => spaced(&body),
        });
        let (method, path, body) = (step["m"].as_str().unwrap(), path.as_str().unwrap(), body.unwrap_or_default());
        if step.get("watch").is_some() {
            watches.push((answers.len(), Watch::begin(address, path, &headers, &body), step, expected, ignored));
            answers.push(Value::Null);
            continue;
        }
        let (head, body) = client.ask(method, path, &headers, &body);
        let kind = head.header("content-type").split(';').next().unwrap();
        let body = match kind {
            "application/json" => json_or_text(&body),
            _ => String::from_utf8(body).unwrap().into(),
        };
        for (name, path) in step["save"].as_object().into_iter().flatten() {
            let pointer = format!("/{}", path.as_str().unwrap().replace('.', "/"));
            let value = body.pointer(&pointer).cloned().unwrap_or_default();
            variables.insert(name.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned));
        }
        answers.push(json!({"code": head.status, "type": kind, "body": without(body, &ignored)}));
    }
    for (number, watch, step, expected, ignored) in watches {
        answers[number] = watch.end(step, expected, &ignored);
    }
    answers
}

struct Watch {
    client: HttpClient,
    status: u16,
    /// The first line, which tells that the watch has begun.
    first: Option<Vec<u8>>,
}

impl Watch {
    fn begin(address: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut client = HttpClient::connect(address);
        let status = client.begin("POST", path, headers, body).status;
        let first = client.chunk();
        Self { client, status, first }
    }

    fn end(mut self, step: &Value, expected: &Value, ignored: &[Vec<&str>]) -> Value {
        let expected = expected["events"].as_array().unwrap().len();
        let wanted = usize::try_from(step["n"].as_u64().unwrap()).unwrap();
        let mut lines: Vec<Value> = Vec::new();
        while lines.len() < wanted {
            let patience = if lines.len() < expected { PATIENCE } else { SILENCE };
            let Some(line) = self.first.take().or_else(|| self.client.chunk_within(patience)) else { break };
            lines.push(without(serde_json::from_slice(&line).unwrap(), ignored));
        }
        json!({"code": self.status, "events": lines})
    }
}

fn substitute(value: &Value, variables: &HashMap<String, String>) -> Value {
    match value {
        Value::String(text) => {
            let mut text = text.clone();
            while let Some((before, rest)) = text.split_once("{{") {
                let (name, after) = rest.split_once("}}").unwrap();
                let value = match name.split(':').collect::<Vec<_>>()[..] {
                    ["repeat", text, times] => text.repeat(times.parse().unwrap()),
                    _ => variables[name].clone(),
                };
                text = format!("{before}{value}{after}");
            }
            text.into()
        }
        Value::Object(fields) => {
            fields.iter().map(|(name, value)| (name.clone(), substitute(value, variables))).collect()
        }
        Value::Array(list) => list.iter().map(|value| substitute(value, variables)).collect(),
        other => other.clone(),
    }
}

/// Without the parts at `paths`, where `*` stands for any name or index.
fn without(value: Value, paths: &[Vec<&str>]) -> Value {
    if paths.is_empty() {
        return value;
    }
    let below = |name: &str, value: Value| {
        let mut deeper = HashSet::new();
        for path in paths {
            match path.split_first() {
                Some((first, rest)) if *first == name || *first == "*" => deeper.insert(rest.to_vec()),
                _ => continue,
            };
        }
        let gone = deeper.contains(&vec![]);
        let deeper: Vec<_> = deeper.into_iter().collect();
        (!gone).then(|| without(value, &deeper))
    };
    match value {
        Value::Object(fields) => {
            fields.into_iter().filter_map(|(name, value)| below(&name, value).map(|value| (name, value))).collect()
        }
        Value::Array(list) => {
            let items = list.into_iter().enumerate();
            items.filter_map(|(index, value)| below(&index.to_string(), value)).collect()
        }
        other => other,
    }
}
