//! Reads and writes of keys.

use std::ops::Range;

use bytes::Bytes;
use pintle_proto::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use pintle_proto::etcdserverpb::kv_client::KvClient;
use pintle_proto::etcdserverpb::request_op::Request;
use pintle_proto::etcdserverpb::{CompactionRequest, Compare, PutRequest, RangeRequest, RequestOp, TxnRequest};
use rand::RngCore;
use tonic::transport::Channel;

use crate::case::Case;
use crate::cli::BenchOptions;
use crate::error::BenchError;
use crate::measure::{Sample, Until, drive};
use crate::proc_stat::Processes;

use super::client::Clients;

const PREFIX: &str = "/registry/pods/";
/// The end of the range of all keys with [`PREFIX`].
const PREFIX_END: &str = "/registry/pods0";
const NAMESPACES: u64 = 200;
/// Keys in a page, as an apiserver reads them.
const PAGE: i64 = 500;

/// Runs one of the cases that are a loop over one operation.
pub async fn run(
    case: Case,
    clients: &Clients,
    processes: &Processes,
    options: &BenchOptions,
) -> Result<Sample, BenchError> {
    let workers = if case == Case::PutOne { 1 } else { usize::from(options.clients) };
    let until = if case == Case::Put { Until::Operations(options.keys) } else { Until::Elapsed(options.duration()) };
    let value = random_value(options.value_bytes);
    let keys = options.keys;
    let kv: Vec<_> = (0..workers).map(|worker| clients.kv(worker)).collect();
    let sample = drive(processes, workers, until, move |turn| {
        let (kv, value) = (kv[turn.worker].clone(), value.clone());
        let at = turn.index % keys;
        async move {
            match case {
                Case::Put | Case::PutOne => put(kv, key(at), value).await,
                Case::Get => get(kv, at, false).await,
                Case::GetSerializable => get(kv, at, true).await,
                Case::Txn => update(kv, key(at), value).await,
                Case::Page => page(kv, turn.index).await,
                Case::Count => count(kv, keys).await,
                other => Err(format!("{} is no loop", other.title())),
            }
        }
    });
    sample.await
}

/// Random, so that it does not compress.
pub fn random_value(bytes: u32) -> Bytes {
    let mut value = vec![0; usize::try_from(bytes).unwrap_or_default()];
    rand::rng().fill_bytes(&mut value);
    value.into()
}

/// Sets one key.
pub async fn put(mut kv: KvClient<Channel>, key: Bytes, value: Bytes) -> Result<u64, String> {
    kv.put(PutRequest { key, value, ..PutRequest::default() }).await.map(|_| 0).map_err(text)
}

/// Reads the key at a place.
pub async fn get(mut kv: KvClient<Channel>, at: u64, serializable: bool) -> Result<u64, String> {
    let request = RangeRequest { key: key(at), serializable, ..RangeRequest::default() };
    match kv.range(request).await.map_err(text)?.get_ref().kvs.len() {
        1 => Ok(0),
        found => Err(format!("{found} values of one key")),
    }
}

/// Reads a key and writes it if nobody else has written it meanwhile, as an apiserver does.
pub async fn update(mut kv: KvClient<Channel>, key: Bytes, value: Bytes) -> Result<u64, String> {
    let read = RangeRequest { key: key.clone(), ..RangeRequest::default() };
    let found = kv.range(read.clone()).await.map_err(text)?.into_inner();
    let revision = found.kvs.first().ok_or("the key is missing")?.mod_revision;
    let unchanged = Compare {
        result: CompareResult::Equal.into(),
        target: CompareTarget::Mod.into(),
        key: key.clone(),
        target_union: Some(TargetUnion::ModRevision(revision)),
        ..Compare::default()
    };
    let put = PutRequest { key, value, ..PutRequest::default() };
    let request = TxnRequest {
        compare: vec![unchanged],
        success: vec![RequestOp { request: Some(Request::RequestPut(put)) }],
        failure: vec![RequestOp { request: Some(Request::RequestRange(read)) }],
    };
    let answer = kv.txn(request).await.map_err(text)?.into_inner();
    if answer.succeeded { Ok(0) } else { Err("somebody else wrote the key".to_owned()) }
}

/// Sets the keys at `places` in one transaction.
pub async fn put_many(mut kv: KvClient<Channel>, places: Range<u64>, value: Bytes) -> Result<u64, String> {
    let put = |at| Request::RequestPut(PutRequest { key: key(at), value: value.clone(), ..PutRequest::default() });
    let success = places.map(|at| RequestOp { request: Some(put(at)) }).collect();
    kv.txn(TxnRequest { success, ..TxnRequest::default() }).await.map(|_| 0).map_err(text)
}

/// Drops all but the newest version of every key, and returns when they are gone.
pub async fn compact(mut kv: KvClient<Channel>) -> Result<u64, String> {
    let read = RangeRequest { key: PREFIX.into(), ..RangeRequest::default() };
    let header = kv.range(read).await.map_err(text)?.into_inner().header.unwrap_or_default();
    let request = CompactionRequest { revision: header.revision, physical: true };
    kv.compact(request).await.map(|_| 0).map_err(text)
}

/// A page from the beginning of a namespace on.
pub async fn page(mut kv: KvClient<Channel>, index: u64) -> Result<u64, String> {
    let request = RangeRequest {
        key: namespace(index % NAMESPACES).into(),
        range_end: PREFIX_END.into(),
        limit: PAGE,
        ..RangeRequest::default()
    };
    let found = kv.range(request).await.map_err(text)?.into_inner();
    if found.kvs.is_empty() { Err("an empty page".to_owned()) } else { Ok(0) }
}

/// Counts all keys, of which there are `expected`.
pub async fn count(mut kv: KvClient<Channel>, expected: u64) -> Result<u64, String> {
    let request =
        RangeRequest { key: PREFIX.into(), range_end: PREFIX_END.into(), count_only: true, ..RangeRequest::default() };
    let count = kv.range(request).await.map_err(text)?.get_ref().count;
    if u64::try_from(count) == Ok(expected) { Ok(0) } else { Err(format!("counted {count} keys")) }
}

fn namespace(number: u64) -> String {
    format!("{PREFIX}ns-{number:03}/")
}

/// The key at a place; neighbours are in different namespaces.
pub fn key(at: u64) -> Bytes {
    format!("{}pod-{at:06}", namespace(at % NAMESPACES)).into()
}

#[allow(clippy::needless_pass_by_value, reason = "handed to map_err")]
fn text(status: tonic::Status) -> String {
    format!("{:?}: {}", status.code(), status.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lie_in_the_range_that_is_read() {
        assert_eq!(key(12_345), "/registry/pods/ns-145/pod-012345");
        assert!(PREFIX < PREFIX_END && key(0) > PREFIX && key(999_999) < PREFIX_END);
    }
}
