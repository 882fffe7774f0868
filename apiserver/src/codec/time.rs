//! Times: RFC 3339 text as Go's `time` package parses and prints it, seconds since 1970 in protobuf.

/// An instant. The zero time of Go, which the API takes for "not set", is the first second of the year 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// Nanoseconds of the second.
    pub nanos: u32,
}

/// The two layouts of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// `Time`: to the second; a fraction is read and dropped.
    Seconds,
    /// `MicroTime`: exactly six digits of fraction.
    Micros,
}

const SECONDS_PER_DAY: i64 = 86_400;

/// Seconds from 1970 to the first second of the year 1.
const ZERO_SECONDS: i64 = -62_135_596_800;

impl Layout {
    /// The layout as Go spells it, in error texts.
    fn go(self) -> &'static str {
        match self {
            Self::Seconds => "2006-01-02T15:04:05Z07:00",
            Self::Micros => "2006-01-02T15:04:05.000000Z07:00",
        }
    }
}

impl Instant {
    /// Go's zero time.
    pub const ZERO: Self = Self { seconds: ZERO_SECONDS, nanos: 0 };

    /// Parses a text. The error is in Go's words.
    pub fn parse(text: &str, layout: Layout) -> Result<Self, String> {
        Parser { text, rest: text, layout }.parse()
    }

    /// The text in UTC.
    pub fn format(self, layout: Layout) -> String {
        let (year, month, day) = civil(self.seconds.div_euclid(SECONDS_PER_DAY));
        let second = self.seconds.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        let sign = if year < 0 { "-" } else { "" };
        let head = format!("{sign}{:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}", year.unsigned_abs());
        match layout {
            Layout::Seconds => format!("{head}Z"),
            Layout::Micros => format!("{head}.{:06}Z", self.nanos / 1000),
        }
    }
}

struct Parser<'a> {
    text: &'a str,
    rest: &'a str,
    layout: Layout,
}

impl Parser<'_> {
    fn parse(mut self) -> Result<Instant, String> {
        let year = self.number(4, "2006")?;
        self.literal("-")?;
        let month = self.number(2, "01")?;
        if !(1..=12).contains(&month) {
            return Err(self.out_of_range("month"));
        }
        self.literal("-")?;
        let day = self.number(2, "02")?;
        self.literal("T")?;
        let hour = self.hour()?;
        self.literal(":")?;
        let minute = self.bounded(60, "minute", "04")?;
        self.literal(":")?;
        let second = self.bounded(60, "second", "05")?;
        let nanos = self.fraction()?;
        let offset = self.offset()?;
        if !self.rest.is_empty() {
            return Err(self.error(&format!(": extra text: {}", quote(self.rest))));
        }
        if day < 1 || day > days_in(month, year) {
            return Err(self.out_of_range("day"));
        }
        let seconds = days_from_civil(year, month, day) * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second - offset;
        Ok(Instant { seconds, nanos })
    }

    /// A number of exactly so many digits.
    fn number(&mut self, digits: usize, element: &str) -> Result<i64, String> {
        let head = self.rest.get(..digits).filter(|head| head.bytes().all(|byte| byte.is_ascii_digit()));
        let Some(number) = head.and_then(|head| head.parse().ok()) else { return Err(self.cannot_parse(element)) };
        self.rest = self.rest.get(digits..).unwrap_or_default();
        Ok(number)
    }

    /// Go's layout does not ask for two digits here.
    fn hour(&mut self) -> Result<i64, String> {
        let two = self.rest.bytes().take(2).filter(u8::is_ascii_digit).count() == 2;
        let hour = self.number(if two { 2 } else { 1 }, "15")?;
        if hour < 24 { Ok(hour) } else { Err(self.out_of_range("hour")) }
    }

    fn bounded(&mut self, bound: i64, what: &str, element: &str) -> Result<i64, String> {
        let number = self.number(2, element)?;
        if number < bound { Ok(number) } else { Err(self.out_of_range(what)) }
    }

    fn fraction(&mut self) -> Result<u32, String> {
        let fraction = self.rest.strip_prefix(['.', ',']);
        let digits = fraction.map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
        let digits = match self.layout {
            Layout::Seconds if digits == 0 => return Ok(0),
            Layout::Seconds => digits,
            Layout::Micros if digits < 6 => return Err(self.cannot_parse(".000000")),
            Layout::Micros => 6,
        };
        let taken = fraction.and_then(|rest| rest.get(..digits.min(9))).unwrap_or_default();
        self.rest = self.rest.get(1 + digits..).unwrap_or_default();
        format!("{taken:0<9}").parse().map_err(|_| self.out_of_range("fractional second"))
    }

    /// Seconds east of UTC.
    fn offset(&mut self) -> Result<i64, String> {
        if let Some(rest) = self.rest.strip_prefix('Z') {
            self.rest = rest;
            return Ok(0);
        }
        let hold = self.rest;
        let bad = |this: &Self| this.cannot_parse_at(hold, "Z07:00");
        let Some(zone) = self.rest.get(..6) else { return Err(bad(self)) };
        let digits = |from: usize| {
            let pair = zone.get(from..from + 2).filter(|pair| pair.bytes().all(|byte| byte.is_ascii_digit()));
            pair.and_then(|pair| pair.parse::<i64>().ok())
        };
        let (Some(hours), Some(minutes), Some(":")) = (digits(1), digits(4), zone.get(3..4)) else {
            return Err(bad(self));
        };
        self.rest = self.rest.get(6..).unwrap_or_default();
        // Go lets 24 hours and 60 minutes pass, since some people write them.
        if hours > 24 {
            return Err(self.out_of_range("time zone offset hour"));
        }
        if minutes > 60 {
            return Err(self.out_of_range("time zone offset minute"));
        }
        let offset = (hours * 60 + minutes) * 60;
        match zone.get(..1) {
            Some("+") => Ok(offset),
            Some("-") => Ok(-offset),
            _ => Err(bad(self)),
        }
    }

    /// A literal of the layout. Go names what is left once the literal's first wrong character is met.
    fn literal(&mut self, literal: &str) -> Result<(), String> {
        match self.rest.strip_prefix(literal) {
            Some(rest) => {
                self.rest = rest;
                Ok(())
            }
            None => Err(self.cannot_parse(literal)),
        }
    }

    fn cannot_parse(&self, element: &str) -> String {
        self.cannot_parse_at(self.rest, element)
    }

    fn cannot_parse_at(&self, rest: &str, element: &str) -> String {
        let (text, layout) = (quote(self.text), quote(self.layout.go()));
        format!("parsing time {text} as {layout}: cannot parse {} as {}", quote(rest), quote(element))
    }

    fn out_of_range(&self, what: &str) -> String {
        self.error(&format!(": {what} out of range"))
    }

    fn error(&self, message: &str) -> String {
        format!("parsing time {}{message}", quote(self.text))
    }
}

/// Go's quoting in time errors: what is not printable ASCII is written byte by byte.
fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend(['\\', char::from(byte)]),
            b' '..0x80 => quoted.push(char::from(byte)),
            _ => quoted.extend(["\\x", &format!("{byte:02x}")]),
        }
    }
    quoted.push('"');
    quoted
}

fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date of the proleptic Gregorian calendar. Years count from March, so that the leap day is last.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a day since 1970-01-01.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_reprinted_in_utc() {
        let table = [
            ("2020-02-29T23:59:59Z", "2020-02-29T23:59:59Z"),
            ("2020-01-01T00:30:00+01:00", "2019-12-31T23:30:00Z"),
            ("2020-01-01T00:00:00.123456789Z", "2020-01-01T00:00:00Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
            ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
            ("x", r#"parsing time "x" as "2006-01-02T15:04:05Z07:00": cannot parse "x" as "2006""#),
            ("2020-13-01T00:00:00Z", r#"parsing time "2020-13-01T00:00:00Z": month out of range"#),
            ("2021-02-29T00:00:00Z", r#"parsing time "2021-02-29T00:00:00Z": day out of range"#),
            ("2020-01-01", r#"parsing time "2020-01-01" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "T""#),
            (
                "2020-01-01T00:00:00",
                r#"parsing time "2020-01-01T00:00:00" as "2006-01-02T15:04:05Z07:00": cannot parse "" as "Z07:00""#,
            ),
            ("2020-01-01T00:00:00Zx", r#"parsing time "2020-01-01T00:00:00Zx": extra text: "x""#),
        ];
        for (text, expected) in table {
            let found =
                Instant::parse(text, Layout::Seconds).map_or_else(|error| error, |at| at.format(Layout::Seconds));
            assert_eq!(found, expected);
        }
        assert_eq!(Instant::parse("0001-01-01T00:00:00Z", Layout::Seconds), Ok(Instant::ZERO));
    }

    #[test]
    fn micro_times_have_six_digits() {
        let text = "2020-01-01T00:00:00.000120Z";
        assert_eq!(Instant::parse(text, Layout::Micros).map(|at| at.format(Layout::Micros)).as_deref(), Ok(text));
        let expected = "parsing time \"2020-01-01T00:00:00Z\" as \"2006-01-02T15:04:05.000000Z07:00\": \
            cannot parse \"Z\" as \".000000\"";
        assert_eq!(Instant::parse("2020-01-01T00:00:00Z", Layout::Micros), Err(expected.to_owned()));
    }

    #[test]
    fn every_day_of_four_centuries_round_trips() {
        for day in -146_097..146_097 {
            let (year, month, date) = civil(day);
            assert_eq!(days_from_civil(year, month, date), day);
        }
    }
}
