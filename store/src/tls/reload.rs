//! Configurations that follow their files: whoever begins a handshake looks whether a file has changed, and if so reads
//! them anew. Files that do not fit together, as while they are being replaced, leave the last good configuration.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{
    ClientConfig, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme, SupportedProtocolVersion,
    version,
};

use super::acceptance::Acceptance;
use super::files::{TlsError, authorities, identity};
use super::revocation::Revoked;
use super::settings::{Protocols, TlsSettings, TlsVersion};

/// TLS of a server. Clones share what was read.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<Reloading<ServerConfig>>);

impl ServerTls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        Reloading::load(settings, server_config).map(|loaded| Self(Arc::new(loaded)))
    }

    /// Whether a member's certificate must name the address that it connects from.
    pub fn checks_addresses(&self) -> bool {
        !self.0.settings.skip_client_san_verification
    }

    /// The configuration for the next handshake.
    pub fn current(&self) -> Arc<ServerConfig> {
        self.0.current()
    }
}

/// TLS of a member that connects to others. Clones share what was read.
#[derive(Clone, Debug)]
pub struct ClientTls(Arc<Reloading<ClientConfig>>);

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub fn load(settings: &TlsSettings) -> Result<Self, TlsError> {
        Reloading::load(settings, client_config).map(|loaded| Self(Arc::new(loaded)))
    }

    /// The configuration for the next connection.
    pub fn current(&self) -> Arc<ClientConfig> {
        self.0.current()
    }
}

type Build<T> = fn(&TlsSettings) -> Result<T, TlsError>;

struct Reloading<T> {
    settings: TlsSettings,
    build: Build<T>,
    state: Mutex<State<T>>,
}

struct State<T> {
    /// The files as they were when they were read last.
    seen: Vec<Option<Stamp>>,
    current: Arc<T>,
}

/// What changes when a file does: inode, size, and when it was modified.
type Stamp = (u64, u64, i64, i64);

impl<T> std::fmt::Debug for Reloading<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Reloading").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<T> Reloading<T> {
    fn load(settings: &TlsSettings, build: Build<T>) -> Result<Self, TlsError> {
        // Stamps before contents: what changes in between is read again.
        let seen = stamps(settings);
        let current = Arc::new(build(settings)?);
        Ok(Self { settings: settings.clone(), build, state: Mutex::new(State { seen, current }) })
    }

    fn current(&self) -> Arc<T> {
        let now = stamps(&self.settings);
        let mut state = self.state.lock();
        if state.seen != now {
            match (self.build)(&self.settings) {
                Ok(new) => {
                    tracing::info!("certificates were read anew");
                    state.current = Arc::new(new);
                }
                Err(error) => tracing::warn!(%error, "changed certificates cannot be used; those read before stay"),
            }
            state.seen = now;
        }
        state.current.clone()
    }
}

fn stamps(settings: &TlsSettings) -> Vec<Option<Stamp>> {
    let files = [
        &settings.cert_file,
        &settings.key_file,
        &settings.client_cert_file,
        &settings.client_key_file,
        &settings.trusted_ca_file,
        &settings.crl_file,
    ];
    let stamp = |file: &PathBuf| {
        let found = std::fs::metadata(file).ok()?;
        Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
    };
    files.into_iter().flatten().map(stamp).collect()
}

fn provider(protocols: &Protocols) -> Arc<CryptoProvider> {
    let mut provider = ring::default_provider();
    if !protocols.cipher_suites.is_empty() {
        let chosen = |suite: &rustls::SupportedCipherSuite| suite.tls13().is_some();
        provider.cipher_suites.retain(chosen);
        provider.cipher_suites.extend(&protocols.cipher_suites);
    }
    Arc::new(provider)
}

fn versions(protocols: &Protocols) -> Vec<&'static SupportedProtocolVersion> {
    let all = [(TlsVersion::V13, &version::TLS13), (TlsVersion::V12, &version::TLS12)];
    all.into_iter().filter(|(version, _)| (protocols.min..=protocols.max).contains(version)).map(|(_, v)| v).collect()
}

fn required<'a>(file: Option<&'a Path>, flag: &'static str) -> Result<&'a Path, TlsError> {
    file.ok_or(TlsError::Missing { flag, why: "a URL to listen on is encrypted; or let --auto-tls make a certificate" })
}

fn server_config(settings: &TlsSettings) -> Result<ServerConfig, TlsError> {
    let cert_file = required(settings.cert_file.as_deref(), "--cert-file")?;
    let key_file = required(settings.key_file.as_deref(), "--key-file")?;
    let (chain, key) = identity(cert_file, key_file)?;
    let provider = provider(&settings.protocols);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(&settings.protocols))
        .map_err(|cause| TlsError::Config(cause.to_string()))?;
    let builder = match &settings.trusted_ca_file {
        None if settings.client_cert_auth => {
            return Err(TlsError::Missing { flag: "--trusted-ca-file", why: "clients must have a certificate" });
        }
        None => builder.with_no_client_auth(),
        Some(file) => builder.with_client_cert_verifier(Arc::new(acceptance(settings, file, provider)?)),
    };
    let unfit = |cause: rustls::Error| TlsError::Unfit { path: cert_file.to_owned(), cause: cause.to_string() };
    let mut config = builder.with_single_cert(chain, key).map_err(unfit)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    if settings.trusted_ca_file.is_some() {
        // A resumed session would skip the look at the certificate, which may have been revoked meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    Ok(config)
}

fn acceptance(settings: &TlsSettings, ca_file: &Path, provider: Arc<CryptoProvider>) -> Result<Acceptance, TlsError> {
    if !settings.allowed_cns.is_empty() && !settings.allowed_hostnames.is_empty() {
        return Err(TlsError::Exclusive("allowed CNs", "allowed hostnames"));
    }
    let chain = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities(ca_file)?), provider)
        .build()
        .map_err(|cause| TlsError::file(ca_file, cause))?;
    let revoked = settings.crl_file.as_deref().map(Revoked::read).transpose()?.unwrap_or_default();
    let allowed_cns = settings.allowed_cns.clone();
    Ok(Acceptance { chain, revoked, allowed_cns, allowed_hostnames: settings.allowed_hostnames.clone() })
}

fn client_config(settings: &TlsSettings) -> Result<ClientConfig, TlsError> {
    let provider = provider(&settings.protocols);
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&versions(&settings.protocols))
        .map_err(|cause| TlsError::Config(cause.to_string()))?;
    let builder = match &settings.trusted_ca_file {
        _ if settings.self_signed => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(provider)))
        }
        Some(file) => builder.with_root_certificates(authorities(file)?),
        None => builder.with_root_certificates(RootCertStore::empty()),
    };
    let cert_file = settings.client_cert_file.as_deref().or(settings.cert_file.as_deref());
    let key_file = settings.client_key_file.as_deref().or(settings.key_file.as_deref());
    let mut config = match (cert_file, key_file) {
        (Some(cert_file), Some(key_file)) => {
            let (chain, key) = identity(cert_file, key_file)?;
            let unfit = |cause: rustls::Error| TlsError::Unfit { path: cert_file.to_owned(), cause: cause.to_string() };
            builder.with_client_auth_cert(chain, key).map_err(unfit)?
        }
        _ => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

/// Accepts every server that holds its certificate's key: with generated certificates there is nothing to check them by
/// (etcd's `--peer-auto-tls` does the same).
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
