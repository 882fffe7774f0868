//! `resourceVersion` parameters.

use super::error::Error;
use crate::go_syntax::go_quote;

/// The revision that a parameter names; 0 if it is empty.
pub fn parse(text: &str) -> Result<u64, Error> {
    if text.is_empty() {
        return Ok(0);
    }
    let detail = match text.parse() {
        Ok(revision) if text.bytes().all(|byte| byte.is_ascii_digit()) => return Ok(revision),
        _ if text.bytes().all(|byte| byte.is_ascii_digit()) => "value out of range",
        _ => "invalid syntax",
    };
    let quoted = go_quote(text);
    Err(Error::InvalidResourceVersion(format!("{quoted}: strconv.ParseUint: parsing {quoted}: {detail}")))
}

/// As [`parse`], for a list: there a bad value is a bad request, not an invalid object.
pub fn parse_for_list(text: &str) -> Result<u64, Error> {
    parse(text).map_err(|error| Error::BadRequest(format!("invalid resource version: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_as_go_takes_them() {
        assert_eq!(parse("").unwrap(), 0);
        assert_eq!(parse("0").unwrap(), 0);
        assert_eq!(parse("007").unwrap(), 7);
        assert_eq!(parse("18446744073709551615").unwrap(), u64::MAX);
        for (text, detail) in [
            ("abc", r#"strconv.ParseUint: parsing "abc": invalid syntax"#),
            ("+1", r#"strconv.ParseUint: parsing "+1": invalid syntax"#),
            ("-1", r#"strconv.ParseUint: parsing "-1": invalid syntax"#),
            ("18446744073709551616", r#"strconv.ParseUint: parsing "18446744073709551616": value out of range"#),
        ] {
            let message = format!("invalid resource version: resourceVersion: Invalid value: {text:?}: {detail}");
            assert_eq!(parse_for_list(text).unwrap_err().to_string(), message);
        }
    }
}
