//! Numbers as Go reads and prints them.

use serde_json::{Number, Value};

/// A number where no type is known: an integer if it has no point and fits 64 bits, a float otherwise. `None` if it is
/// beyond a float.
pub fn untyped(text: &str) -> Option<Value> {
    if !text.contains('.')
        && let Ok(integer) = text.parse::<i64>()
    {
        return Some(Value::from(integer));
    }
    float(text).map(Value::Number)
}

/// A float; `None` if the number is beyond its range.
pub fn float(text: &str) -> Option<Number> {
    Number::from_f64(text.parse().ok()?)
}

/// Writes a number: integers in full, floats in the shortest form that reads back, with an exponent below 1e-6 and from
/// 1e21 on.
pub fn write(out: &mut Vec<u8>, number: &Number) {
    match number.as_f64() {
        Some(float) if number.is_f64() => out.extend_from_slice(float_text(float).as_bytes()),
        _ => out.extend_from_slice(number.to_string().as_bytes()),
    }
}

fn float_text(float: f64) -> String {
    let magnitude = float.abs();
    if magnitude == 0.0 || (1e-6..1e21).contains(&magnitude) {
        return format!("{float}");
    }
    let text = format!("{float:e}");
    match text.split_once('e') {
        Some((mantissa, exponent)) if !exponent.starts_with('-') => format!("{mantissa}e+{exponent}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_in_go() {
        let table = [
            ("1.0", "1"),
            ("1.5", "1.5"),
            ("1e3", "1000"),
            ("1e21", "1e+21"),
            ("1e20", "100000000000000000000"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("-0.0", "-0"),
            ("-0", "0"),
            ("9223372036854775808", "9223372036854776000"),
            ("9223372036854775807", "9223372036854775807"),
        ];
        for (text, expected) in table {
            let mut out = Vec::new();
            if let Some(Value::Number(number)) = untyped(text) {
                write(&mut out, &number);
            }
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
        assert_eq!(untyped("1e400"), None);
    }
}
