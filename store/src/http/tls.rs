//! TLS on the client port: etcd's certificate flags.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

/// The files that etcd's flags name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain (`--cert-file`).
    pub cert_file: Option<PathBuf>,
    /// Its key (`--key-file`).
    pub key_file: Option<PathBuf>,
    /// Whose client certificates are accepted (`--trusted-ca-file`); if given, clients must have one.
    pub trusted_ca_file: Option<PathBuf>,
    /// Client certificates that are revoked (`--client-crl-file`).
    pub client_crl_file: Option<PathBuf>,
    /// Clients must have a certificate (`--client-cert-auth`).
    pub client_cert_auth: bool,
}

/// Why TLS could not be set up. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A flag is missing.
    #[error("{0} is needed: {1}")]
    Missing(&'static str, &'static str),
    /// A file cannot be read or understood.
    #[error("cannot use {}: {cause}; check the file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: pem::Error,
    },
    /// The pieces do not fit.
    #[error("the certificate files do not fit together: {0}; check --cert-file, --key-file and --trusted-ca-file")]
    Config(String),
}

impl TlsFiles {
    /// Reads the files.
    pub fn load(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let cert_file = self.cert_file.as_deref().ok_or(TlsError::Missing("--cert-file", "a listen URL is https"))?;
        let key_file = self.key_file.as_deref().ok_or(TlsError::Missing("--key-file", "a listen URL is https"))?;
        let chain: Vec<CertificateDer<'static>> = read_all(cert_file)?;
        let key = PrivateKeyDer::from_pem_file(key_file).map_err(|cause| file_error(key_file, cause))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(config_error)?;
        let config = match &self.trusted_ca_file {
            None if self.client_cert_auth => {
                return Err(TlsError::Missing("--trusted-ca-file", "--client-cert-auth asks for client certificates"));
            }
            None => config.with_no_client_auth(),
            Some(ca_file) => {
                let mut roots = RootCertStore::empty();
                for certificate in read_all(ca_file)? {
                    roots.add(certificate).map_err(config_error)?;
                }
                let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                if let Some(crl_file) = &self.client_crl_file {
                    let revoked: Vec<CertificateRevocationListDer<'static>> = read_all(crl_file)?;
                    // A certificate of a CA without a list is not thereby suspect.
                    verifier = verifier.with_crls(revoked).allow_unknown_revocation_status();
                }
                config.with_client_cert_verifier(verifier.build().map_err(config_error)?)
            }
        };
        let mut config = config.with_single_cert(chain, key).map_err(config_error)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

fn read_all<T: PemObject>(path: &Path) -> Result<Vec<T>, TlsError> {
    let items = T::pem_file_iter(path).map_err(|cause| file_error(path, cause))?;
    items.collect::<Result<_, _>>().map_err(|cause| file_error(path, cause))
}

fn file_error(path: &Path, cause: pem::Error) -> TlsError {
    TlsError::File { path: path.to_owned(), cause }
}

fn config_error(error: impl std::fmt::Display) -> TlsError {
    TlsError::Config(error.to_string())
}
