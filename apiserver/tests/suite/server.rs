//! A server of the real binary on a data directory of its own, and a client for it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// The tokens of the recorded conversations: `TOKEN,USER,UID,GROUPS`.
pub const TOKENS: &str = include_str!("../../testdata/tokens.csv");

/// A running server. It is killed when dropped.
pub struct Server {
    child: Child,
    dir: PathBuf,
    pub url: String,
}

impl Server {
    /// Starts the binary on `dir` and waits until it says that it is ready.
    pub fn start(dir: &Path, flags: &[&str]) -> Self {
        let tokens = dir.join("tokens.csv");
        std::fs::write(&tokens, TOKENS).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_pintle-apiserver"))
            .arg("--data-dir")
            .arg(dir)
            .args(["--secure-port", "0", "--token-auth-file"])
            .arg(&tokens)
            .args(flags)
            .stdout(Stdio::piped())
            .stderr(std::fs::File::options().create(true).append(true).open(dir.join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let url = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
        assert!(url.starts_with("https://"), "the server did not start: {line:?}, {}", log(dir));
        Self { child, dir: dir.to_owned(), url }
    }

    /// What the server has written to its log.
    pub fn log(&self) -> String {
        log(&self.dir)
    }

    /// The process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.dir.join("admin.kubeconfig")
    }

    /// A client that trusts the server.
    pub fn client(&self) -> Client {
        self.client_with(ConfigBuilder::<ClientConfig, WantsClientCert>::with_no_client_auth)
    }

    /// A client that trusts the server and shows a certificate.
    pub fn client_showing(&self, chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Client {
        self.client_with(|config| config.with_client_auth_cert(chain, key).unwrap())
    }

    fn client_with(
        &self,
        authenticate: impl FnOnce(ConfigBuilder<ClientConfig, WantsClientCert>) -> ClientConfig,
    ) -> Client {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.dir.join("pki/ca.crt")).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(pintle_auth::tls::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let authority = self.url.strip_prefix("https://").unwrap().to_owned();
        Client { authority, config: Arc::new(authenticate(config)) }
    }

    /// Ends the server as a crash would.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the server to end, and tells whether it ended well.
    pub fn terminate(&mut self) -> bool {
        self.signal("-TERM")
    }

    /// Sends a signal that ends the server, and tells whether it ended well.
    pub fn signal(&mut self, signal: &str) -> bool {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(20);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.success();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }
}

fn log(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("log")).unwrap_or_default()
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends requests, each over a connection of its own.
#[derive(Clone)]
pub struct Client {
    authority: String,
    config: Arc<ClientConfig>,
}

/// A response whose body is yet to come.
pub struct Response {
    pub code: u16,
    pub headers: HeaderMap,
    pub body: Incoming,
}

impl Response {
    /// The whole body.
    pub async fn bytes(self) -> Bytes {
        self.body.collect().await.unwrap().to_bytes()
    }
}

impl Client {
    /// A connection that offers `protocols` in the TLS handshake.
    pub async fn connect(&self, protocols: &[&str]) -> TlsStream<TcpStream> {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|p| p.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(&self.authority).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// Sends a request and waits for the head of its answer.
    pub async fn send(&self, method: &str, path: &str, headers: &[(String, String)], body: Bytes) -> Response {
        let stream = self.connect(&[]).await;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request =
            Request::builder().method(method).uri(path.parse::<Uri>().unwrap()).header("host", &self.authority);
        for (name, value) in headers {
            request = request.header(name.as_str(), value.as_str());
        }
        let response = sender.send_request(request.body(Full::new(body)).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        Response { code: head.status.as_u16(), headers: head.headers, body }
    }

    /// Sends a request as the administrator, with a JSON body, and reads the JSON answer.
    pub async fn json(&self, method: &str, path: &str, body: Option<serde_json::Value>) -> (u16, serde_json::Value) {
        let headers = [("authorization", "Bearer admin-token"), ("content-type", "application/json")];
        let headers = headers.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let bytes = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        let response = self.send(method, path, &headers, bytes).await;
        let code = response.code;
        let bytes = response.bytes().await;
        (code, serde_json::from_slice(&bytes).unwrap_or(serde_json::Value::Null))
    }
}
