//! Flags of certificates and of what may be spoken.

use std::path::{Path, PathBuf};

use clap::{ArgAction, Args};
use pintle_store::http::Access;
use pintle_store::tls::{Protocols, TlsSettings, TlsVersion, parse_cipher_suites, self_signed};

use super::FlagError;
use super::values::{go_bool, list};

/// Certificates, and who is let in.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "etcd has that many switches")]
#[command(next_help_heading = "Security")]
pub struct SecurityFlags {
    /// Certificate chain shown to clients (PEM). Read again when it changes, as all these files are.
    #[arg(long, value_name = "FILE")]
    cert_file: Option<PathBuf>,

    /// Its key (PEM).
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,

    /// Authorities whose client certificates are accepted (PEM). If given, clients must have one.
    #[arg(long, value_name = "FILE")]
    trusted_ca_file: Option<PathBuf>,

    /// Clients must have a certificate; its common name is the user when authentication is on.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = go_bool
    )]
    pub client_cert_auth: bool,

    /// Client certificates that are revoked (PEM or DER).
    #[arg(long, value_name = "FILE")]
    client_crl_file: Option<PathBuf>,

    /// Names or addresses of which a client's certificate must have one.
    #[arg(long, value_name = "NAMES", default_value = "")]
    client_cert_allowed_hostname: String,

    /// Common names of which a client's certificate must have one.
    #[arg(long, value_name = "NAMES", default_value = "")]
    client_cert_allowed_cn: String,

    /// Make a certificate for clients where none is given.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = go_bool
    )]
    auto_tls: bool,

    /// Certificate chain shown to other members (PEM).
    #[arg(long, value_name = "FILE")]
    peer_cert_file: Option<PathBuf>,

    /// Its key (PEM).
    #[arg(long, value_name = "FILE")]
    peer_key_file: Option<PathBuf>,

    /// What this member shows when it connects to another; --peer-cert-file if not given.
    #[arg(long, value_name = "FILE")]
    peer_client_cert_file: Option<PathBuf>,

    /// Its key (PEM).
    #[arg(long, value_name = "FILE")]
    peer_client_key_file: Option<PathBuf>,

    /// Authorities whose certificates are accepted between members (PEM).
    #[arg(long, value_name = "FILE")]
    peer_trusted_ca_file: Option<PathBuf>,

    /// Members must have a certificate.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = go_bool
    )]
    peer_client_cert_auth: bool,

    /// Members' certificates that are revoked (PEM or DER).
    #[arg(long, value_name = "FILE")]
    peer_crl_file: Option<PathBuf>,

    /// Common names of which a member's certificate must have one.
    #[arg(long, value_name = "NAMES", default_value = "")]
    peer_cert_allowed_cn: String,

    /// Names or addresses of which a member's certificate must have one.
    #[arg(long, value_name = "NAMES", default_value = "")]
    peer_cert_allowed_hostname: String,

    /// Accept certificates that do not name the address their member connects from.
    #[arg(
        long,
        alias = "experimental-peer-skip-client-san-verification",
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = go_bool
    )]
    peer_skip_client_san_verification: bool,

    /// Make a certificate for the other members where none is given; members then do not check each other's.
    #[arg(
        long,
        value_name = "BOOL",
        action = ArgAction::Set,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        value_parser = go_bool
    )]
    peer_auto_tls: bool,

    /// Years for which certificates made by --auto-tls and --peer-auto-tls are valid.
    #[arg(long, value_name = "YEARS", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    self_signed_cert_validity: u32,

    /// The oldest version of TLS: TLS1.2 or TLS1.3.
    #[arg(long, value_name = "VERSION", default_value = "TLS1.2")]
    tls_min_version: String,

    /// The newest version of TLS; the newest there is if not given.
    #[arg(long, value_name = "VERSION", default_value = "")]
    tls_max_version: String,

    /// Cipher suites of TLS 1.2, by Go's names; all safe ones if not given.
    #[arg(long, value_name = "NAMES", default_value = "")]
    cipher_suites: String,

    /// Host names under which the server may be asked without TLS; * for all.
    #[arg(long, value_name = "NAMES", default_value = "*")]
    host_whitelist: String,

    /// Origins whose web pages may ask; * for all.
    #[arg(long, value_name = "ORIGINS", default_value = "*")]
    cors: String,
}

impl SecurityFlags {
    /// Certificates for clients. One is made below `data_dir` if asked for and none is given.
    pub fn client_tls(&self, data_dir: &Path, hosts: &[String]) -> Result<TlsSettings, FlagError> {
        let settings = TlsSettings {
            cert_file: given(self.cert_file.as_deref()),
            key_file: given(self.key_file.as_deref()),
            trusted_ca_file: given(self.trusted_ca_file.as_deref()),
            crl_file: given(self.client_crl_file.as_deref()),
            client_cert_auth: self.client_cert_auth,
            allowed_cns: names(&self.client_cert_allowed_cn),
            allowed_hostnames: names(&self.client_cert_allowed_hostname),
            protocols: self.protocols()?,
            ..TlsSettings::default()
        };
        self.generated(self.auto_tls, settings, &data_dir.join("fixtures/client"), hosts)
    }

    /// Certificates between members. One is made below `data_dir` if asked for and none is given.
    pub fn peer_tls(&self, data_dir: &Path, hosts: &[String]) -> Result<TlsSettings, FlagError> {
        let settings = TlsSettings {
            cert_file: given(self.peer_cert_file.as_deref()),
            key_file: given(self.peer_key_file.as_deref()),
            client_cert_file: given(self.peer_client_cert_file.as_deref()),
            client_key_file: given(self.peer_client_key_file.as_deref()),
            trusted_ca_file: given(self.peer_trusted_ca_file.as_deref()),
            crl_file: given(self.peer_crl_file.as_deref()),
            client_cert_auth: self.peer_client_cert_auth,
            allowed_cns: names(&self.peer_cert_allowed_cn),
            allowed_hostnames: names(&self.peer_cert_allowed_hostname),
            skip_client_san_verification: self.peer_skip_client_san_verification,
            protocols: self.protocols()?,
            ..TlsSettings::default()
        };
        self.generated(self.peer_auto_tls, settings, &data_dir.join("fixtures/peer"), hosts)
    }

    fn generated(
        &self,
        wanted: bool,
        settings: TlsSettings,
        directory: &Path,
        hosts: &[String],
    ) -> Result<TlsSettings, FlagError> {
        if !wanted {
            return Ok(settings);
        }
        if !settings.is_empty() {
            tracing::warn!("certificates are given, so none is made");
            return Ok(settings);
        }
        Ok(self_signed(settings, directory, hosts, self.self_signed_cert_validity)?)
    }

    /// Versions and ciphers.
    pub fn protocols(&self) -> Result<Protocols, FlagError> {
        let version = |name: &str| name.parse::<TlsVersion>().map_err(FlagError::Tls);
        let (min_name, max_name) = (self.tls_min_version.as_str(), self.tls_max_version.as_str());
        let min = if min_name.is_empty() { TlsVersion::V12 } else { version(min_name)? };
        let max = if max_name.is_empty() { TlsVersion::V13 } else { version(max_name)? };
        if min > max {
            return Err(FlagError::Tls(format!("min version ({min_name}) is greater than max version ({max_name})")));
        }
        let suites = names(&self.cipher_suites);
        if min == TlsVersion::V13 && !suites.is_empty() {
            return Err(FlagError::Tls("cipher suites cannot be configured when only TLS1.3 is enabled".to_owned()));
        }
        let cipher_suites = parse_cipher_suites(&suites).map_err(|error| FlagError::Tls(error.to_string()))?;
        Ok(Protocols { min, max, cipher_suites })
    }

    /// Which browsers are let in.
    pub fn access(&self) -> Access {
        Access {
            hosts: names(&self.host_whitelist).into_iter().collect(),
            origins: names(&self.cors).into_iter().collect(),
        }
    }
}

/// A flag set to nothing is not given.
fn given(path: Option<&Path>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty()).map(Path::to_owned)
}

fn names(text: &str) -> Vec<String> {
    list(text).map(str::to_owned).collect()
}
