//! The tokens of one JSON value that is known to be well-formed, with where they stand.

use std::borrow::Cow;

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    ObjectOpen,
    ObjectClose,
    ArrayOpen,
    ArrayClose,
    Null,
    Bool(bool),
    Number,
    /// Its value; the name of a field as well.
    String(String),
}

/// One token.
#[derive(Clone, Debug)]
pub struct Token<'a> {
    pub kind: Kind,
    /// As it is written.
    pub raw: &'a str,
    /// Bytes before it.
    pub position: usize,
}

/// The tokens that have not been read.
#[derive(Debug)]
pub struct Tokens<'a> {
    text: &'a [u8],
    position: usize,
}

impl<'a> Tokens<'a> {
    pub fn new(text: &'a [u8]) -> Self {
        Self { text, position: 0 }
    }

    pub fn next(&mut self) -> Result<Token<'a>, String> {
        self.skip_separators();
        let position = self.position;
        let rest = self.text.get(position..).unwrap_or_default();
        let (kind, length) = match rest.first() {
            Some(b'{') => (Kind::ObjectOpen, 1),
            Some(b'}') => (Kind::ObjectClose, 1),
            Some(b'[') => (Kind::ArrayOpen, 1),
            Some(b']') => (Kind::ArrayClose, 1),
            Some(b'n') => (Kind::Null, 4),
            Some(b't') => (Kind::Bool(true), 4),
            Some(b'f') => (Kind::Bool(false), 5),
            Some(b'"') => {
                let (text, length) = string(rest).map_err(|error| match error {
                    StringError::Ended => error.to_string(),
                    StringError::Syntax(text) => self.syntax_error(position, &text),
                })?;
                (Kind::String(text), length)
            }
            Some(_) => (Kind::Number, rest.iter().take_while(|byte| !is_delimiter(**byte)).count()),
            None => return Err(StringError::Ended.to_string()),
        };
        let raw = rest.get(..length).and_then(|raw| std::str::from_utf8(raw).ok());
        let raw = raw.ok_or_else(|| StringError::Ended.to_string())?;
        self.position += length;
        Ok(Token { kind, raw, position })
    }

    /// Skips a `null`, if that is what comes next.
    pub fn skip_null(&mut self) -> bool {
        self.skip_separators();
        self.skip(b"null")
    }

    /// Skips the end of an array, if that is what comes next.
    pub fn skip_array_close(&mut self) -> bool {
        self.skip_separators();
        self.skip(b"]")
    }

    /// Reads a value of any kind.
    pub fn skip_value(&mut self) -> Result<(), String> {
        let mut open = 0_usize;
        loop {
            match self.next()?.kind {
                Kind::ObjectOpen | Kind::ArrayOpen => open += 1,
                Kind::ObjectClose | Kind::ArrayClose => open = open.saturating_sub(1),
                _ => {}
            }
            if open == 0 {
                return Ok(());
            }
        }
    }

    /// The line and column of a position, for people.
    pub fn place(&self, position: usize) -> String {
        let before = self.text.get(..position).unwrap_or_default();
        let line = before.split(|byte| *byte == b'\n').count();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let column = before.get(line_start..).map_or(0, |line| String::from_utf8_lossy(line).chars().count()) + 1;
        format!("line {line}:{column}")
    }

    pub fn syntax_error(&self, position: usize, text: &str) -> String {
        format!("syntax error ({}): {text}", self.place(position))
    }

    fn skip(&mut self, what: &[u8]) -> bool {
        let next = self.text.get(self.position..).is_some_and(|rest| rest.starts_with(what));
        if next {
            self.position += what.len();
        }
        next
    }

    /// Where separators stand has been checked.
    fn skip_separators(&mut self) {
        let rest = self.text.get(self.position..).unwrap_or_default();
        self.position += rest.iter().take_while(|byte| b" \t\r\n,:".contains(byte)).count();
    }
}

fn is_delimiter(byte: u8) -> bool {
    !(byte.is_ascii_alphanumeric() || b"-+._".contains(&byte))
}

/// The JSON number that a text begins with.
pub fn number_at(text: &str) -> Option<&str> {
    if text.trim() != text {
        return None;
    }
    let end = text.bytes().position(is_delimiter).unwrap_or(text.len());
    let number = text.get(..end)?;
    let digits = |text: &'_ str| text.bytes().take_while(u8::is_ascii_digit).count();
    let mut rest = number.strip_prefix('-').unwrap_or(number);
    let whole = digits(rest);
    if whole == 0 || (whole > 1 && rest.starts_with('0')) {
        return None;
    }
    rest = rest.get(whole..)?;
    if let Some(fraction) = rest.strip_prefix('.') {
        rest = fraction.get(digits(fraction)..).filter(|rest| rest.len() < fraction.len())?;
    }
    if let Some(exponent) = rest.strip_prefix(['e', 'E']) {
        let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
        rest = exponent.get(digits(exponent)..).filter(|rest| rest.len() < exponent.len())?;
    }
    rest.is_empty().then_some(number)
}

#[derive(Debug, thiserror::Error)]
enum StringError {
    #[error("unexpected EOF")]
    Ended,
    #[error("{0}")]
    Syntax(String),
}

/// Reads the string that a text begins with; also how many bytes it takes.
fn string(text: &[u8]) -> Result<(String, usize), StringError> {
    let mut out = String::new();
    let mut at = 1;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\')).ok_or(StringError::Ended)?;
        let (plain, special) = rest.split_at(plain);
        let plain = std::str::from_utf8(plain);
        out.push_str(plain.map_err(|_| StringError::Syntax("invalid UTF-8 in string".to_owned()))?);
        at += plain.map_or(0, str::len);
        match special {
            [b'"', ..] => return Ok((out, at + 1)),
            [_, b'u', rest @ ..] => {
                let (decoded, length) = unicode(special, rest)?;
                out.push(decoded);
                at += length;
            }
            [_, escaped, ..] => {
                out.push(match escaped {
                    b'b' => '\u{8}',
                    b'f' => '\u{c}',
                    b'n' => '\n',
                    b'r' => '\r',
                    b't' => '\t',
                    other => char::from(*other),
                });
                at += 2;
            }
            _ => return Err(StringError::Ended),
        }
    }
}

/// Reads `\uXXXX`, or two of them that make one character.
fn unicode(escape: &[u8], digits: &[u8]) -> Result<(char, usize), StringError> {
    let unit = |digits: Option<&[u8]>| {
        let digits = digits.and_then(|digits| std::str::from_utf8(digits).ok())?;
        u16::from_str_radix(digits, 16).ok()
    };
    let first = unit(digits.get(..4)).ok_or(StringError::Ended)?;
    if let Some(character) = char::from_u32(first.into()) {
        return Ok((character, 6));
    }
    let low = escape.get(6..12).ok_or(StringError::Ended)?;
    let second = low.strip_prefix(b"\\u").and_then(|digits| unit(Some(digits)));
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    pair.map(|character| (character, 12)).ok_or_else(|| {
        let shown: Cow<'_, str> = String::from_utf8_lossy(low);
        StringError::Syntax(format!("invalid escape code {shown:?} in string"))
    })
}
