//! Checks that bytes are one JSON text, before anything is decoded. Errors are worded as Go's scanner words them.

use crate::limits::JSON_DEPTH_MAX;

use super::DecodeError;

/// Checks the whole text.
pub fn check(data: &[u8]) -> Result<(), DecodeError> {
    Scanner { data, at: 0, open: Vec::new() }.text()
}

struct Scanner<'a> {
    data: &'a [u8],
    at: usize,
    /// What encloses the current value: `{` or `[`.
    open: Vec<u8>,
}

impl Scanner<'_> {
    fn text(&mut self) -> Result<(), DecodeError> {
        loop {
            if self.value()? {
                continue;
            }
            // A value is complete: what follows closes or continues what encloses it.
            loop {
                let Some(open) = self.open.last().copied() else { return self.end() };
                match (open, self.token()?) {
                    (b'{', b',') => {
                        self.key()?;
                        break;
                    }
                    (b'[', b',') => break,
                    (b'{', b'}') | (b'[', b']') => {
                        self.open.pop();
                    }
                    (b'{', byte) => return Err(invalid(byte, "after object key:value pair")),
                    (_, byte) => return Err(invalid(byte, "after array element")),
                }
            }
        }
    }

    /// Reads a scalar, an empty object or list, or the beginning of one that is not empty; then another value follows,
    /// and the answer is true.
    fn value(&mut self) -> Result<bool, DecodeError> {
        match self.token()? {
            open @ (b'{' | b'[') => {
                if self.open.len() >= JSON_DEPTH_MAX {
                    return Err(invalid(open, "exceeded max depth"));
                }
                let close = if open == b'{' { b'}' } else { b']' };
                if self.peek_token()? == close {
                    self.at += 1;
                    return Ok(false);
                }
                self.open.push(open);
                if open == b'{' {
                    self.key()?;
                }
                Ok(true)
            }
            b'"' => self.string().map(|()| false),
            b'-' => match self.next()? {
                byte @ b'0'..=b'9' => self.number(byte).map(|()| false),
                byte => Err(invalid(byte, "in numeric literal")),
            },
            byte @ b'0'..=b'9' => self.number(byte).map(|()| false),
            b't' => self.literal("true").map(|()| false),
            b'f' => self.literal("false").map(|()| false),
            b'n' => self.literal("null").map(|()| false),
            byte => Err(invalid(byte, "looking for beginning of value")),
        }
    }

    /// An object's key and its colon.
    fn key(&mut self) -> Result<(), DecodeError> {
        match self.token()? {
            b'"' => self.string()?,
            byte => return Err(invalid(byte, "looking for beginning of object key string")),
        }
        match self.token()? {
            b':' => Ok(()),
            byte => Err(invalid(byte, "after object key")),
        }
    }

    /// The rest of a string, after its opening quote.
    fn string(&mut self) -> Result<(), DecodeError> {
        loop {
            match self.next()? {
                b'"' => return Ok(()),
                b'\\' => match self.next()? {
                    b'b' | b'f' | b'n' | b'r' | b't' | b'\\' | b'/' | b'"' => {}
                    b'u' => self.hexadecimal()?,
                    byte => return Err(invalid(byte, "in string escape code")),
                },
                byte if byte < 0x20 => return Err(invalid(byte, "in string literal")),
                _ => {}
            }
        }
    }

    fn hexadecimal(&mut self) -> Result<(), DecodeError> {
        for _ in 0..4 {
            let byte = self.next()?;
            if !byte.is_ascii_hexdigit() {
                return Err(invalid(byte, "in \\u hexadecimal character escape"));
            }
        }
        Ok(())
    }

    /// The rest of a number, after its first digit.
    fn number(&mut self, first: u8) -> Result<(), DecodeError> {
        if first != b'0' {
            self.digits();
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            let byte = self.next()?;
            if !byte.is_ascii_digit() {
                return Err(invalid(byte, "after decimal point in numeric literal"));
            }
            self.digits();
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let mut byte = self.next()?;
            if matches!(byte, b'+' | b'-') {
                byte = self.next()?;
            }
            if !byte.is_ascii_digit() {
                return Err(invalid(byte, "in exponent of numeric literal"));
            }
            self.digits();
        }
        Ok(())
    }

    fn digits(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
    }

    /// The rest of `true`, `false` or `null`, after its first letter.
    fn literal(&mut self, literal: &str) -> Result<(), DecodeError> {
        for expected in literal.bytes().skip(1) {
            let byte = self.next()?;
            if byte != expected {
                let context = format!("in literal {literal} (expecting '{}')", char::from(expected));
                return Err(invalid(byte, &context));
            }
        }
        Ok(())
    }

    /// Nothing but space may follow the text.
    fn end(&mut self) -> Result<(), DecodeError> {
        self.space();
        match self.peek() {
            Some(byte) => Err(invalid(byte, "after top-level value")),
            None => Ok(()),
        }
    }

    fn token(&mut self) -> Result<u8, DecodeError> {
        let byte = self.peek_token()?;
        self.at += 1;
        Ok(byte)
    }

    fn peek_token(&mut self) -> Result<u8, DecodeError> {
        self.space();
        self.peek().ok_or_else(unexpected_end)
    }

    fn next(&mut self) -> Result<u8, DecodeError> {
        let byte = self.peek().ok_or_else(unexpected_end)?;
        self.at += 1;
        Ok(byte)
    }

    fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }
}

fn unexpected_end() -> DecodeError {
    DecodeError::Syntax("unexpected end of JSON input".to_owned())
}

/// Go quotes the byte as it would quote a character.
fn invalid(byte: u8, context: &str) -> DecodeError {
    let quoted = match byte {
        b'\'' => "\\'".to_owned(),
        b'"' => "\"".to_owned(),
        _ => crate::go_syntax::go_escape(&char::from(byte).to_string()),
    };
    DecodeError::Syntax(format!("invalid character '{quoted}' {context}"))
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn errors_are_worded_as_go_words_them() {
        let table = [
            ("", "unexpected end of JSON input"),
            ("{\"a\":1", "unexpected end of JSON input"),
            ("{\"a\" 1}", "invalid character '1' after object key"),
            ("{\"a\":1 2}", "invalid character '2' after object key:value pair"),
            ("{a:1}", "invalid character 'a' looking for beginning of object key string"),
            ("{\"a\":1,}", "invalid character '}' looking for beginning of object key string"),
            ("[1 2]", "invalid character '2' after array element"),
            ("[1,]", "invalid character ']' looking for beginning of value"),
            ("nul", "unexpected end of JSON input"),
            ("nuxx", "invalid character 'x' in literal null (expecting 'l')"),
            ("01", "invalid character '1' after top-level value"),
            ("-x", "invalid character 'x' in numeric literal"),
            ("1.x", "invalid character 'x' after decimal point in numeric literal"),
            ("1ex", "invalid character 'x' in exponent of numeric literal"),
            ("\"\\x\"", "invalid character 'x' in string escape code"),
            ("\"\\u00g0\"", "invalid character 'g' in \\u hexadecimal character escape"),
            ("\"\n\"", "invalid character '\\n' in string literal"),
            ("{} x", "invalid character 'x' after top-level value"),
            ("k8s\0", "invalid character 'k' looking for beginning of value"),
            ("\u{81}", "invalid character 'Â' looking for beginning of value"),
        ];
        for (text, expected) in table {
            assert_eq!(check(text.as_bytes()).unwrap_err().to_string(), expected, "{text}");
        }
        for text in ["{}", " [1, -0.5e+3, true, false, null, \"\\u00e9\", {\"a\": []}] \n", "0"] {
            assert_eq!(check(text.as_bytes()), Ok(()), "{text}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let text = "[".repeat(1_000_000);
        assert_eq!(check(text.as_bytes()).unwrap_err().to_string(), "invalid character '[' exceeded max depth");
    }
}
