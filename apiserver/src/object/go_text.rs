//! Decoded values as Go's `fmt` prints them: clients compare the messages that contain them.

use serde_json::Value;

use crate::go_syntax::go_quote;

/// Prints a decoded JSON value as Go's verb `%v` prints an `interface{}`: `map[a:1 b:[x y]]`.
pub fn value(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("<nil>"),
        Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Number(n) => out.push_str(&number(n)),
        Value::String(s) => out.push_str(s),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                write_value(out, item);
            }
            out.push(']');
        }
        Value::Object(map) => {
            out.push_str("map[");
            for (i, (key, item)) in map.iter().enumerate() {
                if i > 0 {
                    out.push(' ');
                }
                out.push_str(key);
                out.push(':');
                write_value(out, item);
            }
            out.push(']');
        }
    }
}

/// Integers in full; floats in the shortest form that reads back, with an exponent below 1e-4 and from 1e21 on.
fn number(n: &serde_json::Number) -> String {
    match n.as_f64() {
        Some(f) if !n.is_i64() && !n.is_u64() => {
            let magnitude = f.abs();
            if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) { exponent_form(f) } else { format!("{f}") }
        }
        _ => n.to_string(),
    }
}

/// Go writes at least two digits of exponent and always its sign.
fn exponent_form(f: f64) -> String {
    let text = format!("{f:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let (sign, digits) = exponent.strip_prefix('-').map_or(('+', exponent), |digits| ('-', digits));
            format!("{mantissa}e{sign}{digits:0>2}")
        }
        None => text,
    }
}

/// The Go type of a decoded JSON value in an `interface{}`, as the verb `%s` prints its `reflect.Type`.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "%!s(<nil>)",
        Value::Bool(_) => "bool",
        Value::Number(n) if n.is_i64() => "int64",
        Value::Number(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

/// Prints a value as Go source, as the verb `%#v` does.
pub fn source(item: &Value) -> String {
    match item {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(_) | Value::Number(_) => value(item),
        Value::String(text) => go_quote(text),
        Value::Array(items) => {
            format!("[]interface {{}}{{{}}}", items.iter().map(source).collect::<Vec<_>>().join(", "))
        }
        Value::Object(map) => {
            let members: Vec<_> = map.iter().map(|(key, item)| format!("{}:{}", go_quote(key), source(item))).collect();
            format!("map[string]interface {{}}{{{}}}", members.join(", "))
        }
    }
}

/// Prints a value with the verb `%s`, which complains about anything that is not a string.
pub fn string_verb(item: &Value) -> String {
    match item {
        Value::String(s) => s.clone(),
        Value::Null => "%!s(<nil>)".to_owned(),
        Value::Bool(_) | Value::Number(_) => format!("%!s({}={})", type_name(item), value(item)),
        Value::Array(items) => format!("[{}]", items.iter().map(string_verb).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let members: Vec<_> = map.iter().map(|(key, item)| format!("{key}:{}", string_verb(item))).collect();
            format!("map[{}]", members.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn prints_values_like_fmt() {
        assert_eq!(value(&json!({"b": [1, "x", null], "a": {"c": true}})), "map[a:map[c:true] b:[1 x <nil>]]");
        assert_eq!(value(&json!(1.5)), "1.5");
        assert_eq!(value(&json!(1e21)), "1e+21");
        assert_eq!(value(&json!(0.000_01)), "1e-05");
        assert_eq!(string_verb(&json!(5)), "%!s(int64=5)");
        assert_eq!(source(&json!({"a": ["b", 1]})), r#"map[string]interface {}{"a":[]interface {}{"b", 1}}"#);
    }
}
