//! The protobuf form of the version 2 document (`openapi.v2.Document` of gnostic's models), which `kubectl` asks for.
//!
//! Messages are written from the JSON document. What it never holds, such as examples and XML, is not written either.

use serde_json::{Map, Value};

/// The document in protobuf.
pub fn encode(document: &Value) -> Vec<u8> {
    let mut out = Message::default();
    out.text(1, document.get("swagger"));
    out.message(2, &info(member(document, "info")));
    out.message(8, &named(2, member(document, "paths"), path_item));
    out.message(9, &named(1, member(document, "definitions"), schema));
    out.message(10, &named(1, member(document, "parameters"), parameter));
    for requirement in items(document, "security") {
        out.message(12, &named(1, requirement, |scopes| texts(1, scopes)));
    }
    out.message(13, &named(1, member(document, "securityDefinitions"), security_definition));
    out.0
}

/// A message under construction. Empty scalars are not written, as proto3 has it; what is empty in itself may be.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    const VARINT: u64 = 0;
    const BYTES: u64 = 2;

    fn varint(&mut self, mut value: u64) {
        loop {
            let low = u8::try_from(value & 0x7f).unwrap_or_default();
            value >>= 7;
            if value == 0 {
                return self.0.push(low);
            }
            self.0.push(low | 0x80);
        }
    }

    fn bytes(&mut self, tag: u64, bytes: &[u8]) {
        self.varint(tag << 3 | Self::BYTES);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn message(&mut self, tag: u64, message: &Self) {
        self.bytes(tag, &message.0);
    }

    fn text(&mut self, tag: u64, value: Option<&Value>) {
        if let Some(text) = value.and_then(Value::as_str).filter(|text| !text.is_empty()) {
            self.bytes(tag, text.as_bytes());
        }
    }

    fn flag(&mut self, tag: u64, value: Option<&Value>) {
        if value == Some(&Value::Bool(true)) {
            self.varint(tag << 3 | Self::VARINT);
            self.varint(1);
        }
    }

    /// A list of texts.
    fn texts(&mut self, tag: u64, list: &[Value]) {
        for text in list.iter().filter_map(Value::as_str) {
            self.bytes(tag, text.as_bytes());
        }
    }

    /// What the models do not know, members whose names begin with `x-`: as YAML.
    fn extensions(&mut self, tag: u64, object: &Value) {
        let extensions = object.as_object().into_iter().flatten().filter(|(name, _)| name.starts_with("x-"));
        for (name, value) in extensions {
            self.message(tag, &pair(name, &any(value)));
        }
    }
}

static NOTHING: Value = Value::Null;

fn member<'a>(object: &'a Value, name: &str) -> &'a Value {
    object.get(name).unwrap_or(&NOTHING)
}

fn items<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    member(object, name).as_array().map_or(&[], Vec::as_slice)
}

/// A map as a message whose only list, under the tag, holds its entries.
fn named(tag: u64, map: &Value, value: impl Fn(&Value) -> Message) -> Message {
    let mut out = Message::default();
    for (name, each) in map.as_object().into_iter().flat_map(Map::iter) {
        out.message(tag, &pair(name, &value(each)));
    }
    out
}

/// An entry of a map.
fn pair(name: &str, value: &Message) -> Message {
    let mut out = Message::default();
    out.bytes(1, name.as_bytes());
    out.message(2, value);
    out
}

fn wrapped(tag: u64, message: &Message) -> Message {
    let mut out = Message::default();
    out.message(tag, message);
    out
}

fn texts(tag: u64, list: &Value) -> Message {
    let mut out = Message::default();
    out.texts(tag, list.as_array().map_or(&[], Vec::as_slice));
    out
}

/// Any value, as YAML text.
fn any(value: &Value) -> Message {
    let mut out = Message::default();
    // JSON is YAML too, should the value have no plainer form.
    let yaml = serde_yaml_ng::to_string(value).unwrap_or_else(|_| value.to_string());
    out.bytes(2, yaml.as_bytes());
    out
}

fn info(info: &Value) -> Message {
    let mut out = Message::default();
    out.text(1, info.get("title"));
    out.text(2, info.get("version"));
    out
}

fn security_definition(definition: &Value) -> Message {
    const API_KEY: u64 = 2;
    let mut out = Message::default();
    for (tag, name) in [(1, "type"), (2, "name"), (3, "in"), (4, "description")] {
        out.text(tag, definition.get(name));
    }
    wrapped(API_KEY, &out)
}

fn path_item(item: &Value) -> Message {
    const METHODS: [(u64, &str); 7] =
        [(2, "get"), (3, "put"), (4, "post"), (5, "delete"), (6, "options"), (7, "head"), (8, "patch")];
    let mut out = Message::default();
    for (tag, method) in METHODS {
        if let Some(each) = item.get(method) {
            out.message(tag, &operation(each));
        }
    }
    for parameter in items(item, "parameters") {
        out.message(9, &parameter_or_reference(parameter));
    }
    out
}

fn operation(operation: &Value) -> Message {
    let mut out = Message::default();
    out.texts(1, items(operation, "tags"));
    out.text(3, operation.get("description"));
    out.text(5, operation.get("operationId"));
    out.texts(6, items(operation, "produces"));
    out.texts(7, items(operation, "consumes"));
    for parameter in items(operation, "parameters") {
        out.message(8, &parameter_or_reference(parameter));
    }
    out.message(9, &named(1, member(operation, "responses"), response));
    out.texts(10, items(operation, "schemes"));
    out.extensions(13, operation);
    out
}

fn response(response: &Value) -> Message {
    let mut out = Message::default();
    out.text(1, response.get("description"));
    if let Some(each) = response.get("schema") {
        out.message(2, &wrapped(1, &schema(each)));
    }
    wrapped(1, &out)
}

fn parameter_or_reference(each: &Value) -> Message {
    if let Some(target) = each.get("$ref") {
        let mut reference = Message::default();
        reference.text(1, Some(target));
        return wrapped(2, &reference);
    }
    wrapped(1, &parameter(each))
}

fn parameter(parameter: &Value) -> Message {
    const BODY: u64 = 1;
    const NOT_BODY: u64 = 2;
    let mut out = Message::default();
    let place = parameter.get("in").and_then(Value::as_str);
    if place == Some("body") {
        out.text(1, parameter.get("description"));
        out.text(2, parameter.get("name"));
        out.text(3, parameter.get("in"));
        out.flag(4, parameter.get("required"));
        out.message(5, &schema(member(parameter, "schema")));
        return wrapped(BODY, &out);
    }
    let in_query = place == Some("query");
    out.flag(1, parameter.get("required"));
    out.text(2, parameter.get("in"));
    out.text(3, parameter.get("description"));
    out.text(4, parameter.get("name"));
    out.text(if in_query { 6 } else { 5 }, parameter.get("type"));
    out.flag(if in_query { 20 } else { 19 }, parameter.get("uniqueItems"));
    wrapped(NOT_BODY, &wrapped(if in_query { 3 } else { 4 }, &out))
}

fn schema(each: &Value) -> Message {
    let mut out = Message::default();
    out.text(1, each.get("$ref"));
    out.text(2, each.get("format"));
    out.text(4, each.get("description"));
    if let Some(default) = each.get("default") {
        out.message(5, &any(default));
    }
    out.texts(19, items(each, "required"));
    for value in items(each, "enum") {
        out.message(20, &any(value));
    }
    if let Some(values) = each.get("additionalProperties") {
        out.message(21, &wrapped(1, &schema(values)));
    }
    if let Some(ty) = each.get("type") {
        let mut types = Message::default();
        types.text(1, Some(ty));
        out.message(22, &types);
    }
    if let Some(values) = each.get("items") {
        out.message(23, &wrapped(1, &schema(values)));
    }
    if let Some(properties) = each.get("properties") {
        out.message(25, &named(1, properties, schema));
    }
    out.extensions(31, each);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn writes_maps_as_entries_and_extensions_as_yaml() {
        let document = json!({"swagger": "2.0", "definitions": {"T": {"type": "string", "x-k": ["a"]}}});
        // definitions: entry { name: "T", value { type { "string" }, vendor_extension { "x-k", yaml "- a\n" } } }
        let schema =
            [&[0xb2, 1, 8, 0x0a, 6][..], b"string", &[0xfa, 1, 13, 0x0a, 3], b"x-k", &[0x12, 6, 0x12, 4], b"- a\n"]
                .concat();
        let entry = [&[0x0a, 1, b'T', 0x12, 27][..], &schema].concat();
        let want = [&[0x4a, 34, 0x0a, 32][..], &entry].concat();
        assert_eq!(schema.len(), 27);
        let got = encode(&document);
        assert!(got.starts_with(b"\x0a\x032.0"));
        assert!(got.windows(want.len()).any(|window| window == want), "{got:?}");
    }
}
