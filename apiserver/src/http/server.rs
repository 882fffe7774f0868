//! The TLS listener: accepts connections, bounds what a client may hold open, and drains at the end.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::body::Guarded;
use super::pipeline::{self, Pipeline};
use crate::limits;

/// What the connection itself tells of the client.
#[derive(Debug)]
pub struct Peer {
    /// Where the connection comes from.
    pub address: SocketAddr,
    /// The certificate chain it showed, leaf first; the client holds the leaf's key. Empty where it showed none.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Serves connections until `stopping` is cancelled, then lets the requests in flight end, for a bounded time.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    pipeline: Arc<Pipeline>,
    stopping: CancellationToken,
) {
    let acceptor = TlsAcceptor::from(tls);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let (acceptor, pipeline) = (acceptor.clone(), Arc::clone(&pipeline));
                connections.spawn(connection(stream, address, acceptor, pipeline, stopping.clone()));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others must end before more can begin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if timeout(limits::SHUTDOWN, connections.wait()).await.is_err() {
        tracing::warn!("some requests were still in flight at the end and are cut off");
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    pipeline: Arc<Pipeline>,
    stopping: CancellationToken,
) {
    // Answers are small and awaited; waiting to fill a segment only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let handshake = timeout(limits::TLS_HANDSHAKE, acceptor.accept(stream));
    let Some(handshake) = stopping.run_until_cancelled(handshake).await else { return };
    let stream = match handshake {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
    };
    let (_, session) = stream.get_ref();
    let protocol = protocol(session.alpn_protocol() == Some(b"h2"));
    let certificates = session.peer_certificates().unwrap_or_default();
    let peer = Arc::new(Peer { address, certificates: certificates.iter().map(|c| c.clone().into_owned()).collect() });
    let activity = Activity::default();
    let service = service_fn(|request| {
        let (pipeline, peer, guard) = (Arc::clone(&pipeline), Arc::clone(&peer), activity.guard());
        async move {
            let answer = pipeline::handle(pipeline, peer, request).await;
            answer.map(|response| response.map(|body| Guarded::new(body, guard)))
        }
    });
    let mut connection = std::pin::pin!(protocol.serve_connection(TokioIo::new(stream), service));
    let mut ending = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                return ended.unwrap_or_else(|error| tracing::debug!(%address, %error, "connection ended"));
            }
            () = stopping.cancelled(), if !ending => {}
            () = activity.idle() => {
                tracing::debug!(%address, "idle connection");
                if ending {
                    return;
                }
            }
        }
        ending = true;
        connection.as_mut().graceful_shutdown();
    }
}

/// Knows whether a connection has requests in progress.
#[derive(Default)]
struct Activity(Arc<()>);

impl Activity {
    /// Held by each request until the last of its answer is written.
    fn guard(&self) -> Arc<()> {
        Arc::clone(&self.0)
    }

    /// Completes when there has been nothing in progress for a while.
    async fn idle(&self) {
        let mut quiet = false;
        loop {
            tokio::time::sleep(limits::IDLE_CHECK).await;
            let was_quiet = std::mem::replace(&mut quiet, Arc::strong_count(&self.0) == 1);
            if quiet && was_quiet {
                return;
            }
        }
    }
}

/// How to speak on a connection that settled on HTTP/2 or not.
fn protocol(http2: bool) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::REQUEST_HEADER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .max_pending_accept_reset_streams(limits::RESET_STREAMS)
        .max_header_list_size(limits::REQUEST_HEADER_BYTES);
    if http2 { builder.http2_only() } else { builder.http1_only() }
}
