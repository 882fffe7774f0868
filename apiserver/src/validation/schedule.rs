//! Cron schedules: five fields, or a descriptor such as `@hourly`.
//!
//! Upstream: `robfig/cron`, whose error texts clients see.

use crate::go_syntax::go_quote;

/// Names, least and greatest value of each field.
const FIELDS: [(&[&str], u32, u32); 5] = [
    (&[], 0, 59),
    (&[], 0, 23),
    (&[], 1, 31),
    (&["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1, 12),
    (&["sun", "mon", "tue", "wed", "thu", "fri", "sat"], 0, 6),
];

/// Why a schedule cannot be read.
pub fn parse(schedule: &str) -> Result<(), String> {
    let mut spec = schedule;
    if spec.is_empty() {
        return Err("empty spec string".to_owned());
    }
    if spec.starts_with("TZ=") || spec.starts_with("CRON_TZ=") {
        let Some((_, rest)) = spec.split_once(' ') else {
            return Err("invalid schedule format: runtime error: slice bounds out of range [:-1]".to_owned());
        };
        spec = rest.trim();
    }
    if spec.starts_with('@') {
        return descriptor(spec);
    }
    let fields: Vec<&str> = spec.split_whitespace().collect();
    if fields.len() != 5 {
        return Err(format!("expected exactly 5 fields, found {}: [{}]", fields.len(), fields.join(" ")));
    }
    for (field, (names, min, max)) in fields.into_iter().zip(FIELDS) {
        for range in field.split(',').filter(|range| !range.is_empty()) {
            parse_range(range, names, min, max)?;
        }
    }
    Ok(())
}

fn descriptor(spec: &str) -> Result<(), String> {
    match spec {
        "@yearly" | "@annually" | "@monthly" | "@weekly" | "@daily" | "@midnight" | "@hourly" => Ok(()),
        _ => match spec.strip_prefix("@every ") {
            Some(duration) if is_duration(duration) => Ok(()),
            Some(duration) => {
                let reason = format!("time: invalid duration {}", go_quote(duration));
                Err(format!("failed to parse duration {spec}: {reason}"))
            }
            None => Err(format!("unrecognized descriptor: {spec}")),
        },
    }
}

/// A Go duration, `1h30m`.
fn is_duration(text: &str) -> bool {
    let mut rest = text.strip_prefix(['-', '+']).unwrap_or(text);
    if rest == "0" {
        return true;
    }
    let mut parts = 0;
    while !rest.is_empty() {
        let number = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        if number.len() == rest.len() {
            return false;
        }
        let Some(after) = ["ns", "us", "µs", "ms", "s", "m", "h"].iter().find_map(|unit| {
            number
                .strip_prefix(unit)
                .filter(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit() || c == '.'))
        }) else {
            return false;
        };
        rest = after;
        parts += 1;
    }
    parts > 0
}

fn parse_range(range: &str, names: &[&str], min: u32, max: u32) -> Result<(), String> {
    let parts: Vec<&str> = range.split('/').collect();
    let low_high: Vec<&str> = parts.first().copied().unwrap_or_default().split('-').collect();
    let single = low_high.len() == 1;
    let (start, mut end) = match low_high.as_slice() {
        ["*" | "?", ..] => (min, max),
        [low] => {
            let low = number_or_name(low, names)?;
            (low, low)
        }
        [low, high] => (number_or_name(low, names)?, number_or_name(high, names)?),
        _ => return Err(format!("too many hyphens: {range}")),
    };
    let step = match parts.as_slice() {
        [_] => 1,
        [_, step] => {
            let step = number(step)?;
            if single {
                end = max;
            }
            step
        }
        _ => return Err(format!("too many slashes: {range}")),
    };
    if start < min {
        return Err(format!("beginning of range ({start}) below minimum ({min}): {range}"));
    }
    if end > max {
        return Err(format!("end of range ({end}) above maximum ({max}): {range}"));
    }
    if start > end {
        return Err(format!("beginning of range ({start}) beyond end of range ({end}): {range}"));
    }
    if step == 0 {
        return Err(format!("step of range should be a positive number: {range}"));
    }
    Ok(())
}

fn number_or_name(text: &str, names: &[&str]) -> Result<u32, String> {
    let lower = text.to_lowercase();
    if let Some(at) = names.iter().position(|name| *name == lower) {
        let first = u32::from(names.first() == Some(&"jan"));
        return u32::try_from(at).map(|at| at + first).map_err(|error| error.to_string());
    }
    number(text)
}

fn number(text: &str) -> Result<u32, String> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let syntactic = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if let Ok(number) = text.parse::<i64>() {
        u32::try_from(number).map_err(|_| format!("negative number ({number}) not allowed: {text}"))
    } else {
        let reason = if syntactic { "value out of range" } else { "invalid syntax" };
        Err(format!("failed to parse int from {text}: strconv.Atoi: parsing {}: {reason}", go_quote(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn schedules() {
        for good in ["* * * * *", "*/5 0-3 1,15 jan-mar sun", "@hourly", "@every 1h30m", "TZ=UTC 0 0 * * *"] {
            assert_eq!(parse(good), Ok(()), "{good}");
        }
        assert_eq!(parse("x"), Err("expected exactly 5 fields, found 1: [x]".to_owned()));
        assert_eq!(parse("60 * * * *"), Err("end of range (60) above maximum (59): 60".to_owned()));
        assert_eq!(
            parse("a * * * *"),
            Err("failed to parse int from a: strconv.Atoi: parsing \"a\": invalid syntax".to_owned())
        );
    }
}
