//! Users and roles by the real etcdctl: with passwords, signed tokens and certificates.

use std::path::Path;
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::program::{Program, has_etcdctl};

/// etcdctl, aimed at a program.
struct Etcdctl {
    arguments: Vec<String>,
}

impl Etcdctl {
    fn new(endpoints: &str) -> Self {
        Self { arguments: vec![format!("--endpoints={endpoints}")] }
    }

    /// The same with more flags.
    fn with(&self, flags: &[&str]) -> Self {
        Self { arguments: self.arguments.iter().cloned().chain(flags.iter().map(ToString::to_string)).collect() }
    }

    /// What it says, and whether it succeeded.
    fn run(&self, command: &str) -> (bool, String) {
        let arguments = self.arguments.iter().map(String::as_str).chain(command.split(' '));
        let output = Command::new("etcdctl").env("ETCDCTL_API", "3").args(arguments).output().unwrap();
        let said = if output.status.success() { output.stdout } else { output.stderr };
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn succeeds(&self, command: &str) -> String {
        let (succeeded, said) = self.run(command);
        assert!(succeeded, "{command}: {said}");
        said
    }

    fn fails(&self, command: &str, reason: &str) {
        let (succeeded, said) = self.run(command);
        assert!(!succeeded && said.contains(reason), "{command}: {said}");
    }
}

/// root, ann who has the role r, and authentication on.
fn set_up(etcdctl: &Etcdctl) {
    for command in [
        "user add root:secret",
        "user add ann:pw",
        "role add r",
        "role grant-permission r readwrite a b",
        "role grant-permission r --prefix=true read p/",
        "user grant-role root root",
        "user grant-role ann r",
        "auth enable",
    ] {
        etcdctl.succeeds(command);
    }
}

fn use_it(etcdctl: &Etcdctl) {
    let (root, ann) = (etcdctl.with(&["--user=root:secret"]), etcdctl.with(&["--user=ann:pw"]));
    assert_eq!(ann.succeeds("put a 1"), "OK\n");
    assert_eq!(ann.succeeds("get a"), "a\n1\n");
    ann.fails("put p/x 1", "etcdserver: permission denied");
    ann.fails("get a c", "etcdserver: permission denied");
    assert_eq!(ann.succeeds("get p/ --prefix"), "");
    etcdctl.fails("get a", "etcdserver: user name is empty");
    etcdctl.with(&["--user=ann:no"]).fails("get a", "authentication failed, invalid user ID or password");
    ann.fails("user list", "etcdserver: permission denied");
    assert!(ann.succeeds("user get ann").contains("Roles: r"));
    assert_eq!(root.succeeds("user list"), "ann\nroot\n");
    assert_eq!(root.succeeds("role list"), "r\n");
    let role = root.succeeds("role get r");
    assert!(role.contains("[a, b)") && role.contains("p/"), "{role}");
    root.succeeds("role revoke-permission r a b");
    ann.fails("get a", "etcdserver: permission denied");
    root.succeeds("user revoke-role ann r");
    root.succeeds("role delete r");
    assert!(root.succeeds("auth status").contains("Authentication Status: true"));
    root.succeeds("user delete ann");
    root.fails("user delete root", "invalid auth management");
    root.succeeds("auth disable");
    assert_eq!(etcdctl.succeeds("get a"), "a\n1\n");
}

#[test]
fn with_passwords_and_simple_tokens() {
    if !has_etcdctl() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let program = Program::start(directory.path(), &["--bcrypt-cost=4"]);
    let etcdctl = Etcdctl::new(&program.address);
    set_up(&etcdctl);
    use_it(&etcdctl);
}

#[tokio::test(flavor = "multi_thread")]
async fn on_three_nodes() {
    if !has_etcdctl() {
        return;
    }
    let cluster = Cluster::start_with(3, &["--bcrypt-cost=4"]);
    for member in 0..3 {
        drop(cluster.client(member).await);
    }
    // Every command goes to whichever node; what one did, the next one knows.
    let endpoints: Vec<String> = (0..3).map(|member| cluster.client_url(member)).collect();
    let etcdctl = Etcdctl::new(&endpoints.join(","));
    set_up(&etcdctl);
    use_it(&etcdctl);
}

#[test]
fn with_signed_tokens() {
    if !has_etcdctl() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let keys = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/jwt");
    let tokens = format!("--auth-token=jwt,pub-key={keys}/p256.pub.pem,priv-key={keys}/p256.pem,sign-method=ES256");
    let program = Program::start(directory.path(), &["--bcrypt-cost=4", &tokens]);
    let etcdctl = Etcdctl::new(&program.address);
    set_up(&etcdctl);
    use_it(&etcdctl);
}

/// Certificates of one authority: the server's, ann's and root's, in files.
fn make_certificates(directory: &Path) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(directory.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let authority = Issuer::new(params, key);
    for name in ["server", "ann", "root"] {
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        std::fs::write(directory.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

#[test]
fn with_certificates() {
    if !has_etcdctl() {
        return;
    }
    let directory = TempDir::new().unwrap();
    make_certificates(directory.path());
    let file = |flag: &str, name: &str| format!("--{flag}={}", directory.path().join(name).display());
    let program = Program::start(
        directory.path(),
        &[
            "--bcrypt-cost=4",
            "--listen-client-urls=https://127.0.0.1:0",
            "--client-cert-auth",
            &file("cert-file", "server.pem"),
            &file("key-file", "server.key"),
            &file("trusted-ca-file", "ca.pem"),
        ],
    );
    let anyone = Etcdctl::new(&program.address).with(&[&file("cacert", "ca.pem")]);
    let named = |name: &str| {
        let (certificate, key) = (format!("{name}.pem"), format!("{name}.key"));
        anyone.with(&[&file("cert", &certificate), &file("key", &key)])
    };
    let (root, ann) = (named("root"), named("ann"));
    set_up(&root);
    assert_eq!(ann.succeeds("put a 1"), "OK\n");
    ann.fails("put b 1", "etcdserver: permission denied");
    // A token counts for more than a certificate.
    assert_eq!(ann.with(&["--user=root:secret"]).succeeds("put b 1"), "OK\n");
    assert_eq!(root.succeeds("user list"), "ann\nroot\n");
    // Whoever is no user may do nothing.
    named("server").fails("get a", "etcdserver: permission denied");
    root.succeeds("user delete ann");
    ann.fails("get a", "etcdserver: permission denied");
}
