//! Serves a store on a listener: gRPC and plain HTTP, HTTP/1 and HTTP/2, on one port.

use std::convert::Infallible;
use std::path::Path;
use std::sync::Arc;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::authority::LenientAuthority;
use super::common_name;
use super::gateway::{self, is_gateway};
use super::health;
use super::listener::{BindError, Connection, Listener};
use crate::grpc::{Body, CommonName, Services, is_grpc};
use crate::limits::{
    DEFAULT_CONCURRENT_STREAMS, DRAIN_TIMEOUT, HEADER_READ_TIMEOUT, HTTP2_CONNECTION_WINDOW_BYTES, HTTP2_PING_INTERVAL,
    HTTP2_PING_TIMEOUT, HTTP2_STREAM_WINDOW_BYTES, REQUEST_OVERHEAD_BYTES, TLS_HANDSHAKE_TIMEOUT,
    WATCH_PROGRESS_INTERVAL,
};
use crate::store::Store;
use crate::watch::StreamSettings;

/// How clients are served.
#[derive(Clone, Copy, Debug)]
pub struct ServerSettings {
    /// Requests that one connection may have open.
    pub max_concurrent_streams: u32,
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
#[derive(Clone)]
struct Handler {
    store: Store,
    /// `None` where only health is served.
    services: Option<Services>,
    settings: ServerSettings,
    /// Whom the certificate of the connection names, if that counts.
    common_name: Option<CommonName>,
}

/// Serves a store to clients.
pub fn serve(store: &Store, listener: Listener, tls: Option<Arc<ServerConfig>>, settings: ServerSettings) -> Server {
    let services = Some(Services::new(store.clone(), settings.watch));
    start(listener, tls, Handler { store: store.clone(), services, settings, common_name: None })
}

/// Serves only what probes ask for: etcd's `--listen-metrics-urls`.
pub fn serve_metrics(store: &Store, listener: Listener, tls: Option<Arc<ServerConfig>>) -> Server {
    let settings = ServerSettings::of(store);
    start(listener, tls, Handler { store: store.clone(), services: None, settings, common_name: None })
}

/// Serves a store on a Unix socket that only this user may connect to.
pub async fn serve_unix(store: &Store, path: &Path) -> Result<Server, BindError> {
    let listener = Listener::bind_unix(path).await?;
    Ok(serve(store, listener, None, ServerSettings::of(store)))
}

fn start(listener: Listener, tls: Option<Arc<ServerConfig>>, handler: Handler) -> Server {
    let stop = CancellationToken::new();
    let task = tokio::spawn(run(listener, tls.map(TlsAcceptor::from), handler, stop.clone()));
    Server { stop, task }
}

async fn run(listener: Listener, tls: Option<TlsAcceptor>, handler: Handler, stop: CancellationToken) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        match accepted {
            Ok(stream) => {
                let lenient = matches!(listener, Listener::Unix(..));
                connections.spawn(serve_connection(stream, lenient, tls.clone(), handler.clone(), stop.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: give connections a moment to end.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
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
    lenient: bool,
    tls: Option<TlsAcceptor>,
    mut handler: Handler,
    stop: CancellationToken,
) {
    let stream: Box<dyn Connection> = match tls {
        None => stream,
        Some(tls) => match tokio::time::timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => {
                if handler.settings.certificates_name_users {
                    handler.common_name = common_name::of(stream.get_ref().1.peer_certificates());
                }
                Box::new(stream)
            }
            Ok(Err(error)) => return tracing::debug!(%error, "TLS handshake failed"),
            Err(_) => return tracing::debug!("TLS handshake took too long"),
        },
    };
    if lenient {
        serve_http(LenientAuthority::new(stream), handler, stop).await;
    } else {
        serve_http(stream, handler, stop).await;
    }
}

async fn serve_http(stream: impl Connection, handler: Handler, stop: CancellationToken) {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(HTTP2_PING_INTERVAL)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT)
        .max_concurrent_streams(handler.settings.max_concurrent_streams)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW_BYTES);
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.answer(request).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
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
    async fn answer(&self, mut request: Request<Incoming>) -> Response<Body> {
        match &self.services {
            Some(services) if is_grpc(request.headers()) => {
                if let Some(name) = &self.common_name {
                    request.extensions_mut().insert(name.clone());
                }
                services.call(request).await
            }
            Some(services) if is_gateway(request.uri().path()) => gateway::answer(services, request).await,
            _ => health::answer(&self.store, &request).await.map(|body| Body::new(http_body_util::Full::new(body))),
        }
    }
}
