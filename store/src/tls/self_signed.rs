//! Certificates that the server makes for itself (`--auto-tls`, `--peer-auto-tls`).

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType,
};

use super::files::TlsError;
use super::settings::TlsSettings;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The settings with a certificate for `hosts` (names or addresses) in `directory`, made if it is not there yet. Its key
/// is readable by this user alone.
///
/// # Errors
/// When it cannot be made or written.
pub fn self_signed(
    settings: TlsSettings,
    directory: &Path,
    hosts: &[String],
    validity_years: u32,
) -> Result<TlsSettings, TlsError> {
    let (cert_file, key_file) = (directory.join("cert.pem"), directory.join("key.pem"));
    if !(cert_file.exists() && key_file.exists()) {
        let made = make(hosts, validity_years).map_err(|cause| TlsError::Config(cause.to_string()))?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|cause| TlsError::file(directory, cause))?;
        for (file, text) in [(&key_file, made.key_pem), (&cert_file, made.certificate_pem)] {
            write_private(file, &text).map_err(|cause| TlsError::file(file, cause))?;
        }
    }
    Ok(TlsSettings { cert_file: Some(cert_file), key_file: Some(key_file), self_signed: true, ..settings })
}

struct Made {
    certificate_pem: String,
    key_pem: String,
}

fn make(hosts: &[String], validity_years: u32) -> Result<Made, rcgen::Error> {
    let mut params = CertificateParams::default();
    for host in hosts {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        params.subject_alt_names.push(match bare.parse() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.as_str().try_into()?),
        });
    }
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "etcd");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    // A clock that is behind must not find the certificate too young.
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + DAY * 365 * validity_years;
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    Ok(Made { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() })
}

fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::super::{ClientTls, ServerTls};
    use super::*;

    #[test]
    fn a_certificate_is_made_once_and_its_key_is_private() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("fixtures/client");
        let hosts = ["127.0.0.1".to_owned(), "[::1]".to_owned(), "localhost".to_owned()];
        let make = || self_signed(TlsSettings::default(), &directory, &hosts, 1).unwrap();
        let settings = make();
        let key = directory.join("key.pem");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let first = fs::read(&key).unwrap();
        ServerTls::load(&make()).unwrap();
        ClientTls::load(&settings).unwrap();
        assert_eq!(fs::read(&key).unwrap(), first, "made anew");
    }
}
