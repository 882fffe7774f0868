//! Certificates and keys from PEM files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why certificates or keys cannot be used. The text names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The file is missing, unreadable, or holds no such PEM block.
    #[error("cannot read {what} from {}: {reason}; check the path, its permissions and that it is PEM", path.display())]
    File {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Certificate and key do not go together, or their algorithm is not supported.
    #[error("cannot serve TLS with {}: {reason}; check that certificate and key belong together", path.display())]
    Config {
        /// The certificate's file.
        path: PathBuf,
        /// What rustls says.
        reason: rustls::Error,
    },
}

/// The server's TLS: shows the certificate chain in `certificate`, asks for any client certificate.
pub fn server_config(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|e| TlsError::File {
        what: "a private key",
        path: key.to_owned(),
        reason: e.to_string(),
    })?;
    let config = pintle_auth::tls::server_config(chain, key);
    config.map(Arc::new).map_err(|reason| TlsError::Config { path: certificate.to_owned(), reason })
}

/// The CAs in a PEM bundle.
pub fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path)? {
        store.add(certificate).map_err(|e| TlsError::File {
            what: "CA certificates",
            path: path.to_owned(),
            reason: e.to_string(),
        })?;
    }
    Ok(store)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |reason: String| TlsError::File { what: "certificates", path: path.to_owned(), reason };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(|e| failed(e.to_string()))?.collect();
    match chain.map_err(|e| failed(e.to_string()))? {
        chain if chain.is_empty() => Err(failed("it holds no certificate".to_owned())),
        chain => Ok(chain),
    }
}
