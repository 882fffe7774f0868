//! Revoked certificates. As in etcd, a serial number on the list is enough, whoever issued the list: in doubt a
//! certificate is refused.

use std::collections::HashSet;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::files::TlsError;

/// Serial numbers that are refused.
#[derive(Debug, Default)]
pub(super) struct Revoked(HashSet<Vec<u8>>);

impl Revoked {
    /// Reads the lists of a file: PEM with one or several, or one in DER.
    pub(super) fn read(file: &Path) -> Result<Self, TlsError> {
        /// What DER begins with: a sequence.
        const DER: u8 = 0x30;
        let bytes = std::fs::read(file).map_err(|cause| TlsError::file(file, cause))?;
        let lists = if bytes.first() == Some(&DER) {
            vec![CertificateRevocationListDer::from(bytes)]
        } else {
            let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
            lists.map_err(|cause| TlsError::file(file, cause))?
        };
        if lists.is_empty() {
            return Err(TlsError::file(file, "it has no revocation list"));
        }
        let mut serials = HashSet::new();
        for list in lists {
            let (_, list) = CertificateRevocationList::from_der(&list)
                .map_err(|_| TlsError::file(file, "it is not a revocation list"))?;
            serials.extend(list.iter_revoked_certificates().map(|revoked| normal(revoked.raw_serial())));
        }
        Ok(Self(serials))
    }

    /// Whether a certificate is on the list. One that cannot be read is.
    pub(super) fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        match X509Certificate::from_der(certificate) {
            Ok((_, certificate)) => self.0.contains(&normal(certificate.raw_serial())),
            Err(_) => true,
        }
    }
}

/// A serial number without leading zeros.
fn normal(serial: &[u8]) -> Vec<u8> {
    serial.iter().copied().skip_while(|byte| *byte == 0).collect()
}
