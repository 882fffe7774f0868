//! Writes messages as proto3 JSON, as etcd's gateway does: fields by their names in the `.proto` files, numbers of 64
//! bits as strings, what is zero left out.

use prost_reflect::{DynamicMessage, SerializeOptions};
use serde_json::json;

use crate::grpc::Failure;

/// One message.
pub fn json(message: &DynamicMessage) -> String {
    let options = SerializeOptions::new().use_proto_field_name(true);
    let mut text = Vec::new();
    let mut serializer = serde_json::Serializer::new(&mut text);
    match message.serialize_with_options(&mut serializer, &options) {
        Ok(()) => String::from_utf8(text).unwrap_or_default(),
        Err(error) => self::error(&Failure { code: INTERNAL, message: error.to_string() }),
    }
}

/// gRPC's code for an invariant that is broken.
const INTERNAL: i32 = 13;

/// A failure, as `google.rpc.Status`.
pub fn error(failure: &Failure) -> String {
    if failure.message.is_empty() {
        return json!({"code": failure.code}).to_string();
    }
    json!({"code": failure.code, "message": failure.message}).to_string()
}

/// One of the lines that a streamed answer consists of. These are safe to stand in HTML.
pub fn line(kind: &str, json: &str) -> String {
    let mut line = String::with_capacity(json.len() + 16);
    line.extend(["{\"", kind, "\":"]);
    for character in json.chars() {
        match character {
            '<' => line.push_str("\\u003c"),
            '>' => line.push_str("\\u003e"),
            '&' => line.push_str("\\u0026"),
            '\u{2028}' => line.push_str("\\u2028"),
            '\u{2029}' => line.push_str("\\u2029"),
            other => line.push(other),
        }
    }
    line.push_str("}\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_safe_in_html() {
        let failure = Failure { code: 9, message: "a<b>&\u{2028}\"".to_owned() };
        assert_eq!(
            line("error", &error(&failure)),
            "{\"error\":{\"code\":9,\"message\":\"a\\u003cb\\u003e\\u0026\\u2028\\\"\"}}\n"
        );
    }
}
