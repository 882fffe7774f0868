//! The TLS listener: accepts connections, bounds what a client may hold open, and drains at the end.

use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use rustls::ServerConfig;
use rustls_pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

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

/// Serves connections until `stop` completes, then lets the requests in flight end, for a bounded time.
pub async fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    pipeline: Arc<Pipeline>,
    stop: impl Future<Output = ()>,
) {
    let acceptor = TlsAcceptor::from(tls);
    let graceful = GracefulShutdown::new();
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        match accepted {
            Ok((stream, address)) => {
                let watcher = graceful.watcher();
                let (acceptor, pipeline) = (acceptor.clone(), Arc::clone(&pipeline));
                tokio::spawn(connection(stream, address, acceptor, pipeline, watcher));
            }
            Err(error) => {
                // Out of file descriptors, most likely: others must end before more can begin.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(limits::ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    if timeout(limits::SHUTDOWN, graceful.shutdown()).await.is_err() {
        tracing::warn!("some requests were still in flight at the end and are cut off");
    }
}

async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    acceptor: TlsAcceptor,
    pipeline: Arc<Pipeline>,
    watcher: hyper_util::server::graceful::Watcher,
) {
    // Answers are small and awaited; waiting to fill a segment only adds latency.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let stream = match timeout(limits::TLS_HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "TLS handshake failed"),
        Err(_) => return tracing::debug!(%address, "TLS handshake took too long"),
    };
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let peer = Arc::new(Peer { address, certificates: certificates.iter().map(|c| c.clone().into_owned()).collect() });
    let service = service_fn(move |request| pipeline::handle(Arc::clone(&pipeline), Arc::clone(&peer), request));
    let builder = protocol();
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%address, %error, "connection ended");
    }
}

fn protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits::REQUEST_HEADER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits::STREAMS_PER_CONNECTION)
        .max_pending_accept_reset_streams(limits::RESET_STREAMS)
        .max_header_list_size(limits::REQUEST_HEADER_BYTES);
    builder
}
