//! Where the program's settings come from, and what they do.

use std::fs;

use serde_json::Value;
use tempfile::TempDir;

use crate::http_client::HttpClient;
use crate::program::{Program, command, refusal};

/// The member's name, as the API has it.
fn name(program: &Program) -> String {
    let (_, body) = HttpClient::connect(&program.address).ask("POST", "/v3/cluster/member/list", &[], b"{}");
    let members: Value = serde_json::from_slice(&body).unwrap();
    members["members"][0]["name"].as_str().unwrap().to_owned()
}

#[test]
fn the_command_line_wins_over_variables() {
    let directory = TempDir::new().unwrap();
    let start = |arguments: &[&str]| {
        let mut command = command(directory.path());
        command.env("ETCD_NAME", "variable").env("ETCD_MAX_WALS", "7").env("ETCD_NO_SUCH", "1").env("ETCD_WAL_DIR", "");
        Program::run(command.arg("--listen-client-urls=http://127.0.0.1:0").args(arguments))
    };
    let program = start(&["--name=line"]);
    assert_eq!(name(&program), "line");
    for told in ["ETCD_MAX_WALS", "ETCD_NO_SUCH"] {
        assert!(program.said.contains(told), "{told} is not named in\n{}", program.said);
    }
    drop(program);
    assert_eq!(name(&start(&[])), "variable");
}

#[test]
fn a_configuration_file_is_all_that_counts() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("etcd.yaml");
    let text = format!(
        "name: filed\ndata-dir: {0}/data\nwal-dir: {0}/wal\nlisten-client-urls: http://127.0.0.1:0\n\
         listen-peer-urls: http://127.0.0.1:0\nwatch-progress-notify-interval: 600000000000\n\
         client-transport-security:\n  client-cert-auth: false\nsnapshot-count: 5\nlog-outputs: [stderr]\n",
        directory.path().display()
    );
    fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    let start = || {
        let mut command = command(&directory.path().join("elsewhere"));
        Program::run(command.args(["--config-file", file, "--name=line"]).env("ETCD_NAME", "variable"))
    };
    let program = start();
    assert_eq!(name(&program), "filed");
    assert!(program.said.contains("other flags and environment variables are ignored"), "{}", program.said);
    assert!(program.said.contains("--snapshot-count"), "{}", program.said);
    assert!(directory.path().join("wal").read_dir().unwrap().count() > 0, "the raft log is where --wal-dir says");
    assert!(!directory.path().join("data/raft").exists());
    assert!(!directory.path().join("elsewhere").exists());
    assert!(program.signal("-TERM").success());
    assert_eq!(name(&start()), "filed", "found again");
}

#[test]
fn what_cannot_be_is_one_line() {
    let directory = TempDir::new().unwrap();
    let broken = directory.path().join("broken.yaml");
    fs::write(&broken, "name: [").unwrap();
    let broken = format!("--config-file={}", broken.display());
    for (flag, expected) in [
        ("--nope", "flag provided but not defined: --nope"),
        ("--heartbeat-interval=x", "invalid value \"x\" for flag -heartbeat-interval"),
        (
            "--feature-gates=Foo=true",
            "invalid value \"Foo=true\" for flag -feature-gates: unrecognized feature gate: Foo",
        ),
        ("--heartbeat-interval=300", "should be at least as 5 times as --heartbeat-interval[300ms]"),
        ("--listen-client-urls=http://foo:1", "expected IP in URL for binding (http://foo:1)"),
        ("--initial-cluster-state=foo", "invalid value \"foo\" for flag -initial-cluster-state"),
        ("--initial-cluster=other=http://localhost:2380", "couldn't find local name \"default\""),
        ("--tls-max-version=SSL3", "unexpected TLS version \"SSL3\""),
        ("--log-outputs=/no/such/directory/log", "/no/such/directory/log"),
        ("--config-file=/no/such/file", "/no/such/file"),
        (&broken, "broken.yaml"),
    ] {
        let said = refusal(directory.path(), &["--listen-client-urls=http://127.0.0.1:0", flag]);
        assert!(said.contains(expected), "{flag}: {said}");
    }
}

#[test]
fn browsers_are_let_in_as_told() {
    let directory = TempDir::new().unwrap();
    let arguments = ["--host-whitelist=good.example,127.0.0.1", "--cors=http://page.example"];
    let program = Program::start(directory.path(), &arguments);
    let mut client = HttpClient::connect(&program.address);
    let mut ask = |method: &str, headers: &[(&str, &str)]| client.ask(method, "/health", headers, b"").0;
    // The client names the host `test`.
    assert_eq!(ask("GET", &[]).status, 421);
    assert!(program.get("/health").starts_with("HTTP/1.1 200 "));

    let program = Program::start(TempDir::new().unwrap().path(), &["--cors=http://page.example"]);
    let mut client = HttpClient::connect(&program.address);
    let mut ask = |method: &str, headers: &[(&str, &str)]| client.ask(method, "/health", headers, b"").0;
    let allowed = ask("GET", &[("origin", "http://page.example")]);
    assert_eq!((allowed.status, allowed.header("access-control-allow-origin")), (200, "http://page.example"));
    assert_eq!(ask("GET", &[("origin", "http://evil.example")]).header("access-control-allow-origin"), "");
    let asked_first = ask("OPTIONS", &[("origin", "http://page.example")]);
    assert_eq!(asked_first.header("access-control-allow-methods"), "POST, GET, OPTIONS, PUT, DELETE");
}

#[test]
fn plain_http_can_have_a_place_of_its_own() {
    let directory = TempDir::new().unwrap();
    let program = Program::start(directory.path(), &["--listen-client-http-urls=http://127.0.0.1:0"]);
    assert!(program.get("/health").starts_with("HTTP/1.1 404 "));
    let mut client = HttpClient::connect(&program.places["serving plain HTTP"]);
    assert_eq!(client.ask("GET", "/health", &[], b"").0.status, 200);
    assert_eq!(client.ask("POST", "/v3/kv/put", &[], br#"{"key":"YQ==","value":"Yg=="}"#).0.status, 200);
    let without = Program::start(TempDir::new().unwrap().path(), &["--enable-grpc-gateway=false"]);
    let mut client = HttpClient::connect(&without.address);
    assert_eq!(client.ask("POST", "/v3/kv/put", &[], b"{}").0.status, 404);
}
