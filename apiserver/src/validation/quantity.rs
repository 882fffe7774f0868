//! Quantities as validation compares them: `500m`, `1Gi`, `2e3`.
//!
//! Upstream: `apimachinery/pkg/api/resource`.

use serde_json::Value;

/// A quantity in billionths, the finest that Kubernetes keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const NANOS: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity; digits finer than billionths round away from zero, what overflows saturates.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let end = unsigned.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let mut digits: i128 = 0;
        for b in whole.bytes().chain(fraction.bytes()) {
            digits = digits.saturating_mul(10).saturating_add(i128::from(b - b'0'));
        }
        let (base, power) = scale(suffix)?;
        let mut nanos = digits;
        let mut exponent = power - i32::try_from(fraction.len()).ok()? + 9;
        if base == 1024 {
            exponent -= power;
            for _ in 0..power / 3 {
                nanos = nanos.saturating_mul(1024);
            }
        }
        while exponent > 0 && nanos != 0 && nanos != i128::MAX {
            nanos = nanos.saturating_mul(10);
            exponent -= 1;
        }
        let mut remainder = false;
        while exponent < 0 && nanos != 0 {
            remainder |= nanos % 10 != 0;
            nanos /= 10;
            exponent += 1;
        }
        nanos += i128::from(remainder);
        Some(Self(if negative { -nanos } else { nanos }))
    }

    /// The quantity in a decoded object; zero when absent.
    pub fn of(value: &Value) -> Self {
        value.as_str().and_then(Self::parse).unwrap_or_default()
    }

    /// Whether it is below zero.
    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// Whether it is zero.
    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Whether it is a whole number.
    pub fn is_integer(self) -> bool {
        self.0 % NANOS == 0
    }

    /// The whole number that it is, or the next away from zero.
    pub fn rounded(self) -> i64 {
        let whole = self.0 / NANOS + i128::from(self.0 % NANOS != 0) * self.0.signum();
        i64::try_from(whole).unwrap_or(if whole < 0 { i64::MIN } else { i64::MAX })
    }

    /// About how much it is.
    #[allow(clippy::cast_precision_loss, reason = "ratios are compared as floating-point numbers upstream too")]
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / NANOS as f64
    }

    /// About how many times another it is.
    pub fn ratio(self, other: Self) -> f64 {
        self.as_f64() / other.as_f64()
    }

    /// Whether it is a multiple of another, positive one.
    pub fn is_multiple_of(self, other: Self) -> bool {
        other.0 > 0 && self.0 % other.0 == 0
    }
}

/// What a suffix multiplies with: ten to a power, or 1024 to a third of it.
fn scale(suffix: &str) -> Option<(i32, i32)> {
    Some(match suffix {
        "" => (10, 0),
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (1024, 3),
        "Mi" => (1024, 6),
        "Gi" => (1024, 9),
        "Ti" => (1024, 12),
        "Pi" => (1024, 15),
        "Ei" => (1024, 18),
        exponent => (10, exponent.strip_prefix(['e', 'E'])?.parse().ok().filter(|power| (-99..=99).contains(power))?),
    })
}

#[cfg(test)]
mod tests {
    use super::Quantity;

    #[test]
    fn quantities_compare_across_suffixes() {
        let of = |text| Quantity::parse(text).expect(text);
        assert_eq!(of("1000m"), of("1"));
        assert_eq!(of("1Ki"), of("1024"));
        assert_eq!(of("2e3"), of("2k"));
        assert_eq!(of(".5"), of("500m"));
        assert!(of("-1m") < of("0") && of("-1m").is_negative());
        assert!(of("1Gi").is_integer() && !of("1.5").is_integer());
        assert!(of("4Mi").is_multiple_of(of("2Mi")));
        for bad in ["", "-", "x", "1x", "1.2.3", "."] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
    }
}
