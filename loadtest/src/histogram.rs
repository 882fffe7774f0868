//! Latencies in bounded memory: buckets that grow with the value, each at most 1/64 of it wide.

use std::time::Duration;

/// Buckets a power of two is divided into.
const STEPS: u64 = 64;
/// log2 of [`STEPS`].
const STEP_BITS: u32 = STEPS.trailing_zeros();

/// How often each latency occurred, to less than 2 %. Unit: microseconds.
#[derive(Debug, Clone, Default)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, latency: Duration) {
        let bucket = bucket(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX));
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
            self.total += 1;
        }
    }

    /// Adds what another has counted.
    pub fn merge(&mut self, other: &Self) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.total += other.total;
    }

    /// Latencies counted.
    pub fn count(&self) -> u64 {
        self.total
    }

    /// The latency that `percent` in a hundred do not exceed; none if nothing was counted.
    pub fn percentile(&self, percent: u64) -> Option<Duration> {
        let rank = (self.total * percent.min(100)).div_ceil(100).max(1);
        let mut seen = 0;
        let bucket = self.counts.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_micros(lower_bound(bucket)))
    }
}

/// The bucket of a value: itself while small, then its highest bits.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(STEP_BITS + 1);
    let bucket = u64::from(shift) * STEPS + (value >> shift);
    usize::try_from(bucket).unwrap_or(usize::MAX)
}

/// The smallest value of a bucket.
fn lower_bound(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket).unwrap_or(u64::MAX);
    let shift = (bucket / STEPS).saturating_sub(1);
    (bucket - shift * STEPS) << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_narrow_and_in_order() {
        for value in (0..1000).chain([4_095, 4_096, 1_000_000, u64::MAX]) {
            let low = lower_bound(bucket(value));
            assert!(low <= value && value - low <= value / STEPS, "{value} is counted as {low}");
            assert!(bucket(value) <= bucket(value.saturating_add(1)));
        }
    }

    #[test]
    fn percentiles_of_parts_merged() {
        let (mut odd, mut even) = (Histogram::default(), Histogram::default());
        assert_eq!(odd.percentile(50), None);
        for micros in 1..=100 {
            let part = if micros % 2 == 1 { &mut odd } else { &mut even };
            part.record(Duration::from_micros(micros));
        }
        odd.merge(&even);
        assert_eq!(odd.count(), 100);
        let at = |percent| odd.percentile(percent).unwrap().as_micros();
        assert_eq!([at(0), at(1), at(50), at(99), at(100)], [1, 1, 50, 99, 100]);
    }
}
