//! The grammar of label selectors.

use std::collections::BTreeSet;

use super::label::{Operator, Requirement, label_key_problem};
use crate::go_syntax::go_quote as quote;

/// Parses a selector into its requirements, in the order of the text.
pub(super) fn requirements(text: &str) -> Result<Vec<Requirement>, String> {
    Parser { tokens: Lexer { text: text.as_bytes(), at: 0 }.tokens(), at: 0 }.selector()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Error,
    End,
    CloseParenthesis,
    Comma,
    Not,
    DoubleEquals,
    Equals,
    GreaterThan,
    Identifier,
    In,
    LessThan,
    NotEquals,
    NotIn,
    OpenParenthesis,
}

fn symbol(text: &[u8]) -> Option<Token> {
    Some(match text {
        b")" => Token::CloseParenthesis,
        b"," => Token::Comma,
        b"!" => Token::Not,
        b"==" => Token::DoubleEquals,
        b"=" => Token::Equals,
        b">" => Token::GreaterThan,
        b"in" => Token::In,
        b"<" => Token::LessThan,
        b"!=" => Token::NotEquals,
        b"notin" => Token::NotIn,
        b"(" => Token::OpenParenthesis,
        _ => return None,
    })
}

fn is_symbol(byte: u8) -> bool {
    matches!(byte, b'=' | b'!' | b'(' | b')' | b',' | b'>' | b'<')
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Splits a selector into tokens; only ASCII bytes separate them, so the pieces of UTF-8 text are UTF-8.
struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
}

impl Lexer<'_> {
    fn tokens(mut self) -> Vec<(Token, String)> {
        let mut tokens = Vec::new();
        loop {
            let token = self.token();
            let last = token.0 == Token::End;
            tokens.push(token);
            if last {
                return tokens;
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn token(&mut self) -> (Token, String) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
        match self.peek() {
            // A NUL ends the text, as it does in the original.
            None | Some(0) => (Token::End, String::new()),
            Some(byte) if is_symbol(byte) => self.special(),
            Some(_) => self.word(),
        }
    }

    /// The longest symbol that begins here: `==` before `=`.
    fn special(&mut self) -> (Token, String) {
        let start = self.at;
        let mut found = None;
        while self.peek().is_some_and(is_symbol) {
            self.at += 1;
            match symbol(&self.text[start..self.at]) {
                Some(token) => found = Some(token),
                None if found.is_some() => {
                    self.at -= 1;
                    break;
                }
                None => {}
            }
        }
        let text = String::from_utf8_lossy(&self.text[start..self.at]).into_owned();
        match found {
            Some(token) => (token, text),
            None => (Token::Error, format!("error expected: keyword found '{text}'")),
        }
    }

    fn word(&mut self) -> (Token, String) {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte != 0 && !is_symbol(byte) && !is_space(byte)) {
            self.at += 1;
        }
        let text = &self.text[start..self.at];
        (symbol(text).unwrap_or(Token::Identifier), String::from_utf8_lossy(text).into_owned())
    }
}

/// Recursive descent over the tokens. The last token is always `End`, and reading beyond it yields it again.
struct Parser {
    tokens: Vec<(Token, String)>,
    at: usize,
}

impl Parser {
    /// The next token where `in` and `notin` are operators.
    fn operator_token(&mut self) -> (Token, String) {
        let token = self.tokens.get(self.at).or(self.tokens.last()).cloned().unwrap_or((Token::End, String::new()));
        self.at += 1;
        token
    }

    /// The next token where `in` and `notin` are words like any other.
    fn next(&mut self) -> (Token, String) {
        let (token, text) = self.operator_token();
        (if matches!(token, Token::In | Token::NotIn) { Token::Identifier } else { token }, text)
    }

    fn peek(&mut self) -> (Token, String) {
        let token = self.next();
        self.at -= 1;
        token
    }

    fn selector(&mut self) -> Result<Vec<Requirement>, String> {
        let mut requirements = Vec::new();
        loop {
            let (token, text) = self.peek();
            match token {
                Token::Identifier | Token::Not => {
                    let requirement =
                        self.requirement().map_err(|error| format!("unable to parse requirement: {error}"))?;
                    requirements.push(requirement);
                    let (token, text) = self.next();
                    match token {
                        Token::End => return Ok(requirements),
                        Token::Comma => {
                            let (token, text) = self.peek();
                            if !matches!(token, Token::Identifier | Token::Not) {
                                return Err(format!("found '{text}', expected: identifier after ','"));
                            }
                        }
                        _ => return Err(format!("found '{text}', expected: ',' or 'end of string'")),
                    }
                }
                Token::End => return Ok(requirements),
                _ => return Err(format!("found '{text}', expected: !, identifier, or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<Requirement, String> {
        let (mut token, mut key) = self.next();
        let negated = token == Token::Not;
        if negated {
            (token, key) = self.next();
        }
        if token != Token::Identifier {
            return Err(format!("found '{key}', expected: identifier"));
        }
        if let Some(detail) = label_key_problem(&key) {
            return Err(format!("<nil>: Invalid value: {}: {detail}", quote(&key)));
        }
        if negated {
            return Requirement::new(key, Operator::DoesNotExist, Vec::new());
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Requirement::new(key, Operator::Exists, Vec::new());
        }
        let (token, text) = self.operator_token();
        let operator = match token {
            Token::In => Operator::In,
            Token::Equals => Operator::Equals,
            Token::DoubleEquals => Operator::DoubleEquals,
            Token::GreaterThan => Operator::GreaterThan,
            Token::LessThan => Operator::LessThan,
            Token::NotIn => Operator::NotIn,
            Token::NotEquals => Operator::NotEquals,
            _ => return Err(format!("found '{text}', expected: in, notin, =, ==, !=, gt, lt")),
        };
        let values = match operator {
            Operator::In | Operator::NotIn => self.values()?,
            _ => BTreeSet::from([self.exact_value()?]),
        };
        Requirement::new(key, operator, values.into_iter().collect())
    }

    fn values(&mut self) -> Result<BTreeSet<String>, String> {
        let (token, text) = self.next();
        if token != Token::OpenParenthesis {
            return Err(format!("found '{text}' expected: '('"));
        }
        let (token, text) = self.peek();
        match token {
            Token::Identifier | Token::Comma => {
                let values = self.identifiers()?;
                if self.next().0 != Token::CloseParenthesis {
                    return Err(format!("found '{text}', expected: ')'"));
                }
                Ok(values)
            }
            Token::CloseParenthesis => {
                self.next();
                Ok(BTreeSet::from([String::new()]))
            }
            _ => Err(format!("found '{text}', expected: ',', ')' or identifier")),
        }
    }

    /// Words between commas up to the closing parenthesis; nothing between two commas is an empty word.
    fn identifiers(&mut self) -> Result<BTreeSet<String>, String> {
        let mut values = BTreeSet::new();
        loop {
            let (token, text) = self.next();
            match token {
                Token::Identifier => {
                    values.insert(text);
                    let (token, text) = self.peek();
                    match token {
                        Token::Comma => {}
                        Token::CloseParenthesis => return Ok(values),
                        _ => return Err(format!("found '{text}', expected: ',' or ')'")),
                    }
                }
                Token::Comma => {
                    if values.is_empty() {
                        values.insert(String::new());
                    }
                    match self.peek().0 {
                        Token::CloseParenthesis => {
                            values.insert(String::new());
                            return Ok(values);
                        }
                        Token::Comma => {
                            values.insert(String::new());
                        }
                        _ => {}
                    }
                }
                _ => return Err(format!("found '{text}', expected: ',', or identifier")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Identifier, text) => Ok(text),
            (_, text) => Err(format!("found '{text}', expected: identifier")),
        }
    }
}
