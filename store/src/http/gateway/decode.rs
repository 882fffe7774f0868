//! Reads messages from proto3 JSON. What is refused, and in which words, is as with Go's `protojson`, told to discard
//! unknown fields and enum names: that is how etcd's gateway reads.

use base64::Engine;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

use super::token::{Kind as TokenKind, Token, Tokens, number_at};
use crate::limits::MESSAGE_DEPTH;

/// Begins every text of Go's protobuf library: a colon and a space that does not break.
pub(super) const PREFIX: &str = "proto:\u{a0}";

/// Reads one message from one JSON value, as [`Values`](super::scan::Values) yields it.
pub fn message(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, String> {
    Decoder { tokens: Tokens::new(json) }.message(descriptor, MESSAGE_DEPTH).map_err(|error| format!("{PREFIX}{error}"))
}

struct Decoder<'a> {
    tokens: Tokens<'a>,
}

impl Decoder<'_> {
    fn message(&mut self, descriptor: &MessageDescriptor, depth: usize) -> Result<DynamicMessage, String> {
        let depth = depth.checked_sub(1).ok_or("exceeded max recursion depth")?;
        let open = self.tokens.next()?;
        if open.kind != TokenKind::ObjectOpen {
            return Err(self.unexpected(&open));
        }
        let mut message = DynamicMessage::new(descriptor.clone());
        let mut seen = Vec::new();
        let mut seen_oneofs = Vec::new();
        loop {
            let name = self.tokens.next()?;
            let TokenKind::String(text) = &name.kind else {
                return if name.kind == TokenKind::ObjectClose { Ok(message) } else { Err(self.unexpected(&name)) };
            };
            let field = descriptor.get_field_by_json_name(text).or_else(|| descriptor.get_field_by_name(text));
            let Some(field) = field else {
                self.tokens.skip_value()?;
                continue;
            };
            if seen.contains(&field.number()) {
                return Err(self.at(&name, &format!("duplicate field {}", name.raw)));
            }
            seen.push(field.number());
            if self.tokens.skip_null() {
                continue;
            }
            if let Some(oneof) = field.containing_oneof() {
                if seen_oneofs.contains(&oneof) {
                    let text = format!("error parsing {}, oneof {} is already set", name.raw, oneof.full_name());
                    return Err(self.at(&name, &text));
                }
                seen_oneofs.push(oneof);
            }
            let value = if field.is_list() { Some(self.list(&field, depth)?) } else { self.value(&field, depth)? };
            if let Some(value) = value {
                message.set_field(&field, value);
            }
        }
    }

    fn list(&mut self, field: &FieldDescriptor, depth: usize) -> Result<Value, String> {
        let open = self.tokens.next()?;
        if open.kind != TokenKind::ArrayOpen {
            return Err(self.unexpected(&open));
        }
        let mut list = Vec::new();
        while !self.tokens.skip_array_close() {
            list.extend(self.value(field, depth)?);
        }
        Ok(Value::List(list))
    }

    /// One value of a field; `None` for the name of an enum's value that is unknown.
    fn value(&mut self, field: &FieldDescriptor, depth: usize) -> Result<Option<Value>, String> {
        let kind = field.kind();
        if let Kind::Message(descriptor) = kind {
            return Ok(Some(Value::Message(self.message(&descriptor, depth)?)));
        }
        let token = self.tokens.next()?;
        if let (Kind::Enum(values), TokenKind::String(name)) = (&kind, &token.kind) {
            return Ok(values.get_value_by_name(name).map(|value| Value::EnumNumber(value.number())));
        }
        let value = match (&kind, &token.kind) {
            (Kind::Bool, TokenKind::Bool(flag)) => Some(Value::Bool(*flag)),
            (Kind::String, TokenKind::String(text)) => Some(Value::String(text.clone())),
            (Kind::Bytes, TokenKind::String(text)) => bytes(text).map(|bytes| Value::Bytes(bytes.into())),
            (Kind::Enum(_), TokenKind::Number) => integer(token.raw).map(Value::EnumNumber),
            (Kind::Int64, token_kind) => integer_token(&token, token_kind).map(Value::I64),
            (Kind::Int32, token_kind) => integer_token(&token, token_kind).map(Value::I32),
            (Kind::Uint64, token_kind) => integer_token(&token, token_kind).map(Value::U64),
            (Kind::Uint32, token_kind) => integer_token(&token, token_kind).map(Value::U32),
            // The API has no other kinds.
            _ => None,
        };
        let refusal = || {
            let text = format!("invalid value for {} field {}: {}", kind_name(&kind), field.json_name(), token.raw);
            self.at(&token, &text)
        };
        value.map(Some).ok_or_else(refusal)
    }

    fn unexpected(&self, token: &Token<'_>) -> String {
        self.tokens.syntax_error(token.position, &format!("unexpected token {}", token.raw))
    }

    fn at(&self, token: &Token<'_>, text: &str) -> String {
        format!("({}): {text}", self.tokens.place(token.position))
    }
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::String => "string",
        Kind::Bytes => "bytes",
        Kind::Int32 => "int32",
        Kind::Int64 => "int64",
        Kind::Uint32 => "uint32",
        Kind::Uint64 => "uint64",
        Kind::Enum(_) => "enum",
        Kind::Message(_) => "message",
        _ => "number",
    }
}

/// Reads base64 of either alphabet, padded or not; line breaks in it do not count.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let alphabet: &Alphabet = if text.contains(['-', '_']) { &URL_SAFE } else { &STANDARD };
    let padding =
        if text.len().is_multiple_of(4) { DecodePaddingMode::RequireCanonical } else { DecodePaddingMode::RequireNone };
    let config = GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true).with_decode_padding_mode(padding);
    let engine = GeneralPurpose::new(alphabet, config);
    if text.contains(['\r', '\n']) {
        return engine.decode(text.replace(['\r', '\n'], "")).ok();
    }
    engine.decode(text).ok()
}

/// A whole number, plain or in a string.
fn integer_token<T: TryFrom<i128>>(token: &Token<'_>, kind: &TokenKind) -> Option<T> {
    match kind {
        TokenKind::Number => integer(token.raw),
        TokenKind::String(text) => integer(number_at(text)?),
        _ => None,
    }
}

/// Reads a JSON number that is whole, however it is written: `1200`, `1.2e3`.
fn integer<T: TryFrom<i128>>(number: &str) -> Option<T> {
    /// Digits of the largest number of 64 bits.
    const MAX_DIGITS: i64 = 20;
    let (negative, number) = number.strip_prefix('-').map_or((false, number), |rest| (true, rest));
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = whole.trim_start_matches('0');
    let digits = format!("{whole}{fraction}");
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        return T::try_from(0).ok();
    }
    let exponent: i64 = exponent.parse().ok()?;
    // Digits left of the point.
    let size = i64::try_from(whole.len()).ok()?.checked_add(exponent)?;
    let trailing_zeros = size.checked_sub(i64::try_from(digits.len()).ok()?)?;
    if trailing_zeros < 0 || size > MAX_DIGITS {
        return None;
    }
    let scale = 10_i128.checked_pow(trailing_zeros.try_into().ok()?)?;
    let magnitude = digits.parse::<i128>().ok()?.checked_mul(scale)?;
    T::try_from(if negative { -magnitude } else { magnitude }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::gateway::routes::pool;

    fn read(message_name: &str, json: &str) -> Result<String, String> {
        let descriptor = pool().get_message_by_name(message_name).unwrap();
        message(&descriptor, json.as_bytes()).map(|message| crate::http::gateway::encode::json(&message))
    }

    #[test]
    fn numbers_are_read_however_they_are_written() {
        for (text, expected) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("0e99999999999999999999", Some(0)),
            ("12", Some(12)),
            ("1.2e1", Some(12)),
            ("120e-1", Some(12)),
            ("12.0", Some(12)),
            ("0.12e2", Some(12)),
            ("0.012e3", Some(12)),
            ("0e99", Some(0)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("1.5", None),
            ("1e-1", None),
            ("1e99", None),
            ("1e9223372036854775807", None),
        ] {
            assert_eq!(integer::<i64>(text), expected, "{text}");
        }
        assert_eq!(integer::<u64>("-0"), Some(0));
        assert_eq!(integer::<u64>("-1"), None);
        assert_eq!(integer::<u64>("18446744073709551615"), Some(u64::MAX));
    }

    #[test]
    fn all_that_proto3_json_allows_is_read() {
        let json = r#" { "key": "YQ", "rangeEnd": "_-8=", "limit": "5", "revision": 1e1, "sort_order": 2, "sortTarget": "MOD",
            "serializable": true, "unknown": [{"a": null}, "\ud83d\ude00"], "keys_only": null, "min_mod_revision": "3 " }"#;
        let told = read("etcdserverpb.RangeRequest", json).unwrap_err();
        assert_eq!(told, "proto:\u{a0}(line 2:116): invalid value for int64 field minModRevision: \"3 \"");
        let json = json.replace("3 ", "3");
        assert_eq!(
            read("etcdserverpb.RangeRequest", &json).unwrap(),
            r#"{"key":"YQ==","range_end":"/+8=","limit":"5","revision":"10","sort_order":"DESCEND","sort_target":"MOD","serializable":true,"min_mod_revision":"3"}"#
        );
        let json = r#"{"sort_order":"SIDEWAYS","sort_target":7}"#;
        assert_eq!(read("etcdserverpb.RangeRequest", json).unwrap(), r#"{"sort_target":7}"#);
        let json = r#"{"compare":[{"key":"YQ==","version":"0"}],"success":[{"requestRange":{}},{}]}"#;
        assert_eq!(
            read("etcdserverpb.TxnRequest", json).unwrap(),
            r#"{"compare":[{"key":"YQ==","version":"0"}],"success":[{"request_range":{}},{}]}"#
        );
    }

    #[test]
    fn what_is_wrong_is_told_in_protojsons_words() {
        for (name, json, expected) in [
            ("RangeRequest", "[1]", "syntax error (line 1:1): unexpected token ["),
            ("RangeRequest", "12", "syntax error (line 1:1): unexpected token 12"),
            ("RangeRequest", r#"{"key":"!"}"#, "(line 1:8): invalid value for bytes field key: \"!\""),
            ("RangeRequest", "{\n \"limit\":1.5}", "(line 2:10): invalid value for int64 field limit: 1.5"),
            ("RangeRequest", r#"{"limit":{}}"#, "(line 1:10): invalid value for int64 field limit: {"),
            ("RangeRequest", r#"{"sort_order":true}"#, "(line 1:15): invalid value for enum field sortOrder: true"),
            ("RangeRequest", r#"{"key":"","key":""}"#, "(line 1:11): duplicate field \"key\""),
            ("TxnRequest", r#"{"compare":{}}"#, "syntax error (line 1:12): unexpected token {"),
            ("TxnRequest", r#"{"compare":[null]}"#, "syntax error (line 1:13): unexpected token null"),
            (
                "Compare",
                r#"{"lease":1,"version":1}"#,
                "(line 1:12): error parsing \"version\", oneof etcdserverpb.Compare.target_union is already set",
            ),
            (
                "RangeRequest",
                r#"{"x":"\ud800 12345"}"#,
                r#"syntax error (line 1:6): invalid escape code " 12345" in string"#,
            ),
        ] {
            let told = read(&format!("etcdserverpb.{name}"), json).unwrap_err();
            assert_eq!(told, format!("{PREFIX}{expected}"), "{json}");
        }
        let descriptor = pool().get_message_by_name("etcdserverpb.AuthUserGetRequest").unwrap();
        let told = message(&descriptor, b"{\"name\":\"\xff\"}").unwrap_err();
        assert_eq!(told, format!("{PREFIX}syntax error (line 1:9): invalid UTF-8 in string"));
        let deep = format!("{}{}", r#"{"success":[{"request_txn":"#.repeat(60), "{}".to_owned() + &"}]}".repeat(60));
        assert_eq!(
            read("etcdserverpb.TxnRequest", &deep).unwrap_err(),
            format!("{PREFIX}exceeded max recursion depth")
        );
    }
}
