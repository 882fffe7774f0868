//! What a plain scalar stands for, by the rules of `go-yaml` version 2: YAML 1.1 without base 60, and timestamps as strings.

use serde_json::{Number, Value};

/// The value of a plain scalar.
pub fn resolve(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => Value::Bool(true),
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => Value::Bool(false),
        _ => number(text).map_or_else(|| Value::from(text), Value::Number),
    }
}

/// Whether a plain scalar is a float that JSON cannot express.
pub fn is_not_finite(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN")
}

/// Whether a string, written plain, would be read as something else.
pub fn is_ambiguous(text: &str) -> bool {
    !resolve(text).is_string() || is_not_finite(text) || is_timestamp(text) || is_base60(text)
}

fn number(text: &str) -> Option<Number> {
    let first = text.bytes().next()?;
    if first == b'.' {
        return Number::from_f64(text.parse().ok().filter(|_| text.bytes().any(|byte| byte.is_ascii_digit()))?);
    }
    if !(first.is_ascii_digit() || matches!(first, b'+' | b'-')) || is_timestamp(text) {
        return None;
    }
    let plain = text.replace('_', "");
    integer(&plain).or_else(|| is_decimal(&plain).then(|| plain.parse().ok().and_then(Number::from_f64)).flatten())
}

/// An integer as Go's `ParseInt` reads it with base 0: a prefix, or a leading zero, tells the base.
fn integer(text: &str) -> Option<Number> {
    let negative = text.starts_with('-');
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let lower = unsigned.to_ascii_lowercase();
    let (digits, radix) = match lower.as_bytes() {
        [b'0', b'x', ..] => (lower.get(2..)?, 16),
        [b'0', b'o', ..] => (lower.get(2..)?, 8),
        [b'0', b'b', ..] => (lower.get(2..)?, 2),
        [b'0', _, ..] => (lower.get(1..)?, 8),
        _ => (lower.as_str(), 10),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let magnitude = u64::from_str_radix(digits, radix).ok()?;
    if negative {
        return 0_i64.checked_sub_unsigned(magnitude).map(Number::from);
    }
    // Go has no sign for what only an unsigned integer holds.
    let fits = i64::try_from(magnitude).is_ok() || !text.starts_with('+');
    fits.then(|| Number::from(magnitude))
}

/// Digits with an optional sign, point and exponent.
fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let mantissa_fits = match (whole, fraction) {
        ("", fraction) => mantissa.starts_with('.') && digits(fraction),
        (whole, fraction) => digits(whole) && (fraction.is_empty() || digits(fraction)),
    };
    mantissa_fits && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)))
}

/// `2001-12-14`, alone or with a time behind it.
fn is_timestamp(text: &str) -> bool {
    let (date, time) = text.split_at(text.find(['T', 't', ' ']).unwrap_or(text.len()));
    let mut parts = date.split('-');
    let part = |part: Option<&str>, digits: std::ops::RangeInclusive<usize>, range: std::ops::RangeInclusive<u32>| {
        part.is_some_and(|part| {
            digits.contains(&part.len()) && part.parse::<u32>().is_ok_and(|number| range.contains(&number))
        })
    };
    let dated = part(parts.next(), 4..=4, 0..=9999)
        && part(parts.next(), 1..=2, 1..=12)
        && part(parts.next(), 1..=2, 1..=31)
        && parts.next().is_none();
    dated && (time.is_empty() || is_time(time))
}

/// What follows a date: a time with a zone, or after a space one without.
fn is_time(text: &str) -> bool {
    let zoned = !text.starts_with(' ');
    let rest = text.get(1..).unwrap_or_default();
    let zone_at = rest.find(['Z', '+', '-']).unwrap_or(rest.len());
    let (clock, zone) = rest.split_at(zone_at);
    let (clock, fraction) = clock.split_once('.').map_or((clock, None), |(clock, fraction)| (clock, Some(fraction)));
    let parts: Vec<&str> = clock.split(':').collect();
    let limits = [24, 60, 60];
    let clock_fits = parts.len() == 3
        && parts.iter().zip(limits).all(|(part, limit)| {
            (1..=2).contains(&part.len()) && part.parse::<u32>().is_ok_and(|number| number < limit)
        });
    let fraction_fits = fraction.is_none_or(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    let zone_fits = match (zoned, zone) {
        (true, "Z") => true,
        (true, zone) => zone.len() == 6 && zone.get(3..4) == Some(":"),
        (false, zone) => zone.is_empty(),
    };
    clock_fits && fraction_fits && zone_fits
}

/// Numbers in base 60, such as `1:30`, which other parsers of YAML 1.1 read.
fn is_base60(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut parts = whole.split(':');
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let first = parts.next().is_some_and(|first| first.starts_with(|c: char| c.is_ascii_digit()) && digits(first));
    let mut rest = parts.peekable();
    let has_rest = rest.peek().is_some();
    let sexagesimal = |part: &str| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']);
    first && has_rest && rest.all(sexagesimal) && digits(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn plain_scalars() {
        let table = [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!(true)),
            ("~", json!(null)),
            ("", json!(null)),
            ("NULL", json!(null)),
            ("0", json!(0)),
            ("-12", json!(-12)),
            ("+12", json!(12)),
            ("017", json!(15)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("0b101", json!(5)),
            ("1_000", json!(1000)),
            ("08", json!(8.0)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1e3", json!(1000.0)),
            ("18446744073709551615", json!(18_446_744_073_709_551_615_u64)),
            ("1:30", json!("1:30")),
            ("2001-12-14", json!("2001-12-14")),
            ("1.2.3", json!("1.2.3")),
            ("-", json!("-")),
            ("tru", json!("tru")),
            ("0x", json!("0x")),
        ];
        for (text, expected) in table {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }

    #[test]
    fn strings_that_need_quotes() {
        for text in ["no", "1", "", "1:30", "2001-12-14", "2001-12-14T21:59:43Z", ".inf", "0x1", "1e3", "null"] {
            assert!(is_ambiguous(text), "{text}");
        }
        for text in ["nope", "1.2.3", "a:b", "10.0.0.1", "1Gi", "2001-13-14", "100m", "x-y", "1:99"] {
            assert!(!is_ambiguous(text), "{text}");
        }
    }
}
