//! Many watchers of one namespace: how soon and how cheaply each is told of every change.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use crate::cli::BenchOptions;
use crate::error::{BenchError, During};
use crate::measure::{Sample, Stopwatch, Tally};
use crate::proc_stat::Processes;

use super::client::{Call, Clients, media};
use super::manifest::{config_map, namespace};

const LIST: &str = "cannot list what is to be watched";
const CHANGES: u64 = 200;
/// Events that take longer are not waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// What precedes the time in an event.
const MARK: &[u8] = b"\"stamp\":\"";
/// Digits of the time in an event.
const DIGITS: usize = 20;
/// Bytes in each object besides the time.
const PADDING: usize = 1500;

/// Opens the watches, makes objects one after the other, and waits for all events.
pub async fn run(clients: &Clients, processes: &Processes, options: &BenchOptions) -> Result<Sample, BenchError> {
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace(0));
    // From now on: a watch without a revision would begin with everything that is there already.
    let watch = format!("{path}?watch=1&resourceVersion={}", current_revision(clients, &path).await?);
    let origin = Instant::now();
    let mut watches = Vec::new();
    for watcher in 0..usize::from(options.watchers) {
        let opened = clients.of(watcher).open(Call::get(&watch, media::JSON)).await;
        let (status, body) = opened.during("cannot watch")?;
        if !status.is_success() {
            return Err(BenchError::request("cannot watch", status));
        }
        watches.push(body);
    }
    let stopwatch = Stopwatch::start(processes)?;
    let mut receivers = JoinSet::new();
    for body in watches {
        receivers.spawn(receive(body, origin));
    }
    let padding = "x".repeat(PADDING);
    // Objects of an earlier run on the same server keep their names.
    let run: u32 = rand::random();
    for change in 0..CHANGES {
        let data = json!({"stamp": format!("{:0DIGITS$}", nanos(origin)), "pad": padding});
        let object = config_map(&format!("watched-{run}-{change}"), &data);
        let created = clients.of(0).call(Call::post(&path, object)).await;
        created.during("cannot create what is watched")?;
    }
    let mut tally = Tally::default();
    while let Some(part) = receivers.join_next().await {
        tally.merge(part.during("a watcher failed")?);
    }
    stopwatch.stop(tally)
}

async fn current_revision(clients: &Clients, path: &str) -> Result<String, BenchError> {
    let (_, body) = clients.of(0).open(Call::get(&format!("{path}?limit=1"), media::JSON)).await.during(LIST)?;
    let body = body.collect().await.during(LIST)?.to_bytes();
    let list: serde_json::Value = serde_json::from_slice(&body).during(LIST)?;
    let revision = list["metadata"]["resourceVersion"].as_str();
    revision.map(str::to_owned).ok_or("it has no resourceVersion").during(LIST)
}

async fn receive(mut body: Incoming, origin: Instant) -> Tally {
    let mut tally = Tally::default();
    let mut stamps = Stamps::default();
    let deadline = Instant::now() + PATIENCE;
    while tally.latency.count() < CHANGES {
        let Ok(Some(Ok(frame))) = timeout_at(deadline, body.frame()).await else { break };
        let now = nanos(origin);
        for sent in frame.into_data().map(|data| stamps.read(&data)).unwrap_or_default() {
            tally.count(Duration::from_nanos(now.saturating_sub(sent)), Ok(0));
        }
    }
    let missing = CHANGES.saturating_sub(tally.latency.count());
    if missing > 0 {
        tally.errors = missing;
        tally.error = Some("an event that never came".to_owned());
    }
    tally
}

/// Finds the times in a stream of events that is cut anywhere.
#[derive(Default)]
struct Stamps {
    /// The end of what came before, shorter than a mark with its time.
    rest: Vec<u8>,
}

impl Stamps {
    fn read(&mut self, data: &Bytes) -> Vec<u64> {
        let text = [&self.rest[..], data].concat();
        let mut found = Vec::new();
        let mut done = 0;
        let whole = MARK.len() + DIGITS;
        while let Some(at) = text[done..].windows(whole).position(|window| window.starts_with(MARK)) {
            let stamp = &text[done + at + MARK.len()..][..DIGITS];
            found.extend(std::str::from_utf8(stamp).ok().and_then(|digits| digits.parse::<u64>().ok()));
            done += at + whole;
        }
        let keep = done.max(text.len().saturating_sub(whole - 1));
        self.rest = text[keep..].to_vec();
        found
    }
}

fn nanos(origin: Instant) -> u64 {
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_wherever_the_stream_is_cut() {
        let text = format!("{{\"data\":{{\"stamp\":\"{:020}\",\"x\":1}}}}\n", 7).repeat(3);
        for size in 1..=text.len() {
            let mut stamps = Stamps::default();
            let found: Vec<u64> =
                text.as_bytes().chunks(size).flat_map(|chunk| stamps.read(&Bytes::copy_from_slice(chunk))).collect();
            assert_eq!(found, [7, 7, 7], "in pieces of {size}");
        }
    }
}
