//! Quantities as validation compares them: numbers, whatever their notation.

use serde_json::Value;

use crate::object;

/// A quantity in billionths, the finest that Kubernetes keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const NANOS: i128 = 1_000_000_000;

impl Quantity {
    /// Reads a quantity; digits finer than billionths round away from zero, what overflows saturates.
    pub fn parse(text: &str) -> Option<Self> {
        object::quantity::Quantity::parse(text).ok().map(|quantity| Self(quantity.nanos()))
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
        for bad in ["", "x", "1x", "1.2.3", "1e"] {
            assert_eq!(Quantity::parse(bad), None, "{bad}");
        }
    }
}
