//! Certificates: who is let in, by what, and what happens when files change.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use pintle_store::tls::{ClientTls, Protocols, TlsSettings, TlsVersion};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
    date_time_ymd,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};
use tempfile::TempDir;

use crate::program::{Program, refusal};

const PATIENCE: Duration = Duration::from_secs(60);

/// A certificate and its key, as files.
#[derive(Clone)]
struct Identity {
    certificate: PathBuf,
    key: PathBuf,
}

/// What is written into a certificate.
struct Subject<'a> {
    name: &'a str,
    hosts: &'a [&'a str],
    serial: u64,
    last_year: i32,
}

impl<'a> Subject<'a> {
    fn new(name: &'a str, hosts: &'a [&'a str]) -> Self {
        Self { name, hosts, serial: 7, last_year: 2200 }
    }
}

/// An authority, and where it leaves what it makes.
struct Authority {
    directory: PathBuf,
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(directory: &Path, name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let file = directory.join(format!("{name}.ca"));
        fs::write(&file, params.self_signed(&key).unwrap().pem()).unwrap();
        Self { directory: directory.to_owned(), file, issuer: Issuer::new(params, key) }
    }

    fn issue(&self, subject: &Subject<'_>) -> Identity {
        let hosts: Vec<String> = subject.hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, subject.name);
        params.serial_number = Some(SerialNumber::from(subject.serial));
        params.not_after = date_time_ymd(subject.last_year, 1, 1);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let identity = Identity {
            certificate: self.directory.join(format!("{}.crt", subject.name)),
            key: self.directory.join(format!("{}.key", subject.name)),
        };
        fs::write(&identity.certificate, certificate).unwrap();
        fs::write(&identity.key, key.serialize_pem()).unwrap();
        identity
    }

    /// Writes a list of revoked serial numbers.
    fn revoke(&self, file: &Path, serials: &[u64], pem: bool) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(2200, 1, 1),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).unwrap();
        let bytes = if pem { list.pem().unwrap().into_bytes() } else { list.der().to_vec() };
        // Moved into place, so that no half of it is ever read.
        let draft = file.with_extension("new");
        fs::write(&draft, bytes).unwrap();
        fs::rename(&draft, file).unwrap();
    }
}

/// What a client trusts and shows.
fn client(authority: &Authority, shown: Option<&Identity>) -> TlsSettings {
    TlsSettings {
        trusted_ca_file: Some(authority.file.clone()),
        cert_file: shown.map(|identity| identity.certificate.clone()),
        key_file: shown.map(|identity| identity.key.clone()),
        ..TlsSettings::default()
    }
}

/// Asks for the server's version; the answer's body, or why there is none.
fn ask(address: &str, settings: &TlsSettings) -> Result<String, String> {
    let mut config = (*ClientTls::load(settings).unwrap().current()).clone();
    config.alpn_protocols.clear();
    let host = ServerName::try_from(address.rsplit_once(':').unwrap().0.to_owned()).unwrap();
    let connection = ClientConnection::new(Arc::new(config), host).map_err(|error| error.to_string())?;
    let socket = TcpStream::connect(address).map_err(|error| error.to_string())?;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(connection, socket);
    let request = format!("GET /version HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(|error| error.to_string())?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).ok_or_else(|| format!("answered {answer:?}"))
}

fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}

fn flag(name: &str, file: &Path) -> String {
    format!("--{name}={}", file.display())
}

/// Starts it on https with a certificate.
fn start(directory: &Path, server: &Identity, more: &[String]) -> Program {
    let mut arguments = vec![
        "--listen-client-urls=https://127.0.0.1:0".to_owned(),
        flag("cert-file", &server.certificate),
        flag("key-file", &server.key),
    ];
    arguments.extend_from_slice(more);
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Program::start(directory, &arguments)
}

#[test]
fn clients_are_let_in_by_their_certificates() {
    let root = TempDir::new().unwrap();
    let (ours, theirs) = (Authority::new(root.path(), "ours"), Authority::new(root.path(), "theirs"));
    let server = ours.issue(&Subject::new("server", &["127.0.0.1"]));
    let revoked = root.path().join("revoked");
    ours.revoke(&revoked, &[66], false);
    let access = [
        flag("trusted-ca-file", &ours.file),
        flag("client-crl-file", &revoked),
        "--client-cert-auth".to_owned(),
        "--client-cert-allowed-hostname=good.example,other.example".to_owned(),
    ];
    let program = start(root.path(), &server, &access);
    let ask = |shown: Option<&Identity>| ask(&program.address, &client(&ours, shown));
    let refused = |shown: Option<&Identity>, why: &str| {
        let answer = ask(shown);
        assert!(answer.as_ref().is_err_and(|error| error.contains(why)), "{why}: {answer:?}");
    };
    let hosts = ["good.example"];
    let good = ours.issue(&Subject::new("good", &hosts));
    assert!(ask(Some(&good)).unwrap().contains("etcdserver"));
    refused(None, "CertificateRequired");
    refused(Some(&theirs.issue(&Subject::new("stranger", &hosts))), "UnknownCA");
    refused(Some(&ours.issue(&Subject { serial: 66, ..Subject::new("thief", &hosts) })), "CertificateRevoked");
    refused(Some(&ours.issue(&Subject { last_year: 2021, ..Subject::new("old", &hosts) })), "CertificateExpired");
    refused(Some(&ours.issue(&Subject::new("wrong", &["bad.example"]))), "AccessDenied");
    // The list is read anew with the next handshake, here in the other form.
    ours.revoke(&revoked, &[66, 7], true);
    eventually("a certificate that was revoked is refused", || ask(Some(&good)).is_err());
}

#[test]
fn names_can_be_asked_for() {
    let root = TempDir::new().unwrap();
    let ours = Authority::new(root.path(), "ours");
    let server = ours.issue(&Subject::new("server", &["127.0.0.1"]));
    let access = [flag("trusted-ca-file", &ours.file), "--client-cert-allowed-cn=ann,bob".to_owned()];
    let program = start(root.path(), &server, &access);
    let ask = |name: &str| ask(&program.address, &client(&ours, Some(&ours.issue(&Subject::new(name, &[])))));
    assert!(ask("bob").is_ok());
    assert!(ask("eve").is_err());
}

#[test]
fn certificates_are_renewed_without_a_restart() {
    let root = TempDir::new().unwrap();
    let (old, new) = (Authority::new(root.path(), "old"), Authority::new(root.path(), "new"));
    let server = old.issue(&Subject::new("server", &["127.0.0.1"]));
    let program = start(root.path(), &server, &[]);
    assert!(ask(&program.address, &client(&old, None)).is_ok());
    assert!(ask(&program.address, &client(&new, None)).is_err());
    // A moment at which certificate and key do not belong together leaves the old pair.
    fs::write(&server.key, "none").unwrap();
    assert!(ask(&program.address, &client(&old, None)).is_ok());
    new.issue(&Subject::new("server", &["127.0.0.1"]));
    eventually("the new certificate is shown", || ask(&program.address, &client(&new, None)).is_ok());
}

#[test]
fn versions_and_ciphers_are_as_told() {
    let root = TempDir::new().unwrap();
    let ours = Authority::new(root.path(), "ours");
    let server = ours.issue(&Subject::new("server", &["127.0.0.1"]));
    let speaking = |min, max| {
        let protocols = Protocols { min, max, ..Protocols::default() };
        TlsSettings { protocols, ..client(&ours, None) }
    };
    let (old, new) = (speaking(TlsVersion::V12, TlsVersion::V12), speaking(TlsVersion::V13, TlsVersion::V13));
    let program = start(&root.path().join("a"), &server, &["--tls-min-version=TLS1.3".to_owned()]);
    assert!(ask(&program.address, &new).is_ok() && ask(&program.address, &old).is_err());
    let rsa_only = ["--cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned()];
    let program = start(&root.path().join("b"), &server, &rsa_only);
    assert!(ask(&program.address, &new).is_ok(), "TLS 1.3 has suites of its own");
    assert!(ask(&program.address, &old).is_err(), "the certificate is not RSA's");
    let program = start(&root.path().join("c"), &server, &["--tls-max-version=TLS1.2".to_owned()]);
    assert!(ask(&program.address, &old).is_ok() && ask(&program.address, &new).is_err());
}

#[test]
fn a_certificate_is_made_when_asked_for() {
    let root = TempDir::new().unwrap();
    let start = || Program::start(root.path(), &["--listen-client-urls=https://127.0.0.1:0", "--auto-tls"]);
    let program = start();
    let fixtures = root.path().join("data/fixtures/client");
    let key = fixtures.join("key.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let anyone = TlsSettings { self_signed: true, ..TlsSettings::default() };
    assert!(ask(&program.address, &anyone).is_ok());
    let made = fs::read(fixtures.join("cert.pem")).unwrap();
    assert!(!program.said.contains("PRIVATE"));
    drop(program);
    assert!(ask(&start().address, &anyone).is_ok());
    assert_eq!(fs::read(fixtures.join("cert.pem")).unwrap(), made, "made once");
}

#[test]
fn what_cannot_be_used_is_one_line() {
    let root = TempDir::new().unwrap();
    let ours = Authority::new(root.path(), "ours");
    let [server, other] = ["server", "other"].map(|name| ours.issue(&Subject::new(name, &["127.0.0.1"])));
    let refused = |certificate: &Path, key: &Path, more: &str| {
        let (certificate, key) = (flag("cert-file", certificate), flag("key-file", key));
        refusal(root.path(), &["--listen-client-urls=https://127.0.0.1:0", &certificate, &key, more])
    };
    let nowhere = Path::new("/no/such/file");
    assert!(refused(nowhere, &server.key, "--name=a").contains("/no/such/file"));
    assert!(refused(&server.key, &server.key, "--name=a").contains("has no certificate in PEM form"));
    assert!(refused(&server.certificate, &other.key, "--name=a").contains("does not fit"));
    assert!(refused(&server.certificate, &server.key, "--client-cert-auth").contains("--trusted-ca-file"));
    let ca = flag("trusted-ca-file", &ours.file);
    let crl = flag("client-crl-file", &server.certificate);
    let arguments = [flag("cert-file", &server.certificate), flag("key-file", &server.key), ca, crl];
    let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    arguments.push("--listen-client-urls=https://127.0.0.1:0");
    assert!(refusal(root.path(), &arguments).contains("revocation list"));
    assert!(!root.path().join("data/format").exists(), "nothing was touched");
}

/// The real etcdctl, if the machine has one; the other tests must do without it, but never in CI.
#[test]
fn etcdctl_works_with_certificates() {
    if Command::new("etcdctl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "there is no etcdctl on PATH; run the tests with `make test`");
        return;
    }
    let root = TempDir::new().unwrap();
    let ours = Authority::new(root.path(), "ours");
    let server = ours.issue(&Subject::new("server", &["127.0.0.1"]));
    let user = ours.issue(&Subject::new("user", &[]));
    let program = start(root.path(), &server, &[flag("trusted-ca-file", &ours.file), "--client-cert-auth".to_owned()]);
    let etcdctl = |shown: bool, arguments: &[&str]| {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints=https://{}", program.address));
        command.arg(flag("cacert", &ours.file)).arg("--command-timeout=10s").arg("--dial-timeout=5s");
        if shown {
            command.arg(flag("cert", &user.certificate)).arg(flag("key", &user.key));
        }
        command.args(arguments).output().unwrap()
    };
    assert_eq!(etcdctl(true, &["put", "a", "1"]).stdout, b"OK\n");
    assert_eq!(etcdctl(true, &["get", "a"]).stdout, b"a\n1\n");
    assert!(!etcdctl(false, &["get", "a"]).status.success());
}
