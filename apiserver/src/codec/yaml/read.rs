//! YAML to JSON.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};
use serde_json::{Map, Value};

use crate::codec::{base64, json};
use crate::go_syntax::go_quote;
use crate::limits::{JSON_DEPTH_MAX, YAML_EXPANDED_BYTES_MAX};

use super::scalar;

/// Why a text is no YAML, or none that JSON can express. Displayed as `go-yaml` words it where it says the same.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The text does not parse.
    #[error("yaml: line {line}: {what}")]
    Syntax {
        /// Counted from 1.
        line: usize,
        /// What is wrong there.
        what: String,
    },
    /// The text parses and cannot be converted.
    #[error("yaml: {0}")]
    Document(String),
    /// JSON has no such value.
    #[error("{0}")]
    Json(String),
}

/// A text's value.
#[derive(Debug, Clone, PartialEq)]
pub struct Converted {
    /// The value of the first document; null if there is none.
    pub value: Value,
    /// Keys that are set twice, told as one fault as strict decoding tells it; the later value is kept.
    pub duplicates: Option<String>,
}

/// The JSON text of a YAML text, and what strict decoding says of it.
pub fn to_json(text: &[u8]) -> Result<(Vec<u8>, Option<String>), Error> {
    let converted = read(text)?;
    Ok((json::encode_unstructured(&converted.value), converted.duplicates))
}

/// The value of the first document of a text.
pub fn read(text: &[u8]) -> Result<Converted, Error> {
    let text = std::str::from_utf8(text).map_err(|_| Error::Document("invalid leading UTF-8 octet".to_owned()))?;
    if text.chars().any(is_control) {
        return Err(Error::Document("control characters are not allowed".to_owned()));
    }
    let mut loader = Loader::new(text.strip_prefix('\u{feff}').unwrap_or(text));
    let value = loader.document()?;
    let duplicates = loader.duplicates;
    let duplicates = (!duplicates.is_empty()).then(|| format!("yaml: unmarshal errors:\n{}", duplicates.join("\n")));
    Ok(Converted { value, duplicates })
}

/// What may stand in a YAML text only escaped.
fn is_control(c: char) -> bool {
    !matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// Duplicates that are told of at most.
const DUPLICATES_MAX: usize = 100;

/// A value that an alias repeats, with what it costs to repeat.
struct Anchored {
    value: Value,
    nodes: usize,
    bytes: usize,
}

/// Loads one document, counting what it makes: an alias costs as much as what it stands for.
struct Loader<'t> {
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, Anchored>,
    duplicates: Vec<String>,
    nodes: usize,
    aliased_nodes: usize,
    bytes: usize,
    depth: usize,
}

impl<'t> Loader<'t> {
    fn new(text: &'t str) -> Self {
        let (anchors, duplicates) = Default::default();
        let parser = Parser::new_from_str(text);
        Self { parser, anchors, duplicates, nodes: 0, aliased_nodes: 0, bytes: 0, depth: 0 }
    }

    fn document(&mut self) -> Result<Value, Error> {
        loop {
            match self.event()? {
                (Event::StreamEnd, _) => return Ok(Value::Null),
                (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
                (event, span) => return Ok(self.node(event, span)?.value),
            }
        }
    }

    fn event(&mut self) -> Result<(Event<'t>, Span), Error> {
        match self.parser.next_event() {
            Some(event) => event.map_err(|error| syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn node(&mut self, event: Event<'t>, span: Span) -> Result<Node, Error> {
        let line = span.start.line();
        let (nodes, bytes) = (self.nodes, self.bytes);
        self.count(1, 0)?;
        let (anchor, content) = match event {
            Event::Alias(anchor) => return Ok(Node { content: Content::Value, value: self.alias(anchor)?, line }),
            Event::Scalar(text, style, anchor, tag) => {
                self.count(0, text.len())?;
                (anchor, scalar_node(&text, style, tag.as_deref(), line)?)
            }
            Event::SequenceStart(anchor, _) => (anchor, self.nested(Self::sequence, line)?),
            Event::MappingStart(anchor, _) => (anchor, self.nested(Self::mapping, line)?),
            _ => (0, Node { content: Content::Value, value: Value::Null, line }),
        };
        if anchor > 0 {
            let cost = Anchored { value: content.value.clone(), nodes: self.nodes - nodes, bytes: self.bytes - bytes };
            self.anchors.insert(anchor, cost);
        }
        Ok(content)
    }

    fn nested(&mut self, read: fn(&mut Self) -> Result<Value, Error>, line: usize) -> Result<Node, Error> {
        if self.depth >= JSON_DEPTH_MAX {
            return Err(Error::Document("exceeded max depth".to_owned()));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(Node { content: Content::Value, value, line })
    }

    fn sequence(&mut self) -> Result<Value, Error> {
        let mut items = Vec::new();
        loop {
            match self.event()? {
                (Event::SequenceEnd | Event::StreamEnd, _) => return Ok(Value::Array(items)),
                (event, span) => items.push(self.node(event, span)?.value),
            }
        }
    }

    fn mapping(&mut self) -> Result<Value, Error> {
        let mut map = Map::new();
        loop {
            let key = match self.event()? {
                (Event::MappingEnd | Event::StreamEnd, _) => return Ok(Value::Object(map)),
                (event, span) => self.node(event, span)?,
            };
            let (event, span) = self.event()?;
            let node = self.node(event, span)?;
            if key.content == Content::Merge {
                self.merge(&mut map, node.value, node.line)?;
                continue;
            }
            let name = key_text(&key.value)?;
            if map.insert(name, node.value).is_some() {
                self.duplicate(&go_syntax(&key.value), node.line);
            }
        }
    }

    /// Adds the keys of a map, or of several of which the first ones win.
    fn merge(&mut self, map: &mut Map<String, Value>, value: Value, line: usize) -> Result<(), Error> {
        match value {
            Value::Object(other) => {
                for (key, value) in other {
                    if map.contains_key(&key) {
                        self.duplicate(&go_quote(&key), line);
                    }
                    map.insert(key, value);
                }
                Ok(())
            }
            Value::Array(items) if items.iter().all(Value::is_object) => {
                items.into_iter().rev().try_for_each(|item| self.merge(map, item, line))
            }
            _ => Err(Error::Document("map merge requires map or sequence of maps as the value".to_owned())),
        }
    }

    fn duplicate(&mut self, key: &str, line: usize) {
        if self.duplicates.len() < DUPLICATES_MAX {
            self.duplicates.push(format!("  line {line}: key {key} already set in map"));
        }
    }

    fn alias(&mut self, anchor: usize) -> Result<Value, Error> {
        let anchored = self.anchors.get(&anchor);
        let anchored = anchored.ok_or_else(|| Error::Document("anchor value contains itself".to_owned()))?;
        let (value, nodes, bytes) = (&anchored.value, anchored.nodes, anchored.bytes);
        if depth(value) + self.depth > JSON_DEPTH_MAX {
            return Err(Error::Document("exceeded max depth".to_owned()));
        }
        // Counted before it is made.
        self.aliased_nodes += nodes;
        let (nodes, bytes) = (self.nodes + nodes, self.bytes + bytes);
        check(nodes, self.aliased_nodes, bytes)?;
        let value = value.clone();
        (self.nodes, self.bytes) = (nodes, bytes);
        Ok(value)
    }

    fn count(&mut self, nodes: usize, bytes: usize) -> Result<(), Error> {
        self.nodes += nodes;
        self.bytes += bytes;
        check(self.nodes, self.aliased_nodes, self.bytes)
    }
}

/// Small documents may come from aliases to 99 %, large ones to 10 %, as in `go-yaml`; and none may grow without bound.
fn check(nodes: usize, aliased: usize, bytes: usize) -> Result<(), Error> {
    let (low, high) = (400_000, 4_000_000);
    let permille = match nodes {
        _ if nodes <= low => 990,
        _ if nodes >= high => 100,
        _ => 990 - 890 * (nodes - low) / (high - low),
    };
    let excessive = aliased > 100 && nodes > 1000 && aliased > nodes / 1000 * permille;
    if excessive || bytes > YAML_EXPANDED_BYTES_MAX {
        return Err(Error::Document("document contains excessive aliasing".to_owned()));
    }
    Ok(())
}

/// A node and what it is as a key.
struct Node {
    content: Content,
    value: Value,
    line: usize,
}

#[derive(PartialEq)]
enum Content {
    Value,
    /// The key `<<`: the value's keys are the map's own.
    Merge,
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>, line: usize) -> Result<Node, Error> {
    let plain = style == ScalarStyle::Plain;
    let node = |value| Ok(Node { content: Content::Value, value, line });
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    match (core, tag) {
        (Some("binary"), _) => {
            let data = base64::decode(text)
                .map_err(|_| Error::Document("!!binary value contains invalid base64 data".to_owned()))?;
            node(Value::String(String::from_utf8_lossy(&data).into_owned()))
        }
        (Some(wanted @ ("int" | "float" | "bool" | "null" | "timestamp")), _) => {
            let value = scalar::resolve(text);
            let found = type_name(&value);
            if found == wanted || (wanted, found) == ("float", "int") || wanted == "timestamp" {
                node(value)
            } else {
                Err(Error::Document(format!("cannot decode !!{found} `{text}` as a !!{wanted}")))
            }
        }
        (Some("merge"), _) => Ok(Node { content: Content::Merge, value: Value::from(text), line }),
        (None, None) if plain && text == "<<" => Ok(Node { content: Content::Merge, value: Value::from(text), line }),
        (None, None) if plain && scalar::is_not_finite(text) => {
            let name = match text.trim_start_matches('+') {
                ".inf" | ".Inf" | ".INF" => "+Inf",
                negative if negative.starts_with('-') => "-Inf",
                _ => "NaN",
            };
            Err(Error::Json(format!("json: unsupported value: {name}")))
        }
        (None, None) if plain => node(scalar::resolve(text)),
        _ => node(Value::from(text)),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        _ => "str",
    }
}

/// Keys are strings in JSON.
fn key_text(key: &Value) -> Result<String, Error> {
    match key {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(_) | Value::Number(_) => Ok(key.to_string()),
        Value::Null => Err(Error::Json("unsupported map key of type: %!s(<nil>), key: <nil>".to_owned())),
        Value::Array(_) | Value::Object(_) => Err(Error::Document("invalid map key".to_owned())),
    }
}

/// A key as Go's verb `%#v` prints it.
fn go_syntax(key: &Value) -> String {
    match key {
        Value::String(text) => go_quote(text),
        other => other.to_string(),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Words an error as `go-yaml` does. Its scanner tells no line if that is the first; its parser counts from 0.
fn syntax(error: &ScanError) -> Error {
    let info = error.info().rsplit_once(", ").map_or(error.info(), |split| split.1);
    let what = match info {
        _ if info.starts_with("unexpected character") || info.starts_with("tabs disallowed") => {
            "found character that cannot start any token".to_owned()
        }
        _ if info.starts_with("expected ") => format!("did not find {info}"),
        _ => info.to_owned(),
    };
    let of_parser = what.starts_with("did not find expected");
    match error.marker().line().saturating_sub(usize::from(of_parser)) {
        line if line > usize::from(!of_parser) => Error::Syntax { line, what },
        _ => Error::Document(what),
    }
}
