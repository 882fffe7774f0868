//! The real etcdctl, every command of it, against one node and against three. Users and roles have a module of their own.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::program::has_etcdctl;

const PATIENCE: Duration = Duration::from_secs(60);

/// A server of some nodes, and etcdctl to speak with it.
struct Etcdctl {
    /// Ends when dropped.
    _cluster: Cluster,
    endpoints: Vec<String>,
    directory: TempDir,
}

impl Etcdctl {
    /// Starts `nodes` and waits until they serve; `None` where there is no etcdctl.
    fn start(nodes: usize) -> Option<Self> {
        if !has_etcdctl() {
            return None;
        }
        let cluster = Cluster::start(nodes);
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            for member in 0..nodes {
                drop(cluster.client(member).await);
            }
        });
        let endpoints = (0..nodes).map(|member| cluster.client_url(member)).collect();
        Some(Self { _cluster: cluster, endpoints, directory: TempDir::new().unwrap() })
    }

    /// A command for any of the nodes.
    fn command(&self, arguments: &[&str]) -> Command {
        Self::command_for(&self.endpoints.join(","), arguments)
    }

    fn command_for(endpoints: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(endpoints);
        command.args(["--command-timeout", "60s"]).args(arguments);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// What a command that succeeds prints.
    fn run(&self, arguments: &[&str]) -> String {
        printed(arguments, self.command(arguments).output().unwrap())
    }

    /// What a command that is given `input` prints.
    fn run_with(&self, arguments: &[&str], input: &str) -> String {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        printed(arguments, child.wait_with_output().unwrap())
    }

    /// The last line that a command that fails prints.
    fn fail(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "{arguments:?} succeeded");
        said.lines().last().unwrap_or_default().to_owned()
    }

    fn background(&self, arguments: &[&str]) -> Background {
        let mut child = self.command(arguments).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Background { child, output }
    }

    /// Waits until a command prints something that contains `expected`, and returns it.
    fn wait_for(&self, arguments: &[&str], expected: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.command(arguments).output().unwrap();
            let printed = String::from_utf8(output.stdout).unwrap();
            if output.status.success() && printed.contains(expected) {
                return printed;
            }
            assert!(Instant::now() < deadline, "{arguments:?}: {printed} {}", String::from_utf8_lossy(&output.stderr));
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }
}

fn printed(arguments: &[&str], output: Output) -> String {
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A command that goes on until it is dropped.
struct Background {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Background {
    fn lines<const N: usize>(&mut self) -> [String; N] {
        std::array::from_fn(|_| {
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        })
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keys_transactions_and_watches(etcdctl: &Etcdctl) {
    let run = |arguments: &[&str]| etcdctl.run(arguments);
    assert_eq!(run(&["put", "a", "1"]), "OK\n");
    assert_eq!(run(&["put", "a", "2", "--prev-kv"]), "OK\na\n1\n");
    assert_eq!(etcdctl.run_with(&["put", "b"], "from stdin"), "OK\n");
    assert_eq!(run(&["put", "b", "--ignore-value"]), "OK\n");
    assert!(etcdctl.fail(&["put", "c", "--ignore-value"]).contains("etcdserver: key not found"));
    for (arguments, expected) in [
        (&["get", "a", "c", "--order=descend", "--sort-by=key"][..], "b\nfrom stdin\na\n2\n"),
        (&["get", "a", "--from-key", "--limit=1"], "a\n2\n"),
        (&["get", "--prefix", "", "--keys-only"], "a\n\nb\n\n"),
        (&["get", "a", "--print-value-only"], "2\n"),
        (&["get", "a", "--rev=2"], "a\n1\n"),
        (&["get", "a", "b", "--count-only", "--write-out=fields"], "\"Count\" : 1\n"),
    ] {
        let printed = run(arguments);
        assert!(printed.ends_with(expected), "{arguments:?}: {printed}");
    }
    // From whichever node, which may not know the newest yet.
    etcdctl.wait_for(&["get", "a", "--consistency=s"], "a\n2\n");
    let txn = "value(\"a\") = \"2\"\nmod(\"b\") > \"1\"\n\nput c 3\nget c\ndel b\n\nget a\n\n";
    assert_eq!(etcdctl.run_with(&["txn"], txn), "SUCCESS\n\nOK\n\nc\n3\n\n1\n");
    assert_eq!(etcdctl.run_with(&["txn"], txn), "FAILURE\n\na\n2\n");

    let mut watch = etcdctl.background(&["watch", "--prefix", "a", "--rev=2", "--prev-kv"]);
    assert_eq!(watch.lines(), ["PUT", "a", "1", "PUT", "a", "1", "a", "2"]);
    drop(watch);
    let mut interactive = etcdctl.background(&["watch", "-i"]);
    interactive.child.stdin.as_mut().unwrap().write_all(b"watch c\nwatch d\nprogress\n").unwrap();
    let [progress] = interactive.lines();
    assert!(progress.starts_with("progress notify: "), "{progress}");
    run(&["put", "d", "4"]);
    // Each of the two watches tells of the progress, if it was there already when that was asked for.
    let [mut kind] = interactive.lines();
    if kind.starts_with("progress notify: ") {
        [kind] = interactive.lines();
    }
    assert_eq!(kind, "PUT");
    assert_eq!(interactive.lines(), ["d", "4"]);

    assert_eq!(run(&["del", "a", "--prev-kv"]), "1\na\n2\n");
    assert_eq!(run(&["del", "--prefix", ""]), "2\n");
    assert_eq!(run(&["compaction", "5", "--physical"]), "compacted revision 5\n");
    assert!(etcdctl.fail(&["get", "a", "--rev=2"]).contains("required revision has been compacted"));
}

fn leases_locks_and_elections(etcdctl: &Etcdctl) {
    let run = |arguments: &[&str]| etcdctl.run(arguments);
    let granted = run(&["lease", "grant", "100"]);
    let lease = granted.split(' ').nth(1).unwrap();
    assert_eq!(run(&["put", "l", "x", "--lease", lease]), "OK\n");
    assert!(run(&["lease", "timetolive", lease, "--keys"]).contains("attached keys([l])"));
    assert_eq!(run(&["lease", "keep-alive", "--once", lease]), format!("lease {lease} keepalived with TTL(100)\n"));
    assert_eq!(etcdctl.wait_for(&["lease", "list"], "found 1 leases"), format!("found 1 leases\n{lease}\n"));
    assert_eq!(run(&["lease", "revoke", lease]), format!("lease {lease} revoked\n"));
    assert_eq!(run(&["get", "l"]), "");
    assert!(run(&["lease", "timetolive", lease]).contains("already expired"));
    assert!(etcdctl.fail(&["lease", "revoke", lease]).contains("etcdserver: requested lease not found"));

    let mut holder = etcdctl.background(&["lock", "a-lock"]);
    let [held] = holder.lines();
    assert!(held.starts_with("a-lock/"), "{held}");
    let mut waiting = etcdctl.background(&["lock", "a-lock", "echo", "mine"]);
    etcdctl.wait_for(&["get", "--prefix", "a-lock/", "--count-only", "--write-out=fields"], "\"Count\" : 2");
    run(&["del", &held]);
    assert_eq!(waiting.lines(), ["mine"]);

    let mut candidate = etcdctl.background(&["elect", "e", "one"]);
    let [key, value] = candidate.lines();
    assert!(key.starts_with("e/") && value == "one", "{key} {value}");
    let mut observer = etcdctl.background(&["elect", "--listen", "e"]);
    assert_eq!(observer.lines(), [key, value]);
}

fn members_and_upkeep(etcdctl: &Etcdctl) {
    let run = |arguments: &[&str]| etcdctl.run(arguments);
    run(&["put", "a", "1"]);
    assert!(run(&["version"]).starts_with("etcdctl version: "));
    let members = run(&["member", "list"]);
    assert_eq!(members.lines().count(), etcdctl.endpoints.len(), "{members}");
    let [id, "started", _, peer_url, ..] = members.lines().next().unwrap().split(", ").collect::<Vec<_>>()[..] else {
        panic!("{members}")
    };
    assert!(run(&["member", "update", id, "--peer-urls", peer_url]).contains(&format!("{id} updated")));
    assert!(etcdctl.fail(&["member", "remove", "123"]).contains("etcdserver: member not found"));
    assert!(etcdctl.fail(&["member", "promote", id]).contains("etcdserver: can only promote a learner member"));
    // Refused while not all members have been connected for a while.
    let added = etcdctl.wait_for(&["member", "add", "new", "--learner", "--peer-urls", "http://127.0.0.1:1"], "added");
    let learner = added.split_whitespace().nth(1).unwrap();
    assert!(run(&["member", "list"]).contains("unstarted"));
    assert!(etcdctl.fail(&["member", "promote", learner]).contains("in sync with leader"));
    assert!(run(&["member", "remove", learner]).contains(&format!("{learner} removed")));
    assert!(etcdctl.fail(&["move-leader", "123"]).contains("etcdserver: bad leader transferee"));

    let status = run(&["endpoint", "status", "--cluster"]);
    let leader =
        status.lines().find(|line| line.split(", ").nth(4) == Some("true")).unwrap().split(", ").next().unwrap();
    for line in status.lines() {
        let [address, id, "3.7.1", ..] = line.split(", ").collect::<Vec<_>>()[..] else { panic!("{status}") };
        if address != leader {
            let moved = printed(&["move-leader"], Etcdctl::command_for(leader, &["move-leader", id]).output().unwrap());
            assert!(moved.starts_with("Leadership transferred from"), "{moved}");
            break;
        }
    }
    // Of the same revision, once all have it.
    let header = run(&["get", "a", "--write-out=fields"]);
    let revision = header.lines().find_map(|line| line.strip_prefix("\"Revision\" : ")).unwrap();
    let hashes = etcdctl.wait_for(&["endpoint", "hashkv", "--cluster", "--rev", revision], ", ");
    let mut hashes: Vec<&str> = hashes.lines().map(|line| line.split(", ").nth(1).unwrap()).collect();
    assert_eq!(hashes.len(), etcdctl.endpoints.len());
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "members disagree");
    let output = etcdctl.command(&["endpoint", "health", "--cluster"]).output().unwrap();
    assert!(output.status.success());
    assert_eq!(run(&["alarm", "list"]), "");
    assert_eq!(run(&["alarm", "disarm"]), "");
    let defragmented = run(&["defrag", "--cluster"]);
    assert_eq!(defragmented.matches("Finished defragmenting etcd member").count(), etcdctl.endpoints.len());

    let file = etcdctl.path("snapshot.db");
    let save = ["snapshot", "save", &file];
    let saved = printed(&save, Etcdctl::command_for(&etcdctl.endpoints[0], &save).output().unwrap());
    assert!(saved.contains("Snapshot saved at"), "{saved}");
    assert_eq!(run(&["snapshot", "status", &file]).split(", ").count(), 4);
    let restored = etcdctl.path("restored");
    run(&["snapshot", "restore", &file, "--data-dir", &restored]);
    assert!(Path::new(&restored).join("member/snap/db").exists());
}

fn mirrors(source: &Etcdctl) {
    let Some(mirror) = Etcdctl::start(1) else { return };
    source.run(&["put", "m/a", "1"]);
    source.run(&["put", "other", "1"]);
    let _mirroring = source.background(&["make-mirror", "--prefix", "m/", "--dest-prefix", "n/", &mirror.endpoints[0]]);
    mirror.wait_for(&["get", "n/a"], "1");
    source.run(&["put", "m/b", "2"]);
    mirror.wait_for(&["get", "n/b"], "2");
    source.run(&["del", "m/a"]);
    mirror.wait_for(&["get", "--prefix", "", "--count-only", "--write-out=fields"], "\"Count\" : 1");
}

/// Every command, one after the other on the same server.
fn every_command(etcdctl: &Etcdctl) {
    keys_transactions_and_watches(etcdctl);
    leases_locks_and_elections(etcdctl);
    members_and_upkeep(etcdctl);
    mirrors(etcdctl);
    let verdict = etcdctl.run(&["check", "datascale", "--load=s"]);
    assert!(verdict.contains("PASS"), "{verdict}");
}

#[test]
fn every_command_works_on_one_node() {
    let Some(etcdctl) = Etcdctl::start(1) else { return };
    every_command(&etcdctl);
}

#[test]
fn every_command_works_on_three_nodes() {
    let Some(etcdctl) = Etcdctl::start(3) else { return };
    every_command(&etcdctl);
}

#[test]
fn checks_of_performance() {
    let Some(etcdctl) = Etcdctl::start(1) else { return };
    // A small load for a minute. How fast this machine is now is not asked, only that every request was answered.
    let output = etcdctl.command(&["check", "perf", "--load=s"]).output().unwrap();
    let verdict = String::from_utf8(output.stdout).unwrap();
    assert!(verdict.contains("Throughput is") || verdict.contains("Throughput too low"), "{verdict}");
    assert!(!verdict.contains("error"), "{verdict}");
    assert_eq!(etcdctl.run(&["get", "--prefix", "", "--keys-only"]), "", "it cleans up");
}
