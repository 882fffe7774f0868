//! Many watchers of one prefix: how soon and how cheaply each is told of every change.

use std::time::Duration;

use pintle_proto::etcdserverpb::watch_request::RequestUnion;
use pintle_proto::etcdserverpb::{WatchCreateRequest, WatchRequest, WatchResponse};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};
use tonic::Streaming;

use crate::error::{BenchError, During};
use crate::measure::{Sample, Stopwatch, Tally};
use crate::proc_stat::Processes;

use super::client::Clients;
use super::load::{put, random_value};

const PREFIX: &str = "/registry/leases/";
const PREFIX_END: &str = "/registry/leases0";
const WATCH: &str = "cannot watch";
const CHANGES: u64 = 300;
/// Events that take longer are not waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of the time at the beginning of a value.
const STAMP: usize = size_of::<u64>();

/// Opens the watches, shared out over a stream a connection, makes changes one after the other, and waits for all events.
pub async fn run(
    clients: &Clients,
    processes: &Processes,
    watchers: usize,
    value_bytes: u32,
) -> Result<Sample, BenchError> {
    let streams = clients.connections();
    let origin = Instant::now();
    let mut receivers = JoinSet::new();
    let mut opened = Vec::new();
    for stream in 0..streams {
        // The first streams take what does not divide evenly.
        let share = (watchers + streams - 1 - stream) / streams;
        opened.push((open(clients, stream, share).await?, share));
    }
    let stopwatch = Stopwatch::start(processes)?;
    for (stream, share) in opened {
        let expected = CHANGES * u64::try_from(share).unwrap_or_default();
        receivers.spawn(receive(stream, expected, origin));
    }
    let padding = random_value(value_bytes);
    for change in 0..CHANGES {
        let value = [&nanos(origin).to_be_bytes()[..], &padding].concat();
        let written = put(clients.kv(0), format!("{PREFIX}node-{change}").into(), value.into()).await;
        written.during("cannot write what is watched")?;
    }
    let mut tally = Tally::default();
    while let Some(part) = receivers.join_next().await {
        tally.merge(part.during("a watcher failed")?);
    }
    stopwatch.stop(tally)
}

/// Opens one stream with `watches` on it and waits until the server has confirmed them all.
async fn open(clients: &Clients, stream: usize, watches: usize) -> Result<Streaming<WatchResponse>, BenchError> {
    let create =
        WatchCreateRequest { key: PREFIX.into(), range_end: PREFIX_END.into(), ..WatchCreateRequest::default() };
    let requests = vec![WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) }; watches];
    // A client that ends its half of the stream has ended its watches.
    let requests = tokio_stream::StreamExt::chain(tokio_stream::iter(requests), tokio_stream::pending());
    let mut stream = clients.watch(stream).watch(requests).await.during(WATCH)?.into_inner();
    let mut confirmed = 0;
    while confirmed < watches {
        let answer = timeout(PATIENCE, stream.message()).await.during(WATCH)?;
        match answer.during(WATCH)? {
            Some(response) if response.created && !response.canceled => confirmed += 1,
            Some(response) => return Err(BenchError::request(WATCH, response.cancel_reason)),
            None => return Err(BenchError::request(WATCH, "the stream ended")),
        }
    }
    Ok(stream)
}

async fn receive(mut stream: Streaming<WatchResponse>, expected: u64, origin: Instant) -> Tally {
    let mut tally = Tally::default();
    let deadline = Instant::now() + PATIENCE;
    while tally.latency.count() < expected {
        let Ok(Ok(Some(response))) = tokio::time::timeout_at(deadline, stream.message()).await else { break };
        let now = nanos(origin);
        for event in &response.events {
            let stamp = event.kv.as_ref().and_then(|kv| kv.value.first_chunk::<STAMP>());
            let sent = stamp.map_or(now, |stamp| u64::from_be_bytes(*stamp));
            tally.count(Duration::from_nanos(now.saturating_sub(sent)), Ok(0));
        }
    }
    let missing = expected.saturating_sub(tally.latency.count());
    if missing > 0 {
        tally.errors = missing;
        tally.error = Some("an event that never came".to_owned());
    }
    tally
}

fn nanos(origin: Instant) -> u64 {
    u64::try_from(origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
