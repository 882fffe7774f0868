//! Label and field selectors: what they accept, what they say of what they do not, and what they match.
//!
//! The grammar and the messages are those of apimachinery's `labels` and `fields` packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

use crate::limits::SELECTOR_BYTES_MAX;
use crate::validation::field::go_quote as quote;
use crate::validation::formats;

/// A set of labels that a selector can look into.
pub trait Labels {
    /// The value of a label.
    fn label(&self, key: &str) -> Option<&str>;
}

impl Labels for Map<String, Value> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Value::as_str)
    }
}

impl Labels for BTreeMap<String, String> {
    fn label(&self, key: &str) -> Option<&str> {
        self.get(key).map(String::as_str)
    }
}

impl<T: Labels> Labels for Option<T> {
    fn label(&self, key: &str) -> Option<&str> {
        self.as_ref().and_then(|labels| labels.label(key))
    }
}

impl<T: Labels + ?Sized> Labels for &T {
    fn label(&self, key: &str) -> Option<&str> {
        (**self).label(key)
    }
}

/// How a requirement relates a label to its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `key=value`
    Equals,
    /// `key==value`, the same as `=`.
    DoubleEquals,
    /// `key!=value`; an absent label is not equal.
    NotEquals,
    /// `key in (a,b)`
    In,
    /// `key notin (a,b)`; an absent label is in no set.
    NotIn,
    /// `key`
    Exists,
    /// `!key`
    DoesNotExist,
    /// `key>1`
    GreaterThan,
    /// `key<1`
    LessThan,
}

/// One condition on one label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

impl Requirement {
    /// A requirement, checked as `labels.NewRequirement` does; the error is its message.
    pub fn new(key: impl Into<String>, operator: Operator, values: Vec<String>) -> Result<Self, String> {
        let key = key.into();
        let mut errors = Vec::new();
        if let Some(detail) = label_key_problem(&key) {
            errors.push(format!("key: Invalid value: {}: {detail}", quote(&key)));
        }
        if let Some(detail) = count_problem(operator, values.len()) {
            let listed = values.iter().map(|value| quote(value)).collect::<Vec<_>>().join(",");
            errors.push(format!("values: Invalid value: [{listed}]: {detail}"));
        }
        if matches!(operator, Operator::GreaterThan | Operator::LessThan) {
            for (index, value) in values.iter().enumerate() {
                if value.parse::<i64>().is_err() {
                    let detail = "for 'Gt', 'Lt' operators, the value must be an integer";
                    errors.push(format!("values[{index}]: Invalid value: {}: {detail}", quote(value)));
                }
            }
        }
        for (index, value) in values.iter().enumerate() {
            if let Some(detail) = label_value_problem(value) {
                errors.push(format!("values[{index}][{key}]: Invalid value: {}: {detail}", quote(value)));
            }
        }
        match errors.len() {
            0 => Ok(Self { key, operator, values }),
            1 => Err(errors.concat()),
            _ => Err(format!("[{}]", errors.join(", "))),
        }
    }

    /// The label that the requirement is about.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// How the label must relate to the values.
    pub fn operator(&self) -> Operator {
        self.operator
    }

    /// The values that the label is compared with.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// Whether labels meet the requirement.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        let label = labels.label(&self.key);
        let listed = |label: &str| self.values.iter().any(|value| value == label);
        match self.operator {
            Operator::In | Operator::Equals | Operator::DoubleEquals => label.is_some_and(listed),
            Operator::NotIn | Operator::NotEquals => !label.is_some_and(listed),
            Operator::Exists => label.is_some(),
            Operator::DoesNotExist => label.is_none(),
            Operator::GreaterThan | Operator::LessThan => {
                let number = |text: &str| text.parse::<i64>().ok();
                match (label.and_then(number), self.values.first().map(String::as_str).and_then(number)) {
                    (Some(label), Some(bound)) if self.operator == Operator::GreaterThan => label > bound,
                    (Some(label), Some(bound)) => label < bound,
                    _ => false,
                }
            }
        }
    }
}

impl fmt::Display for Requirement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut values: Vec<&str> = self.values.iter().map(String::as_str).collect();
        values.sort_unstable();
        let (key, values) = (&self.key, values.join(","));
        match self.operator {
            Operator::Equals => write!(f, "{key}={values}"),
            Operator::DoubleEquals => write!(f, "{key}=={values}"),
            Operator::NotEquals => write!(f, "{key}!={values}"),
            Operator::In => write!(f, "{key} in ({values})"),
            Operator::NotIn => write!(f, "{key} notin ({values})"),
            Operator::Exists => f.write_str(key),
            Operator::DoesNotExist => write!(f, "!{key}"),
            Operator::GreaterThan => write!(f, "{key}>{values}"),
            Operator::LessThan => write!(f, "{key}<{values}"),
        }
    }
}

/// A label selector: all of its requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// Ordered by key.
    requirements: Vec<Requirement>,
    matches_nothing: bool,
}

impl LabelSelector {
    /// The selector that matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// The selector that matches no object.
    pub fn nothing() -> Self {
        Self { requirements: Vec::new(), matches_nothing: true }
    }

    /// A selector of the given requirements.
    pub fn new(mut requirements: Vec<Requirement>) -> Self {
        requirements.sort_by(|a, b| a.key.cmp(&b.key));
        Self { requirements, matches_nothing: false }
    }

    /// Parses the text of a `labelSelector` parameter; the error is the message of the 400 that answers it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(format!("label selector is longer than {SELECTOR_BYTES_MAX} bytes"));
        }
        let mut parser = Parser { tokens: Lexer { text: text.as_bytes(), at: 0 }.tokens(), at: 0 };
        parser.selector().map(Self::new)
    }

    /// A selector from a `metav1.LabelSelector` object. An absent one matches nothing, an empty one everything.
    pub fn from_object(selector: Option<&Value>) -> Result<Self, String> {
        let Some(selector) = selector.and_then(Value::as_object) else { return Ok(Self::nothing()) };
        let mut requirements = Vec::new();
        if let Some(labels) = selector.get("matchLabels").and_then(Value::as_object) {
            for (key, value) in labels {
                let value = value.as_str().unwrap_or_default().to_owned();
                requirements.push(Requirement::new(key, Operator::Equals, vec![value])?);
            }
        }
        for expression in selector.get("matchExpressions").and_then(Value::as_array).into_iter().flatten() {
            let text = |name: &str| expression.get(name).and_then(Value::as_str).unwrap_or_default();
            let operator = match text("operator") {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => return Err(format!("{} is not a valid label selector operator", quote(other))),
            };
            let values = expression.get("values").and_then(Value::as_array).into_iter().flatten();
            let values = values.map(|value| value.as_str().unwrap_or_default().to_owned()).collect();
            requirements.push(Requirement::new(text("key"), operator, values)?);
        }
        Ok(Self::new(requirements))
    }

    /// A selector that asks for exactly these labels, unchecked.
    pub fn from_labels(labels: &Map<String, Value>) -> Self {
        Self::new(
            labels
                .iter()
                .map(|(key, value)| Requirement {
                    key: key.clone(),
                    operator: Operator::Equals,
                    values: vec![value.as_str().unwrap_or_default().to_owned()],
                })
                .collect(),
        )
    }

    /// Whether an object with these labels is selected.
    pub fn matches(&self, labels: &impl Labels) -> bool {
        !self.matches_nothing && self.requirements.iter().all(|requirement| requirement.matches(labels))
    }

    /// Whether the selector matches every object.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty() && !self.matches_nothing
    }

    /// Whether the selector matches no object, whatever its labels.
    pub fn is_nothing(&self) -> bool {
        self.matches_nothing
    }

    /// The requirements, ordered by key.
    pub fn requirements(&self) -> &[Requirement] {
        &self.requirements
    }

    /// The one value that the selector allows a label, if its first requirement on the label names one.
    pub fn required_value(&self, key: &str) -> Option<&str> {
        let requirement = self.requirements.iter().find(|requirement| requirement.key == key)?;
        match (requirement.operator, requirement.values.as_slice()) {
            (Operator::Equals | Operator::DoubleEquals | Operator::In, [value]) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{requirement}")?;
        }
        Ok(())
    }
}

/// What is wrong with the number of values for an operator.
fn count_problem(operator: Operator, count: usize) -> Option<&'static str> {
    match operator {
        Operator::In | Operator::NotIn => {
            (count == 0).then_some("for 'in', 'notin' operators, values set can't be empty")
        }
        Operator::Equals | Operator::DoubleEquals | Operator::NotEquals => {
            (count != 1).then_some("exact-match compatibility requires one single value")
        }
        Operator::Exists | Operator::DoesNotExist => {
            (count != 0).then_some("values set must be empty for exists and does not exist")
        }
        Operator::GreaterThan | Operator::LessThan => {
            (count != 1).then_some("for 'Gt', 'Lt' operators, exactly one value is required")
        }
    }
}

/// What is wrong with a label's key.
fn label_key_problem(key: &str) -> Option<String> {
    Some(formats::label_key(key)).filter(|problems| !problems.is_empty()).map(|problems| problems.join("; "))
}

/// What is wrong with a label's value.
fn label_value_problem(value: &str) -> Option<String> {
    Some(formats::label_value(value)).filter(|problems| !problems.is_empty()).map(|problems| problems.join("; "))
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

/// One condition on one field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequirement {
    /// Dotted path of the field, such as `metadata.name`.
    pub field: String,
    /// The value that the field must, or must not, have.
    pub value: String,
    /// Whether the field must have the value; otherwise it must not.
    pub equal: bool,
}

/// A field selector: all of its requirements must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

impl FieldSelector {
    /// The selector that matches every object.
    pub fn everything() -> Self {
        Self::default()
    }

    /// A selector of the given requirements.
    pub fn new(requirements: Vec<FieldRequirement>) -> Self {
        Self { requirements }
    }

    /// Parses the text of a `fieldSelector` parameter; the error is the message of the 400 that answers it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > SELECTOR_BYTES_MAX {
            return Err(format!("field selector is longer than {SELECTOR_BYTES_MAX} bytes"));
        }
        let mut terms = split_terms(text);
        terms.sort_unstable();
        let mut requirements = Vec::new();
        for term in terms.into_iter().filter(|term| !term.is_empty()) {
            let (field, equal, value) =
                split_term(term).ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{term}'"))?;
            requirements.push(FieldRequirement { field: field.to_owned(), value: unescape(value)?, equal });
        }
        Ok(Self { requirements })
    }

    /// Maps each requirement's field and value, such as to refuse fields that a resource does not select by. A pair of
    /// empty strings drops the requirement.
    pub fn transform<E>(&self, mut map: impl FnMut(&str, &str) -> Result<(String, String), E>) -> Result<Self, E> {
        let mut requirements = Vec::with_capacity(self.requirements.len());
        for requirement in &self.requirements {
            let (field, value) = map(&requirement.field, &requirement.value)?;
            if !(field.is_empty() && value.is_empty()) {
                requirements.push(FieldRequirement { field, value, equal: requirement.equal });
            }
        }
        Ok(Self { requirements })
    }

    /// Whether an object is selected, given a way to read its fields; what it lacks reads as empty.
    pub fn matches<'a>(&self, field: impl Fn(&str) -> &'a str) -> bool {
        self.requirements
            .iter()
            .all(|requirement| (field(&requirement.field) == requirement.value) == requirement.equal)
    }

    /// Whether the selector matches every object.
    pub fn is_everything(&self) -> bool {
        self.requirements.is_empty()
    }

    /// The requirements.
    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.requirements
    }

    /// The one value that the selector allows a field.
    pub fn required_value(&self, field: &str) -> Option<&str> {
        self.requirements
            .iter()
            .find(|requirement| requirement.equal && requirement.field == field)
            .map(|requirement| requirement.value.as_str())
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, requirement) in self.requirements.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            let operator = if requirement.equal { "=" } else { "!=" };
            let value = requirement.value.replace('\\', "\\\\").replace(',', "\\,").replace('=', "\\=");
            write!(f, "{comma}{}{operator}{value}", requirement.field)?;
        }
        Ok(())
    }
}

/// Splits at commas that no backslash precedes.
fn split_terms(text: &str) -> Vec<&str> {
    let mut terms = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                terms.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

/// Splits a term at its first operator: field, whether it asks for equality, value.
fn split_term(term: &str) -> Option<(&str, bool, &str)> {
    term.char_indices().find_map(|(at, _)| {
        let (field, rest) = term.split_at(at);
        [("!=", false), ("==", true), ("=", true)]
            .into_iter()
            .find_map(|(operator, equal)| rest.strip_prefix(operator).map(|value| (field, equal, value)))
    })
}

fn unescape(value: &str) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut chars = value.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some(c @ ('\\' | ',' | '=')) => out.push(c),
                other => {
                    let sequence: String = std::iter::once('\\').chain(other).collect();
                    return Err(format!("invalid field selector: invalid escape sequence: {sequence}"));
                }
            },
            // The original prints the character's code.
            ',' | '=' => {
                return Err(format!("invalid field selector: unescaped character in value: {}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn label_selectors_print_canonically() {
        for (text, want) in [
            ("", ""),
            ("x=a,y=b,z=c", "x=a,y=b,z=c"),
            ("z==1,!a , b", "!a,b,z==1"),
            ("x in (foo,,baz),y,z notin ()", "x in (,baz,foo),y,z notin ()"),
            ("x in (,)", "x in ()"),
            ("x=", "x="),
            ("x!=,z=a", "x!=,z=a"),
            ("x > 1,y<2", "x>1,y<2"),
            ("in in (in,notin)", "in in (in,notin)"),
            ("notin", "notin"),
            ("a.b/c = d", "a.b/c=d"),
        ] {
            assert_eq!(
                LabelSelector::parse(text).map(|selector| selector.to_string()),
                Ok(want.to_owned()),
                "{text:?}"
            );
        }
    }

    #[test]
    fn label_selectors_say_what_is_wrong() {
        for (text, want) in [
            ("==x", "found '==', expected: !, identifier, or 'end of string'"),
            ("x==a==b", "found '==', expected: ',' or 'end of string'"),
            ("!x=a", "found '=', expected: ',' or 'end of string'"),
            ("x,", "found '', expected: identifier after ','"),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            ("x=a=", "found '=', expected: ',' or 'end of string'"),
            ("x in a", "unable to parse requirement: found 'a' expected: '('"),
            ("x in (a", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("x in (", "unable to parse requirement: found '', expected: ',', ')' or identifier"),
            ("x y", "unable to parse requirement: found 'y', expected: in, notin, =, ==, !=, gt, lt"),
            (
                "x>a",
                "unable to parse requirement: values[0]: Invalid value: \"a\": for 'Gt', 'Lt' operators, the value must be an integer",
            ),
            (
                "-x=a",
                "unable to parse requirement: <nil>: Invalid value: \"-x\": name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
            ),
            (
                "a=@",
                "unable to parse requirement: values[0][a]: Invalid value: \"@\": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
            ),
        ] {
            assert_eq!(LabelSelector::parse(text), Err(want.to_owned()), "{text:?}");
        }
        assert!(LabelSelector::parse(&"a,".repeat(SELECTOR_BYTES_MAX)).is_err());
    }

    #[test]
    fn label_selectors_match() {
        let set = labels(&[("tier", "f"), ("n", "5")]);
        for (text, want) in [
            ("", true),
            ("tier=f", true),
            ("tier==b", false),
            ("tier!=b", true),
            ("env!=b", true),
            ("tier in (a,f)", true),
            ("tier notin (a,f)", false),
            ("env notin (a)", true),
            ("tier", true),
            ("!tier", false),
            ("!env", true),
            ("n>4,n<6", true),
            ("n>5", false),
            ("tier>1", false),
            ("env>1", false),
        ] {
            assert_eq!(LabelSelector::parse(text).unwrap().matches(&set), want, "{text:?}");
        }
        assert!(!LabelSelector::nothing().matches(&set));
    }

    #[test]
    fn label_selectors_come_from_objects() {
        let object = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
            {"key": "c", "operator": "In", "values": ["d", "e"]}, {"key": "f", "operator": "DoesNotExist"}]});
        let selector = LabelSelector::from_object(Some(&object)).unwrap();
        assert_eq!(selector.to_string(), "a=b,c in (d,e),!f");
        assert_eq!(selector.required_value("a"), Some("b"));
        assert_eq!(LabelSelector::from_object(None), Ok(LabelSelector::nothing()));
        assert!(LabelSelector::from_object(Some(&json!({}))).unwrap().is_everything());
        let bogus = json!({"matchExpressions": [{"key": "c", "operator": "Near"}]});
        let text = "\"Near\" is not a valid label selector operator";
        assert_eq!(LabelSelector::from_object(Some(&bogus)), Err(text.to_owned()));
    }

    #[test]
    fn field_selectors_parse_and_match() {
        let selector = FieldSelector::parse(r"metadata.name!=a\,b,status.phase==Running,x=").unwrap();
        assert_eq!(selector.to_string(), r"metadata.name!=a\,b,status.phase=Running,x=");
        assert_eq!(selector.required_value("status.phase"), Some("Running"));
        assert_eq!(selector.required_value("metadata.name"), None);
        assert!(selector.matches(|field| if field == "status.phase" { "Running" } else { "" }));
        assert!(!selector.matches(|field| if field == "metadata.name" { "a,b" } else { "" }));
        for (text, want) in [
            ("name", "invalid selector: 'name'; can't understand 'name'"),
            (r"a=b\c", r"invalid field selector: invalid escape sequence: \c"),
            (r"a=b\", r"invalid field selector: invalid escape sequence: \"),
            ("a=b=c", "invalid field selector: unescaped character in value: 61"),
        ] {
            assert_eq!(FieldSelector::parse(text), Err(want.to_owned()), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_printing_round_trips(text in "[a-c!=<>(), \\\\/\u{e9}\u{0}]{0,24}|[a-c]( in | notin |=|!=)\\(?[a-c,]{0,5}\\)?") {
            if let Ok(selector) = LabelSelector::parse(&text) {
                let printed = selector.to_string();
                prop_assert_eq!(LabelSelector::parse(&printed).map(|again| again.to_string()), Ok(printed));
            }
            if let Ok(selector) = FieldSelector::parse(&text) {
                prop_assert_eq!(FieldSelector::parse(&selector.to_string()), Ok(selector));
            }
        }
    }
}
