//! What other members are answered.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use pintle_proto::peerpb;
use pintle_proto::peerpb::peer_server::{Peer, PeerServer};
use prost::Message as _;
use tokio::sync::Mutex;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use tower::ServiceExt;

use super::incoming::Incoming;
use super::{CLUSTER, FROM, TO, convert};
use crate::apply::{Entry, reply};
use crate::error::StoreError;
use crate::grpc::status;
use crate::metrics::METRICS;
use crate::raft::network::{Proposed, SnapshotFiles};
use crate::store::Store;

/// The service between members, as an HTTP service.
#[derive(Clone)]
pub struct PeerServices {
    routes: Routes,
}

impl PeerServices {
    /// Answers for `store`.
    pub fn new(store: Store) -> Self {
        let max_message_bytes = store.peer_message_bytes();
        let service = PeerServer::new(PeerService { store, incoming: Arc::default() })
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes);
        Self { routes: Routes::new(service).prepare() }
    }

    /// Answers one request.
    pub async fn call<B>(&self, request: http::Request<B>) -> http::Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match self.routes.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

#[derive(Clone)]
struct PeerService {
    store: Store,
    /// The snapshot that was offered last. Held while one is written or installed: one at a time.
    incoming: Arc<Mutex<Option<Incoming>>>,
}

type Answer<T> = Result<Response<T>, Status>;

impl PeerService {
    /// Lets only members of this cluster in, and only if they mean this one.
    fn admit(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let id = |name| id(metadata, name);
        let identity = self.store.node().identity();
        if id(CLUSTER) == Some(identity.cluster_id) && id(TO) == Some(identity.member_id) {
            return Ok(());
        }
        let hex = |id: Option<u64>| id.map(|id| format!("{id:x}"));
        tracing::warn!(
            from = hex(id(FROM)),
            to = hex(id(TO)),
            cluster = hex(id(CLUSTER)),
            own_cluster = hex(Some(identity.cluster_id)),
            "refused a call that is not meant for this member"
        );
        Err(status::status(StoreError::ClusterIdMismatch))
    }
}

/// A member's id, or the cluster's, among what comes with a call.
fn id(metadata: &MetadataMap, name: &str) -> Option<u64> {
    let value = metadata.get(name)?.to_str().ok()?;
    u64::from_str_radix(value, 16).ok()
}

#[tonic::async_trait]
impl Peer for PeerService {
    type AppendStream = BoxStream<'static, Result<peerpb::AppendResponse, Status>>;

    async fn append(&self, request: Request<Streaming<peerpb::AppendRequest>>) -> Answer<Self::AppendStream> {
        self.admit(request.metadata())?;
        // A message that makes no sense ends the stream like one that cannot be decoded.
        let traffic = METRICS.peers.member(id(request.metadata(), FROM).unwrap_or_default());
        let requests = request.into_inner().map(move |request| match request {
            Ok(request) => {
                traffic.received_bytes.add(request.encoded_len() as u64);
                convert::append(request).inspect_err(|error| tracing::error!(%error, "refused an append")).ok()
            }
            Err(_) => None,
        });
        let requests = requests.take_while(|request| futures::future::ready(request.is_some()));
        let requests = requests.filter_map(futures::future::ready).boxed();
        let answers = self.store.node().append(requests);
        let answers =
            answers.map(|answer| answer.map(|result| convert::appended_to_wire(&result)).map_err(status::status));
        Ok(Response::new(answers.boxed()))
    }

    async fn vote(&self, request: Request<peerpb::VoteRequest>) -> Answer<peerpb::VoteResponse> {
        self.admit(request.metadata())?;
        let request = request.into_inner();
        let pre_vote = request.pre_vote;
        let request = convert::vote(request).map_err(status::status)?;
        let voted = self.store.node().vote(request, pre_vote).await.map_err(status::status)?;
        Ok(Response::new(convert::voted_to_wire(&voted)))
    }

    async fn transfer_leader(
        &self,
        request: Request<peerpb::TransferLeaderRequest>,
    ) -> Answer<peerpb::TransferLeaderResponse> {
        self.admit(request.metadata())?;
        let request = convert::transfer(request.into_inner()).map_err(status::status)?;
        let transferred = self.store.node().transfer_leader(request).await.map_err(status::status)?;
        Ok(Response::new(convert::transferred_to_wire(&transferred)))
    }

    async fn offer_snapshot(&self, request: Request<peerpb::SnapshotOffer>) -> Answer<peerpb::SnapshotProgress> {
        self.admit(request.metadata())?;
        let offer = request.into_inner();
        convert::leaders_ballot(offer.ballot).map_err(status::status)?;
        let directory = self.store.incoming_snapshot();
        let mut incoming = self.incoming.clone().lock_owned().await;
        let present = blocking(move || {
            let begun = Incoming::begin(directory, offer.files)?;
            let present = begun.present()?;
            *incoming = Some(begun);
            Ok(present)
        });
        Ok(Response::new(peerpb::SnapshotProgress { present: present.await? }))
    }

    async fn send_snapshot(
        &self,
        request: Request<Streaming<peerpb::SnapshotChunk>>,
    ) -> Answer<peerpb::SnapshotReceived> {
        self.admit(request.metadata())?;
        let mut chunks = request.into_inner();
        let began = Instant::now();
        while let Some(chunk) = chunks.message().await? {
            let incoming = self.incoming.clone().lock_owned().await;
            blocking(move || incoming.as_ref().ok_or(StoreError::MalformedPeerMessage)?.write(&chunk)).await?;
        }
        METRICS.receive_seconds.observe_since(began);
        Ok(Response::new(peerpb::SnapshotReceived {}))
    }

    async fn install_snapshot(&self, request: Request<peerpb::SnapshotInstall>) -> Answer<peerpb::SnapshotInstalled> {
        self.admit(request.metadata())?;
        let (vote, meta) = convert::install(&request.into_inner()).map_err(status::status)?;
        // Held until it is installed, which uses the files up.
        let mut incoming = self.incoming.clone().lock_owned().await;
        let received = incoming.take().ok_or_else(|| status::status(StoreError::MalformedPeerMessage))?;
        let node = self.store.node().clone();
        let began = Instant::now();
        let directory = blocking(move || Ok(received.finish()?.to_owned())).await?;
        METRICS.receive_sync_seconds.observe_since(began);
        // In a task of its own: a caller that is gone must not stop it half-way.
        let installing = tokio::spawn(async move {
            let installed = node.install_snapshot(vote, SnapshotFiles { meta, directory }).await;
            drop(incoming);
            installed
        });
        let vote = installing.await.map_err(|_| status::status(StoreError::Stopped))?.map_err(status::status)?;
        Ok(Response::new(peerpb::SnapshotInstalled { ballot: Some(convert::ballot_to_wire(&vote)) }))
    }

    async fn propose(&self, request: Request<peerpb::ProposeRequest>) -> Answer<peerpb::ProposeResponse> {
        self.admit(request.metadata())?;
        let entry = Entry::decode(request.into_inner().entry);
        let entry = entry.map_err(|_| status::status(StoreError::MalformedPeerMessage))?;
        let Proposed { index, replies } = self.store.node().propose_entry(entry).await.map_err(status::status)?;
        Ok(Response::new(peerpb::ProposeResponse { index, replies: replies.iter().map(reply::encode).collect() }))
    }

    async fn read_index(&self, request: Request<peerpb::ReadIndexRequest>) -> Answer<peerpb::ReadIndexResponse> {
        self.admit(request.metadata())?;
        let index = self.store.node().confirm_read_index().await.map_err(status::status)?;
        Ok(Response::new(peerpb::ReadIndexResponse { index }))
    }

    async fn call(&self, request: Request<peerpb::CallRequest>) -> Answer<peerpb::CallResponse> {
        // Who wants to join asks for the members before it knows the cluster.
        let joining = matches!(request.get_ref().call, Some(peerpb::call_request::Call::MemberList(_)));
        if !joining {
            self.admit(request.metadata())?;
        }
        self.store.answer_peer(request.into_inner()).await.map(Response::new).map_err(status::status)
    }
}

/// Runs what waits for the disk where that delays nobody.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, Status> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| status::status(StoreError::Stopped))?.map_err(status::status)
}
