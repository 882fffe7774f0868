//! Prometheus' text format, version 0.0.4, with numbers as Go writes them.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::instrument::Histogram;

/// What a family of metrics is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by bounds.
    Histogram,
}

/// Names and values of what tells samples of a family apart.
pub type Labels<'a> = &'a [(&'a str, &'a str)];

/// Families of metrics, in the order of their names.
#[derive(Debug, Default)]
pub struct Text {
    families: BTreeMap<&'static str, String>,
}

impl Text {
    /// A counter.
    pub fn counter(&mut self, name: &'static str, help: &str, value: u64) {
        self.sample(name, help, Kind::Counter, &[], float(value));
    }

    /// A gauge.
    pub fn gauge(&mut self, name: &'static str, help: &str, value: f64) {
        self.sample(name, help, Kind::Gauge, &[], value);
    }

    /// One sample of a family that has labels.
    pub fn sample(&mut self, name: &'static str, help: &str, kind: Kind, labels: Labels<'_>, value: f64) {
        let family = self.family(name, help, kind);
        line(family, name, "", labels, None, value);
    }

    /// A histogram, or one of a family that has labels.
    pub fn histogram(&mut self, name: &'static str, help: &str, labels: Labels<'_>, histogram: &Histogram) {
        let family = self.family(name, help, Kind::Histogram);
        let (buckets, sum) = histogram.read();
        let count = buckets.last().map_or(0, |(_, count)| *count);
        for (bound, count) in buckets {
            let bound = bound.map_or_else(|| "+Inf".to_owned(), go_float);
            line(family, name, "_bucket", labels, Some(&bound), float(count));
        }
        line(family, name, "_sum", labels, None, sum);
        line(family, name, "_count", labels, None, float(count));
    }

    fn family(&mut self, name: &'static str, help: &str, kind: Kind) -> &mut String {
        self.families.entry(name).or_insert_with(|| {
            let kind = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            format!("# HELP {name} {help}\n# TYPE {name} {kind}\n")
        })
    }

    /// The whole text.
    pub fn finish(self) -> String {
        self.families.into_values().collect()
    }
}

fn line(out: &mut String, name: &str, suffix: &str, labels: Labels<'_>, bound: Option<&str>, value: f64) {
    out.extend([name, suffix]);
    let labels = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
    let mut separator = '{';
    for (name, value) in labels {
        out.push(separator);
        out.extend([name, "=\""]);
        for character in value.chars() {
            match character {
                '\\' => out.push_str("\\\\"),
                '"' => out.push_str("\\\""),
                '\n' => out.push_str("\\n"),
                other => out.push(other),
            }
        }
        out.push('"');
        separator = ',';
    }
    if separator == ',' {
        out.push('}');
    }
    // Writing to a string does not fail.
    let _ = writeln!(out, " {}", go_float(value));
}

/// The nearest floating-point number, which is what every value is in this format.
#[allow(clippy::cast_precision_loss, reason = "what the format asks for")]
pub fn float(value: u64) -> f64 {
    value as f64
}

/// A number as Go's shortest `%g` has it.
fn go_float(value: f64) -> String {
    if value == f64::INFINITY {
        return "+Inf".to_owned();
    }
    let scientific = format!("{value:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let Ok(exponent) = exponent.parse::<i32>() else { return scientific };
    if value != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_gos() {
        let expected = [
            (0.0, "0"),
            (1.0, "1"),
            (0.001, "0.001"),
            (5.012e-6, "5.012e-06"),
            (65536.0, "65536"),
            (1_048_576.0, "1.048576e+06"),
            (2_147_483_648.0, "2.147483648e+09"),
            (1e6, "1e+06"),
            (0.298_479_472, "0.298479472"),
        ];
        for (value, text) in expected {
            assert_eq!(go_float(value), text);
        }
    }

    #[test]
    fn families_stand_once_in_the_order_of_their_names() {
        static HISTOGRAM: Histogram = Histogram::new(&[0.5]);
        HISTOGRAM.observe(0.25);
        let mut text = Text::default();
        text.sample("c_total", "Of c.", Kind::Counter, &[("a", "x\"y"), ("b", "z")], 2.0);
        text.sample("c_total", "Of c.", Kind::Counter, &[("a", "w"), ("b", "z")], 3.0);
        text.histogram("b_seconds", "Of b.", &[], &HISTOGRAM);
        text.gauge("a", "Of a.", -1.5);
        let expected = "# HELP a Of a.\n# TYPE a gauge\na -1.5\n\
                        # HELP b_seconds Of b.\n# TYPE b_seconds histogram\n\
                        b_seconds_bucket{le=\"0.5\"} 1\nb_seconds_bucket{le=\"+Inf\"} 1\n\
                        b_seconds_sum 0.25\nb_seconds_count 1\n\
                        # HELP c_total Of c.\n# TYPE c_total counter\n\
                        c_total{a=\"x\\\"y\",b=\"z\"} 2\nc_total{a=\"w\",b=\"z\"} 3\n";
        assert_eq!(text.finish(), expected);
    }
}
