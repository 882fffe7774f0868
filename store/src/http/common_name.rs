//! Whom a client's certificate names.

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::grpc::CommonName;

/// The common name of a verified certificate: of several the last, and empty if there is none, as Go has it. `None` if
/// the client has shown no certificate.
pub fn of(chain: Option<&[CertificateDer<'_>]>) -> Option<CommonName> {
    let leaf = chain?.first()?;
    let certificate = X509Certificate::from_der(leaf).ok().map(|(_, certificate)| certificate);
    let names = certificate.iter().flat_map(|certificate| certificate.subject().iter_common_name());
    let name = names.filter_map(|name| name.as_str().ok()).last().unwrap_or_default();
    Some(CommonName(name.into()))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(name: Option<&str>) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "org");
        if let Some(name) = name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
    }

    #[test]
    fn a_certificate_without_a_name_names_nobody_rather_than_not_being_there() {
        let (ann, nobody) = ([certificate(Some("ann"))], [certificate(None)]);
        let name = |chain| of(chain).map(|CommonName(name)| name.to_string());
        assert_eq!((name(Some(&ann[..])).as_deref(), name(Some(&nobody[..])).as_deref()), (Some("ann"), Some("")));
        assert_eq!((name(Some(&[][..])), name(None)), (None, None));
    }
}
