//! The backend over the network: any server of etcd's v3 API.
//!
//! Several endpoints are members of one cluster. Requests go to one of them until it fails; then the next is tried. A write whose
//! outcome is unknown is never repeated, it fails.

mod connect;
mod watch;

use std::{
    error::Error as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use pintle_proto::etcdserverpb::{
    CompactionRequest, LeaseGrantRequest, RangeRequest, RangeResponse, TxnRequest, TxnResponse, kv_client::KvClient,
    lease_client::LeaseClient, watch_client::WatchClient,
};
use tokio::{sync::Notify, time::timeout};
use tonic::{Code, Response, Status, transport::Channel};

use super::{
    backend::{Backend, BackendError, WatchStream},
    requests::{Etcd, Requests, error_of, revision},
};

pub use connect::{ConnectError, EtcdConfig};

/// How long a request may take, tries at other endpoints included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);

/// A backend on the etcd cluster that `config` describes. Connections are made when they are needed.
pub fn backend(config: &EtcdConfig) -> Result<Arc<dyn Backend>, ConnectError> {
    let endpoints = Endpoints::new(connect::channels(config)?);
    let prefix = Bytes::copy_from_slice(config.prefix.as_bytes());
    Ok(Arc::new(Requests::new(Cluster { endpoints: Arc::new(endpoints), prefix })))
}

/// The members of a cluster that we know of.
struct Endpoints {
    /// At least one.
    channels: Vec<Channel>,
    /// Counts up; modulo their number it is the one in use.
    current: AtomicUsize,
    /// Whether the last answer came from a server; tells when it is worth a line in the log.
    answering: AtomicBool,
}

impl Endpoints {
    fn new(channels: Vec<Channel>) -> Self {
        Self { channels, current: AtomicUsize::new(0), answering: AtomicBool::new(true) }
    }

    /// The endpoint in use, and its number for [`Endpoints::failed`].
    fn current(&self) -> Option<(usize, Channel)> {
        let number = self.current.load(Ordering::Relaxed);
        Some((number, self.channels.get(number.checked_rem(self.channels.len())?)?.clone()))
    }

    /// Takes note that the endpoint in use answers.
    fn answered(&self) {
        if !self.answering.load(Ordering::Relaxed) && !self.answering.swap(true, Ordering::Relaxed) {
            tracing::info!("etcd answers again");
        }
    }

    /// Turns to the next endpoint, unless somebody already has.
    fn failed(&self, number: usize, status: &Status) {
        let next = number.wrapping_add(1);
        let _ = self.current.compare_exchange(number, next, Ordering::Relaxed, Ordering::Relaxed);
        if self.answering.swap(false, Ordering::Relaxed) {
            let error = status.message();
            tracing::warn!(
                error,
                endpoints = self.channels.len(),
                "an etcd endpoint does not answer; trying the next one"
            );
        }
    }
}

/// Whether a request may be sent again when it is not known what became of it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Repeat {
    /// It only reads, or repeating does no harm.
    Always,
    /// It writes: only if it certainly never arrived.
    IfNeverSent,
}

struct Cluster {
    endpoints: Arc<Endpoints>,
    /// A key that whoever may use our keys may read.
    prefix: Bytes,
}

impl Cluster {
    /// Sends a request to one endpoint after the other until one answers.
    async fn send<T, F>(&self, repeat: Repeat, send: impl Fn(Channel) -> F + Send + Sync) -> Result<T, BackendError>
    where
        F: Future<Output = Result<Response<T>, Status>> + Send,
    {
        let tries = async {
            let mut left = self.endpoints.channels.len();
            loop {
                let (number, channel) =
                    self.endpoints.current().ok_or_else(|| BackendError::Unavailable("no endpoints".to_owned()))?;
                let status = match send(channel).await {
                    Ok(response) => {
                        self.endpoints.answered();
                        return Ok(response.into_inner());
                    }
                    Err(status) => status,
                };
                left -= 1;
                if is_unavailable(&status) {
                    self.endpoints.failed(number, &status);
                    if left > 0 && (repeat == Repeat::Always || was_never_sent(&status)) {
                        continue;
                    }
                }
                return Err(interpret(&status));
            }
        };
        timeout(REQUEST_TIMEOUT, tries)
            .await
            .unwrap_or_else(|_| Err(BackendError::Timeout("no answer from the store in time".to_owned())))
    }

    fn kv(channel: Channel) -> KvClient<Channel> {
        KvClient::new(channel).max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX)
    }
}

#[async_trait]
impl Etcd for Cluster {
    async fn range(&self, request: RangeRequest) -> Result<RangeResponse, BackendError> {
        let send = |channel| {
            let request = request.clone();
            async move { Self::kv(channel).range(request).await }
        };
        self.send(Repeat::Always, send).await
    }

    async fn txn(&self, request: TxnRequest) -> Result<TxnResponse, BackendError> {
        let send = |channel| {
            let request = request.clone();
            async move { Self::kv(channel).txn(request).await }
        };
        self.send(Repeat::IfNeverSent, send).await
    }

    async fn compact(&self, request: CompactionRequest) -> Result<(), BackendError> {
        let send = |channel| async move { Self::kv(channel).compact(request).await };
        self.send(Repeat::Always, send).await.map(drop)
    }

    async fn lease_grant(&self, request: LeaseGrantRequest) -> Result<i64, BackendError> {
        let send = |channel| async move { LeaseClient::new(channel).lease_grant(request).await };
        // A lease granted twice expires without keys.
        Ok(self.send(Repeat::Always, send).await?.id)
    }

    fn watch(&self, prefix: Bytes, start_revision: i64, progress_wanted: Arc<Notify>) -> WatchStream {
        let endpoints = Arc::clone(&self.endpoints);
        let connect = move || {
            let (number, channel) = endpoints.current()?;
            let client = WatchClient::new(channel).max_decoding_message_size(usize::MAX);
            let endpoints = Arc::clone(&endpoints);
            Some((client, move |status: &Status| endpoints.failed(number, status)))
        };
        match connect() {
            Some((client, failed)) => watch::watch(client, prefix, start_revision, progress_wanted, failed),
            None => Box::pin(futures::stream::empty()),
        }
    }

    async fn current_revision(&self) -> Result<i64, BackendError> {
        let request = RangeRequest { key: self.prefix.clone(), limit: 1, count_only: true, ..RangeRequest::default() };
        revision(self.range(request).await?.header.as_ref())
    }
}

/// A status in terms of the backend.
fn interpret(status: &Status) -> BackendError {
    match status.code() {
        Code::DeadlineExceeded => BackendError::Timeout(status.message().to_owned()),
        _ if status.source().is_some() => BackendError::Unavailable(format!("cannot reach etcd: {}", status.message())),
        _ => error_of(status.message().to_owned(), is_unavailable(status)),
    }
}

/// Whether the server cannot serve, or the connection to it broke: only then a status has a source.
fn is_unavailable(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}

/// Whether the connection could not even be made.
fn was_never_sent(status: &Status) -> bool {
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.is::<tonic::ConnectError>() {
            return true;
        }
        cause = error.source();
    }
    false
}
