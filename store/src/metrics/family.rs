//! Instruments of one family, told apart by the values of its labels.

use parking_lot::RwLock;

use super::instrument::{Counter, Histogram};
use super::text::{Kind, Text, float};
use crate::limits::FAMILY_MEMBERS;

/// A family with `N` labels. Clients may choose their values, so there are no more than [`FAMILY_MEMBERS`]: of what
/// would be more nothing is told.
#[derive(Debug)]
pub struct Family<const N: usize, T> {
    labels: [&'static str; N],
    new: fn() -> T,
    known: RwLock<Vec<(Values<N>, T)>>,
}

/// The labels' values of one instrument.
type Values<const N: usize> = [String; N];

impl<const N: usize, T> Family<N, T> {
    /// Without members yet; `new` makes one.
    pub const fn new(labels: [&'static str; N], new: fn() -> T) -> Self {
        Self { labels, new, known: RwLock::new(Vec::new()) }
    }

    /// Does something with the instrument that has these values.
    pub fn with(&self, values: [&str; N], act: impl Fn(&T)) {
        let find = |known: &[(Values<N>, T)]| known.iter().position(|(has, _)| has.iter().eq(values.iter()));
        {
            let known = self.known.read();
            if let Some((_, instrument)) = find(&known).and_then(|place| known.get(place)) {
                return act(instrument);
            }
        }
        let mut known = self.known.write();
        match find(&known).and_then(|place| known.get(place)) {
            Some((_, instrument)) => act(instrument),
            None if known.len() < FAMILY_MEMBERS => {
                let instrument = (self.new)();
                act(&instrument);
                known.push((values.map(str::to_owned), instrument));
            }
            None => {}
        }
    }

    fn each(&self, mut tell: impl FnMut(&[(&'static str, &str)], &T)) {
        for (values, instrument) in &*self.known.read() {
            let labels: Vec<_> = self.labels.into_iter().zip(values.iter().map(String::as_str)).collect();
            tell(&labels, instrument);
        }
    }
}

impl<const N: usize> Family<N, Counter> {
    /// One more of these.
    pub fn inc(&self, values: [&str; N]) {
        self.with(values, Counter::inc);
    }

    /// Tells all of it.
    pub fn write(&self, text: &mut Text, name: &'static str, help: &str) {
        self.each(|labels, counter| text.sample(name, help, Kind::Counter, labels, float(counter.get())));
    }
}

impl<const N: usize> Family<N, Histogram> {
    /// One more of these, which came to `value`.
    pub fn observe(&self, values: [&str; N], value: f64) {
        self.with(values, |histogram| histogram.observe(value));
    }

    /// Tells all of it.
    pub fn write(&self, text: &mut Text, name: &'static str, help: &str) {
        self.each(|labels, histogram| text.histogram(name, help, labels, histogram));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_clients_make_up_has_an_end() {
        let requests = Family::new(["type", "version"], Counter::new);
        requests.inc(["unary", "3.7"]);
        for version in 0..1000 {
            requests.inc(["stream", &version.to_string()]);
        }
        requests.inc(["unary", "3.7"]);
        let mut text = Text::default();
        requests.write(&mut text, "requests_total", "Requests.");
        let text = text.finish();
        assert!(text.contains("requests_total{type=\"unary\",version=\"3.7\"} 2\n"), "{text}");
        assert_eq!(text.matches("requests_total{").count(), FAMILY_MEMBERS);
    }
}
