//! The server's own PKI, made on first start: a CA, a serving and an admin client certificate, keys for service accounts, and the
//! kubeconfig that goes with them.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};
use serde_json::json;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

/// Days that a CA is good for.
const CA_DAYS: i64 = 3650;
/// Days that any other certificate is good for.
const LEAF_DAYS: i64 = 365;
/// Days before its end from which on a start makes a certificate anew.
const RENEWAL_DAYS: i64 = 60;

/// Why the PKI cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum PkiError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}: {source}; check that the directory is yours and writable", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// A key or certificate cannot be used.
    #[error("cannot use {}: {reason}; restore it from a backup, or remove the pki directory to have it made anew", path.display())]
    Unusable {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// Where the parts of the PKI are.
#[derive(Debug, Clone)]
pub struct Pki {
    /// The CA's certificate, which signs serving and client certificates alike.
    pub ca: PathBuf,
    /// The serving certificate.
    pub serving_certificate: PathBuf,
    /// Its key.
    pub serving_key: PathBuf,
    /// The key that signs service account tokens.
    pub service_account_key: PathBuf,
    /// A kubeconfig with the admin's credentials.
    pub kubeconfig: PathBuf,
}

/// What the serving certificate is for.
#[derive(Debug, Clone)]
pub struct Names {
    /// DNS names of the server.
    pub dns: Vec<String>,
    /// Addresses of the server.
    pub addresses: Vec<IpAddr>,
}

impl Pki {
    /// The PKI below `data_dir`; whatever is missing is made. `server` is the URL for the kubeconfig.
    pub fn ensure(data_dir: &Path, names: &Names, server: &str) -> Result<Self, PkiError> {
        let dir = data_dir.join("pki");
        fs::create_dir_all(&dir).map_err(|source| PkiError::File { action: "create", path: dir.clone(), source })?;
        let ca = Authority::open(&dir)?;
        let pki = Self {
            ca: dir.join("ca.crt"),
            serving_certificate: dir.join("apiserver.crt"),
            serving_key: dir.join("apiserver.key"),
            service_account_key: dir.join("sa.key"),
            kubeconfig: data_dir.join("admin.kubeconfig"),
        };
        ca.ensure(&pki.serving_certificate, &pki.serving_key, &serving(names), &names.addresses)?;
        let (admin_certificate, admin_key) = (dir.join("admin.crt"), dir.join("admin.key"));
        ca.ensure(&admin_certificate, &admin_key, &client("kubernetes-admin", "system:masters"), &[])?;
        if pki.service_account_key.exists() {
            key_pair(&pki.service_account_key)?;
        } else {
            let key = generate(&pki.service_account_key)?;
            write(&dir.join("sa.pub"), key.public_key_pem().as_bytes(), 0o644)?;
            write(&pki.service_account_key, key.serialize_pem().as_bytes(), 0o600)?;
        }
        let kubeconfig = kubeconfig(server, &read(&pki.ca)?, &read(&admin_certificate)?, &read(&admin_key)?);
        write(&pki.kubeconfig, kubeconfig.as_bytes(), 0o600)?;
        Ok(pki)
    }
}

/// The CA with its key.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Whether it was made just now, so that whatever an earlier one signed is worth nothing.
    is_new: bool,
}

impl Authority {
    /// The CA in `dir`, made where there is none. One whose key is missing is not replaced: others trust it.
    fn open(dir: &Path) -> Result<Self, PkiError> {
        let (certificate, key) = (dir.join("ca.crt"), dir.join("ca.key"));
        if certificate.exists() {
            if !key.exists() {
                return Err(unusable(&certificate, format_args!("its key {} is missing", key.display())));
            }
            let issuer = Issuer::from_ca_cert_pem(&read(&certificate)?, key_pair(&key)?);
            return Ok(Self { issuer: issuer.map_err(|e| unusable(&certificate, e))?, is_new: false });
        }
        let mut params = params("pintle-ca", None, CA_DAYS);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages =
            vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pair = generate(&key)?;
        let signed = params.self_signed(&pair).map_err(|e| unusable(&certificate, e))?;
        write(&key, pair.serialize_pem().as_bytes(), 0o600)?;
        write(&certificate, signed.pem().as_bytes(), 0o644)?;
        Ok(Self { issuer: Issuer::new(params, pair), is_new: true })
    }

    /// Keeps a certificate that is good for a while yet and for all of `addresses`; makes it and its key otherwise.
    fn ensure(
        &self,
        certificate: &Path,
        key: &Path,
        params: &CertificateParams,
        addresses: &[IpAddr],
    ) -> Result<(), PkiError> {
        let kept = !self.is_new && certificate.exists() && key.exists() && is_good(certificate, addresses)?;
        if kept { key_pair(key).map(drop) } else { self.issue(certificate, key, params) }
    }

    fn issue(&self, certificate: &Path, key: &Path, params: &CertificateParams) -> Result<(), PkiError> {
        let pair = generate(key)?;
        let signed = params.signed_by(&pair, &self.issuer);
        let signed = signed.map_err(|e| unusable(certificate, e))?;
        write(key, pair.serialize_pem().as_bytes(), 0o600)?;
        write(certificate, signed.pem().as_bytes(), 0o644)
    }
}

fn serving(names: &Names) -> CertificateParams {
    let mut params = params("pintle-apiserver", None, LEAF_DAYS);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let dns = names.dns.iter().filter_map(|name| Some(SanType::DnsName(name.as_str().try_into().ok()?)));
    params.subject_alt_names = dns.chain(names.addresses.iter().copied().map(SanType::IpAddress)).collect();
    params
}

fn client(user: &str, group: &str) -> CertificateParams {
    let mut params = params(user, Some(group), LEAF_DAYS);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn params(name: &str, group: Option<&str>, days: i64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if let Some(group) = group {
        params.distinguished_name.push(DnType::OrganizationName, group);
    }
    params.distinguished_name.push(DnType::CommonName, name);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    let now = time::OffsetDateTime::now_utc();
    // Clocks differ a little between machines.
    params.not_before = now - time::Duration::minutes(5);
    params.not_after = now + time::Duration::days(days);
    params
}

fn generate(path: &Path) -> Result<KeyPair, PkiError> {
    KeyPair::generate().map_err(|e| unusable(path, e))
}

fn key_pair(path: &Path) -> Result<KeyPair, PkiError> {
    KeyPair::from_pem(&read(path)?).map_err(|e| unusable(path, e))
}

/// Whether a certificate need not be made anew yet and names all of `addresses`.
fn is_good(certificate: &Path, addresses: &[IpAddr]) -> Result<bool, PkiError> {
    let text = read(certificate)?;
    let (_, pem) = parse_x509_pem(text.as_bytes()).map_err(|e| unusable(certificate, e))?;
    let parsed = pem.parse_x509().map_err(|e| unusable(certificate, e))?;
    let renewal = time::OffsetDateTime::now_utc() + time::Duration::days(RENEWAL_DAYS);
    let lasts = parsed.validity().not_after.timestamp() > renewal.unix_timestamp();
    let alternatives = parsed.subject_alternative_name().map_err(|e| unusable(certificate, e))?;
    let alternatives = alternatives.map(|extension| extension.value.general_names.as_slice()).unwrap_or_default();
    let named = |address: &IpAddr| {
        let octets = match address {
            IpAddr::V4(address) => address.octets().to_vec(),
            IpAddr::V6(address) => address.octets().to_vec(),
        };
        alternatives.iter().any(|name| matches!(name, GeneralName::IPAddress(bytes) if *bytes == octets))
    };
    Ok(lasts && addresses.iter().all(named))
}

fn unusable(path: &Path, reason: impl std::fmt::Display) -> PkiError {
    PkiError::Unusable { path: path.to_owned(), reason: reason.to_string() }
}

/// A kubeconfig. JSON is YAML, so nothing needs quoting twice.
fn kubeconfig(server: &str, ca: &str, certificate: &str, key: &str) -> String {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{
            "name": "pintle",
            "cluster": { "server": server, "certificate-authority-data": BASE64.encode(ca) },
        }],
        "users": [{
            "name": "kubernetes-admin",
            "user": {
                "client-certificate-data": BASE64.encode(certificate),
                "client-key-data": BASE64.encode(key),
            },
        }],
        "contexts": [{ "name": "pintle", "context": { "cluster": "pintle", "user": "kubernetes-admin" } }],
        "current-context": "pintle",
    });
    format!("{config:#}\n")
}

fn read(path: &Path) -> Result<String, PkiError> {
    fs::read_to_string(path).map_err(|source| PkiError::File { action: "read", path: path.to_owned(), source })
}

/// Writes a file aside and renames it, so that no half-written one is ever read, and its mode is `mode` whatever was there.
fn write(path: &Path, content: &[u8], mode: u32) -> Result<(), PkiError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    let draft = PathBuf::from(draft);
    let write = || {
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(mode).open(&draft)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    };
    write().map_err(|source| PkiError::File { action: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn makes_what_is_missing_and_keeps_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names { dns: vec!["localhost".to_owned()], addresses: vec!["127.0.0.1".parse().unwrap()] };
        let pki = Pki::ensure(dir.path(), &names, "https://127.0.0.1:6443").unwrap();
        let (ca, serving) = (read(&pki.ca).unwrap(), read(&pki.serving_certificate).unwrap());
        Pki::ensure(dir.path(), &names, "https://127.0.0.1:6443").unwrap();
        assert_eq!((read(&pki.ca).unwrap(), read(&pki.serving_certificate).unwrap()), (ca, serving));
        for secret in [&pki.serving_key, &pki.service_account_key, &pki.kubeconfig] {
            assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
        }
        crate::http::tls::server_config(&pki.serving_certificate, &pki.serving_key).unwrap();
    }

    #[test]
    fn a_certificate_is_made_anew_for_a_new_address_or_ca_but_a_ca_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let ensure = |address: &str| {
            let names = Names { dns: vec!["localhost".to_owned()], addresses: vec![address.parse().unwrap()] };
            Pki::ensure(dir.path(), &names, "https://127.0.0.1:6443")
        };
        let pki = ensure("127.0.0.1").unwrap();
        let first = read(&pki.serving_certificate).unwrap();
        ensure("10.1.2.3").unwrap();
        let second = read(&pki.serving_certificate).unwrap();
        assert_ne!(first, second);
        fs::remove_file(dir.path().join("pki/ca.key")).unwrap();
        let error = ensure("10.1.2.3").err().unwrap().to_string();
        assert!(error.contains("ca.key is missing"), "{error}");
        fs::remove_file(&pki.ca).unwrap();
        ensure("10.1.2.3").unwrap();
        assert_ne!(read(&pki.serving_certificate).unwrap(), second);
    }

    #[test]
    fn an_unreadable_key_is_named_with_a_remedy() {
        let dir = tempfile::tempdir().unwrap();
        let names = Names { dns: Vec::new(), addresses: Vec::new() };
        let pki = Pki::ensure(dir.path(), &names, "https://127.0.0.1:6443").unwrap();
        fs::write(dir.path().join("pki/ca.key"), "garbage").unwrap();
        fs::remove_file(&pki.serving_key).unwrap();
        let error = Pki::ensure(dir.path(), &names, "https://127.0.0.1:6443").err().unwrap().to_string();
        assert!(error.contains("ca.key") && error.contains("remove the pki directory"), "{error}");
    }
}
