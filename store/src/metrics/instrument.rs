//! Counters, gauges and histograms: atomics, so that whoever is measured pays an addition.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// At 0.
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// One more.
    pub fn inc(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// How many it has counted.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that rises and falls.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// At 0.
    pub const fn new() -> Self {
        Self(AtomicI64::new(0))
    }

    /// One more until what is returned is dropped.
    pub fn hold(&self) -> Held<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Held(self)
    }

    /// Replaces it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// What it stands at.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of what a gauge counts.
#[derive(Debug)]
pub struct Held<'a>(&'a Gauge);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// As many as the longest list of bounds here has, and one for what is above them.
const MAX_BUCKETS: usize = 25;

/// How often values fell between bounds, and their sum.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [f64],
    buckets: [AtomicU64; MAX_BUCKETS],
    /// The bits of a floating-point number.
    sum: AtomicU64,
}

impl Histogram {
    /// Buckets that end at `bounds`, which ascend.
    ///
    /// # Panics
    /// When there are more than 24 bounds; a histogram is a static, so the compiler finds that.
    pub const fn new(bounds: &'static [f64]) -> Self {
        assert!(bounds.len() < MAX_BUCKETS);
        Self { bounds, buckets: [const { AtomicU64::new(0) }; MAX_BUCKETS], sum: AtomicU64::new(0) }
    }

    /// Takes note of a value.
    pub fn observe(&self, value: f64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(count) = self.buckets.get(bucket) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let add = |sum| Some((f64::from_bits(sum) + value).to_bits());
        // Never refused: `add` always has an answer.
        let _ = self.sum.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Takes note of how long something took that began at `start`.
    pub fn observe_since(&self, start: Instant) -> Duration {
        let took = start.elapsed();
        self.observe(took.as_secs_f64());
        took
    }

    /// Each bound with how many values were at most that, the last without a bound; and the sum of all.
    pub fn read(&self) -> (Vec<(Option<f64>, u64)>, f64) {
        let mut below = 0;
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let counts = bounds.zip(&self.buckets).map(|(bound, count)| {
            below += count.load(Ordering::Relaxed);
            (bound, below)
        });
        (counts.collect(), f64::from_bits(self.sum.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_falls_into_the_first_bucket_that_is_large_enough() {
        let histogram = Histogram::new(&[1.0, 2.0]);
        for value in [0.5, 1.0, 1.5, 9.0] {
            histogram.observe(value);
        }
        assert_eq!(histogram.read(), (vec![(Some(1.0), 2), (Some(2.0), 3), (None, 4)], 12.0));
    }

    #[test]
    fn a_gauge_counts_what_is_held() {
        let gauge = Gauge::new();
        let held = gauge.hold();
        assert_eq!(gauge.get(), 1);
        drop(held);
        assert_eq!(gauge.get(), 0);
    }
}
