//! Quantities such as `100m` and `1.5Gi`: parsed, compared, added and printed as `k8s.io/apimachinery/pkg/api/resource` does.

use std::cmp::Ordering;
use std::fmt;

/// A fixed-point number with the notation that it was written in.
///
/// Held as `mantissa * 10^exponent` in 128 bits, which is 20 digits more than upstream keeps outside its slow path; what
/// does not fit is [`ParseError::Numeric`].
#[derive(Debug, Clone)]
pub struct Quantity {
    mantissa: i128,
    exponent: i32,
    notation: Notation,
    /// The text as written, where upstream takes it to be canonical and keeps it.
    text: Option<String>,
}

/// The three ways to write a quantity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// With an exponent: `12e6`.
    DecimalExponent,
    /// With a power of 1024: `12Mi`.
    BinarySi,
    /// With a power of 1000: `12M`.
    DecimalSi,
}

/// Why a text is no quantity, in upstream's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not a number with a suffix.
    #[error("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'")]
    Format,
    /// The number cannot be held.
    #[error("unable to parse numeric part of quantity")]
    Numeric,
    /// The suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
}

/// The smallest unit that is kept, as a power of ten.
const NANO: i32 = -9;

/// Digits that upstream's fast path handles; what it handles may keep its text.
const FAST_DIGITS: i64 = 18;

/// Larger binary quantities are capped to this.
const BINARY_MAX: i128 = i64::MAX as i128;

/// The parts of a quantity's text.
struct Parts<'a> {
    negative: bool,
    integer: &'a str,
    fraction: &'a str,
    suffix: &'a str,
}

impl Quantity {
    /// Zero, in decimal notation.
    pub fn zero() -> Self {
        Self::new(0, 0, Notation::DecimalSi)
    }

    /// An integer.
    pub fn from_i64(value: i64, notation: Notation) -> Self {
        Self::new(i128::from(value), 0, notation)
    }

    fn new(mantissa: i128, exponent: i32, notation: Notation) -> Self {
        Self { mantissa, exponent, notation, text: None }
    }

    /// Parses a quantity.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let parts = split(text)?;
        let (base, exponent, notation) = suffix(parts.suffix).ok_or(ParseError::Suffix)?;
        if let Some(fast) = parse_exact(text, &parts, exponent, notation)? {
            return Ok(fast);
        }
        let mut quantity = Self::new(digits(&parts)?, 0, notation);
        quantity.exponent = -i32::try_from(parts.fraction.len()).map_err(|_| ParseError::Numeric)?;
        if base == 10 {
            quantity.exponent = quantity.exponent.checked_add(exponent).ok_or(ParseError::Numeric)?;
        } else {
            quantity.mantissa = quantity.mantissa.checked_mul(1_i128 << exponent).ok_or(ParseError::Numeric)?;
        }
        if quantity.exponent < NANO {
            (quantity.mantissa, _) = scaled_up(quantity.mantissa, NANO.saturating_sub(quantity.exponent));
            quantity.exponent = NANO;
        }
        if notation == Notation::BinarySi {
            let one = Self::from_i64(1, notation);
            if quantity > Self::new(BINARY_MAX, 0, notation) {
                (quantity.mantissa, quantity.exponent) = (BINARY_MAX, 0);
            } else if quantity.mantissa > 0 && quantity < one {
                // Rounding such a value to a whole number would surprise.
                quantity.notation = Notation::DecimalSi;
            }
        }
        if parts.negative {
            quantity.mantissa = -quantity.mantissa;
        }
        Ok(quantity)
    }

    /// The canonical form of a quantity's text.
    pub fn canonical(text: &str) -> Result<String, ParseError> {
        Self::parse(text).map(|quantity| quantity.to_string())
    }

    /// How it was written.
    pub fn notation(&self) -> Notation {
        self.notation
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.mantissa == 0
    }

    /// Its sign: -1, 0 or 1.
    pub fn signum(&self) -> i32 {
        match self.mantissa.cmp(&0) {
            Ordering::Less => -1,
            Ordering::Equal => 0,
            Ordering::Greater => 1,
        }
    }

    /// The value rounded up (away from zero) to an integer, or to the nearest that 64 bits hold.
    pub fn value(&self) -> i64 {
        self.scaled_value(0)
    }

    /// The value times a thousand, rounded up (away from zero), or the nearest that 64 bits hold.
    pub fn milli_value(&self) -> i64 {
        self.scaled_value(-3)
    }

    /// `ceil(value / 10^scale)`, or the nearest that 64 bits hold.
    pub fn scaled_value(&self, scale: i32) -> i64 {
        let wanted = self.rounded(scale).mantissa_at(scale);
        let limit = if self.mantissa < 0 { i64::MIN } else { i64::MAX };
        wanted.and_then(|mantissa| i64::try_from(mantissa).ok()).unwrap_or(limit)
    }

    /// The value in billionths, the finest that is kept; what 128 bits do not hold saturates.
    pub fn nanos(&self) -> i128 {
        let limit = if self.mantissa < 0 { i128::MIN } else { i128::MAX };
        self.mantissa_at(NANO).unwrap_or(limit)
    }

    /// Whether it is a whole number.
    pub fn is_integer(&self) -> bool {
        self.exponent >= 0 || scaled_up(self.mantissa, -self.exponent).1
    }

    /// The sum; `None` where it cannot be held. A zero takes on the other's notation.
    pub fn checked_add(&self, other: &Self) -> Option<Self> {
        let notation = if self.is_zero() { other.notation } else { self.notation };
        if self.is_zero() || other.is_zero() {
            let kept = if self.is_zero() { other } else { self };
            return Some(Self::new(kept.mantissa, kept.exponent, notation));
        }
        let exponent = self.exponent.min(other.exponent);
        let sum = self.mantissa_at(exponent)?.checked_add(other.mantissa_at(exponent)?)?;
        Some(Self::new(sum, exponent, notation))
    }

    /// The difference; `None` where it cannot be held. A zero takes on the other's notation.
    pub fn checked_sub(&self, other: &Self) -> Option<Self> {
        self.checked_add(&Self::new(other.mantissa.checked_neg()?, other.exponent, other.notation))
    }

    /// The mantissa for an exponent that is not larger than the own.
    fn mantissa_at(&self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent.checked_sub(exponent)?).ok()?;
        if self.mantissa == 0 { Some(0) } else { self.mantissa.checked_mul(10_i128.checked_pow(shift)?) }
    }

    /// The value with an exponent of at least this, rounded away from zero.
    fn rounded(&self, exponent: i32) -> Self {
        if self.exponent >= exponent {
            return Self::new(self.mantissa, self.exponent, self.notation);
        }
        let (mantissa, _) = scaled_up(self.mantissa, exponent.saturating_sub(self.exponent));
        Self::new(mantissa, exponent, self.notation)
    }

    /// The whole number that binary notation writes, where it would lose nothing by it.
    fn binary_integer(&self) -> Option<i128> {
        let whole = if self.is_integer() { self.rounded(0).mantissa_at(0)? } else { return None };
        (whole.unsigned_abs() >= 1024).then_some(whole)
    }
}

impl fmt::Display for Quantity {
    /// The canonical form: no fraction, the largest suffix that loses nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = &self.text {
            return f.write_str(text);
        }
        if self.mantissa == 0 {
            return f.write_str("0");
        }
        if self.notation == Notation::BinarySi
            && let Some(whole) = self.binary_integer()
        {
            let (mantissa, times) = without_factor(whole, 1024);
            return write!(f, "{mantissa}{}", BINARY_SUFFIXES.get(times).copied().unwrap_or_default());
        }
        let (mut mantissa, times) = without_factor(self.mantissa, 10);
        let mut exponent = i64::from(self.exponent) + i64::try_from(times).unwrap_or_default();
        while exponent % 3 != 0 {
            mantissa = mantissa.saturating_mul(10);
            exponent -= 1;
        }
        write!(f, "{mantissa}")?;
        match self.notation {
            Notation::DecimalExponent if exponent == 0 => Ok(()),
            Notation::DecimalExponent => write!(f, "e{exponent}"),
            Notation::BinarySi | Notation::DecimalSi => {
                let known = DECIMAL_SUFFIXES.iter().find(|(_, power)| i64::from(*power) == exponent);
                f.write_str(known.map_or("", |(suffix, _)| suffix))
            }
        }
    }
}

impl PartialEq for Quantity {
    /// Equal in value, however written.
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_sign = self.signum().cmp(&other.signum());
        if by_sign != Ordering::Equal || self.mantissa == 0 {
            return by_sign;
        }
        let exponent = self.exponent.min(other.exponent);
        match (self.mantissa_at(exponent), other.mantissa_at(exponent)) {
            (Some(own), Some(others)) => own.cmp(&others),
            // Only the one with the larger exponent can be too large to hold.
            (None, _) => self.signum().cmp(&0),
            (_, None) => 0.cmp(&self.signum()),
        }
    }
}

const DECIMAL_SUFFIXES: [(&str, i32); 10] =
    [("n", -9), ("u", -6), ("m", -3), ("", 0), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18)];

const BINARY_SUFFIXES: [&str; 7] = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];

/// Base, exponent and notation of a suffix.
fn suffix(suffix: &str) -> Option<(u32, i32, Notation)> {
    if let Some((_, exponent)) = DECIMAL_SUFFIXES.iter().find(|(known, _)| *known == suffix) {
        return Some((10, *exponent, Notation::DecimalSi));
    }
    if let Some((_, power)) = BINARY_SUFFIXES.iter().zip(0..).find(|(known, _)| **known == suffix) {
        return Some((2, power * 10, Notation::BinarySi));
    }
    let exponent = suffix.strip_prefix(['e', 'E'])?;
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    let well_formed = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let exponent = if well_formed { exponent.parse().ok()? } else { return None };
    Some((10, exponent, Notation::DecimalExponent))
}

/// Splits a text into sign, digits and suffix. Leading zeros of the integer part are left out.
fn split(text: &str) -> Result<Parts<'_>, ParseError> {
    if text.is_empty() {
        return Err(ParseError::Format);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, rest) = leading_digits(unsigned);
    let (fraction, rest) = rest.strip_prefix('.').map_or(("", rest), leading_digits);
    let letters = rest.trim_start_matches(|c: char| "eEinumkKMGTP".contains(c));
    let (_, unread) = leading_digits(letters.strip_prefix(['-', '+']).unwrap_or(letters));
    let integer = whole.trim_start_matches('0');
    if !unread.is_empty() {
        return Err(ParseError::Format);
    }
    let integer = if integer.is_empty() { "0" } else { integer };
    Ok(Parts { negative: text.starts_with('-'), integer, fraction, suffix: rest })
}

fn leading_digits(text: &str) -> (&str, &str) {
    let end = text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// All digits of the number, without its sign.
fn digits(parts: &Parts<'_>) -> Result<i128, ParseError> {
    format!("{}{}", parts.integer, parts.fraction).parse().map_err(|_| ParseError::Numeric)
}

/// What upstream parses into 64 bits. It keeps the text of what looks canonical; the text is then printed as it was.
fn parse_exact(
    text: &str,
    parts: &Parts<'_>,
    exponent: i32,
    notation: Notation,
) -> Result<Option<Quantity>, ParseError> {
    let length = |digits: &str| i64::try_from(digits.len()).unwrap_or(i64::MAX);
    let (scale, multiplier, room) = match notation {
        Notation::DecimalSi | Notation::DecimalExponent => {
            (i64::from(exponent), 1, FAST_DIGITS - length(parts.integer) - length(parts.fraction))
        }
        // 2^20 has some 6 decimal digits.
        Notation::BinarySi if parts.fraction.is_empty() => {
            (0, 1_i64 << exponent, 15 - length(parts.integer) - i64::from(exponent * 3 / 10) - 1)
        }
        Notation::BinarySi => return Ok(None),
    };
    let scale = scale - length(parts.fraction);
    if room < 0 || scale < i64::from(NANO) {
        return Ok(None);
    }
    let shifted = format!("{}{}", parts.integer, parts.fraction);
    let value: i64 = shifted.parse().map_err(|_| ParseError::Numeric)?;
    let Some(scaled) = value.checked_mul(multiplier) else { return Ok(None) };
    let canonical = match notation {
        Notation::BinarySi => value & 0x07 != 0,
        _ => scale % 3 == 0 && !shifted.ends_with("000") && !shifted.starts_with('0'),
    };
    let mantissa = if parts.negative { -i128::from(scaled) } else { i128::from(scaled) };
    let exponent = i32::try_from(scale).map_err(|_| ParseError::Numeric)?;
    Ok(Some(Quantity { mantissa, exponent, notation, text: canonical.then(|| text.to_owned()) }))
}

/// `mantissa / 10^places` rounded away from zero, and whether that is exact.
fn scaled_up(mantissa: i128, places: i32) -> (i128, bool) {
    let Some(divisor) = u32::try_from(places).ok().and_then(|places| 10_i128.checked_pow(places)) else {
        return (mantissa.signum(), mantissa == 0);
    };
    let (quotient, remainder) = (mantissa / divisor, mantissa % divisor);
    (quotient + remainder.signum(), remainder == 0)
}

/// The value without its factors of `factor`, and how many there were.
fn without_factor(mut value: i128, factor: i128) -> (i128, usize) {
    let mut times = 0;
    while value != 0 && value % factor == 0 {
        value /= factor;
        times += 1;
    }
    (value, times)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms() {
        let table = [
            ("0", "0"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1.", "1."),
            ("100m", "100m"),
            ("1000m", "1"),
            ("1.5Gi", "1536Mi"),
            ("1024Ki", "1Mi"),
            ("1025Ki", "1025Ki"),
            ("1000Ki", "1000Ki"),
            ("0.5Ki", "512"),
            ("0.5Mi", "512Ki"),
            ("1500", "1500"),
            ("1000", "1k"),
            ("1000000", "1M"),
            ("1.500", "1.500"),
            ("0100", "0100"),
            ("+5", "+5"),
            ("-0.5", "-500m"),
            ("1e3", "1e3"),
            ("1e4", "10e3"),
            ("1E", "1E"),
            ("0.1n", "1n"),
            ("-0.1n", "-1n"),
            ("12345678901234567890", "12345678901234567890"),
            ("100Ei", "9223372036854775807"),
            ("0.0001Ki", "102400u"),
            ("3Mi", "3Mi"),
            ("", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
            ("x", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
            ("1 Gi", "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"),
            ("1K", "unable to parse quantity's suffix"),
            ("1e", "unable to parse quantity's suffix"),
        ];
        for (text, expected) in table {
            let found = Quantity::canonical(text).unwrap_or_else(|error| error.to_string());
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn sums_and_order() {
        let parse = |text: &str| Quantity::parse(text).unwrap();
        assert_eq!(parse("1Gi").checked_add(&parse("512Mi")).unwrap().to_string(), "1536Mi");
        assert_eq!(parse("0").checked_add(&parse("1Ki")).unwrap().to_string(), "1Ki");
        assert_eq!(parse("1").checked_sub(&parse("100m")).unwrap().to_string(), "900m");
        assert!(parse("1Ki") > parse("1k") && parse("1e3") == parse("1000") && parse("-1") < parse("0"));
        assert_eq!((parse("100m").value(), parse("1.5").milli_value(), parse("-1.5").value()), (1, 1500, -2));
        assert!(parse("1e400") > parse("9E") && parse("-1e400") < parse("0"));
    }
}
