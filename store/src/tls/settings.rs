//! What the flags say of certificates, protocols and ciphers.

use std::path::PathBuf;
use std::str::FromStr;

use rustls::SupportedCipherSuite;

/// A version of the protocol, by etcd's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// `TLS1.2`
    V12,
    /// `TLS1.3`
    V13,
}

impl FromStr for TlsVersion {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "TLS1.2" => Ok(Self::V12),
            "TLS1.3" => Ok(Self::V13),
            _ => Err(format!("unexpected TLS version {name:?} (must be one of: TLS1.2, TLS1.3)")),
        }
    }
}

/// Protocol versions and cipher suites, for clients and members alike.
#[derive(Clone, Debug, PartialEq)]
pub struct Protocols {
    /// The oldest version (`--tls-min-version`).
    pub min: TlsVersion,
    /// The newest version (`--tls-max-version`).
    pub max: TlsVersion,
    /// Cipher suites of TLS 1.2 (`--cipher-suites`); all that are safe if empty. Those of TLS 1.3 cannot be chosen, as
    /// in Go.
    pub cipher_suites: Vec<SupportedCipherSuite>,
}

impl Default for Protocols {
    fn default() -> Self {
        Self { min: TlsVersion::V12, max: TlsVersion::V13, cipher_suites: Vec::new() }
    }
}

/// Certificates of one side, those for clients or those between members, by the names of etcd's flags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsSettings {
    /// The chain that this server shows (`--cert-file`).
    pub cert_file: Option<PathBuf>,
    /// Its key (`--key-file`).
    pub key_file: Option<PathBuf>,
    /// What this member shows when it is the client (`--client-cert-file`); the server's if not given.
    pub client_cert_file: Option<PathBuf>,
    /// Its key (`--client-key-file`).
    pub client_key_file: Option<PathBuf>,
    /// Authorities whose certificates are accepted (`--trusted-ca-file`); if given, clients must have one.
    pub trusted_ca_file: Option<PathBuf>,
    /// Certificates that are revoked (`--client-crl-file`), PEM or DER.
    pub crl_file: Option<PathBuf>,
    /// Clients must have a certificate (`--client-cert-auth`).
    pub client_cert_auth: bool,
    /// Common names of which a client's certificate must have one (`--peer-cert-allowed-cn`); any if empty.
    pub allowed_cns: Vec<String>,
    /// Names or addresses of which a client's certificate must have one (`--client-cert-allowed-hostname`); any if
    /// empty.
    pub allowed_hostnames: Vec<String>,
    /// Accept certificates that do not name the address their member connects from
    /// (`--peer-skip-client-san-verification`).
    pub skip_client_san_verification: bool,
    /// The certificate was generated here: nobody can check it.
    pub self_signed: bool,
    /// Protocol versions and cipher suites.
    pub protocols: Protocols,
}

impl TlsSettings {
    /// Whether neither certificate nor key is given.
    pub fn is_empty(&self) -> bool {
        self.cert_file.is_none() && self.key_file.is_none()
    }
}
