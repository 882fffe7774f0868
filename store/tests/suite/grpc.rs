//! A store behind its gRPC services, as etcd's clients see it.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use hyper_util::rt::TokioIo;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::kv_client::KvClient;
use pintle_proto::etcdserverpb::lease_client::LeaseClient;
use pintle_proto::etcdserverpb::watch_client::WatchClient;
use pintle_proto::etcdserverpb::watch_create_request::FilterType;
use pintle_proto::etcdserverpb::watch_request::RequestUnion;
use pintle_proto::health::health_check_response::ServingStatus;
use pintle_proto::health::health_client::HealthClient;
use pintle_proto::mvccpb::Event;
use pintle_proto::mvccpb::event::EventType;
use pintle_store::engine::Span;
use pintle_store::http::{self, Server};
use pintle_store::watch::WatchItem;
use pintle_store::{Store, StoreConfig};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Streaming};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(30);

async fn patiently<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

/// A store in a directory of its own, served on a socket.
struct Served {
    store: Store,
    channel: Channel,
    server: Server,
    _directory: TempDir,
}

impl Served {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(StoreConfig::embedded(directory.path().join("store"))).await.unwrap();
        let socket = directory.path().join("etcd.sock");
        let server = http::serve_unix(&store, &socket).await.unwrap();
        Self { store, channel: connect(&socket).await, server, _directory: directory }
    }

    fn kv(&self) -> KvClient<Channel> {
        KvClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX)
    }

    fn lease(&self) -> LeaseClient<Channel> {
        LeaseClient::new(self.channel.clone())
    }

    async fn put(&self, key: &str, value: impl Into<Bytes>) -> i64 {
        let request = pb::PutRequest { key: key.to_owned().into(), value: value.into(), ..Default::default() };
        self.kv().put(request).await.unwrap().into_inner().header.unwrap().revision
    }

    async fn watch(&self) -> Watching {
        let (requests, receiver) = mpsc::channel(64);
        let mut client = WatchClient::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        let responses = client.watch(ReceiverStream::new(receiver)).await.unwrap().into_inner();
        Watching { requests, responses }
    }

    async fn stop(self) {
        self.server.shutdown().await;
        self.store.shutdown().await.unwrap();
    }
}

async fn connect(socket: &Path) -> Channel {
    let socket = socket.to_owned();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://unix").connect_with_connector(connector).await.unwrap()
}

/// The client's side of a watch stream.
struct Watching {
    requests: mpsc::Sender<pb::WatchRequest>,
    responses: Streaming<pb::WatchResponse>,
}

impl Watching {
    async fn send(&self, request: RequestUnion) {
        self.requests.send(pb::WatchRequest { request_union: Some(request) }).await.unwrap();
    }

    async fn next(&mut self) -> pb::WatchResponse {
        patiently(self.responses.message()).await.unwrap().unwrap()
    }

    /// Starts a watch and returns its name.
    async fn create(&mut self, request: pb::WatchCreateRequest) -> i64 {
        self.send(RequestUnion::CreateRequest(request)).await;
        let response = self.next().await;
        assert!(response.created && !response.canceled, "{response:?}");
        response.watch_id
    }

    async fn ask_progress(&self) {
        self.send(RequestUnion::ProgressRequest(pb::WatchProgressRequest {})).await;
    }
}

fn prefix(prefix: &str) -> pb::WatchCreateRequest {
    let mut end = prefix.as_bytes().to_vec();
    *end.last_mut().unwrap() += 1;
    pb::WatchCreateRequest { key: prefix.to_owned().into(), range_end: end.into(), ..Default::default() }
}

fn revisions(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).collect()
}

#[tokio::test]
async fn keys_are_put_read_and_deleted() {
    let served = Served::start().await;
    assert_eq!(served.put("a", "1").await, 2);
    let get = |revision| pb::RangeRequest { key: "a".into(), revision, ..Default::default() };
    let response = served.kv().range(get(0)).await.unwrap().into_inner();
    assert_eq!(response.count, 1);
    assert_eq!(response.kvs[0].value, "1");
    let header = response.header.unwrap();
    assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term != 0);
    let delete = pb::DeleteRangeRequest { key: "a".into(), prev_kv: true, ..Default::default() };
    assert_eq!(served.kv().delete_range(delete).await.unwrap().into_inner().prev_kvs[0].value, "1");
    let compact = pb::CompactionRequest { revision: 3, physical: false };
    served.kv().compact(compact).await.unwrap();
    let error = served.kv().range(get(2)).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted")
    );
    served.stop().await;
}

#[tokio::test]
async fn a_request_may_not_be_too_large() {
    let served = Served::start().await;
    let put = |bytes| pb::PutRequest { key: "a".into(), value: vec![0; bytes].into(), ..Default::default() };
    served.kv().put(put(1_500_000)).await.unwrap();
    let error = served.kv().put(put(1_600_000)).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::InvalidArgument, "etcdserver: request is too large"));
    served.stop().await;
}

#[tokio::test]
async fn a_streamed_range_is_the_range_in_pieces() {
    let served = Served::start().await;
    for hundred in 0..25 {
        let put = |number| pb::RequestOp {
            request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
                key: format!("k/{number:05}").into(),
                value: vec![7; 200].into(),
                ..Default::default()
            })),
        };
        let success = (100 * hundred..100 * (hundred + 1)).map(put).collect();
        served.kv().txn(pb::TxnRequest { success, ..Default::default() }).await.unwrap();
    }
    for (limit, count_only) in [(0, false), (1_000, false), (1_001, false), (7, false), (9_999, false), (0, true)] {
        let request =
            pb::RangeRequest { key: "k/".into(), range_end: "k0".into(), limit, count_only, ..Default::default() };
        let whole = served.kv().range(request.clone()).await.unwrap().into_inner();
        let mut chunks = served.kv().range_stream(request).await.unwrap().into_inner();
        let mut kvs = Vec::new();
        let mut last = None;
        while let Some(chunk) = patiently(chunks.message()).await.unwrap() {
            assert!(last.is_none(), "only the last chunk has a header");
            let chunk = chunk.range_response.unwrap();
            kvs.extend(chunk.kvs.clone());
            last = chunk.header.is_some().then_some(chunk);
        }
        let last = last.unwrap();
        assert_eq!((last.header, last.count, last.more), (whole.header, whole.count, whole.more), "limit {limit}");
        assert!(kvs == whole.kvs, "limit {limit}");
    }
    let sorted = pb::RangeRequest { key: "k".into(), sort_order: 2, ..Default::default() };
    let error = served.kv().range_stream(sorted).await.unwrap_err();
    assert_eq!(
        (error.code(), error.message()),
        (Code::Unimplemented, "RangeStream does not support custom sort orders")
    );
    served.stop().await;
}

#[tokio::test]
async fn watches_share_a_stream() {
    let served = Served::start().await;
    served.put("a/1", "old").await;
    let mut stream = served.watch().await;
    let all = stream.create(pb::WatchCreateRequest { prev_kv: true, ..prefix("a/") }).await;
    let deletes =
        stream.create(pb::WatchCreateRequest { filters: vec![FilterType::Noput.into()], ..prefix("a/") }).await;
    let chosen = stream.create(pb::WatchCreateRequest { watch_id: 77, start_revision: 2, ..prefix("a/") }).await;
    assert_eq!((all, deletes, chosen), (0, 1, 77));
    assert_eq!(revisions(&stream.next().await.events), [2], "of the past");

    served.put("a/1", "new").await;
    for _ in [all, chosen] {
        let response = stream.next().await;
        let event = &response.events[0];
        let was = event.prev_kv.as_ref().map(|kv| kv.value.clone());
        assert_eq!(was, (response.watch_id == all).then(|| Bytes::from("old")));
    }
    let delete = pb::DeleteRangeRequest { key: "a/1".into(), ..Default::default() };
    served.kv().delete_range(delete).await.unwrap();
    let mut told = Vec::new();
    for _ in 0..3 {
        let response = stream.next().await;
        assert_eq!(response.events[0].r#type(), EventType::Delete);
        told.push(response.watch_id);
    }
    told.sort_unstable();
    assert_eq!(told, [0, 1, 77]);

    served.put("b", "elsewhere").await;
    stream.ask_progress().await;
    let progress = stream.next().await;
    assert_eq!((progress.watch_id, progress.header.unwrap().revision), (-1, 5));

    stream.send(RequestUnion::CancelRequest(pb::WatchCancelRequest { watch_id: 77 })).await;
    let canceled = stream.next().await;
    assert!(canceled.canceled && canceled.watch_id == 77);
    stream.send(RequestUnion::CreateRequest(pb::WatchCreateRequest { start_revision: -1, ..prefix("a/") })).await;
    let refused = stream.next().await;
    assert!(refused.created && refused.canceled && refused.watch_id == -1);
    assert_eq!(refused.cancel_reason, "etcdserver: mvcc: required revision has been compacted");

    served.kv().compact(pb::CompactionRequest { revision: 5, physical: false }).await.unwrap();
    let id = stream.create(pb::WatchCreateRequest { start_revision: 2, ..prefix("a/") }).await;
    let ended = stream.next().await;
    assert_eq!((ended.watch_id, ended.canceled, ended.compact_revision), (id, true, 5));
    served.stop().await;
}

#[tokio::test]
async fn a_large_revision_comes_in_fragments_if_the_client_agrees() {
    let served = Served::start().await;
    let mut stream = served.watch().await;
    // With what was there before, the second transaction's events are larger than any request may be.
    let asking = |fragment| pb::WatchCreateRequest { fragment, prev_kv: true, ..prefix("k") };
    let whole = stream.create(asking(false)).await;
    let parts = stream.create(asking(true)).await;
    for _ in 0..2 {
        let put = |number| pb::RequestOp {
            request: Some(pb::request_op::Request::RequestPut(pb::PutRequest {
                key: format!("k{number}").into(),
                value: vec![0; 350_000].into(),
                ..Default::default()
            })),
        };
        let txn = pb::TxnRequest { success: (0..4).map(put).collect(), ..Default::default() };
        served.kv().txn(txn).await.unwrap();
    }
    let mut responses = [Vec::new(), Vec::new()];
    let events = |responses: &[pb::WatchResponse]| -> Vec<Event> {
        responses.iter().flat_map(|response| response.events.clone()).collect()
    };
    while responses.iter().any(|responses| events(responses).len() < 8) {
        let response = stream.next().await;
        assert!([whole, parts].contains(&response.watch_id));
        responses[usize::from(response.watch_id == parts)].push(response);
    }
    let [whole, parts] = responses;
    assert!(events(&whole) == events(&parts));
    let shape = |responses: &[pb::WatchResponse]| -> Vec<(i64, bool)> {
        let shape = |response: &pb::WatchResponse| (response.header.unwrap().revision, response.fragment);
        responses.iter().map(shape).collect()
    };
    assert_eq!(shape(&whole), [(2, false), (3, false)]);
    assert_eq!(shape(&parts), [(2, false), (3, true), (3, false)]);
    served.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_misses_nothing_and_delays_nobody() {
    let served = Served::start().await;
    let mut sleepy = served.watch().await;
    sleepy.create(pb::WatchCreateRequest { prev_kv: true, ..prefix("k") }).await;
    let mut awake = served.watch().await;
    awake.create(prefix("k")).await;
    // Far more than the queues and windows on the way to the sleepy one hold.
    let writes = 400;
    for number in 0..writes {
        patiently(served.put(&format!("k{}", number % 10), vec![b'x'; 100_000])).await;
        if number % 50 == 0 {
            sleepy.ask_progress().await;
        }
    }
    let expected: Vec<i64> = (2..2 + writes).collect();
    for stream in [&mut awake, &mut sleepy] {
        let mut seen = Vec::new();
        while seen.len() < expected.len() {
            let response = stream.next().await;
            for event in &response.events {
                let kv = event.kv.as_ref().unwrap();
                assert!(event.prev_kv.is_none() || kv.version > 1);
            }
            seen.extend(revisions(&response.events));
        }
        assert_eq!(seen, expected);
    }
    served.stop().await;
}

#[tokio::test]
async fn leases_expire_as_one_revision() {
    let served = Served::start().await;
    let mut stream = served.watch().await;
    stream.create(prefix("l/")).await;
    let grant = pb::LeaseGrantRequest { ttl: 1, id: 7 };
    let granted = served.lease().lease_grant(grant).await.unwrap().into_inner();
    assert_eq!((granted.id, granted.ttl), (7, 2), "raised to the minimum");
    let error = served.lease().lease_grant(grant).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::FailedPrecondition, "etcdserver: lease already exists"));
    let endless = pb::LeaseGrantRequest { ttl: 9_000_000_001, id: 8 };
    let error = served.lease().lease_grant(endless).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::OutOfRange, "etcdserver: too large lease TTL"));

    for key in ["l/b", "l/a"] {
        let put = pb::PutRequest { key: key.into(), lease: 7, ..Default::default() };
        served.kv().put(put).await.unwrap();
        stream.next().await;
    }
    let about = pb::LeaseTimeToLiveRequest { id: 7, keys: true };
    let left = served.lease().lease_time_to_live(about).await.unwrap().into_inner();
    assert_eq!(left.keys, ["l/a", "l/b"]);
    assert_eq!(left.granted_ttl, 2);
    assert!((0..=2).contains(&left.ttl));

    let ended = stream.next().await;
    assert_eq!(revisions(&ended.events), [4, 4]);
    assert!(ended.events.iter().all(|event| event.r#type() == EventType::Delete));
    let left = served.lease().lease_time_to_live(about).await.unwrap().into_inner();
    assert_eq!((left.ttl, left.granted_ttl), (-1, 0));
    let error = served.lease().lease_revoke(pb::LeaseRevokeRequest { id: 7 }).await.unwrap_err();
    assert_eq!((error.code(), error.message()), (Code::NotFound, "etcdserver: requested lease not found"));
    served.stop().await;
}

#[tokio::test]
async fn leases_are_kept_alive() {
    let served = Served::start().await;
    served.lease().lease_grant(pb::LeaseGrantRequest { ttl: 2, id: 7 }).await.unwrap();
    let (requests, receiver) = mpsc::channel(4);
    let mut answers = served.lease().lease_keep_alive(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    let mut keep_alive = async |id| {
        requests.send(pb::LeaseKeepAliveRequest { id }).await.unwrap();
        patiently(answers.message()).await.unwrap().unwrap().ttl
    };
    assert_eq!(keep_alive(7).await, 2);
    assert_eq!(keep_alive(8).await, 0, "unknown");
    let leases = served.lease().lease_leases(pb::LeaseLeasesRequest {}).await.unwrap().into_inner().leases;
    assert_eq!(leases, [pb::LeaseStatus { id: 7 }]);
    served.lease().lease_revoke(pb::LeaseRevokeRequest { id: 7 }).await.unwrap();
    assert_eq!(keep_alive(7).await, 0, "revoked");
    served.stop().await;
}

#[tokio::test]
async fn a_watch_within_the_process_follows_the_store() {
    let served = Served::start().await;
    served.put("a", "1").await;
    let now = served.store.revision().unwrap();
    let mut watch = served.store.watches().watch(Span::point(b"a"), 2, now, true).unwrap();
    let WatchItem::Events { revision: 2, events } = next_item(&mut watch).await else { panic!("no events") };
    assert_eq!(revisions(&events), [2]);
    for _ in 0..3 {
        served.put("b", "of no interest").await;
    }
    loop {
        match next_item(&mut watch).await {
            WatchItem::Progress(5) => break,
            WatchItem::Progress(revision) => assert!((3..5).contains(&revision)),
            item => panic!("{item:?}"),
        }
    }
    served.put("a", "2").await;
    let WatchItem::Events { revision: 6, events } = next_item(&mut watch).await else { panic!("no events") };
    assert_eq!(events[0].prev_kv.as_ref().unwrap().value, "1");

    served.kv().compact(pb::CompactionRequest { revision: 6, physical: false }).await.unwrap();
    let mut late = served.store.watches().watch(Span::point(b"a"), 3, 6, false).unwrap();
    assert_eq!(next_item(&mut late).await, WatchItem::Compacted(6));
    assert_eq!(patiently(late.next()).await, None);
    drop((watch, late));
    served.stop().await;
}

async fn next_item(watch: &mut (impl Stream<Item = WatchItem> + Unpin)) -> WatchItem {
    patiently(watch.next()).await.unwrap()
}

#[tokio::test]
async fn health_is_told() {
    let served = Served::start().await;
    let mut client = HealthClient::new(served.channel.clone());
    let request = |service: &str| pintle_proto::health::HealthCheckRequest { service: service.to_owned() };
    assert_eq!(client.check(request("")).await.unwrap().into_inner().status(), ServingStatus::Serving);
    assert_eq!(client.check(request("x")).await.unwrap_err().code(), Code::NotFound);
    served.stop().await;
}
