//! Serves a store on a listener: gRPC and plain HTTP, HTTP/1 and HTTP/2, on one port.

use std::convert::Infallible;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::access::Access;
use super::authority::LenientAuthority;
use super::common_name;
use super::gateway::{self, is_gateway};
use super::gather::{Gathering, Tasks};
use super::health;
use super::listener::{BindError, Connection, Listener};
use super::members;
use super::residence;
use crate::grpc::{Body, CommonName, Services, is_grpc};
use crate::limits::{
    ACCEPT_AGAIN_AFTER, DEFAULT_CONCURRENT_STREAMS, DRAIN_TIMEOUT, HEADER_READ_TIMEOUT, HTTP2_CONNECTION_WINDOW_BYTES,
    HTTP2_PING_INTERVAL, HTTP2_PING_TIMEOUT, HTTP2_STREAM_WINDOW_BYTES, REQUEST_OVERHEAD_BYTES, TLS_HANDSHAKE_TIMEOUT,
    WATCH_PROGRESS_INTERVAL,
};
use crate::raft::peer::server::PeerServices;
use crate::store::Store;
use crate::tls::ServerTls;
use crate::watch::StreamSettings;

/// What is served on a listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Traffic {
    /// gRPC and plain HTTP.
    #[default]
    All,
    /// gRPC alone, since plain HTTP has listeners of its own (`--listen-client-http-urls`).
    Grpc,
    /// Plain HTTP alone.
    Http,
}

/// When a silent HTTP/2 connection is asked whether its client is still there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeepAlive {
    /// After how long (`--grpc-keepalive-interval`).
    pub interval: Duration,
    /// How long the client has to answer (`--grpc-keepalive-timeout`).
    pub timeout: Duration,
}

/// How clients are served.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Requests that one connection may have open.
    pub max_concurrent_streams: u32,
    /// Never if `None`.
    pub keep_alive: Option<KeepAlive>,
    /// What is served.
    pub traffic: Traffic,
    /// Whether the JSON gateway is part of plain HTTP (`--enable-grpc-gateway`).
    pub gateway: bool,
    /// Which browsers are let in; `None` where browsers are not thought of.
    pub access: Option<Arc<Access>>,
    /// How watches behave.
    pub watch: StreamSettings,
    /// Whether a client without a token is the user whom its certificate names (etcd's `--client-cert-auth`).
    pub certificates_name_users: bool,
}

impl ServerSettings {
    /// What a store of this configuration is served with unless flags say otherwise.
    pub fn of(store: &Store) -> Self {
        let fragment_bytes = store.config().max_request_bytes + REQUEST_OVERHEAD_BYTES;
        Self {
            max_concurrent_streams: DEFAULT_CONCURRENT_STREAMS,
            keep_alive: Some(KeepAlive { interval: HTTP2_PING_INTERVAL, timeout: HTTP2_PING_TIMEOUT }),
            traffic: Traffic::All,
            gateway: true,
            access: Some(Arc::default()),
            watch: StreamSettings { fragment_bytes, progress_interval: WATCH_PROGRESS_INTERVAL },
            certificates_name_users: false,
        }
    }
}

/// A running server. Dropping it stops it without waiting for open requests.
#[derive(Debug)]
pub struct Server {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Server {
    /// Stops accepting, lets open requests finish for a moment, and returns when all is closed.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        if let Err(error) = (&mut self.task).await
            && error.is_panic()
        {
            tracing::error!(%error, "the server panicked");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What answers the requests of a listener.
struct Handler {
    store: Store,
    answers: Answers,
    settings: ServerSettings,
}

/// Whom a listener is for.
enum Answers {
    Clients(Services),
    Probes,
    Peers(PeerServices),
}

/// Serves a store to clients.
pub fn serve(store: &Store, listener: Listener, tls: Option<ServerTls>, settings: ServerSettings) -> Server {
    let answers = Answers::Clients(Services::new(store.clone(), settings.watch));
    start(listener, tls, Handler { store: store.clone(), answers, settings })
}

/// Serves only what probes and collectors ask for: etcd's `--listen-metrics-urls`.
pub fn serve_metrics(store: &Store, listener: Listener, tls: Option<ServerTls>) -> Server {
    let settings = ServerSettings { traffic: Traffic::Http, gateway: false, access: None, ..ServerSettings::of(store) };
    start(listener, tls, Handler { store: store.clone(), answers: Answers::Probes, settings })
}

/// Serves a store to the other members of its cluster.
pub fn serve_peers(store: &Store, listener: Listener, tls: Option<ServerTls>) -> Server {
    let settings = ServerSettings { gateway: false, access: None, ..ServerSettings::of(store) };
    let answers = Answers::Peers(PeerServices::new(store.clone()));
    start(listener, tls, Handler { store: store.clone(), answers, settings })
}

/// Serves a store on a Unix socket that only this user may connect to.
pub async fn serve_unix(store: &Store, path: &Path) -> Result<Server, BindError> {
    let listener = Listener::bind_unix(path).await?;
    Ok(serve(store, listener, None, ServerSettings::of(store)))
}

fn start(listener: Listener, tls: Option<ServerTls>, handler: Handler) -> Server {
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(listener, tls, Arc::new(handler), stop.clone()));
    Server { stop, task }
}

async fn run(listener: Listener, tls: Option<ServerTls>, handler: Arc<Handler>, stop: CancellationToken) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, address)) => {
                connections.spawn(serve_connection(stream, address, tls.clone(), handler.clone(), stop.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
            }
        }
    }
    drop(listener);
    let drained = async { while connections.join_next().await.is_some() {} };
    // Watches never finish by themselves.
    if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
        connections.shutdown().await;
    }
}

async fn serve_connection(
    stream: Box<dyn Connection>,
    address: Option<IpAddr>,
    tls: Option<ServerTls>,
    handler: Arc<Handler>,
    stop: CancellationToken,
) {
    let (stream, client): (Box<dyn Connection>, _) = match tls {
        None => (stream, Client { secure: false, name: None }),
        Some(tls) => {
            let accepted = TlsAcceptor::from(tls.current()).accept(stream);
            match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, accepted).await {
                Ok(Ok(stream)) => {
                    let chain = stream.get_ref().1.peer_certificates();
                    if handler.is_for_members()
                        && tls.checks_addresses()
                        && let (Some(leaf), Some(address)) = (chain.and_then(<[_]>::first), address)
                        && !residence::fits(leaf, address).await
                    {
                        return tracing::warn!(%address, "rejected a member whose certificate names another address");
                    }
                    let name = if handler.settings.certificates_name_users { common_name::of(chain) } else { None };
                    (Box::new(stream), Client { secure: true, name })
                }
                Ok(Err(error)) => return tracing::warn!(%error, "rejected a connection: the TLS handshake failed"),
                Err(_) => return tracing::debug!("TLS handshake took too long"),
            }
        }
    };
    // On Unix sockets, Go's clients name them.
    if address.is_none() {
        serve_http(LenientAuthority::new(stream), client, handler, stop).await;
    } else {
        serve_http(stream, client, handler, stop).await;
    }
}

/// Who is at the other end of a connection.
#[derive(Clone)]
struct Client {
    /// Whether the connection is encrypted.
    secure: bool,
    /// Whom its certificate names, if that counts.
    name: Option<CommonName>,
}

async fn serve_http(stream: impl Connection, client: Client, handler: Arc<Handler>, stop: CancellationToken) {
    let tasks = Tasks::default();
    let mut builder = auto::Builder::new(tasks.clone());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(handler.settings.keep_alive.map(|keep_alive| keep_alive.interval))
        .keep_alive_timeout(handler.settings.keep_alive.map_or(HTTP2_PING_TIMEOUT, |keep_alive| keep_alive.timeout))
        .max_concurrent_streams(handler.settings.max_concurrent_streams)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES);
    let service = service_fn(move |mut request| {
        let handler = handler.clone();
        let client = client.clone();
        async move {
            if let Some(name) = client.name {
                Request::extensions_mut(&mut request).insert(name);
            }
            Ok::<_, Infallible>(handler.answer(request, client.secure).await)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = Gathering::new(connection.as_mut(), tasks) => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

impl Handler {
    fn is_for_members(&self) -> bool {
        matches!(self.answers, Answers::Peers(_))
    }

    async fn answer(&self, request: Request<Incoming>, secure: bool) -> Response<Body> {
        match &self.answers {
            Answers::Clients(services) if self.settings.traffic != Traffic::Http && is_grpc(request.headers()) => {
                services.call(request).await
            }
            Answers::Peers(services) if is_grpc(request.headers()) => services.call(request).await,
            _ => {
                // Apart: every request would carry the room for it along.
                let answer: BoxFuture<'_, Response<Body>> = Box::pin(self.answer_browser(request, secure));
                answer.await
            }
        }
    }

    /// Answers a request that is not gRPC, which may be a browser's.
    async fn answer_browser(&self, request: Request<Incoming>, secure: bool) -> Response<Body> {
        let Some(access) = self.settings.access.clone() else { return self.answer_plain(request).await };
        if !secure && let Some(host) = access.refused_host(&request) {
            tracing::warn!(host, "rejected a request for an unknown host name; see --host-whitelist");
            return whole(health::misdirected(&host));
        }
        let origin = access.origin_allowed(request.headers());
        let mut answer =
            if request.method() == Method::OPTIONS { Response::default() } else { self.answer_plain(request).await };
        Access::tell_origin(origin, answer.headers_mut());
        answer
    }

    async fn answer_plain(&self, request: Request<Incoming>) -> Response<Body> {
        match &self.answers {
            _ if self.settings.traffic == Traffic::Grpc => whole(health::not_found()),
            Answers::Clients(services) if self.settings.gateway && is_gateway(request.uri().path()) => {
                gateway::answer(services, request).await
            }
            Answers::Peers(_) if request.uri().path() == members::PATH => whole(members::answer(&self.store, &request)),
            _ => whole(health::answer(&self.store, &request).await),
        }
    }
}

/// An answer whose body is there.
fn whole(answer: Response<Bytes>) -> Response<Body> {
    answer.map(|body| Body::new(http_body_util::Full::new(body)))
}
