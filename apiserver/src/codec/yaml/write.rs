//! JSON values to YAML, as `go-yaml` version 2 emits them: block style, lists not indented, lines folded after 80 columns.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

use super::scalar;

/// Columns after which a line is folded at the next space.
const WIDTH: usize = 80;

/// Longer keys are written behind a question mark.
const SIMPLE_KEY_MAX: usize = 128;

/// The YAML text of a value.
pub fn write(value: &Value) -> Vec<u8> {
    let mut emitter = Emitter { out: String::new(), column: 0 };
    match value {
        Value::Object(map) if !map.is_empty() => emitter.mapping(map, 0),
        Value::Array(items) if !items.is_empty() => emitter.sequence(items, 0),
        value => emitter.scalar(value, 2, true),
    }
    emitter.end_line();
    emitter.out.into_bytes()
}

struct Emitter {
    out: String,
    column: usize,
}

impl Emitter {
    /// Writes a map whose first key stands where the line is now, and the others below it.
    fn mapping(&mut self, map: &Map<String, Value>, indent: usize) {
        let mut entries: Vec<(&String, &Value)> = map.iter().collect();
        entries.sort_by(|(a, _), (b, _)| compare_keys(a, b));
        for (key, value) in entries {
            self.begin_line(indent);
            if key.chars().any(is_break) || key.len() > SIMPLE_KEY_MAX {
                self.put("? ");
                self.string(key, indent + 2, true);
                self.begin_line(indent);
                self.put(": ");
                self.item(value, indent);
            } else {
                self.string(key, indent + 2, false);
                self.put(":");
                self.entry(value, indent);
            }
        }
    }

    /// Writes the value behind a key.
    fn entry(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                self.end_line();
                self.mapping(map, indent + 2);
            }
            Value::Array(items) if !items.is_empty() => {
                self.end_line();
                self.sequence(items, indent);
            }
            value => {
                self.put(" ");
                self.scalar(value, indent + 2, true);
            }
        }
    }

    fn sequence(&mut self, items: &[Value], indent: usize) {
        for value in items {
            self.begin_line(indent);
            self.put("- ");
            self.item(value, indent);
        }
    }

    /// Writes the value behind a dash, in the same line.
    fn item(&mut self, value: &Value, indent: usize) {
        match value {
            Value::Object(map) if !map.is_empty() => self.mapping(map, indent + 2),
            Value::Array(items) if !items.is_empty() => self.sequence(items, indent + 2),
            value => self.scalar(value, indent + 2, true),
        }
    }

    fn scalar(&mut self, value: &Value, indent: usize, folds: bool) {
        match value {
            Value::Null => self.put("null"),
            Value::Bool(true) => self.put("true"),
            Value::Bool(false) => self.put("false"),
            Value::Number(number) => self.put(&number_text(number)),
            Value::String(text) => self.string(text, indent, folds),
            Value::Array(_) => self.put("[]"),
            Value::Object(_) => self.put("{}"),
        }
    }

    /// Writes a string in the style that suits it. A key is not folded, nor written as a block.
    fn string(&mut self, text: &str, indent: usize, folds: bool) {
        let traits = Traits::of(text);
        if text.contains('\n') && folds && traits.block_allowed {
            self.literal(text, indent);
        } else if text.contains('\n') || (scalar::is_ambiguous(text) || !traits.single_allowed) && !text.is_empty() {
            self.double_quoted(text, indent, folds);
        } else if text.is_empty() {
            self.put("\"\"");
        } else if traits.plain_allowed {
            self.folded(text, indent, folds, |c, out| out.push(c));
        } else {
            self.put("'");
            self.folded(text, indent, folds, |c, out| if c == '\'' { out.push_str("''") } else { out.push(c) });
            self.put("'");
        }
    }

    /// Writes a text, beginning a new line in place of single spaces after the width.
    fn folded(&mut self, text: &str, indent: usize, folds: bool, put: impl Fn(char, &mut String)) {
        let mut after_space = false;
        let mut rest = text.chars().peekable();
        let mut first = true;
        while let Some(c) = rest.next() {
            let next_is_space = rest.peek() == Some(&' ');
            if c == ' '
                && folds
                && !after_space
                && !first
                && self.column > WIDTH
                && !next_is_space
                && rest.peek().is_some()
            {
                self.break_line(indent);
            } else {
                let start = self.out.len();
                put(c, &mut self.out);
                self.column += self.out.get(start..).map_or(0, |written| written.chars().count());
            }
            after_space = c == ' ';
            first = false;
        }
    }

    fn double_quoted(&mut self, text: &str, indent: usize, folds: bool) {
        self.put("\"");
        // Upstream looks for a byte order mark at the string's beginning, whichever character it is at.
        let marked = text.starts_with('\u{feff}');
        let mut after_space = false;
        let mut rest = text.char_indices().peekable();
        while let Some((at, c)) = rest.next() {
            if marked || !is_printable(c) || is_break(c) || matches!(c, '"' | '\\') {
                self.put(&escape(c));
                after_space = false;
            } else if c == ' ' && folds && !after_space && self.column > WIDTH && at > 0 && rest.peek().is_some() {
                self.break_line(indent);
                if matches!(rest.peek(), Some((_, ' '))) {
                    self.put("\\");
                }
                after_space = true;
            } else {
                self.out.push(c);
                self.column += 1;
                after_space = c == ' ';
            }
        }
        self.put("\"");
    }

    fn literal(&mut self, text: &str, indent: usize) {
        self.put("|");
        if text.starts_with([' ', '\n']) {
            self.put("2");
        }
        if !text.ends_with('\n') {
            self.put("-");
        } else if text == "\n" || text.ends_with("\n\n") {
            self.put("+");
        }
        let lines = text.strip_suffix('\n').unwrap_or(text);
        for line in lines.split('\n') {
            self.out.push('\n');
            self.column = 0;
            if !line.is_empty() {
                self.begin_line(indent);
                self.put(line);
            }
        }
        // An empty last line is a line all the same.
        self.out.push('\n');
        self.column = 0;
    }

    fn put(&mut self, text: &str) {
        self.out.push_str(text);
        self.column += text.chars().count();
    }

    /// Goes to the indentation: of this line if nothing is there yet, or if an indicator ends there.
    fn begin_line(&mut self, indent: usize) {
        if self.column != indent || !self.at_indicator() {
            self.end_line();
        }
        while self.column < indent {
            self.put(" ");
        }
    }

    /// Whether nothing but spaces and indicators stands in the line.
    fn at_indicator(&self) -> bool {
        self.column == 0 || self.out.ends_with("- ") || self.out.ends_with(": ") || self.out.ends_with("? ")
    }

    fn break_line(&mut self, indent: usize) {
        self.out.push('\n');
        self.column = 0;
        while self.column < indent {
            self.put(" ");
        }
    }

    fn end_line(&mut self) {
        if self.column > 0 {
            self.out.push('\n');
            self.column = 0;
        }
    }
}

/// What the emitter of `go-yaml` learns of a string before it chooses a style.
#[allow(clippy::struct_excessive_bools, reason = "each allows one style")]
struct Traits {
    plain_allowed: bool,
    single_allowed: bool,
    block_allowed: bool,
}

impl Traits {
    fn of(text: &str) -> Self {
        let mut indicators = text.starts_with("---") || text.starts_with("...");
        let (mut special, mut space_break, mut break_space) = (false, false, false);
        let (mut previous_space, mut previous_break) = (false, false);
        let mut preceded_by_blank = true;
        let mut rest = text.chars().enumerate().peekable();
        while let Some((at, c)) = rest.next() {
            let followed_by_blank = rest.peek().is_none_or(|(_, next)| matches!(next, ' ' | '\t'));
            indicators |= match c {
                '#' if at == 0 || preceded_by_blank => true,
                ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`' => at == 0,
                '?' | '-' => at == 0 && followed_by_blank,
                ':' => followed_by_blank,
                _ => false,
            };
            special |= !is_printable(c);
            break_space |= c == ' ' && previous_break;
            space_break |= is_break(c) && previous_space;
            previous_space = c == ' ';
            previous_break = is_break(c);
            preceded_by_blank = matches!(c, ' ' | '\t') || is_break(c);
        }
        let edge = |c: char| c == ' ' || is_break(c);
        let edged = text.starts_with(edge) || text.ends_with(edge);
        Self {
            plain_allowed: !indicators && !edged && !special && !text.contains(is_break),
            single_allowed: !break_space && !space_break && !special,
            block_allowed: !text.ends_with(' ') && !space_break && !special,
        }
    }
}

fn is_break(c: char) -> bool {
    matches!(c, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What `go-yaml` writes unescaped: nothing beyond the basic multilingual plane.
fn is_printable(c: char) -> bool {
    matches!(c, '\n' | ' '..='~' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

fn escape(c: char) -> String {
    let short = match c {
        '\0' => "\\0",
        '\u{7}' => "\\a",
        '\u{8}' => "\\b",
        '\t' => "\\t",
        '\n' => "\\n",
        '\u{b}' => "\\v",
        '\u{c}' => "\\f",
        '\r' => "\\r",
        '\u{1b}' => "\\e",
        '"' => "\\\"",
        '\\' => "\\\\",
        '\u{85}' => "\\N",
        '\u{a0}' => "\\_",
        '\u{2028}' => "\\L",
        '\u{2029}' => "\\P",
        _ => "",
    };
    match u32::from(c) {
        _ if !short.is_empty() => short.to_owned(),
        code @ 0..=0xff => format!("\\x{code:02X}"),
        code @ 0x100..=0xffff => format!("\\u{code:04X}"),
        code => format!("\\U{code:08X}"),
    }
}

/// Numbers as Go's verb `g` prints them: an exponent below 1e-4 and from 1e6 on, where it is no integer.
fn number_text(number: &Number) -> String {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else { return number.to_string() };
    // Whole floats of JSON are read back as integers, up to 1e21, where JSON's own notation changes.
    if float.fract() == 0.0 && float.abs() < 1e18 {
        return format!("{float}");
    }
    let text = format!("{float:e}");
    match text.split_once('e').and_then(|(mantissa, exponent)| Some((mantissa, exponent.parse::<i32>().ok()?))) {
        Some((mantissa, exponent)) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
        }
        _ => format!("{float}"),
    }
}

/// The order of keys: letters after all else, digits by the number that they make.
fn compare_keys(a: &str, b: &str) -> Ordering {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len().cmp(&b.len()) };
    let (Some(left), Some(right)) = (a.get(at..), b.get(at..)) else { return Ordering::Equal };
    let (Some(x), Some(y)) = (left.first(), right.first()) else { return Ordering::Equal };
    match (x.is_alphabetic(), y.is_alphabetic()) {
        (true, true) => return x.cmp(y),
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    // Within a number, a zero is a digit like any other; at its beginning it counts for nothing.
    let before: &[char] = a.get(..at).unwrap_or_default();
    let inside = before.iter().rev().take_while(|c| c.is_ascii_digit()).any(|c| *c != '0');
    let start = i64::from(inside && (*x == '0' || *y == '0'));
    let number = |rest: &[char]| {
        let digits = rest.iter().map_while(|c| c.to_digit(10));
        digits.fold((start, 0_usize), |(number, len), digit| {
            (number.wrapping_mul(10).wrapping_add(i64::from(digit)), len + 1)
        })
    };
    let ((left, left_len), (right, right_len)) = (number(left), number(right));
    left.cmp(&right).then(left_len.cmp(&right_len)).then(x.cmp(y))
}
