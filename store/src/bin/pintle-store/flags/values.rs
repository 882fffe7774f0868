//! How etcd's flags write values: Go's booleans and durations, lists, levels.

use std::str::FromStr;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

/// A boolean as Go reads it.
pub fn go_bool(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err("parse error".to_owned()),
    }
}

/// The parts of a list that is separated by commas.
pub fn list(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

/// A level by etcd's name.
#[derive(Clone, Copy, Debug)]
pub struct LogLevel(pub LevelFilter);

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "debug" => Ok(Self(LevelFilter::DEBUG)),
            "info" => Ok(Self(LevelFilter::INFO)),
            "warn" => Ok(Self(LevelFilter::WARN)),
            "error" | "dpanic" | "panic" | "fatal" => Ok(Self(LevelFilter::ERROR)),
            _ => Err(format!("unrecognized level: {name:?}; one of debug, info, warn, error, panic, fatal is needed")),
        }
    }
}

/// A duration as Go writes it: `1h30m`, `1.5s`, `500ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl FromStr for GoDuration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let invalid = || "a duration such as 10m, 1.5s or 500ms is needed".to_owned();
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let mut rest = text;
        let mut sum = Duration::ZERO;
        while !rest.is_empty() {
            let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(invalid)?;
            let (number, unit_and_more) = rest.split_at(number_end);
            let unit_end = unit_and_more.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(unit_and_more.len());
            let (unit, more) = unit_and_more.split_at(unit_end);
            let unit_seconds = match unit {
                "ns" => 1e-9,
                "us" | "µs" => 1e-6,
                "ms" => 1e-3,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                _ => return Err(invalid()),
            };
            let number: f64 = number.parse().map_err(|_| invalid())?;
            let part = Duration::try_from_secs_f64(number * unit_seconds).map_err(|_| invalid())?;
            sum = sum.checked_add(part).ok_or_else(invalid)?;
            rest = more;
        }
        if text.is_empty() { Err(invalid()) } else { Ok(Self(sum)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_gos() {
        let parse = |text: &str| text.parse::<GoDuration>().map(|duration| duration.0);
        assert_eq!(parse("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse("0"), Ok(Duration::ZERO));
        for text in ["", "5", "s", "-1s", "1x", "1e99h"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn booleans_are_gos() {
        assert_eq!(go_bool("T"), Ok(true));
        assert_eq!(go_bool("0"), Ok(false));
        assert!(go_bool("yes").is_err());
    }
}
