//! Calls to other members.

use std::collections::HashMap;
use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http::Uri;
use parking_lot::Mutex;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::peerpb::call_request::Call;
use pintle_proto::peerpb::call_response::Answer;
use pintle_proto::peerpb::peer_client::PeerClient;
use pintle_proto::peerpb::{self, CallRequest, SnapshotChunk};
use prost::Message as _;
use tonic::metadata::Ascii;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{ConnectError, Request, Status};

use super::{CLUSTER, FROM, TO, convert, incoming};
use crate::apply::reply;
use crate::error::StoreError;
use crate::http::connect;
use crate::limits;
use crate::metrics::METRICS;
use crate::metrics::peers::{self, Pace};
use crate::raft::network::{
    AppendRequest, AppendResult, Link, LinkError, Proposed, SnapshotFiles, TransferRequest, TransferResponse,
    Transport, VoteRequest, VoteResponse,
};
use crate::raft::node::Identity;
use crate::raft::{Member, Vote};
use crate::tls::ClientTls;

/// How members are reached.
#[derive(Clone, Default)]
pub struct Settings {
    /// For URLs that begin with https.
    pub tls: Option<ClientTls>,
    /// How long a member may be silent before the connection counts as lost.
    pub patience: Duration,
    /// How often a leader speaks to a member at least.
    pub heartbeat: Duration,
    /// Bytes of one message.
    pub max_message_bytes: usize,
}

/// Reaches members over gRPC.
#[derive(Clone)]
pub struct Grpc {
    settings: Settings,
    addresses: Arc<Mutex<HashMap<u64, Address>>>,
}

impl Grpc {
    /// With these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, addresses: Arc::default() }
    }

    /// Where a member is reached from now on.
    fn address(&self, id: u64, member: &Member) -> Address {
        let address = self.addresses.lock().entry(id).or_default().clone();
        address.set(&member.peer_urls);
        address
    }
}

/// The URLs of a member. Clones share them: a connection that is made again goes where the member is then.
#[derive(Clone, Default)]
struct Address(Arc<Mutex<Arc<[String]>>>);

impl Address {
    fn of(urls: &[String]) -> Self {
        Self(Arc::new(Mutex::new(urls.into())))
    }

    fn set(&self, urls: &[String]) {
        *self.0.lock() = urls.into();
    }

    fn urls(&self) -> Arc<[String]> {
        self.0.lock().clone()
    }
}

impl Transport for Grpc {
    fn connect(&self, from: Identity, to: u64, member: &Member) -> Arc<dyn Link> {
        let hex = |id: u64| MetadataValue::from(Hex(id));
        let address = self.address(to, member);
        Arc::new(Peer {
            client: client(address.clone(), &self.settings),
            // What is sent in bulk must not delay heartbeats.
            bulk: client(address.clone(), &self.settings),
            names: [(CLUSTER, hex(from.cluster_id)), (FROM, hex(from.member_id)), (TO, hex(to))],
            standing: Arc::new(Standing {
                member: to,
                address,
                lost: AtomicBool::new(false),
                traffic: METRICS.peers.member(to),
                pace: Pace::new(self.settings.heartbeat, self.settings.patience),
            }),
        })
    }

    fn locate(&self, id: u64, member: &Member) {
        self.address(id, member);
    }
}

struct Hex(u64);

impl From<Hex> for MetadataValue<Ascii> {
    fn from(Hex(id): Hex) -> Self {
        // Digits are always valid.
        MetadataValue::try_from(format!("{id:x}")).unwrap_or_else(|_| MetadataValue::from_static("0"))
    }
}

fn client(address: Address, settings: &Settings) -> PeerClient<Channel> {
    let tls = settings.tls.clone();
    let connector = tower::service_fn(move |_: Uri| connect::connect(address.urls(), tls.clone()));
    // The connector knows where to; this is only the name in requests.
    let channel = Endpoint::from_static("http://peer")
        .http2_keep_alive_interval(settings.patience)
        .keep_alive_timeout(settings.patience)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(limits::PEER_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::PEER_CONNECTION_WINDOW_BYTES)
        .connect_with_connector_lazy(connector);
    PeerClient::new(channel)
        .max_decoding_message_size(settings.max_message_bytes)
        .max_encoding_message_size(settings.max_message_bytes)
}

/// The members of a cluster that this node does not belong to yet, and the cluster's id, as somebody at `urls` tells.
pub async fn fetch_members(urls: &[String], settings: &Settings) -> Result<pb::MemberListResponse, LinkError> {
    let request = CallRequest { call: Some(Call::MemberList(pb::MemberListRequest::default())) };
    let answer = client(Address::of(urls), settings).call(request).await.map_err(|status| failure(&status))?;
    match answer.into_inner().answer {
        Some(Answer::MemberList(members)) => Ok(members),
        _ => Err(StoreError::MalformedPeerMessage.into()),
    }
}

/// The connection to one member.
struct Peer {
    client: PeerClient<Channel>,
    bulk: PeerClient<Channel>,
    names: [(&'static str, MetadataValue<Ascii>); 3],
    standing: Arc<Standing>,
}

/// Whether a member can be reached, so that it is told once when that changes.
struct Standing {
    member: u64,
    address: Address,
    lost: AtomicBool,
    traffic: Arc<peers::Peer>,
    pace: Pace,
}

impl Standing {
    fn note<T>(&self, answer: &Result<T, LinkError>) {
        let member = self.member;
        match answer {
            Err(LinkError::Unreachable(error) | LinkError::Lost(error)) => {
                self.traffic.sent_failures.inc();
                self.traffic.active.set(0);
                if !self.lost.swap(true, Ordering::Relaxed) {
                    self.traffic.lost.inc();
                    tracing::warn!(member = format!("{member:x}"), urls = ?self.address.urls(), error, "lost a member");
                }
            }
            Ok(_) | Err(LinkError::Refused(_)) => {
                self.traffic.active.set(1);
                if self.lost.swap(false, Ordering::Relaxed) {
                    tracing::info!(member = format!("{member:x}"), urls = ?self.address.urls(), "reached a member again");
                }
            }
        }
    }
}

/// What became of a call: it tells a member that was not reached from one whose answer was lost.
fn failure(status: &Status) -> LinkError {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<ConnectError>() {
            return LinkError::Unreachable(error.source().unwrap_or(error).to_string());
        }
        cause = error.source();
    }
    match StoreError::known(status.message()) {
        Some(error) => LinkError::Refused(error),
        None => LinkError::Lost(status.to_string()),
    }
}

async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, LinkError> {
    match tokio::time::timeout(limit, call).await {
        Ok(answer) => Ok(answer.map_err(|status| failure(&status))?.into_inner()),
        Err(_) => Err(LinkError::Lost(format!("nothing within {limit:?}"))),
    }
}

impl Peer {
    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        for (name, value) in &self.names {
            request.metadata_mut().insert(*name, value.clone());
        }
        request
    }

    /// Sends what the member lacks of a snapshot's files.
    async fn send_files(
        &self,
        directory: PathBuf,
        files: &[peerpb::SnapshotFile],
        present: Vec<u64>,
    ) -> Result<(), LinkError> {
        if present.len() != files.len() {
            return Err(StoreError::MalformedPeerMessage.into());
        }
        let missing: Vec<_> = (0..)
            .zip(files)
            .zip(present)
            .filter(|((_, file), present)| *present < file.bytes)
            .map(|((index, file), present)| Missing {
                index,
                path: directory.join(&file.name),
                offset: present,
                end: file.bytes,
            })
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let request = self.request(Messages(chunks(missing)));
        within(limits::SNAPSHOT_TIMEOUT, self.bulk.clone().send_snapshot(request)).await.map(drop)
    }
}

/// What a call streams: a type with a name, since the compiler cannot see that a future which holds the nameless one is
/// sendable.
struct Messages<T>(BoxStream<'static, T>);

impl<T> Stream for Messages<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_next_unpin(context)
    }
}

/// The part of a file that is still to be sent.
struct Missing {
    index: u32,
    path: PathBuf,
    offset: u64,
    end: u64,
}

impl Missing {
    /// The next chunk, read where waiting for the disk delays nobody.
    async fn next(mut self) -> io::Result<Option<(SnapshotChunk, Self)>> {
        if self.offset >= self.end {
            return Ok(None);
        }
        let reading = tokio::task::spawn_blocking(move || {
            use std::os::unix::fs::FileExt;
            let left = usize::try_from(self.end - self.offset).unwrap_or(usize::MAX);
            let mut data = vec![0; left.min(limits::PEER_FILE_CHUNK_BYTES)];
            std::fs::File::open(&self.path)?.read_exact_at(&mut data, self.offset)?;
            let chunk = SnapshotChunk { file: self.index, offset: self.offset, data: data.into() };
            self.offset += chunk.data.len() as u64;
            io::Result::Ok(Some((chunk, self)))
        });
        reading.await.map_err(io::Error::other)?
    }
}

/// The chunks of files. One that cannot be read ends them; the member notices what is missing.
fn chunks(missing: Vec<Missing>) -> BoxStream<'static, SnapshotChunk> {
    let chunks = stream::iter(missing).flat_map(|file| stream::try_unfold(file, Missing::next));
    let readable =
        chunks.map(|chunk| chunk.inspect_err(|error| tracing::error!(%error, "cannot read a snapshot")).ok());
    readable.take_while(|chunk| futures::future::ready(chunk.is_some())).filter_map(futures::future::ready).boxed()
}

#[async_trait]
impl Link for Peer {
    fn append(
        &self,
        requests: BoxStream<'static, AppendRequest>,
    ) -> BoxStream<'static, Result<AppendResult, LinkError>> {
        let (mut client, mut requests) = (self.client.clone(), requests.fuse());
        let names = self.request(());
        let (standing, sending) = (self.standing.clone(), self.standing.clone());
        let traffic = self.standing.traffic.clone();
        let opened = async move {
            // Raft holds the first one back while it does not believe that the member can be reached.
            let first = requests.next().await;
            let messages = stream::iter(first).chain(requests).map(move |request| {
                let message = convert::append_to_wire(&request);
                sending.traffic.sent_bytes.add(message.encoded_len() as u64);
                if sending.pace.is_late(Instant::now()) {
                    METRICS.heartbeat_send_failures.inc();
                }
                message
            });
            let mut begun = Some(Instant::now());
            let answers = client.append(names.map(|()| Messages(messages.boxed()))).await?.into_inner();
            // Later answers may be to requests that were sent together. A heartbeat is a stream of its own.
            Ok::<_, Status>(answers.inspect_ok(move |_| {
                if let Some(begun) = begun.take() {
                    traffic.round_trips.observe_since(begun);
                }
            }))
        };
        let answers = stream::once(opened).try_flatten();
        answers
            .map(move |answer| match answer {
                Ok(answer) => Ok(convert::appended(answer)?),
                Err(status) => Err(failure(&status)),
            })
            .inspect(move |answer| standing.note(answer))
            .boxed()
    }

    async fn vote(&self, request: VoteRequest, pre_vote: bool) -> Result<VoteResponse, LinkError> {
        let request = self.request(convert::vote_to_wire(&request, pre_vote));
        let answer = within(limits::PEER_CALL_TIMEOUT, self.client.clone().vote(request)).await?;
        Ok(convert::voted(answer)?)
    }

    async fn transfer_leader(&self, request: TransferRequest) -> Result<TransferResponse, LinkError> {
        let message = self.request(convert::transfer_to_wire(&request));
        let answer = within(limits::PEER_CALL_TIMEOUT, self.client.clone().transfer_leader(message)).await?;
        Ok(convert::transferred(&request, answer)?)
    }

    async fn snapshot(&self, vote: Vote, snapshot: SnapshotFiles) -> Result<Vote, LinkError> {
        let SnapshotFiles { meta, directory } = snapshot;
        let described = directory.clone();
        let files = tokio::task::spawn_blocking(move || incoming::describe(&described)).await.map_err(io::Error::other);
        let files =
            files.flatten().map_err(|error| LinkError::Unreachable(format!("cannot read a snapshot: {error}")))?;
        let offer = self.request(peerpb::SnapshotOffer {
            ballot: Some(convert::ballot_to_wire(&vote)),
            last: meta.last_log_id.as_ref().map(convert::log_id_to_wire),
            files: files.clone(),
        });
        let progress = within(limits::SNAPSHOT_TIMEOUT, self.bulk.clone().offer_snapshot(offer)).await?;
        self.send_files(directory, &files, progress.present).await?;
        let install = self.request(convert::install_to_wire(&vote, &meta));
        let installed = within(limits::SNAPSHOT_TIMEOUT, self.bulk.clone().install_snapshot(install)).await?;
        Ok(convert::ballot(installed.ballot)?)
    }

    async fn propose(&self, entry: Bytes) -> Result<Proposed, LinkError> {
        let request = self.request(peerpb::ProposeRequest { entry });
        let answer = within(limits::FORWARD_TIMEOUT, self.client.clone().propose(request)).await?;
        Ok(Proposed { index: answer.index, replies: answer.replies.into_iter().map(reply::decode).collect() })
    }

    async fn read_index(&self) -> Result<u64, LinkError> {
        let request = self.request(peerpb::ReadIndexRequest {});
        Ok(within(limits::PEER_CALL_TIMEOUT, self.client.clone().read_index(request)).await?.index)
    }

    async fn call(&self, request: CallRequest) -> Result<peerpb::CallResponse, LinkError> {
        let request = self.request(request);
        within(limits::FORWARD_TIMEOUT, self.client.clone().call(request)).await
    }
}
