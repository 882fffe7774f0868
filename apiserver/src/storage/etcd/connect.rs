//! Endpoints and how to reach them: TCP, TLS, unix sockets.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How often an idle connection is probed, and how long the answer may take.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// HTTP/2 windows: a page of a list is some megabytes, and one stalled watch must not hold up the others.
const STREAM_WINDOW_BYTES: u32 = 4 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 32 << 20;
/// Where distributions keep the certificates that everybody trusts.
const SYSTEM_CA_FILES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Where the cluster is and who we are to it: the `--etcd-*` flags.
#[derive(Debug, Clone, Default)]
pub struct EtcdConfig {
    /// `--etcd-servers`: URLs with scheme `http`, `https`, `unix` or `unixs`. Without a scheme it is `http`.
    pub servers: Vec<String>,
    /// `--etcd-cafile`: who signs the servers' certificates; without it, the system's trusted certificates.
    pub ca_file: Option<PathBuf>,
    /// `--etcd-certfile`: our certificate.
    pub cert_file: Option<PathBuf>,
    /// `--etcd-keyfile`: its key.
    pub key_file: Option<PathBuf>,
    /// `--etcd-prefix`: below which all our keys are.
    pub prefix: String,
}

/// What is wrong with the configuration. One line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// No server was given.
    #[error("--etcd-servers names no server")]
    NoServers,
    /// A server's URL does not parse.
    #[error("--etcd-servers: {0:?} is not a URL such as https://10.0.0.1:2379")]
    BadServer(String),
    /// Only one of certificate and key was given.
    #[error("--etcd-certfile and --etcd-keyfile must be given together")]
    HalfIdentity,
    /// A file cannot be read, or holds no certificate or key.
    #[error("{flag} {}: {reason}", path.display())]
    BadFile {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// `--etcd-cafile` is not given and the system has no trusted certificates.
    #[error("no trusted certificates on this system: name the etcd servers' authority with --etcd-cafile")]
    NoSystemCertificates,
    /// TLS cannot be set up.
    #[error("TLS to etcd: {0}")]
    Tls(#[from] rustls::Error),
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Server {
    address: Address,
    tls: bool,
}

impl Server {
    fn parse(url: &str) -> Result<Self, ConnectError> {
        let bad = || ConnectError::BadServer(url.to_owned());
        let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
        let tls = match scheme {
            "http" | "unix" => false,
            "https" | "unixs" => true,
            _ => return Err(bad()),
        };
        if scheme.starts_with("unix") {
            return Ok(Self { address: Address::Unix(PathBuf::from(rest)), tls });
        }
        let uri: Uri = format!("{scheme}://{rest}").parse().map_err(|_| bad())?;
        let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(bad)?;
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(Self { address: Address::Tcp { host: host.to_owned(), port }, tls })
    }

    /// The host name, as certificates and HTTP have it.
    fn host(&self) -> &str {
        match &self.address {
            Address::Tcp { host, .. } => host.trim_start_matches('[').trim_end_matches(']'),
            Address::Unix(_) => "localhost",
        }
    }

    /// What requests say that they are sent to.
    fn origin(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        match &self.address {
            Address::Tcp { host, port } => format!("{scheme}://{host}:{port}"),
            Address::Unix(_) => format!("{scheme}://localhost"),
        }
    }
}

/// A channel to each server, none of them connected yet.
pub(super) fn channels(config: &EtcdConfig) -> Result<Vec<Channel>, ConnectError> {
    let servers = config.servers.iter().map(|url| Server::parse(url.trim())).collect::<Result<Vec<_>, _>>()?;
    if servers.is_empty() {
        return Err(ConnectError::NoServers);
    }
    let tls = if servers.iter().any(|server| server.tls) { Some(tls(config)?) } else { None };
    servers.into_iter().map(|server| channel(server, tls.as_ref())).collect()
}

fn channel(server: Server, tls: Option<&Arc<ClientConfig>>) -> Result<Channel, ConnectError> {
    let origin = server.origin();
    let endpoint = Endpoint::from_shared(origin.clone()).map_err(|_| ConnectError::BadServer(origin.clone()))?;
    let bad_host = |_| ConnectError::BadServer(origin.clone());
    let tls = match tls.filter(|_| server.tls) {
        Some(config) => {
            let name = ServerName::try_from(server.host().to_owned()).map_err(bad_host)?;
            Some((TlsConnector::from(Arc::clone(config)), name))
        }
        None => None,
    };
    let connector = service_fn(move |_: Uri| {
        let (address, tls) = (server.address.clone(), tls.clone());
        async move { connect(address, tls).await.map(TokioIo::new) }
    });
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect_with_connector_lazy(connector))
}

/// A byte stream to a server.
trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

async fn connect(
    address: Address,
    tls: Option<(TlsConnector, ServerName<'static>)>,
) -> io::Result<Box<dyn Connection>> {
    let plain: Box<dyn Connection> = match address {
        Address::Tcp { host, port } => {
            let stream = TcpStream::connect((host.trim_start_matches('[').trim_end_matches(']'), port)).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
    };
    match tls {
        Some((connector, name)) => Ok(Box::new(connector.connect(name, plain).await?)),
        None => Ok(plain),
    }
}

fn tls(config: &EtcdConfig) -> Result<Arc<ClientConfig>, ConnectError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(trusted(config.ca_file.as_deref())?);
    let mut tls = match (&config.cert_file, &config.key_file) {
        (Some(cert), Some(key)) => {
            let chain = certificates("--etcd-certfile", cert)?;
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| ConnectError::BadFile {
                flag: "--etcd-keyfile",
                path: key.clone(),
                reason: error.to_string(),
            })?;
            builder.with_client_auth_cert(chain, key)?
        }
        (None, None) => builder.with_no_client_auth(),
        _ => return Err(ConnectError::HalfIdentity),
    };
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(tls))
}

fn trusted(ca_file: Option<&Path>) -> Result<RootCertStore, ConnectError> {
    let path = match ca_file {
        Some(path) => path,
        None => SYSTEM_CA_FILES
            .iter()
            .map(Path::new)
            .find(|path| path.exists())
            .ok_or(ConnectError::NoSystemCertificates)?,
    };
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(certificates("--etcd-cafile", path)?);
    Ok(roots)
}

fn certificates(flag: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, ConnectError> {
    let bad = |reason: String| ConnectError::BadFile { flag, path: path.to_owned(), reason };
    let found = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| bad(error.to_string()))?;
    if found.is_empty() { Err(bad("it holds no certificate".to_owned())) } else { Ok(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_urls() {
        let tcp = |host: &str, port, tls| Server { address: Address::Tcp { host: host.to_owned(), port }, tls };
        assert_eq!(Server::parse("http://127.0.0.1:2379").unwrap(), tcp("127.0.0.1", 2379, false));
        assert_eq!(Server::parse("https://etcd.example:2379").unwrap(), tcp("etcd.example", 2379, true));
        assert_eq!(Server::parse("localhost:2379").unwrap(), tcp("localhost", 2379, false));
        let six = Server::parse("https://[::1]:2379").unwrap();
        assert_eq!((six.host(), six.origin().as_str()), ("::1", "https://[::1]:2379"));
        let unix = Server::parse("unix:///run/etcd.sock").unwrap();
        assert_eq!(unix, Server { address: Address::Unix("/run/etcd.sock".into()), tls: false });
        for bad in ["ftp://a:1", "http://", "http://a b"] {
            assert!(matches!(Server::parse(bad), Err(ConnectError::BadServer(_))), "{bad}");
        }
    }

    #[test]
    fn half_an_identity_is_refused() {
        let config = EtcdConfig {
            servers: vec!["https://a:1".to_owned()],
            ca_file: Some(PathBuf::from("/nonexistent")),
            ..EtcdConfig::default()
        };
        let text = channels(&config).unwrap_err().to_string();
        assert!(text.starts_with("--etcd-cafile /nonexistent: "), "{text}");
        assert!(matches!(channels(&EtcdConfig::default()), Err(ConnectError::NoServers)));
    }
}
