//! Connecting to other members.

use std::io;
use std::sync::Arc;

use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::endpoint::{Address, Endpoint};
use super::listener::Connection;
use crate::limits::{PEER_CONNECT_TIMEOUT, TLS_HANDSHAKE_TIMEOUT};
use crate::tls::ClientTls;

/// A connection as hyper takes it.
pub type Stream = TokioIo<Box<dyn Connection>>;

/// Connects to the first of some URLs at which somebody answers.
pub async fn connect(urls: Arc<[String]>, tls: Option<ClientTls>) -> io::Result<Stream> {
    let mut refused = io::Error::new(io::ErrorKind::InvalidInput, "no URL to connect to");
    for url in urls.iter() {
        match connect_to(url, tls.clone()).await {
            Ok(stream) => return Ok(TokioIo::new(stream)),
            Err(error) => refused = io::Error::new(error.kind(), format!("{url}: {error}")),
        }
    }
    Err(refused)
}

async fn connect_to(url: &str, tls: Option<ClientTls>) -> io::Result<Box<dyn Connection>> {
    let endpoint: Endpoint = url.parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let connecting = async {
        let stream: Box<dyn Connection> = match &endpoint.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        io::Result::Ok(stream)
    };
    let stream = within(PEER_CONNECT_TIMEOUT, connecting).await?;
    if !endpoint.tls {
        return Ok(stream);
    }
    let tls = tls.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "TLS is not set up for peers"))?;
    let host = match &endpoint.address {
        Address::Tcp(address) => address.rsplit_once(':').map_or(address.as_str(), |(host, _)| host),
        Address::Unix(_) => "localhost",
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let name = ServerName::try_from(host).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let stream = within(TLS_HANDSHAKE_TIMEOUT, TlsConnector::from(tls.current()).connect(name, stream)).await?;
    Ok(Box::new(stream))
}

async fn within<T>(limit: std::time::Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
