//! The `continue` parameter of paged lists: where the last page stopped, and of which revision it was.
//!
//! Encoded as kube-apiserver does (apiserver's `storage/continue.go`), so that a client can go on after the server was swapped.

use base64::{
    Engine, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use serde::Deserialize;

use super::error::Error;

const VERSION: &str = "meta.k8s.io/v1";

/// Go's `base64.RawURLEncoding`, which takes leftover bits as they come.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::URL_SAFE,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone)
        .with_decode_allow_trailing_bits(true),
);

/// A decoded token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinueToken {
    /// The revision of the whole list; -1 to go on at the newest, giving up consistency.
    pub revision: i64,
    /// The key to go on with, below the prefix of the list and without a leading `/`.
    pub start: String,
}

#[derive(Deserialize)]
struct Encoded {
    #[serde(default)]
    v: String,
    #[serde(default)]
    rv: i64,
    #[serde(default)]
    start: String,
}

impl ContinueToken {
    /// The token's text.
    pub fn encode(&self) -> String {
        let start = serde_json::Value::from(format!("/{}", self.start)).to_string();
        BASE64.encode(format!(r#"{{"v":"{VERSION}","rv":{},"start":{start}}}"#, self.revision))
    }

    /// Reads a token. The key in it comes from the client: one that would leave the prefix is refused.
    pub fn decode(text: &str) -> Result<Self, Error> {
        let refuse = |reason: String| Error::BadRequest(format!("invalid continue token: {reason}"));
        let invalid = |reason: String| refuse(format!("continue key is not valid: {reason}"));
        let bytes = BASE64.decode(text).map_err(|error| invalid(illegal_base64(text, &error)))?;
        let token: Encoded = serde_json::from_slice(&bytes).map_err(|error| invalid(go_json_error(&bytes, &error)))?;
        if token.v != VERSION {
            return Err(refuse(format!(
                "continue key is not valid: server does not recognize this encoded version {}",
                token.v
            )));
        }
        if token.rv == 0 {
            return Err(invalid(format!("incorrect encoded start resourceVersion (version {VERSION})")));
        }
        if token.start.is_empty() {
            return Err(invalid(format!("encoded start key empty (version {VERSION})")));
        }
        let start = token.start.strip_prefix('/').unwrap_or(&token.start);
        let clean = token.start == "/" || start.split('/').all(|part| !matches!(part, "" | "." | ".."));
        if !clean {
            return Err(invalid(token.start));
        }
        Ok(Self { revision: token.rv, start: start.to_owned() })
    }
}

/// What Go says of bad base64: the offset of the first byte that cannot be.
fn illegal_base64(text: &str, error: &base64::DecodeError) -> String {
    let at = match error {
        base64::DecodeError::InvalidByte(at, _) | base64::DecodeError::InvalidLastSymbol(at, _) => *at,
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => text.len().saturating_sub(1),
    };
    format!("illegal base64 data at input byte {at}")
}

/// What Go's decoder says of bytes that are no JSON object.
fn go_json_error(bytes: &[u8], error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".to_owned();
    }
    let begin = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).copied();
    match begin {
        Some(first) if !matches!(first, b'{' | b'[' | b'"' | b'-' | b't' | b'f' | b'n') && !first.is_ascii_digit() => {
            format!("invalid character {} looking for beginning of value", go_quoted_char(first))
        }
        _ => error.to_string(),
    }
}

/// A byte as Go's `encoding/json` quotes it in errors.
fn go_quoted_char(byte: u8) -> String {
    match byte {
        b'\'' => r"'\''".to_owned(),
        b'"' => r#"'"'"#.to_owned(),
        b'\t' => r"'\t'".to_owned(),
        b'\n' => r"'\n'".to_owned(),
        b'\r' => r"'\r'".to_owned(),
        b'\\' => r"'\\'".to_owned(),
        0..0x20 | 0x7f => format!(r"'\x{byte:02x}'"),
        // A byte above ASCII is taken for the character of that number.
        0x80..0xa1 | 0xad => format!(r"'\u{:04x}'", u32::from(byte)),
        _ => format!("'{}'", char::from(byte)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_json(json: &str) -> Result<ContinueToken, String> {
        ContinueToken::decode(&BASE64.encode(json)).map_err(|error| error.to_string())
    }

    #[test]
    fn a_token_goes_there_and_back() {
        let token = ContinueToken { revision: 17, start: "default/web\0".to_owned() };
        let text = token.encode();
        assert_eq!(BASE64.decode(&text).unwrap(), br#"{"v":"meta.k8s.io/v1","rv":17,"start":"/default/web\u0000"}"#);
        assert_eq!(ContinueToken::decode(&text).unwrap(), token);
    }

    #[test]
    fn tokens_without_a_slash_are_read_too() {
        let token = decode_json(r#"{"v":"meta.k8s.io/v1","rv":-1,"start":"web\u0000"}"#).unwrap();
        assert_eq!(token, ContinueToken { revision: -1, start: "web\0".to_owned() });
    }

    #[test]
    fn what_is_no_token_is_refused() {
        for (json, reason) in [
            (
                r#"{"v":"meta.k8s.io/v2","rv":1,"start":"a"}"#,
                "server does not recognize this encoded version meta.k8s.io/v2",
            ),
            (
                r#"{"v":"meta.k8s.io/v1","start":"a"}"#,
                "incorrect encoded start resourceVersion (version meta.k8s.io/v1)",
            ),
            (r#"{"v":"meta.k8s.io/v1","rv":1}"#, "encoded start key empty (version meta.k8s.io/v1)"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"../secrets/a"}"#, "../secrets/a"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/../../b"}"#, "a/../../b"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a//b"}"#, "a//b"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"a/"}"#, "a/"),
            (r#"{"v":"meta.k8s.io/v1","rv":1,"start":"//"}"#, "//"),
        ] {
            assert_eq!(
                decode_json(json).unwrap_err(),
                format!("invalid continue token: continue key is not valid: {reason}")
            );
        }
        let error = |text| ContinueToken::decode(text).unwrap_err().to_string();
        assert_eq!(
            error("a*"),
            "invalid continue token: continue key is not valid: illegal base64 data at input byte 1"
        );
        assert_eq!(
            error("gQ"),
            r"invalid continue token: continue key is not valid: invalid character '\u0081' looking for beginning of value"
        );
    }
}
