//! Client certificates: whom a verified certificate names.
//!
//! An apiserver's TLS handshake asks for any certificate and only has possession of its key proved; whether the chain
//! is good is judged here, afterwards, so that a bad certificate means 401, or another authenticator decides.

use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest, Sha256};
use webpki::{EndEntityCert, KeyUsage};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::User;

/// Where the credential's id stands in [`User::extra`].
pub const CREDENTIAL_ID: &str = "authentication.kubernetes.io/credential-id";

/// Why a client certificate identifies nobody.
#[derive(Debug, thiserror::Error)]
pub enum ClientCertError {
    /// The chain does not lead to the client CA, has expired, or is not for client authentication.
    #[error("the client certificate is not acceptable: {0}")]
    Untrusted(#[from] webpki::Error),
    /// The certificate cannot be read.
    #[error("the client certificate cannot be parsed")]
    Malformed,
    /// The subject has no common name, so there is no user name.
    #[error("the client certificate's subject has no common name")]
    NoCommonName,
}

/// Judges client certificates against a set of CAs (`--client-ca-file`).
#[derive(Clone)]
pub struct ClientCertificates {
    roots: Arc<RootCertStore>,
}

impl ClientCertificates {
    /// An authenticator that trusts `roots`.
    pub fn new(roots: RootCertStore) -> Self {
        Self { roots: Arc::new(roots) }
    }

    /// The user that `chain` (leaf first) names at time `now`: the subject's common name is the user's name, its
    /// organizations the groups.
    pub fn user(&self, chain: &[CertificateDer<'_>], now: Duration) -> Result<User, ClientCertError> {
        let (leaf, intermediates) = chain.split_first().ok_or(ClientCertError::Malformed)?;
        EndEntityCert::try_from(leaf)?.verify_for_usage(
            webpki::ALL_VERIFICATION_ALGS,
            &self.roots.roots,
            intermediates,
            UnixTime::since_unix_epoch(now),
            KeyUsage::client_auth(),
            None,
            None,
        )?;
        subject(leaf)
    }
}

fn subject(leaf: &CertificateDer<'_>) -> Result<User, ClientCertError> {
    let (_, certificate) = X509Certificate::from_der(leaf).map_err(|_| ClientCertError::Malformed)?;
    let subject = certificate.subject();
    let text = |attribute: &x509_parser::x509::AttributeTypeAndValue<'_>| attribute.as_str().ok().map(str::to_owned);
    // Of several common names the last one counts, as Go's pkix.Name has it.
    let name = subject.iter_common_name().filter_map(text).last().filter(|n| !n.is_empty());
    let mut user = User {
        name: name.ok_or(ClientCertError::NoCommonName)?,
        groups: subject.iter_organization().filter_map(text).collect(),
        ..User::default()
    };
    user.extra.insert(CREDENTIAL_ID.to_owned(), vec![format!("X509SHA256={:x}", Sha256::digest(leaf))]);
    Ok(user)
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

    use super::*;

    fn authority(name: &str) -> (CertificateDer<'static>, Issuer<'static, KeyPair>) {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        (certificate.der().clone(), Issuer::new(params, key))
    }

    fn client(
        issuer: &Issuer<'_, KeyPair>,
        name: &str,
        group: &str,
        usage: ExtendedKeyUsagePurpose,
    ) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, group);
        if !name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.extended_key_usages = vec![usage];
        params.signed_by(&KeyPair::generate().unwrap(), issuer).unwrap().der().clone()
    }

    fn trusting(ca: &CertificateDer<'static>) -> ClientCertificates {
        let mut roots = RootCertStore::empty();
        roots.add(ca.clone()).unwrap();
        ClientCertificates::new(roots)
    }

    const NOW: Duration = Duration::from_secs(1_800_000_000);

    #[test]
    fn common_name_and_organizations_become_user_and_groups() {
        let (ca, issuer) = authority("ca");
        let leaf = client(&issuer, "ann", "system:masters", ExtendedKeyUsagePurpose::ClientAuth);
        let user = trusting(&ca).user(&[leaf], NOW).unwrap();
        assert_eq!((user.name.as_str(), user.groups.as_slice()), ("ann", ["system:masters".to_owned()].as_slice()));
        assert!(user.extra[CREDENTIAL_ID][0].starts_with("X509SHA256="));
    }

    #[test]
    fn refuses_another_ca_a_serving_certificate_and_a_nameless_one() {
        let (ca, issuer) = authority("ca");
        let (_, stranger) = authority("other");
        let judge = trusting(&ca);
        let foreign = client(&stranger, "ann", "g", ExtendedKeyUsagePurpose::ClientAuth);
        assert!(matches!(judge.user(&[foreign], NOW), Err(ClientCertError::Untrusted(_))));
        let serving = client(&issuer, "ann", "g", ExtendedKeyUsagePurpose::ServerAuth);
        assert!(matches!(judge.user(&[serving], NOW), Err(ClientCertError::Untrusted(_))));
        let nameless = client(&issuer, "", "g", ExtendedKeyUsagePurpose::ClientAuth);
        assert!(matches!(judge.user(&[nameless], NOW), Err(ClientCertError::NoCommonName)));
        assert!(matches!(judge.user(&[], NOW), Err(ClientCertError::Malformed)));
    }
}
