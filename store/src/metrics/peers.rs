//! Raft's traffic with other members, under etcd's names and by their ids.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::instrument::{Counter, Gauge, Histogram};
use super::text::{Kind, Labels, Text, float};
use crate::limits::PEERS_MEASURED;

/// Seconds of a round trip; 0.1 ms to 3 s.
const SECONDS: &[f64] = &[
    0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.0256, 0.0512, 0.1024, 0.2048, 0.4096, 0.8192,
    1.6384, 3.2768,
];

/// Members that there was traffic with.
#[derive(Debug, Default)]
pub struct Peers(Mutex<BTreeMap<u64, Arc<Peer>>>);

/// Traffic with one member.
#[derive(Debug)]
pub struct Peer {
    /// Bytes of messages sent to it.
    pub sent_bytes: Counter,
    /// Bytes of messages that came from it.
    pub received_bytes: Counter,
    /// Messages that did not reach it.
    pub sent_failures: Counter,
    /// How long its answers take.
    pub round_trips: Histogram,
    /// Whether it could be reached when last tried: 1 or 0.
    pub active: Gauge,
    /// Times that it could not be reached any more.
    pub lost: Counter,
}

impl Peers {
    /// Nobody yet.
    pub const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    /// What is counted of a member; of those that are too many nothing is told.
    pub fn member(&self, id: u64) -> Arc<Peer> {
        let mut peers = self.0.lock();
        if let Some(peer) = peers.get(&id) {
            return peer.clone();
        }
        let peer = Arc::new(Peer {
            sent_bytes: Counter::new(),
            received_bytes: Counter::new(),
            sent_failures: Counter::new(),
            round_trips: Histogram::new(SECONDS),
            active: Gauge::new(),
            lost: Counter::new(),
        });
        if peers.len() < PEERS_MEASURED {
            peers.insert(id, peer.clone());
        }
        peer
    }

    /// Tells everything, as the member with this id.
    pub fn write(&self, text: &mut Text, local: &str) {
        for (id, peer) in &*self.0.lock() {
            let id = format!("{id:x}");
            let pair = [("Local", local), ("Remote", id.as_str())];
            let active = if peer.active.get() == 1 { 1.0 } else { 0.0 };
            let help = "Whether a member is connected (1) or not (0).";
            text.sample("etcd_network_active_peers", help, Kind::Gauge, &pair, active);
            let (to, from) = ([("To", id.as_str())], [("From", id.as_str())]);
            let mut count = |name, help, labels: Labels<'_>, counter: &Counter| {
                text.sample(name, help, Kind::Counter, labels, float(counter.get()));
            };
            count("etcd_network_disconnected_peers_total", "Times that a member was lost.", &pair, &peer.lost);
            count("etcd_network_peer_sent_bytes_total", "Bytes sent to a member.", &to, &peer.sent_bytes);
            count("etcd_network_peer_received_bytes_total", "Bytes from a member.", &from, &peer.received_bytes);
            count(
                "etcd_network_peer_sent_failures_total",
                "Messages that did not reach a member.",
                &to,
                &peer.sent_failures,
            );
            text.histogram(
                "etcd_network_peer_round_trip_time_seconds",
                "How long a member takes to answer.",
                &to,
                &peer.round_trips,
            );
        }
    }
}

/// When a leader last spoke to a member, to tell when it does so late: an overloaded one does.
#[derive(Debug)]
pub struct Pace {
    heartbeat: Duration,
    patience: Duration,
    last: Mutex<Option<Instant>>,
}

impl Pace {
    /// It should speak every `heartbeat`. Whoever has said nothing for `patience` did not lead meanwhile.
    pub fn new(heartbeat: Duration, patience: Duration) -> Self {
        Self { heartbeat, patience, last: Mutex::new(None) }
    }

    /// Takes note of a message, and tells whether it should have gone before: after two heartbeats, as in etcd.
    pub fn is_late(&self, now: Instant) -> bool {
        let before = self.last.lock().replace(now);
        let silent = before.map_or(Duration::ZERO, |before| now.saturating_duration_since(before));
        silent > self.heartbeat * 2 && silent < self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_speaks_late_is_told_from_one_that_did_not_lead() {
        let (pace, start) = (Pace::new(Duration::from_millis(100), Duration::from_secs(1)), Instant::now());
        let said = [0, 100, 299, 500, 5000, 5100].map(|millis| pace.is_late(start + Duration::from_millis(millis)));
        assert_eq!(said, [false, false, false, true, false, false]);
    }

    #[test]
    fn members_are_told_apart_and_are_not_without_number() {
        let peers = Peers::new();
        for id in 1..=1000 {
            peers.member(id).sent_bytes.add(id);
        }
        peers.member(10).round_trips.observe(0.001);
        let mut text = Text::default();
        peers.write(&mut text, "7");
        let text = text.finish();
        assert!(text.contains("etcd_network_peer_sent_bytes_total{To=\"a\"} 10\n"), "{text}");
        assert!(text.contains("etcd_network_peer_round_trip_time_seconds_count{To=\"a\"} 1\n"), "{text}");
        assert_eq!(text.matches("etcd_network_peer_sent_failures_total{").count(), PEERS_MEASURED);
    }
}
