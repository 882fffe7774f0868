//! `pintle-apiserver` as a process: its flags, its start and its end, its files, and whom it lets in.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt as _;
use pintle_proto::etcdserverpb::RangeRequest;
use pintle_proto::etcdserverpb::kv_client::KvClient;
use pintle_store::http::{Listener, ServerSettings, serve};
use pintle_store::{Store, StoreConfig};
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, Issuer, KeyPair};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};

use super::server::{Client, Server};

const PATIENCE: Duration = Duration::from_secs(20);
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn config_map(name: &str) -> Value {
    json!({ "metadata": { "name": name }, "data": { "count": "0" } })
}

/// Runs the binary, expecting that it refuses to start, and returns its only line.
#[track_caller]
fn refusal(arguments: &[&str]) -> String {
    let mut child = Command::new(env!("CARGO_BIN_EXE_pintle-apiserver"))
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{arguments:?} was not refused");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    said
}

#[test]
fn flags_that_do_not_parse_are_refused_with_a_hint() {
    for (arguments, hints) in [
        (&["--nonsense"][..], &["'--nonsense'", "--help"][..]),
        (&["--bind-adress=::1"], &["'--bind-address'"]),
        (&["--secure-port=many"], &["'many'", "--secure-port"]),
        (&["--tls-cert-file=a"], &["--tls-private-key-file"]),
        (&["--service-cluster-ip-range=10.0.0.0"], &["10.0.0.0/24"]),
    ] {
        let line = refusal(arguments);
        assert!(hints.iter().all(|hint| line.contains(hint)), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_use_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let kubeconfig = fs::read(server.kubeconfig()).unwrap();
    let path = dir.path().to_str().unwrap();
    let line = refusal(&["--data-dir", path, "--secure-port=0"]);
    assert!(line.contains("is in use: stop the process"), "{line}");
    assert_eq!(fs::read(server.kubeconfig()).unwrap(), kubeconfig);

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let other = tempfile::tempdir().unwrap();
    let line = refusal(&["--data-dir", other.path().to_str().unwrap(), "--secure-port", &port]);
    assert!(line.contains(&port) && line.contains("choose another --secure-port"), "{line}");
    assert_eq!(server.client().json("GET", "/readyz", None).await.0, 200);
}

#[test]
fn a_damaged_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Server::start(dir.path(), &[]).terminate());
    let arguments =
        ["--secure-port=0", "--data-dir", dir.path().to_str().unwrap(), "--token-auth-file"].map(str::to_owned);
    let tokens = dir.path().join("tokens.csv");
    let check = |file: &str| {
        let path = dir.path().join(file);
        let content = fs::read(&path).unwrap();
        fs::write(&path, "garbage").unwrap();
        let mut arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        arguments.push(tokens.to_str().unwrap());
        let line = refusal(&arguments);
        assert!(line.contains(file), "{file}: {line}");
        fs::write(&path, content).unwrap();
    };
    for file in ["ca.crt", "ca.key", "apiserver.crt", "apiserver.key", "admin.crt", "admin.key", "sa.key"] {
        check(&format!("pki/{file}"));
    }
    check("tokens.csv");
    let missing = refusal(&["--secure-port=0", "--data-dir", dir.path().to_str().unwrap(), "--token-auth-file=/none"]);
    assert!(missing.contains("/none"), "{missing}");
    for (file, said) in [("store/format", "format"), ("store/raft/CURRENT", "raft"), ("store/state/CURRENT", "state")] {
        let path = dir.path().join(file);
        let content = fs::read(&path).unwrap();
        fs::write(&path, "garbage").unwrap();
        let line = refusal(&["--secure-port=0", "--data-dir", dir.path().to_str().unwrap()]);
        assert!(line.contains(said) && line.contains(dir.path().to_str().unwrap()), "{line}");
        fs::write(&path, content).unwrap();
    }
    assert!(Server::start(dir.path(), &[]).terminate(), "nothing was harmed");
}

#[test]
fn secrets_are_the_owners_alone() {
    let dir = tempfile::tempdir().unwrap();
    let _server = Server::start(dir.path(), &[]);
    for file in
        ["pki/ca.key", "pki/apiserver.key", "pki/admin.key", "pki/sa.key", "admin.kubeconfig", "store/etcd.sock"]
    {
        let mode = fs::metadata(dir.path().join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    let store = fs::metadata(dir.path().join("store")).unwrap().permissions().mode();
    assert_eq!(store & 0o777, 0o700);
}

#[test]
fn flags_without_effect_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &["--authorization-mode", "Node,RBAC", "--profiling=false"]);
    let log = server.log();
    assert!(log.contains("--authorization-mode") && log.contains("--profiling"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_end_it_at_once_though_clients_watch() {
    for signal in ["-TERM", "-INT"] {
        let dir = tempfile::tempdir().unwrap();
        let mut server = Server::start(dir.path(), &[]);
        let client = server.client();
        let mut watch = client.send("GET", &format!("{CONFIG_MAPS}?watch=1"), &admin(), Bytes::new()).await;
        assert_eq!(client.json("POST", CONFIG_MAPS, Some(config_map("seen"))).await.0, 201);
        let event = watch.body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(event.starts_with(b"{\"type\":\"ADDED\""), "{event:?}");
        let asked = Instant::now();
        assert!(server.signal(signal), "{signal}");
        assert!(asked.elapsed() < Duration::from_secs(5), "{signal} took {:?}", asked.elapsed());
        assert!(watch.body.frame().await.is_none(), "the watch ended in order");
        assert_eq!(server.log(), "", "nothing to warn of");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Server::start(dir.path(), &[]);
    let mut kept = Vec::new();
    for round in 0..3 {
        let client = server.client();
        let creates = (0..8).map(|i| {
            let (client, name) = (client.clone(), format!("object-{round}-{i}"));
            tokio::spawn(async move { (client.json("POST", CONFIG_MAPS, Some(config_map(&name))).await, name) })
        });
        for create in creates.collect::<Vec<_>>() {
            let ((code, object), name) = create.await.unwrap();
            assert_eq!(code, 201, "{object}");
            kept.push((name, object));
        }
        server.kill();
        server = Server::start(dir.path(), &[]);
    }
    let client = server.client();
    for (name, created) in kept {
        assert_eq!(client.json("GET", &format!("{CONFIG_MAPS}/{name}"), None).await, (200, created));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_inside_is_etcd_on_a_socket() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    assert_eq!(server.client().json("POST", CONFIG_MAPS, Some(config_map("web"))).await.0, 201);
    let address = format!("unix:{}", dir.path().join("store/etcd.sock").display());
    expect_stored(address).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_outside_serves_as_well() {
    let (stored, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = Store::open(StoreConfig::embedded(stored.path())).await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let outside = serve(&store, Listener::Tcp(listener), None, ServerSettings::of(&store));

    let mut server = Server::start(dir.path(), &["--etcd-servers", &address]);
    let client = server.client();
    let (code, created) = client.json("POST", CONFIG_MAPS, Some(config_map("web"))).await;
    assert_eq!(code, 201, "{created}");
    let mut changed = created.clone();
    changed["data"]["count"] = "1".into();
    assert_eq!(client.json("PUT", &format!("{CONFIG_MAPS}/web"), Some(changed)).await.0, 200);
    assert_eq!(client.json("PUT", &format!("{CONFIG_MAPS}/web"), Some(created)).await.0, 409);
    expect_stored(address).await;
    assert!(!dir.path().join("store").exists());
    assert_eq!(client.json("GET", "/readyz", None).await.0, 200);

    // Without its store it is alive but not ready.
    outside.shutdown().await;
    let deadline = Instant::now() + PATIENCE;
    while client.json("GET", "/readyz", None).await.0 == 200 {
        assert!(Instant::now() < deadline, "still ready without a store");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(client.json("GET", "/livez/ping", None).await.0, 200);
    assert!(server.terminate());
}

/// Finds the config map `web` in the store at `address`, in Kubernetes' key and encoding.
async fn expect_stored(address: String) {
    let mut kv = KvClient::connect(address).await.unwrap();
    let all = RangeRequest { key: b"/".to_vec().into(), range_end: b"0".to_vec().into(), ..RangeRequest::default() };
    let found = kv.range(all).await.unwrap().into_inner().kvs;
    assert!(found.iter().all(|pair| pair.key.starts_with(b"/registry/")));
    let web = found.iter().find(|pair| pair.key.as_ref() as &[u8] == b"/registry/configmaps/default/web").unwrap();
    assert!(web.value.starts_with(b"k8s\0"));
}

fn admin() -> [(String, String); 1] {
    bearer("admin-token")
}

fn bearer(token: &str) -> [(String, String); 1] {
    [("authorization".to_owned(), format!("Bearer {token}"))]
}

/// The code and the JSON body of the answer to a GET with these headers.
async fn get(client: &Client, path: &str, headers: &[(String, String)]) -> (u16, Value) {
    let response = client.send("GET", path, headers, Bytes::new()).await;
    let code = response.code;
    (code, serde_json::from_slice(&response.bytes().await).unwrap_or_default())
}

fn load(directory: &Path, name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let file = |suffix: &str| directory.join("pki").join(format!("{name}.{suffix}"));
    (vec![CertificateDer::from_pem_file(file("crt")).unwrap()], PrivateKeyDer::from_pem_file(file("key")).unwrap())
}

/// A client certificate of the CA in `directory`, valid between two years.
fn issue(directory: &Path, years: std::ops::Range<i32>) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let read = |name: &str| fs::read_to_string(directory.join("pki").join(name)).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.crt"), KeyPair::from_pem(&read("ca.key")).unwrap()).unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::OrganizationName, "system:masters");
    params.distinguished_name.push(DnType::CommonName, "late");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
    params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    (vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_and_tokens_identify() {
    let (dir, stranger) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let server = Server::start(dir.path(), &[]);
    drop(Server::start(stranger.path(), &[]));
    let none: &[(String, String)] = &[];

    let (chain, key) = load(dir.path(), "admin");
    assert_eq!(get(&server.client_showing(chain, key), CONFIG_MAPS, none).await.0, 200);
    let (chain, key) = issue(dir.path(), 2020..2100);
    assert_eq!(get(&server.client_showing(chain, key), CONFIG_MAPS, none).await.0, 200);
    let (chain, key) = issue(dir.path(), 2020..2021);
    let expired = server.client_showing(chain, key);
    let (chain, key) = load(stranger.path(), "admin");
    let foreign = server.client_showing(chain, key);
    let unauthorized = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
    });
    for client in [&expired, &foreign] {
        for path in [CONFIG_MAPS, "/healthz"] {
            assert_eq!(get(client, path, none).await, (401, unauthorized.clone()));
        }
        // Another authenticator may still know the caller.
        assert_eq!(get(client, CONFIG_MAPS, &admin()).await.0, 200);
    }
    let client = server.client();
    assert_eq!(get(&client, "/version", &bearer("wrong")).await, (401, unauthorized));
    assert_eq!(get(&client, CONFIG_MAPS, &admin()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn others_are_refused_in_kubernetes_words() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let client = server.client();
    for path in ["/healthz", "/livez", "/readyz", "/readyz/etcd", "/version"] {
        assert_eq!(get(&client, path, &[]).await.0, 200, "{path}");
    }
    for (path, user, headers, message) in [
        ("/metrics", "system:anonymous", &[][..], "cannot get path \"/metrics\""),
        ("/api", "system:anonymous", &[], "cannot get path \"/api\""),
        (
            CONFIG_MAPS,
            "alice",
            &bearer("alice-token"),
            "cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\"",
        ),
        (
            "/apis/apps/v1/deployments",
            "alice",
            &bearer("alice-token"),
            "cannot list resource \"deployments\" in API group \"apps\" at the cluster scope",
        ),
    ] {
        let (code, status) = get(&client, path, headers).await;
        let said = status["message"].as_str().unwrap_or_default();
        assert_eq!(code, 403, "{path}");
        assert!(said.ends_with(&format!("forbidden: User \"{user}\" {message}")), "{said}");
        assert_eq!(status["reason"], "Forbidden");
    }
    assert_eq!(get(&client, "/metrics/none", &admin()).await.0, 404);
    assert_eq!(get(&client, "/nothing", &admin()).await.0, 404);

    let dir = tempfile::tempdir().unwrap();
    let closed = Server::start(dir.path(), &["--anonymous-auth=false"]);
    assert_eq!(get(&closed.client(), "/healthz", &[]).await.0, 401);
    assert_eq!(get(&closed.client(), "/healthz", &admin()).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_at_once_lose_nothing() {
    const WRITERS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let client = server.client();
    let creates: Vec<_> = (0..WRITERS)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.json("POST", CONFIG_MAPS, Some(config_map("counter"))).await.0 })
        })
        .collect();
    let mut codes = Vec::new();
    for create in creates {
        codes.push(create.await.unwrap());
    }
    codes.sort_unstable();
    assert_eq!((codes[0], &codes[1..]), (201, vec![409; WRITERS - 1].as_slice()));

    let increments: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(increment(client.clone()))).collect();
    for increment in increments {
        increment.await.unwrap();
    }
    let (_, counter) = client.json("GET", &format!("{CONFIG_MAPS}/counter"), None).await;
    assert_eq!(counter["data"]["count"], WRITERS.to_string());
}

/// Adds one to the counter, anew until nobody came in between.
async fn increment(client: Client) {
    let path = format!("{CONFIG_MAPS}/counter");
    let deadline = Instant::now() + 3 * PATIENCE;
    loop {
        let (_, mut counter) = client.json("GET", &path, None).await;
        let count: usize = counter["data"]["count"].as_str().unwrap().parse().unwrap();
        counter["data"]["count"] = (count + 1).to_string().into();
        match client.json("PUT", &path, Some(counter)).await.0 {
            200 => return,
            409 => assert!(Instant::now() < deadline, "no chance to write"),
            code => panic!("answered with {code}"),
        }
    }
}
