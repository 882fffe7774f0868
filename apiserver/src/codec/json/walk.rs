//! Finds its way in a text that has been checked, or that the server wrote itself. On other bytes it answers nonsense but
//! comes to an end.

use std::borrow::Cow;

use super::text;

/// A place in a text: at a token, or past the end.
pub struct Walk<'t> {
    data: &'t [u8],
    at: usize,
}

impl<'t> Walk<'t> {
    /// The first token.
    pub fn new(data: &'t [u8]) -> Self {
        let mut walk = Self { data, at: 0 };
        walk.space();
        walk
    }

    /// The offset of the current token.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The next byte.
    pub fn peek(&self) -> Option<u8> {
        self.data.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// Goes past the bracket that opens an object or list.
    pub fn open(&mut self) {
        self.at += 1;
        self.space();
    }

    /// Goes past the bracket if it is there, or if the text ends.
    pub fn close(&mut self, bracket: u8) -> bool {
        let closes = self.peek().is_none_or(|byte| byte == bracket);
        if closes {
            self.at += 1;
            self.space();
        }
        closes
    }

    /// Goes past a comma.
    pub fn separator(&mut self) {
        if self.peek() == Some(b',') {
            self.at += 1;
            self.space();
        }
    }

    /// The next key of an object, or nothing past its end.
    pub fn key(&mut self) -> Option<Cow<'t, str>> {
        if self.close(b'}') {
            return None;
        }
        let key = self.string();
        self.at += 1;
        self.space();
        Some(key)
    }

    /// A string's content.
    pub fn string(&mut self) -> Cow<'t, str> {
        let raw = self.skip();
        let inner = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        match std::str::from_utf8(inner) {
            Ok(plain) if !inner.contains(&b'\\') => Cow::Borrowed(plain),
            _ => Cow::Owned(text::unescape(inner)),
        }
    }

    /// The scalar at the current place, without going past it.
    pub fn literal(&self) -> String {
        let rest = self.data.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| b",]} \t\r\n".contains(byte)).unwrap_or(rest.len());
        String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned()
    }

    /// Goes past a value and the space behind it, and answers the value.
    pub fn skip(&mut self) -> &'t [u8] {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match self.peek() {
                None => break,
                Some(b'"') => self.skip_string(),
                Some(b'{' | b'[') => {
                    depth += 1;
                    self.at += 1;
                }
                Some(b'}' | b']') => {
                    depth = depth.saturating_sub(1);
                    self.at += 1;
                }
                Some(b',' | b':' | b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(_) => {
                    while self.peek().is_some_and(|byte| !b",:]} \t\r\n".contains(&byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                break;
            }
        }
        let value = self.data.get(start..self.at).unwrap_or_default();
        self.space();
        value
    }

    fn skip_string(&mut self) {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'\\') => self.at += 2,
                Some(b'"') => {
                    self.at += 1;
                    return;
                }
                Some(_) => self.at += 1,
                None => return,
            }
        }
    }
}
