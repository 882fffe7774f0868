//! What attackers send. The server answers with a clear `Status` or closes the connection; it never panics, and never lets one
//! client hold up another.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::timeout;

use super::server::{Client, Server};

/// An answer must come within this time, whatever is asked.
const PATIENCE: Duration = Duration::from_secs(20);
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A server that must survive the test unharmed.
struct Victim {
    server: Server,
    client: Client,
    _directory: tempfile::TempDir,
}

impl Victim {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let server = Server::start(directory.path(), &[]);
        Self { client: server.client(), server, _directory: directory }
    }

    /// The code and the Status (or object) that a request as the administrator is answered with.
    async fn ask(&self, method: &str, path: &str, content_type: &str, body: impl Into<Bytes>) -> (u16, Value) {
        let headers = [("authorization", "Bearer admin-token"), ("content-type", content_type)];
        let headers = headers.map(|(k, v)| (k.to_owned(), v.to_owned()));
        let answer = timeout(PATIENCE, async {
            let response = self.client.send(method, path, &headers, body.into()).await;
            (response.code, response.bytes().await)
        });
        let (code, bytes) = answer.await.unwrap_or_else(|_| panic!("{method} {path} was not answered"));
        (code, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Expects a Status with this code.
    #[track_caller]
    fn refuses(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: impl Into<Bytes>,
        want: u16,
    ) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        let (method, path, content_type, body) =
            (method.to_owned(), path.to_owned(), content_type.to_owned(), body.into());
        async move {
            let (code, status) = self.ask(&method, &path, &content_type, body).await;
            let shown: String = format!("{caller}: {method} {path}: {code} {status}").chars().take(500).collect();
            assert_eq!((code, &status["kind"], &status["code"]), (want, &json!("Status"), &json!(want)), "{shown}");
            status["message"].as_str().unwrap().to_owned()
        }
    }

    /// Sends bytes over a connection and reads until the server closes it.
    async fn send_raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.client.connect(&[]).await;
        // The server may close before it has read everything, which breaks the write or the read.
        let _ = stream.write_all(bytes).await;
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection stayed open").ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Expects that the server still serves others, and that nothing broke inside.
    async fn is_well(&self) {
        assert_eq!(self.ask("GET", "/readyz", JSON, "").await.0, 200);
        assert_eq!(self.ask("GET", CONFIG_MAPS, JSON, "").await.0, 200);
        let log = self.server.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn large_bodies() {
    let victim = Victim::start();
    let body = format!("{{\"data\":{{\"a\":\"{}\"}}}}", "x".repeat(3 << 20));
    let message = victim.refuses("POST", CONFIG_MAPS, JSON, body, 413).await;
    assert_eq!(message, "Request entity too large: limit is 3145728");
    let named = |size| json!({ "metadata": { "name": "a" }, "data": { "a": "x".repeat(size) } }).to_string();
    victim.refuses("POST", CONFIG_MAPS, JSON, named(2 << 20), 422).await;

    assert_eq!(victim.ask("POST", CONFIG_MAPS, JSON, named(1000)).await.0, 201);
    let copies = (0..40).map(|i| json!({ "op": "copy", "from": "/data", "path": format!("/data/b{i}") }));
    let doubling = Value::Array(copies.collect()).to_string();
    let path = format!("{CONFIG_MAPS}/a");
    let media_type = "application/json-patch+json";
    victim.refuses("PATCH", &path, media_type, doubling, 422).await;
    let many = vec![json!({ "op": "test", "path": "/data/a", "value": "x" }); 10_001];
    let message = victim.refuses("PATCH", &path, media_type, Value::Array(many).to_string(), 413).await;
    assert!(message.ends_with("The allowed maximum operations in a JSON patch is 10000, got 10001"), "{message}");
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deep_and_expanding_bodies() {
    let victim = Victim::start();
    assert_eq!(victim.ask("POST", CONFIG_MAPS, JSON, r#"{"metadata":{"name":"a"}}"#).await.0, 201);
    let object = format!("{CONFIG_MAPS}/a");
    let closed = format!("{}1{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    for body in ["[".repeat(1 << 20), r#"{"a":"#.repeat(1 << 18), closed.clone()] {
        victim.refuses("POST", CONFIG_MAPS, JSON, body, 400).await;
    }
    for body in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)] {
        victim.refuses("POST", CONFIG_MAPS, YAML, body.clone(), 400).await;
        victim.refuses("PATCH", &format!("{object}?fieldManager=m"), "application/apply-patch+yaml", body, 400).await;
    }
    for patch in
        ["application/merge-patch+json", "application/strategic-merge-patch+json", "application/json-patch+json"]
    {
        victim.refuses("PATCH", &object, patch, closed.clone(), 400).await;
    }
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 9].join(", ");
        bomb.extend([format!("a{level}: &a{level} [{aliases}]\n")]);
    }
    let message = victim.refuses("POST", CONFIG_MAPS, YAML, bomb, 400).await;
    assert!(message.contains("document contains excessive aliasing"), "{message}");
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn protobuf_that_is_cut_off_or_unknown() {
    let victim = Victim::start();
    let envelope = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap".to_vec();
    let with = |raw: &[u8]| [&envelope, b"\x12".as_slice(), &[u8::try_from(raw.len()).unwrap()], raw].concat();
    // An unknown field 127, then metadata.name.
    let unknown = with(b"\xfa\x07\x01a\x0a\x04\x0a\x02pb");
    let (code, created) = victim.ask("POST", CONFIG_MAPS, PROTOBUF, unknown.clone()).await;
    assert_eq!((code, &created["metadata"]["name"]), (201, &json!("pb")));
    for length in 0..unknown.len() {
        let (code, status) = victim.ask("POST", CONFIG_MAPS, PROTOBUF, unknown[..length].to_vec()).await;
        assert!(matches!(code, 400 | 422), "cut at {length}: {status}");
    }
    for raw in [b"\x0b\x0b".as_slice(), b"\x0a\xff\xff\xff\xff\x0f", b"\x0a\x02\x0a\x7f", b"\x07", b"\x00\x00"] {
        victim.refuses("POST", CONFIG_MAPS, PROTOBUF, with(raw), 400).await;
    }
    victim.refuses("POST", CONFIG_MAPS, PROTOBUF, r#"{"metadata":{"name":"x"}}"#, 400).await;
    for content_type in ["text/plain", "application/cbor", "application/x-www-form-urlencoded", "nonsense"] {
        victim.refuses("POST", CONFIG_MAPS, content_type, r#"{"metadata":{"name":"x"}}"#, 415).await;
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_names_and_parameters() {
    let victim = Victim::start();
    for (path, want) in [
        ("/..", 400),
        ("/%2e%2e", 400),
        ("/.", 400),
        ("/%00", 400),
        ("/a%zz", 400),
        ("/a%", 400),
        ("/%ff%fe", 400),
        ("/../secrets", 404),
        ("/a%2fb", 404),
        ("/a/nothing", 404),
        ("?limit=abc", 400),
        ("?limit=99999999999999999999", 400),
        ("?limit=1&continue=abc", 400),
        ("?limit=1&continue=e30", 400),
        ("?resourceVersion=abc", 400),
        ("?resourceVersion=-1", 400),
        ("?resourceVersionMatch=Exact", 422),
        ("?watch=1&resourceVersion=abc", 500),
        ("?watch=1&timeoutSeconds=abc", 400),
        ("?watch=1&sendInitialEvents=true", 422),
        ("?watch=1&resourceVersionMatch=Exact", 422),
        ("?fieldSelector=metadata.name%3D%5C", 400),
        ("?fieldSelector=spec.nothing%3Da", 400),
        ("?labelSelector=a%20in%20((((", 400),
    ] {
        victim.refuses("GET", &format!("{CONFIG_MAPS}{path}"), JSON, "", want).await;
    }
    for path in ["/api/v1/namespaces/../configmaps", "/api/v1/namespaces/%2e%2e/configmaps/x"] {
        victim.refuses("GET", path, JSON, "", 400).await;
    }
    for name in ["../x", "a/b", "a\0b", "%2e", ".."] {
        let body = json!({ "metadata": { "name": name } }).to_string();
        victim.refuses("POST", CONFIG_MAPS, JSON, body, 422).await;
    }
    let huge = format!("GET {CONFIG_MAPS}?labelSelector={}a%3Db HTTP/1.1\r\nhost: x\r\n\r\n", "a%3Db,".repeat(14_000));
    assert!(victim.send_raw(huge.as_bytes()).await.starts_with("HTTP/1.1 414"));
    let large = format!("{CONFIG_MAPS}?labelSelector={}a%3Db", "a%3Db,".repeat(10_000));
    assert!(matches!(victim.ask("GET", &large, JSON, "").await.0, 200 | 400));
    // An absurd lifetime is no reason to fail.
    let path = format!("{CONFIG_MAPS}?watch=1&timeoutSeconds={}", i64::MAX);
    let headers = [("authorization".to_owned(), "Bearer admin-token".to_owned())];
    assert_eq!(victim.client.send("GET", &path, &headers, Bytes::new()).await.code, 200);
    // What acts on an object is not mistaken for it.
    let pod =
        json!({ "metadata": { "name": "p" }, "spec": { "containers": [{ "name": "c", "image": "i" }] } }).to_string();
    for subresource in ["exec", "attach", "portforward", "proxy", "binding", "eviction"] {
        let path = format!("/api/v1/namespaces/default/pods/p/{subresource}");
        assert!(victim.ask("POST", &path, JSON, pod.clone()).await.0 >= 400, "{subresource}");
    }
    victim.refuses("GET", "/api/v1/namespaces/default/pods/p", JSON, "", 404).await;
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_versions() {
    let victim = Victim::start();
    for method in ["OPTIONS", "TRACE", "FOO", "PRI"] {
        victim.refuses(method, CONFIG_MAPS, JSON, "", 405).await;
    }
    let head = victim.ask("HEAD", CONFIG_MAPS, JSON, "").await;
    assert_eq!(head, (405, Value::Null));
    let authorized = "host: x\r\nauthorization: Bearer admin-token\r\n";
    for (request, want) in [
        (format!("GET /version HTTP/1.0\r\n{authorized}\r\n"), "HTTP/1.0 200"),
        ("GET /version\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("GET /version HTTP/3.9\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        ("\0\u{1}\u{2}nonsense\r\n\r\n".to_owned(), "HTTP/1.1 400"),
        (format!("G@T /version HTTP/1.1\r\n{authorized}\r\n"), "HTTP/1.1 400"),
        (format!("GET /version HTTP/1.1\r\n{authorized}x: {}\r\n\r\n", "a".repeat(2 << 20)), "HTTP/1.1 431"),
        (format!("GET /version HTTP/1.1\r\n{authorized}{}\r\n", "x: a\r\n".repeat(20_000)), "HTTP/1.1 431"),
        (
            format!("POST {CONFIG_MAPS} HTTP/1.1\r\n{authorized}content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef"),
            "HTTP/1.1 400",
        ),
    ] {
        let answer = victim.send_raw(request.as_bytes()).await;
        let shown: String = request.chars().take(60).collect();
        // A head that is too large may be answered by closing alone.
        assert!(answer.starts_with(want) || (answer.is_empty() && want.ends_with("431")), "{shown:?}: {answer}");
    }
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_opened_and_reset() {
    let victim = Victim::start();
    let stream = victim.client.connect(&["h2"]).await;
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = || {
        let uri = format!("https://localhost{CONFIG_MAPS}");
        Request::get(uri).header("authorization", "Bearer admin-token").body(Empty::<Bytes>::new()).unwrap()
    };
    // Each is given up as soon as it is sent.
    for _ in 0..2000 {
        let mut sender = sender.clone();
        if timeout(PATIENCE, sender.ready()).await.expect("the connection hangs").is_err() {
            break;
        }
        let answer = sender.send_request(request());
        let _ = timeout(Duration::from_micros(50), answer).await;
    }
    victim.is_well().await;
}

/// The resident memory of the process, in bytes.
fn memory_bytes(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_watches_that_nobody_reads() {
    const CONNECTIONS: usize = 10;
    const WATCHES_PER_CONNECTION: usize = 100;
    const EVENTS: usize = 200;
    const MEMORY_BYTES_MAX: u64 = 256 << 20;
    let victim = Victim::start();
    let mut unread = Vec::new();
    for _ in 0..CONNECTIONS {
        let stream = victim.client.connect(&["h2"]).await;
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..WATCHES_PER_CONNECTION {
            let request = Request::get(format!("https://localhost{CONFIG_MAPS}?watch=1"))
                .header("authorization", "Bearer admin-token")
                .body(Empty::<Bytes>::new())
                .unwrap();
            let response = timeout(PATIENCE, sender.send_request(request)).await.unwrap().unwrap();
            assert_eq!(response.status(), 200);
            unread.push(response);
        }
    }
    let before = memory_bytes(&victim.server);
    let headers = [("authorization".to_owned(), "Bearer admin-token".to_owned())];
    let mut reader = victim.client.send("GET", &format!("{CONFIG_MAPS}?watch=1"), &headers, Bytes::new()).await;
    let started = Instant::now();
    // Each event is 16 KiB for each of a thousand watches: 3 GiB, were it kept.
    for event in 0..EVENTS {
        let body = json!({ "metadata": { "name": format!("m{event}") }, "data": { "a": "x".repeat(16 << 10) } });
        assert_eq!(victim.ask("POST", CONFIG_MAPS, JSON, body.to_string()).await.0, 201);
    }
    let mut seen = 0;
    let mut bytes = 0;
    while seen < EVENTS {
        let frame = timeout(PATIENCE, reader.body.frame()).await.expect("another watcher waits").unwrap().unwrap();
        let data = frame.into_data().unwrap();
        bytes += data.len();
        seen += data.split(|byte| *byte == b'\n').count() - 1;
    }
    assert!(bytes > EVENTS * (16 << 10));
    assert!(started.elapsed() < 3 * PATIENCE, "{:?}", started.elapsed());
    let grown = memory_bytes(&victim.server).saturating_sub(before);
    assert!(grown < MEMORY_BYTES_MAX, "{grown} bytes are kept for clients that do not read");
    drop(unread);
    victim.is_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_never_finish_a_request_hold_up_nobody() {
    let victim = Victim::start();
    let mut held = Vec::new();
    for bytes in [&b""[..], b"GET /ver", b"POST / HTTP/1.1\r\ncontent-length: 1000\r\n\r\n{", b"PRI * HTTP/2.0\r\n"] {
        for _ in 0..50 {
            let mut stream = victim.client.connect(&[]).await;
            stream.write_all(bytes).await.unwrap();
            stream.flush().await.unwrap();
            held.push(stream);
        }
    }
    let asked = Instant::now();
    victim.is_well().await;
    assert!(asked.elapsed() < Duration::from_secs(10));
}
