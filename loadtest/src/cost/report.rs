//! The figures of a comparison, with what they should be, as a table.

use crate::table::{aligned, digits, rate, size, time};

/// One figure of one case.
#[derive(Debug, Clone)]
pub struct Row {
    /// What was done.
    pub case: String,
    /// What was measured.
    pub measure: &'static str,
    /// In which unit.
    pub unit: Unit,
    /// Of each server, ours first; none where nothing could be measured.
    pub values: Vec<Option<f64>>,
    /// What it should be.
    pub goal: Goal,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    PerSecond,
    Bytes,
    /// A ratio.
    Times,
}

impl Unit {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "sizes in memory, rounded")]
    fn text(self, value: f64) -> String {
        match self {
            Self::Seconds => time(std::time::Duration::from_secs_f64(value)),
            Self::PerSecond => rate(value),
            Self::Bytes => size(value as u64),
            Self::Times => times(value),
        }
    }
}

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Goal {
    /// It is only told.
    None,
    /// So many times the reference's, or less.
    AtMost(f64),
    /// So many times the reference's, or more.
    AtLeast(f64),
    /// Itself so much, or less, whatever the reference's is.
    Itself(f64),
}

impl Row {
    fn ratio(&self) -> Option<f64> {
        match self.values[..] {
            [Some(own), Some(reference)] if reference > 0.0 => Some(own / reference),
            _ => None,
        }
    }

    /// Whether the goal was reached; none if there is no telling.
    fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::None => None,
            Goal::AtMost(goal) => Some(self.ratio()? <= goal),
            Goal::AtLeast(goal) => Some(self.ratio()? >= goal),
            Goal::Itself(goal) => Some((*self.values.first()?)? <= goal),
        }
    }

    fn cells(&self, servers: usize) -> Vec<String> {
        let mut cells = vec![self.case.clone(), self.measure.to_owned()];
        cells.extend(self.values.iter().map(|value| or_dash(value.map(|value| self.unit.text(value)))));
        if servers > 1 {
            cells.push(or_dash(self.ratio().map(times)));
        }
        cells.push(match self.goal {
            Goal::None => String::new(),
            Goal::AtMost(goal) | Goal::Itself(goal) => format!("<= {goal}x"),
            Goal::AtLeast(goal) => format!(">= {goal}x"),
        });
        if servers > 1 {
            let met = self.is_met().map(|met| if met { "yes" } else { "no" });
            cells.push(met.unwrap_or_default().to_owned());
        }
        cells
    }
}

/// All rows; with ratios and whether they are as they should be, if there was a reference.
pub fn table(title: &str, rows: &[Row]) -> String {
    let servers = rows.iter().map(|row| row.values.len()).max().unwrap_or_default();
    let head: &[&str] = if servers > 1 {
        &[title, "figure", "pintle-store", "etcd", "ratio", "goal", "met"]
    } else {
        &[title, "figure", "pintle-store", "goal against etcd"]
    };
    let head = head.iter().map(|&cell| cell.to_owned()).collect();
    let lines: Vec<Vec<String>> = [head].into_iter().chain(rows.iter().map(|row| row.cells(servers))).collect();
    aligned(&lines)
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// A ratio, small ones too, with two digits that say something.
fn times(ratio: f64) -> String {
    if ratio > 0.0 && ratio < 0.01 { format!("{ratio:.1e}x") } else { format!("{}x", digits(ratio)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(unit: Unit, values: &[f64], goal: Goal) -> Row {
        Row {
            case: "put".to_owned(),
            measure: "figure",
            unit,
            values: values.iter().map(|&value| Some(value)).collect(),
            goal,
        }
    }

    #[test]
    fn a_comparison() {
        let rows = [
            row(Unit::Seconds, &[50e-6, 100e-6], Goal::AtMost(0.5)),
            row(Unit::PerSecond, &[1000.0, 900.0], Goal::AtLeast(1.5)),
            row(Unit::Times, &[1.5, 20.0], Goal::Itself(2.0)),
            row(Unit::Seconds, &[50e-6, 0.1], Goal::None),
        ];
        assert_eq!(
            table("store", &rows),
            "\
| store | figure | pintle-store |   etcd |   ratio |    goal | met |
|-------|-------:|-------------:|-------:|--------:|--------:|----:|
| put   | figure |      50.0 us | 100 us |   0.50x | <= 0.5x | yes |
| put   | figure |      1.00k/s |  900/s |   1.11x | >= 1.5x |  no |
| put   | figure |        1.50x |  20.0x |   0.07x |   <= 2x | yes |
| put   | figure |      50.0 us | 100 ms | 5.0e-4x |         |     |
"
        );
    }

    #[test]
    fn alone() {
        let rows = [row(Unit::Bytes, &[2_097_152.0], Goal::AtMost(0.4)), row(Unit::Seconds, &[], Goal::None)];
        let text = table("store", &rows);
        assert!(text.contains("| put   | figure |     2.00 MiB |           <= 0.4x |"), "{text}");
    }
}
