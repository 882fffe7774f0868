//! `pintle-store` as a process: its flags, its start and its end, and the real etcdctl if the machine has one.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// A running program. Killed when dropped.
pub struct Program {
    child: Child,
    /// Where it serves clients.
    pub address: String,
    /// Where else it serves, by what it says of that in its log.
    pub places: HashMap<String, String>,
    /// What it said before it was ready.
    pub said: String,
}

pub fn command(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintle-store"));
    command
        .arg("--data-dir")
        .arg(directory.join("data"))
        .arg("--listen-peer-urls=http://127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Program {
    /// Starts on a free port and waits until it is ready.
    pub fn start(directory: &Path, arguments: &[&str]) -> Self {
        Self::run(command(directory).arg("--listen-client-urls=http://127.0.0.1:0").args(arguments))
    }

    /// Starts a command and waits until it is ready.
    pub fn run(command: &mut Command) -> Self {
        let child = command.spawn().unwrap();
        let mut program = Self { child, address: String::new(), places: HashMap::new(), said: String::new() };
        let log = BufReader::new(program.child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        // Reads to the end, so that the program never waits for its log.
        thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| drop(sender.send(line))));
        let deadline = Instant::now() + PATIENCE;
        while program.address.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left).unwrap_or_else(|_| panic!("not ready; it said:\n{}", program.said));
            program.said.extend([&line, "\n"]);
            let Ok(line) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            let (Some(message), Some(address)) = (line["message"].as_str(), line["address"].as_str()) else { continue };
            if message == "ready to serve client requests" {
                address.clone_into(&mut program.address);
            } else {
                program.places.insert(message.to_owned(), address.to_owned());
            }
        }
        program
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    pub fn signal(mut self, signal: &str) -> ExitStatus {
        let sent = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status().unwrap();
        assert!(sent.success());
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "did not end after {signal}");
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs it, expecting that it refuses to start, and returns its only line.
pub fn refusal(directory: &Path, arguments: &[&str]) -> String {
    let output = command(directory).arg("--log-level=error").args(arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "one line, not: {said}");
    said.trim_end().to_owned()
}

#[test]
fn it_presents_itself_as_etcd() {
    let output = Command::new(env!("CARGO_BIN_EXE_pintle-store")).arg("-version").output().unwrap();
    assert!(output.status.success());
    assert!(output.stdout.starts_with(b"etcd Version: 3.7.1\n"));
}

#[test]
fn it_serves_health_and_stops_cleanly() {
    let directory = TempDir::new().unwrap();
    for signal in ["-TERM", "-INT"] {
        let program = Program::start(directory.path(), &["-snapshot-count", "5", "-name=n", "--name", "m"]);
        let ends = |path: &str| program.get(path).split_once("\r\n\r\n").unwrap().1.to_owned();
        assert_eq!(ends("/health"), "{\"health\":\"true\",\"reason\":\"\"}");
        assert_eq!(ends("/livez"), "ok\n");
        assert_eq!(ends("/readyz/linearizable_read"), "ok\n");
        assert_eq!(
            ends("/readyz?verbose&exclude=non_learner"),
            "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\nok\n"
        );
        assert_eq!(ends("/version"), "{\"etcdserver\":\"3.7.1\",\"etcdcluster\":\"3.7.0\",\"storage\":\"3.7.0\"}");
        let missing = program.get("/nope");
        assert!(missing.starts_with("HTTP/1.1 404 ") && missing.ends_with("404 page not found\n"), "{missing}");
        assert!(program.signal(signal).success(), "{signal}");
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let directory = TempDir::new().unwrap();
    let program = Program::start(directory.path(), &[]);
    let url = format!("--listen-client-urls=http://{}", program.address);
    let elsewhere = TempDir::new().unwrap();
    let said = refusal(elsewhere.path(), &[&url]);
    assert!(said.contains(&program.address) && said.contains("in use"), "{said}");
    assert!(!elsewhere.path().join("data").exists(), "nothing was touched");
    let said = refusal(directory.path(), &["--listen-client-urls=http://127.0.0.1:0"]);
    assert!(said.contains("data directory") && said.contains("in use"), "{said}");
    let said = refusal(elsewhere.path(), &["--no-such-flag"]);
    assert!(said.contains("--no-such-flag"), "{said}");
    let said = refusal(elsewhere.path(), &["--listen-client-urls=https://127.0.0.1:0"]);
    assert!(said.contains("--cert-file"), "{said}");
    let said = refusal(elsewhere.path(), &["--listen-client-urls=ftp://x"]);
    assert!(said.contains("ftp://x"), "{said}");
}

/// Whether there is an etcdctl. `make test` brings one; without it, the tests of the services with clients of their own
/// must do, but never in CI.
pub fn has_etcdctl() -> bool {
    let found = Command::new("etcdctl").arg("version").output().is_ok();
    let needed = std::env::var_os("CI").is_some();
    assert!(found || !needed, "there is no etcdctl on PATH; run the tests with `make test`");
    found
}

#[test]
fn etcdctl_works() {
    if !has_etcdctl() {
        return;
    }
    let directory = TempDir::new().unwrap();
    let socket = format!("unix://{}", directory.path().join("etcd.sock").display());
    let program = Program::start(directory.path(), &["--listen-client-urls", &format!("http://127.0.0.1:0,{socket}")]);
    let etcdctl = |arguments: &[&str]| {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(&program.address).args(arguments);
        command
    };
    let run = |arguments: &[&str]| {
        let output = etcdctl(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(run(&["put", "a", "1"]), "OK\n");
    assert_eq!(run(&["get", "--prefix", "a"]), "a\n1\n");
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").args(["--endpoints", &socket, "get", "a"]);
    assert_eq!(command.output().unwrap().stdout, b"a\n1\n", "on the socket");

    let mut watch = etcdctl(&["watch", "--prefix", "a", "--rev=1"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut events = BufReader::new(watch.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(events.by_ref().take(3).collect::<Vec<_>>(), ["PUT", "a", "1"]);
    assert_eq!(run(&["del", "a"]), "1\n");
    assert_eq!(events.by_ref().take(2).collect::<Vec<_>>(), ["DELETE", "a"]);
    watch.kill().unwrap();
    watch.wait().unwrap();

    let granted = run(&["lease", "grant", "100"]);
    let lease = granted.split(' ').nth(1).unwrap();
    assert_eq!(run(&["put", "l", "x", "--lease", lease]), "OK\n");
    assert!(run(&["lease", "timetolive", lease, "--keys"]).contains("attached keys([l])"));
    assert!(run(&["lease", "keep-alive", "--once", lease]).contains("keepalived with TTL(100)"));
    assert_eq!(run(&["lease", "revoke", lease]), format!("lease {lease} revoked\n"));
    assert_eq!(run(&["get", "l"]), "");
    assert_eq!(run(&["lock", "a-lock", "echo", "held"]), "held\n");
    assert_eq!(run(&["compact", "4"]), "compacted revision 4\n");
    assert!(run(&["member", "list"]).contains("started"));
    assert!(run(&["endpoint", "status"]).contains("3.7.1"));
    assert!(program.signal("-TERM").success());
}
