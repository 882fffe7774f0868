//! Cuts a stream of bytes into the JSON values in it. What is refused, and in which words, is as with Go's
//! `encoding/json`, which reads the bodies that etcd's gateway is sent.

use bytes::{Buf, Bytes, BytesMut};

use crate::limits::JSON_DEPTH;

/// The JSON values of a stream, in order.
#[derive(Debug)]
pub struct Values {
    buffer: BytesMut,
    /// Bytes of `buffer` that `scanner` has seen.
    scanned: usize,
    scanner: Scanner,
}

impl Values {
    pub fn new() -> Self {
        Self { buffer: BytesMut::new(), scanned: 0, scanner: Scanner::new() }
    }

    /// Bytes that belong to a value that is not complete.
    pub fn pending_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Adds what came next.
    pub fn push(&mut self, bytes: impl Buf) {
        bytes::BufMut::put(&mut self.buffer, bytes);
    }

    /// Takes the next value, `None` if it has not come completely.
    pub fn next(&mut self) -> Result<Option<Bytes>, String> {
        if self.scanned == 0 {
            let space = self.buffer.iter().take_while(|&&byte| is_space(byte)).count();
            self.buffer.advance(space);
        }
        while let Some(&byte) = self.buffer.get(self.scanned) {
            let step = self.scanner.step(byte)?;
            if step != Step::EndedBefore {
                self.scanned += 1;
            }
            if step != Step::Inside {
                return Ok(Some(self.take()));
            }
        }
        Ok(None)
    }

    /// Takes what is left when nothing follows any more: the last value, or nothing.
    pub fn last(&mut self) -> Result<Option<Bytes>, String> {
        match self.next()? {
            Some(value) => Ok(Some(value)),
            None if self.buffer.is_empty() => Ok(None),
            // A number ends with what follows it.
            None => match self.scanner.step(b' ') {
                Ok(Step::EndedBefore) => Ok(Some(self.take())),
                _ => Err("unexpected EOF".to_owned()),
            },
        }
    }

    fn take(&mut self) -> Bytes {
        self.scanner = Scanner::new();
        self.buffer.split_to(std::mem::take(&mut self.scanned)).freeze()
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Where the scanner is after a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Inside,
    /// The byte was the value's last one.
    Ended,
    /// The value ended with the byte before.
    EndedBefore,
}

/// What an open bracket expects next.
#[derive(Clone, Copy, Debug)]
enum Open {
    Key,
    Value,
    Element,
}

#[derive(Clone, Copy, Debug)]
enum State {
    BeginValue,
    BeginValueOrEmpty,
    BeginKey,
    BeginKeyOrEmpty,
    EndValue,
    String,
    Escape,
    /// So many hexadecimal digits are to come.
    Unicode(u8),
    Minus,
    Zero,
    Digits,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
    /// `true`, `false` or `null`, of which so many letters have come.
    Literal(&'static str, usize),
}

#[derive(Debug)]
struct Scanner {
    state: State,
    open: Vec<Open>,
}

impl Scanner {
    fn new() -> Self {
        Self { state: State::BeginValue, open: Vec::new() }
    }

    fn step(&mut self, byte: u8) -> Result<Step, String> {
        self.state = match (self.state, byte) {
            (State::BeginValue | State::BeginValueOrEmpty | State::BeginKey | State::BeginKeyOrEmpty, byte)
                if is_space(byte) =>
            {
                return Ok(Step::Inside);
            }
            (State::BeginValueOrEmpty, b']') | (State::BeginKeyOrEmpty, b'}') => return Ok(self.close()),
            (State::BeginValue | State::BeginValueOrEmpty, byte) => self.begin_value(byte)?,
            (State::BeginKey | State::BeginKeyOrEmpty, b'"')
            | (State::Escape, b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"') => State::String,
            (State::BeginKey | State::BeginKeyOrEmpty, byte) => {
                return Err(invalid(byte, "looking for beginning of object key string"));
            }
            (State::String, b'"') => State::EndValue,
            (State::String, b'\\') => State::Escape,
            (State::String, ..b' ') => return Err(invalid(byte, "in string literal")),
            (State::String, _) => State::String,
            (State::Escape, b'u') => State::Unicode(4),
            (State::Escape, _) => return Err(invalid(byte, "in string escape code")),
            (State::Unicode(left), byte) if byte.is_ascii_hexdigit() => match left {
                ..=1 => State::String,
                _ => State::Unicode(left - 1),
            },
            (State::Unicode(_), _) => return Err(invalid(byte, "in \\u hexadecimal character escape")),
            (State::Minus, b'0') => State::Zero,
            (State::Minus, b'1'..=b'9') | (State::Digits, b'0'..=b'9') => State::Digits,
            (State::Minus, _) => return Err(invalid(byte, "in numeric literal")),
            (State::Zero | State::Digits, b'.') => State::Point,
            (State::Zero | State::Digits | State::Fraction, b'e' | b'E') => State::Exponent,
            (State::Point | State::Fraction, b'0'..=b'9') => State::Fraction,
            (State::Point, _) => return Err(invalid(byte, "after decimal point in numeric literal")),
            (State::Exponent, b'+' | b'-') => State::ExponentSign,
            (State::Exponent | State::ExponentSign | State::ExponentDigits, b'0'..=b'9') => State::ExponentDigits,
            (State::Exponent | State::ExponentSign, _) => return Err(invalid(byte, "in exponent of numeric literal")),
            (State::Literal(word, seen), byte) => match word.as_bytes().get(seen) {
                Some(&expected) if expected == byte && seen + 1 == word.len() => State::EndValue,
                Some(&expected) if expected == byte => State::Literal(word, seen + 1),
                expected => {
                    let expected = expected.map_or(' ', |&expected| char::from(expected));
                    return Err(invalid(byte, &format!("in literal {word} (expecting '{expected}')")));
                }
            },
            (State::EndValue | State::Zero | State::Digits | State::Fraction | State::ExponentDigits, byte) => {
                return self.end_value(byte);
            }
        };
        Ok(Step::Inside)
    }

    fn begin_value(&mut self, byte: u8) -> Result<State, String> {
        Ok(match byte {
            b'{' => self.open(Open::Key, State::BeginKeyOrEmpty)?,
            b'[' => self.open(Open::Element, State::BeginValueOrEmpty)?,
            b'"' => State::String,
            b'-' => State::Minus,
            b'0' => State::Zero,
            b'1'..=b'9' => State::Digits,
            b't' => State::Literal("true", 1),
            b'f' => State::Literal("false", 1),
            b'n' => State::Literal("null", 1),
            _ => return Err(invalid(byte, "looking for beginning of value")),
        })
    }

    fn open(&mut self, open: Open, state: State) -> Result<State, String> {
        if self.open.len() >= JSON_DEPTH {
            return Err("exceeded max depth".to_owned());
        }
        self.open.push(open);
        Ok(state)
    }

    fn close(&mut self) -> Step {
        self.open.pop();
        self.state = State::EndValue;
        if self.open.is_empty() { Step::Ended } else { Step::Inside }
    }

    fn end_value(&mut self, byte: u8) -> Result<Step, String> {
        let Some(open) = self.open.last_mut() else { return Ok(Step::EndedBefore) };
        if is_space(byte) {
            self.state = State::EndValue;
            return Ok(Step::Inside);
        }
        (*open, self.state) = match (*open, byte) {
            (Open::Key, b':') => (Open::Value, State::BeginValue),
            (Open::Key, _) => return Err(invalid(byte, "after object key")),
            (Open::Value, b',') => (Open::Key, State::BeginKey),
            (Open::Element, b',') => (Open::Element, State::BeginValue),
            (Open::Value, b'}') | (Open::Element, b']') => return Ok(self.close()),
            (Open::Value, _) => return Err(invalid(byte, "after object key:value pair")),
            (Open::Element, _) => return Err(invalid(byte, "after array element")),
        };
        Ok(Step::Inside)
    }
}

/// Go's words for a byte that cannot stand where it does.
fn invalid(byte: u8, place: &str) -> String {
    let shown = match byte {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        b'\\' => "\\\\".to_owned(),
        7 => "\\a".to_owned(),
        8 => "\\b".to_owned(),
        11 => "\\v".to_owned(),
        12 => "\\f".to_owned(),
        b'\n' => "\\n".to_owned(),
        b'\r' => "\\r".to_owned(),
        b'\t' => "\\t".to_owned(),
        ..b' ' | 0x7f => format!("\\x{byte:02x}"),
        0x80..=0xa0 | 0xad => format!("\\u{byte:04x}"),
        _ => char::from(byte).to_string(),
    };
    format!("invalid character '{shown}' {place}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All values of a text that comes byte by byte, and how it ends.
    fn cut(text: &str) -> (Vec<String>, Option<String>) {
        let mut values = Values::new();
        let mut found = Vec::new();
        let text_of = |value: Bytes| String::from_utf8(value.to_vec()).unwrap();
        for byte in text.bytes() {
            values.push(&[byte][..]);
            match values.next() {
                Ok(value) => found.extend(value.map(text_of)),
                Err(error) => return (found, Some(error)),
            }
        }
        match values.last() {
            Ok(value) => {
                found.extend(value.map(text_of));
                (found, None)
            }
            Err(error) => (found, Some(error)),
        }
    }

    #[test]
    fn values_follow_each_other() {
        assert_eq!(cut(" \n"), (vec![], None));
        let text = r#" {"a": [1, -0.5e+3, {}, [ ]], "b\"\u00e9": null} true"x"12 "#;
        let expected = [r#"{"a": [1, -0.5e+3, {}, [ ]], "b\"\u00e9": null}"#, "true", "\"x\"", "12"];
        assert_eq!(cut(text), (expected.map(str::to_owned).to_vec(), None));
        assert_eq!(cut("12"), (vec!["12".to_owned()], None));
    }

    #[test]
    fn what_is_malformed_is_told_in_gos_words() {
        for (text, expected) in [
            ("{", "unexpected EOF"),
            ("\"a", "unexpected EOF"),
            ("-", "unexpected EOF"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{,", "invalid character ',' looking for beginning of object key string"),
            ("{\"a\",", "invalid character ',' after object key"),
            ("{\"a\":1 2", "invalid character '2' after object key:value pair"),
            ("[1 2", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("\"\n", "invalid character '\\n' in string literal"),
            ("\"\\x", "invalid character 'x' in string escape code"),
            ("\"\\u00g", "invalid character 'g' in \\u hexadecimal character escape"),
            ("-'", "invalid character '\\'' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("tx", "invalid character 'x' in literal true (expecting 'r')"),
            ("\u{e9}", "invalid character 'Ã' looking for beginning of value"),
        ] {
            assert_eq!(cut(text), (vec![], Some(expected.to_owned())), "{text}");
        }
        assert_eq!(cut(&"[".repeat(JSON_DEPTH + 1)).1.unwrap(), "exceeded max depth");
    }
}
