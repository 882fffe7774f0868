//! Reading certificates, keys and authorities.

use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Why TLS could not be set up. Each text is one line that says what to do about it, and none tells a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// A flag is missing.
    #[error("{flag} is needed: {why}")]
    Missing {
        /// The flag.
        flag: &'static str,
        /// What asks for it.
        why: &'static str,
    },
    /// Flags that exclude each other.
    #[error("{0} and {1} are mutually exclusive; give one of them")]
    Exclusive(&'static str, &'static str),
    /// A file cannot be read or understood.
    #[error("cannot use {}: {cause}; check the file", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The pieces do not fit.
    #[error("{} does not fit: {cause}; check the certificate and its key", path.display())]
    Unfit {
        /// The certificate.
        path: PathBuf,
        /// What the library says.
        cause: String,
    },
    /// The protocol versions, cipher suites and certificates leave nothing to speak.
    #[error("TLS cannot be set up: {0}; check the versions and the cipher suites")]
    Config(String),
}

impl TlsError {
    pub(super) fn file(path: &Path, cause: impl std::fmt::Display) -> Self {
        Self::File { path: path.to_owned(), cause: cause.to_string() }
    }
}

/// A certificate chain and its key.
pub(super) fn identity(
    cert_file: &Path,
    key_file: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain = certificates(cert_file)?;
    let key = PrivateKeyDer::from_pem_file(key_file).map_err(|cause| TlsError::file(key_file, cause))?;
    Ok((chain, key))
}

/// The authorities of a file.
pub(super) fn authorities(file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|cause| TlsError::file(file, cause))?;
    }
    Ok(roots)
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |cause| TlsError::file(file, cause);
    let found: Vec<_> =
        CertificateDer::pem_file_iter(file).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    if found.is_empty() { Err(TlsError::file(file, "it has no certificate in PEM form")) } else { Ok(found) }
}
