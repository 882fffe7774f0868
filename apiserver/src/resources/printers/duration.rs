//! Durations as people read them: two or three significant figures.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::read::text;

/// A duration with limited precision (apimachinery's `duration.HumanDuration`).
pub fn human_duration(duration: SignedDuration) -> String {
    const DAY: i64 = 24;
    const YEAR: i64 = 365 * DAY;
    let seconds = duration.as_secs();
    // Clocks may differ by a little: up to two seconds ahead count as now.
    if seconds < -1 {
        return "<invalid>".to_owned();
    }
    if seconds < 0 {
        return "0s".to_owned();
    }
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    match () {
        () if seconds < 120 => format!("{seconds}s"),
        () if minutes < 10 => pair(minutes, "m", seconds % 60, "s"),
        () if minutes < 180 => format!("{minutes}m"),
        () if hours < 8 => pair(hours, "h", minutes % 60, "m"),
        () if hours < 2 * DAY => format!("{hours}h"),
        () if hours < 8 * DAY => pair(hours / DAY, "d", hours % DAY, "h"),
        () if hours < 2 * YEAR => format!("{}d", hours / DAY),
        () if hours < 8 * YEAR => pair(hours / YEAR, "y", hours / DAY % 365, "d"),
        () => format!("{}y", hours / YEAR),
    }
}

/// Two units, the smaller left out when it is zero.
fn pair(large: i64, large_unit: &str, small: i64, small_unit: &str) -> String {
    if small == 0 { format!("{large}{large_unit}") } else { format!("{large}{large_unit}{small}{small_unit}") }
}

/// How long ago an RFC 3339 time was, or `<unknown>` without one.
pub fn since(time: &str, now: Timestamp) -> String {
    time.parse::<Timestamp>().map_or_else(|_| "<unknown>".to_owned(), |then| human_duration(now.duration_since(then)))
}

/// How old an object is.
pub fn age(object: &Value, now: Timestamp) -> String {
    since(text(object, "metadata.creationTimestamp"), now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_their_leading_figures() {
        let hour = 3600;
        let day = 24 * hour;
        for (seconds, want) in [
            (-2, "<invalid>"),
            (-1, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (121, "2m1s"),
            (600, "10m"),
            (3 * hour - 1, "179m"),
            (3 * hour, "3h"),
            (3 * hour + 60, "3h1m"),
            (8 * hour + 60, "8h"),
            (2 * day, "2d"),
            (2 * day + hour, "2d1h"),
            (8 * day + hour, "8d"),
            (730 * day, "2y"),
            (731 * day, "2y1d"),
            (8 * 365 * day + day, "8y"),
        ] {
            assert_eq!(human_duration(SignedDuration::from_secs(seconds)), want, "{seconds}");
        }
    }

    #[test]
    fn a_missing_time_is_unknown() {
        assert_eq!(since("", Timestamp::UNIX_EPOCH), "<unknown>");
        assert_eq!(since("1970-01-01T00:00:00Z", Timestamp::UNIX_EPOCH), "0s");
    }
}
