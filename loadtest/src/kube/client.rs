//! Connections to an apiserver.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::error::{BenchError, During};

/// Connections that the clients share.
const CONNECTIONS: usize = 8;
const CONNECT: &str = "cannot connect to the apiserver";
const READ_CA: &str = "cannot read the apiserver's CA";
/// Receive windows, so that a long answer never waits for the client to say that it has room.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 1 << 30;

/// An apiserver, and how to be let in.
#[derive(Debug, Clone)]
pub struct Target {
    /// Host and port.
    pub address: String,
    /// PEM of the CA that it is verified by.
    pub ca: std::path::PathBuf,
    /// A bearer token.
    pub token: String,
}

/// Encodings of answers.
pub mod media {
    /// The default.
    pub const JSON: &str = "application/json";
    /// What Kubernetes' own components ask for.
    pub const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
    /// A patch that knows the lists of Kubernetes' types.
    pub const STRATEGIC_MERGE: &str = "application/strategic-merge-patch+json";
}

/// Several connections to one server.
#[derive(Clone)]
pub struct Clients(Vec<Client>);

impl Clients {
    /// Connects.
    pub async fn connect(target: &Target) -> Result<Self, BenchError> {
        let tls = tls(&target.ca)?;
        let mut clients = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            clients.push(Client::connect(target, &tls).await?);
        }
        Ok(Self(clients))
    }

    /// The client of a worker; workers are spread over the connections.
    pub fn of(&self, worker: usize) -> Client {
        self.0[worker % self.0.len()].clone()
    }
}

/// One connection, shared by its clones.
#[derive(Clone)]
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
    base: Arc<str>,
    authorization: HeaderValue,
}

impl Client {
    async fn connect(target: &Target, tls: &TlsConnector) -> Result<Self, BenchError> {
        let base = format!("https://{}", target.address);
        let uri = base.parse::<Uri>().during(CONNECT)?;
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).during(CONNECT)?;
        let tcp = TcpStream::connect(&target.address).await.during(CONNECT)?;
        tcp.set_nodelay(true).during(CONNECT)?;
        let stream = tls.connect(name, tcp).await.during(CONNECT)?;
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.initial_stream_window_size(STREAM_WINDOW_BYTES).initial_connection_window_size(CONNECTION_WINDOW_BYTES);
        let handshake = http.handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.during(CONNECT)?;
        // How the connection ends is seen by the requests on it.
        tokio::spawn(async { drop(connection.await) });
        let authorization = format!("Bearer {}", target.token);
        let authorization = HeaderValue::try_from(authorization).during(CONNECT)?;
        Ok(Self { sender, base: base.into(), authorization })
    }

    /// Sends a request and returns the status of the answer with its body yet to come.
    pub async fn open(&self, call: Call<'_>) -> Result<(StatusCode, Incoming), String> {
        let mut request = Request::builder()
            .method(call.method)
            .uri(format!("{}{}", self.base, call.path))
            .header(AUTHORIZATION, &self.authorization)
            .header(ACCEPT, call.accept);
        if let Some(content_type) = call.content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        let request = request.body(Full::new(call.body)).map_err(|error| error.to_string())?;
        let response = self.sender.clone().send_request(request).await.map_err(|error| error.to_string())?;
        Ok((response.status(), response.into_body()))
    }

    /// Sends a request and reads the whole answer without keeping it: its status and length. A rejection is told in its own words.
    pub async fn call(&self, call: Call<'_>) -> Result<u64, Failure> {
        let (status, mut body) = self.open(call).await.map_err(Failure::Broken)?;
        let mut length = 0;
        let mut beginning = Vec::new();
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| Failure::Broken(error.to_string()))?;
            let data = frame.data_ref().map_or(&[][..], |data| data);
            length += u64::try_from(data.len()).unwrap_or_default();
            if !status.is_success() && beginning.is_empty() {
                beginning.extend(data.iter().take(512));
            }
        }
        if status.is_success() {
            Ok(length)
        } else {
            Err(Failure::Status(status, String::from_utf8_lossy(&beginning).into()))
        }
    }
}

/// Why there is no answer to count.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The server said no.
    #[error("{0}: {1}")]
    Status(StatusCode, String),
    /// The connection or the answer broke off.
    #[error("{0}")]
    Broken(String),
}

/// A request.
#[derive(Debug, Clone)]
pub struct Call<'a> {
    method: Method,
    path: &'a str,
    accept: &'static str,
    content_type: Option<&'static str>,
    body: Bytes,
}

impl<'a> Call<'a> {
    /// Reads.
    pub fn get(path: &'a str, accept: &'static str) -> Self {
        Self { method: Method::GET, path, accept, content_type: None, body: Bytes::new() }
    }

    /// Creates.
    pub fn post(path: &'a str, body: Bytes) -> Self {
        Self { method: Method::POST, path, accept: media::JSON, content_type: Some(media::JSON), body }
    }

    /// Merges.
    pub fn patch(path: &'a str, body: Bytes) -> Self {
        let content_type = Some(media::STRATEGIC_MERGE);
        Self { method: Method::PATCH, path, accept: media::JSON, content_type, body }
    }
}

/// TLS that trusts the CA in a file and insists on HTTP/2.
fn tls(ca: &Path) -> Result<TlsConnector, BenchError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).during(READ_CA)? {
        let certificate = certificate.during(READ_CA)?;
        roots.add(certificate).during(READ_CA)?;
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = config.during(READ_CA)?.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
