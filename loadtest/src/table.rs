//! Figures as a table for people.

use std::time::Duration;

use crate::case::Case;
use crate::measure::Sample;

const MIB: u64 = 1 << 20;

/// A measured case.
#[derive(Debug, Clone)]
pub struct Row {
    /// Which.
    pub case: Case,
    /// Its figures.
    pub sample: Sample,
}

/// The table of one kind of server; with columns of `reference`, if one was measured in the same run. Below it stand what went wrong.
pub fn figures(title: &str, rows: &[Row], reference: &[Row]) -> String {
    let mut head = vec![title, "server CPU/op", "throughput", "p50", "p99", "answer", "memory", "peak"];
    if !reference.is_empty() {
        head.extend(["reference CPU/op", "ratio", "reference throughput", "ratio"]);
    }
    let mut lines = vec![head.into_iter().map(str::to_owned).collect()];
    for row in rows {
        let mut line = own(row);
        if !reference.is_empty() {
            line.extend(compared(&row.sample, reference.iter().find(|r| r.case == row.case).map(|r| &r.sample)));
        }
        lines.push(line);
    }
    let failed = |who: &'static str, rows: &[Row]| -> String {
        let failed = rows.iter().filter(|row| row.sample.tally.errors > 0).map(|row| {
            let tally = &row.sample.tally;
            let said = tally.error.as_deref().unwrap_or_default();
            format!("{who}{}: {} failed, such as: {said}\n", row.case.title(), tally.errors)
        });
        failed.collect()
    };
    aligned(&lines) + &failed("", rows) + &failed("reference: ", reference)
}

fn own(Row { case, sample }: &Row) -> Vec<String> {
    let answer = sample.tally.bytes.checked_div(sample.tally.latency.count()).filter(|&bytes| bytes > 0);
    let percentile = |percent| optional(sample.tally.latency.percentile(percent), time);
    vec![
        case.title().to_owned(),
        optional(sample.cpu_per_operation(), time),
        rate(sample.throughput()),
        percentile(50),
        percentile(99),
        optional(answer, size),
        size(sample.memory.resident_bytes),
        size(sample.memory.peak_bytes),
    ]
}

/// How often the reference's processor time, and how often its throughput, goes into one's own: more is better in the first, and in the
/// second less than 1 means slower than the reference.
fn compared(sample: &Sample, reference: Option<&Sample>) -> [String; 4] {
    let Some(reference) = reference else { return ["-"; 4].map(str::to_owned) };
    let (own_cpu, reference_cpu) = (sample.cpu_per_operation(), reference.cpu_per_operation());
    let cpu = own_cpu.zip(reference_cpu).map(|(own, other)| other.as_secs_f64() / own.as_secs_f64());
    let speed = sample.throughput() / reference.throughput();
    [
        optional(reference_cpu, time),
        optional(cpu.filter(|ratio| ratio.is_finite()), ratio),
        rate(reference.throughput()),
        optional(Some(speed).filter(|ratio| ratio.is_finite()), ratio),
    ]
}

fn optional<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn ratio(ratio: f64) -> String {
    format!("{ratio:.2}x")
}

/// Three digits.
pub(crate) fn digits(value: f64) -> String {
    match value {
        ..9.995 => format!("{value:.2}"),
        ..99.95 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

pub(crate) fn time(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..1e-3 => format!("{} us", digits(seconds * 1e6)),
        ..1.0 => format!("{} ms", digits(seconds * 1e3)),
        _ => format!("{} s", digits(seconds)),
    }
}

pub(crate) fn rate(rate: f64) -> String {
    match rate {
        ..1e3 => format!("{}/s", digits(rate)),
        _ => format!("{}k/s", digits(rate / 1e3)),
    }
}

#[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        ..MIB => format!("{} KiB", digits(bytes as f64 / 1024.0)),
        _ => format!("{} MiB", digits(bytes as f64 / MIB as f64)),
    }
}

/// Markdown: the first column to the left, the others to the right.
pub(crate) fn aligned(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let widths: Vec<usize> = (0..columns)
        .map(|column| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let rule = widths.iter().enumerate().map(|(column, &width)| match column {
        0 => format!("|{:-<1$}", "", width + 2),
        _ => format!("|{:-<1$}:", "", width + 1),
    });
    let rule: String = rule.collect();
    let mut rows = lines.iter().map(|line| {
        let cells = line.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("| {cell:<width$} "),
            _ => format!("| {cell:>width$} "),
        });
        cells.collect::<String>()
    });
    let head = rows.next().unwrap_or_default();
    [head, rule].into_iter().chain(rows).map(|row| row + "|\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::Tally;
    use crate::proc_stat::Memory;

    fn row(case: Case, operations: u64, cpu_millis: u64) -> Row {
        let mut tally = Tally::default();
        (0..operations).for_each(|_| tally.count(Duration::from_micros(50), Ok(2048)));
        let memory = Memory { resident_bytes: 5 * MIB, peak_bytes: 200 * MIB };
        let (elapsed, cpu) = (Duration::from_millis(500), Duration::from_millis(cpu_millis));
        Row { case, sample: Sample { tally, elapsed, cpu, memory } }
    }

    #[test]
    fn a_table() {
        assert_eq!(
            figures("store", &[row(Case::Put, 1000, 20), row(Case::Get, 0, 0)], &[]),
            "\
| store             | server CPU/op | throughput |     p50 |     p99 |   answer |   memory |    peak |
|-------------------|--------------:|-----------:|--------:|--------:|---------:|---------:|--------:|
| put               |       20.0 us |    2.00k/s | 50.0 us | 50.0 us | 2.00 KiB | 5.00 MiB | 200 MiB |
| get, linearizable |             - |     0.00/s |       - |       - |        - | 5.00 MiB | 200 MiB |
"
        );
    }

    #[test]
    fn ratios_where_a_reference_was_measured() {
        let rows = [row(Case::Put, 1000, 20), row(Case::Get, 1000, 20)];
        let text = figures("store", &rows, &[row(Case::Put, 500, 40)]);
        let cells = |line: usize| -> Vec<&str> {
            text.lines().nth(line).unwrap().trim_matches('|').split('|').map(str::trim).skip(8).collect()
        };
        assert_eq!(cells(2), ["80.0 us", "4.00x", "1.00k/s", "2.00x"]);
        assert_eq!(cells(3), ["-"; 4]);
    }

    #[test]
    fn failures_are_told() {
        let mut failed = row(Case::Get, 1, 1);
        failed.sample.tally.count(Duration::ZERO, Err("gone".to_owned()));
        let text = figures("store", &[failed], &[]);
        assert!(text.ends_with("\nget, linearizable: 1 failed, such as: gone\n"), "{text}");
    }

    #[test]
    fn three_digits() {
        assert_eq!([1.234, 12.34, 99.96, 1234.0].map(digits), ["1.23", "12.3", "100", "1234"]);
        assert_eq!(time(Duration::from_micros(1500)), "1.50 ms");
        assert_eq!(time(Duration::from_secs(2)), "2.00 s");
        assert_eq!([size(512), size(57 * MIB)], ["0.50 KiB", "57.0 MiB"]);
    }
}
