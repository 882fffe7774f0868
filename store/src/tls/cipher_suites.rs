//! Cipher suites by Go's names, which are IANA's.

use rustls::SupportedCipherSuite;
use rustls::crypto::ring::cipher_suite as ring;

/// A name that stands for no cipher suite which is offered here. The text begins as etcd's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unexpected TLS cipher suite {0:?}; choose among {names}", names = names())]
pub struct UnknownCipherSuite(String);

/// Suites of TLS 1.2. Go knows more: those without forward secrecy or authenticated encryption are not offered.
const SUITES: &[(&str, SupportedCipherSuite)] = &[
    ("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", ring::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", ring::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ring::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", ring::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", ring::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ring::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
];

/// Suites that etcd accepts, and this server does not have: naming them beside others is no error.
const NOT_OFFERED: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    // TLS 1.3's are always on.
    "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// The suites among `names` that are offered here, in that order.
///
/// # Errors
/// When a name is nobody's, or none of the suites is offered: then nothing of what was asked for would be left.
pub fn parse(names: &[String]) -> Result<Vec<SupportedCipherSuite>, UnknownCipherSuite> {
    let mut chosen = Vec::new();
    let mut last_unavailable = None;
    for name in names {
        // Names that Go once had.
        let full = match name.as_str() {
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305" => "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
            "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305" => "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
            name => name,
        };
        match SUITES.iter().find(|(known, _)| *known == full) {
            Some((_, suite)) => chosen.push(*suite),
            None if NOT_OFFERED.contains(&full) => last_unavailable = Some(name),
            None => return Err(UnknownCipherSuite(name.clone())),
        }
    }
    match last_unavailable {
        Some(name) if chosen.is_empty() => Err(UnknownCipherSuite(name.clone())),
        _ => Ok(chosen),
    }
}

fn names() -> String {
    SUITES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_gos() {
        let parse = |names: &[&str]| parse(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        for (name, suite) in SUITES {
            assert_eq!(format!("{:?}", suite.suite()), *name);
            assert_eq!(parse(&[name]), Ok(vec![*suite]));
        }
        assert_eq!(parse(&["TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305"]).unwrap().len(), 1);
        assert_eq!(parse(&["TLS_RSA_WITH_AES_128_CBC_SHA", SUITES[0].0]).unwrap().len(), 1);
        assert!(parse(&["TLS_RSA_WITH_AES_128_CBC_SHA"]).is_err());
        let error = parse(&["foo"]).unwrap_err().to_string();
        assert!(error.starts_with("unexpected TLS cipher suite \"foo\""), "{error}");
    }
}
