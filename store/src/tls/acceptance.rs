//! Whose certificate a server accepts: a chain to a trusted authority, not revoked, with an allowed name.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use webpki::EndEntityCert;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::revocation::Revoked;

/// Judges the certificates of clients, of which each must have one.
#[derive(Debug)]
pub(super) struct Acceptance {
    /// Judges chain, dates and usage.
    pub(super) chain: Arc<dyn ClientCertVerifier>,
    pub(super) revoked: Revoked,
    /// Any if empty.
    pub(super) allowed_cns: Vec<String>,
    /// Any if empty.
    pub(super) allowed_hostnames: Vec<String>,
}

impl Acceptance {
    fn is_allowed(&self, leaf: &CertificateDer<'_>) -> bool {
        if !self.allowed_cns.is_empty() {
            return common_name(leaf).is_some_and(|name| self.allowed_cns.contains(&name));
        }
        self.allowed_hostnames.is_empty() || self.allowed_hostnames.iter().any(|name| is_for(leaf, name))
    }
}

impl ClientCertVerifier for Acceptance {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.chain.verify_client_cert(end_entity, intermediates, now)?;
        if [end_entity].into_iter().chain(intermediates).any(|certificate| self.revoked.contains(certificate)) {
            return Err(Error::InvalidCertificate(CertificateError::Revoked));
        }
        if !self.is_allowed(end_entity) {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}

/// The common name of a certificate's subject; of several the last, as Go has it.
fn common_name(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let name = certificate.subject().iter_common_name().last()?.as_str().ok()?.to_owned();
    (!name.is_empty()).then_some(name)
}

/// Whether a certificate names a host or an address.
fn is_for(certificate: &CertificateDer<'_>, name: &str) -> bool {
    let Ok(name) = ServerName::try_from(name) else { return false };
    EndEntityCert::try_from(certificate).is_ok_and(|leaf| leaf.verify_is_valid_for_subject_name(&name).is_ok())
}

/// What a certificate says of where its holder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Residence {
    /// Nothing, or the address in question.
    Fits,
    /// One of these names, if any of them stands for the address in question.
    OneOf(Vec<String>),
    /// Elsewhere.
    Elsewhere,
}

/// Whether a member that connects from `address` may show `certificate` (etcd's check of SANs): one that names addresses
/// or hosts is good from there alone. Names are for the caller to look up.
pub fn residence(certificate: &CertificateDer<'_>, address: IpAddr) -> Residence {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return Residence::Elsewhere };
    let names = match parsed.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.as_slice(),
        Ok(None) => &[],
        Err(_) => return Residence::Elsewhere,
    };
    let has_address = names.iter().any(|name| matches!(name, GeneralName::IPAddress(_)));
    let hosts: Vec<String> = names
        .iter()
        .filter_map(|name| if let GeneralName::DNSName(host) = name { Some((*host).to_owned()) } else { None })
        .collect();
    if !has_address && hosts.is_empty() || has_address && is_for(certificate, &address.to_string()) {
        return Residence::Fits;
    }
    if hosts.is_empty() { Residence::Elsewhere } else { Residence::OneOf(hosts) }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    fn certificate(names: &[&str], common_names: &[&str]) -> CertificateDer<'static> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        for name in common_names {
            params.distinguished_name.push(DnType::CommonName, *name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_with_addresses_or_hosts_is_good_from_there_alone() {
        let from = |names: &[&str], address: &str| residence(&certificate(names, &[]), address.parse().unwrap());
        assert_eq!(from(&[], "10.0.0.1"), Residence::Fits);
        assert_eq!(from(&["10.0.0.1"], "10.0.0.1"), Residence::Fits);
        assert_eq!(from(&["10.0.0.1"], "10.0.0.2"), Residence::Elsewhere);
        assert_eq!(from(&["10.0.0.1", "a.b"], "10.0.0.2"), Residence::OneOf(vec!["a.b".to_owned()]));
        assert_eq!(from(&["a.b"], "::1"), Residence::OneOf(vec!["a.b".to_owned()]));
    }

    #[test]
    fn names_are_read_off_the_certificate() {
        assert_eq!(common_name(&certificate(&[], &["ann"])), Some("ann".to_owned()));
        assert_eq!(common_name(&certificate(&[], &[])), None);
        assert!(is_for(&certificate(&["*.example.com"], &[]), "a.example.com"));
        assert!(!is_for(&certificate(&["*.example.com"], &[]), "a.b.example.com"));
        assert!(is_for(&certificate(&["127.0.0.1"], &[]), "127.0.0.1"));
    }
}
