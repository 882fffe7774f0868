//! What clients must not send, and what happens to them: a clear error of etcd's, bounded memory, no lost data.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http_client::{Head, HttpClient};
use crate::program::Program;

/// How long a server may take to get rid of what a client left behind.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends one gRPC message to a method, and returns the code and text of its refusal.
fn refusal(program: &Program, method: &str, message: &[u8]) -> (i32, String) {
    refusal_announcing(program, method, message.len(), message)
}

/// How a message is refused of which a frame announces this length.
fn refusal_announcing(program: &Program, method: &str, length: usize, message: &[u8]) -> (i32, String) {
    let frame = [&[0][..], &u32::try_from(length).unwrap().to_be_bytes(), message].concat();
    let headers = [("content-type", "application/grpc"), ("te", "trailers")];
    let (head, _): (Head, _) = HttpClient::connect(&program.address).ask("POST", method, &headers, &frame);
    let text = head.header("grpc-message").replace("%20", " ");
    (head.header("grpc-status").parse().unwrap(), text)
}

fn ask(program: &Program, path: &str, request: &Value) -> Value {
    let (_, body) = HttpClient::connect(&program.address).ask("POST", path, &[], request.to_string().as_bytes());
    serde_json::from_slice(&body).unwrap()
}

/// The code and text of a refusal.
fn error(program: &Program, path: &str, request: &Value) -> (i64, String) {
    let answer = ask(program, path, request);
    let message = answer["message"].as_str().unwrap_or_else(|| panic!("{path} {request}: {answer}"));
    (answer["code"].as_i64().unwrap(), message.to_owned())
}

/// The first responses of a watch.
fn watch(program: &Program, requests: &str, count: usize) -> Vec<Value> {
    let mut client = HttpClient::connect(&program.address);
    client.begin("POST", "/v3/watch", &[], requests.as_bytes());
    (0..count).map(|_| serde_json::from_slice::<Value>(&client.chunk().unwrap()).unwrap()["result"].take()).collect()
}

fn start() -> (tempfile::TempDir, Program) {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    (directory, program)
}

#[test]
fn messages_that_are_none_are_refused() {
    let (_directory, program) = start();
    let malformed = "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data";
    for garbage in [&b"\xff\xff\xff"[..], b"\x0a\x05ab", &[0x0b; 300], &vec![0x1a; 50_000]] {
        for method in ["KV/Put", "KV/Txn", "KV/Range", "Lease/LeaseGrant", "Maintenance/Alarm", "Auth/UserAdd"] {
            let refused = refusal(&program, &format!("/etcdserverpb.{method}"), garbage);
            assert_eq!(refused, (13, malformed.to_owned()), "{method} {garbage:?}");
        }
    }
    let said = "grpc: received message larger than max (3145728 vs. 2097152)".to_owned();
    assert_eq!(refusal_announcing(&program, "/etcdserverpb.KV/Put", 3 << 20, &[]), (8, said));
    let said = "unknown method Nope for service etcdserverpb.KV".to_owned();
    assert_eq!(refusal(&program, "/etcdserverpb.KV/Nope", &[]), (12, said));
    assert_eq!(refusal(&program, "/nope.Nope/Nope", &[]), (12, "unknown service nope.Nope".to_owned()));
    assert_eq!(ask(&program, "/v3/kv/put", &json!({"key": "YQ=="}))["header"]["revision"], "2");
}

#[test]
fn keys_ranges_and_names_are_judged_as_by_etcd() {
    let (_directory, program) = start();
    for key in ["YQ==", "Yg=="] {
        ask(&program, "/v3/kv/put", &json!({"key": key, "value": "MQ=="}));
    }
    let no_key = (3, "etcdserver: key is not provided".to_owned());
    for path in ["/v3/kv/put", "/v3/kv/range", "/v3/kv/deleterange"] {
        assert_eq!(error(&program, path, &json!({})), no_key);
    }
    assert_eq!(error(&program, "/v3/kv/txn", &json!({"compare": [{"target": "VALUE", "value": ""}]})), no_key);
    let unknown = (3, "etcdserver: invalid sort option".to_owned());
    for number in [99, -1] {
        let range = json!({"key": "YQ==", "range_end": "AA==", "sort_order": number});
        assert_eq!(error(&program, "/v3/kv/range", &range), unknown);
        let range = json!({"key": "YQ==", "range_end": "AA==", "sort_target": number, "sort_order": "ASCEND"});
        assert_eq!(error(&program, "/v3/kv/range", &range), unknown);
        // Comparisons of an unknown kind hold.
        let compare = json!({"key": "YQ==", "result": number, "version": "9"});
        assert_eq!(ask(&program, "/v3/kv/txn", &json!({"compare": [compare]}))["succeeded"], true);
        let filtered = format!(r#"{{"create_request":{{"key":"YQ==","start_revision":1,"filters":[{number}]}}}}"#);
        assert_eq!(watch(&program, &filtered, 2)[1]["events"].as_array().unwrap().len(), 1);
    }
    // From `b` to `a` there is nothing.
    let turned = json!({"key": "Yg==", "range_end": "YQ=="});
    assert_eq!(ask(&program, "/v3/kv/range", &turned).get("count"), None);
    assert_eq!(ask(&program, "/v3/kv/deleterange", &turned).get("deleted"), None);
    let refused = &watch(&program, &json!({"create_request": turned}).to_string(), 1)[0];
    assert_eq!(
        (&refused["canceled"], &refused["cancel_reason"]),
        (&true.into(), &"mvcc: watcher range is empty".into())
    );
    let future = (11, "etcdserver: mvcc: required revision is a future revision".to_owned());
    assert_eq!(error(&program, "/v3/kv/range", &json!({"key": "YQ==", "revision": "4"})), future);
    assert_eq!(error(&program, "/v3/kv/compaction", &json!({"revision": "4"})), future);
    assert_eq!(ask(&program, "/v3/kv/range", &json!({"key": "YQ==", "limit": -1}))["count"], "1");
}

#[test]
fn what_is_too_large_or_too_much_is_refused() {
    let (_directory, program) = start();
    let value = "A".repeat(2 << 20);
    let said = (3, "etcdserver: request is too large".to_owned());
    assert_eq!(error(&program, "/v3/kv/put", &json!({"key": "YQ==", "value": value})), said);
    let puts = |count: usize| -> Vec<Value> {
        (0..count).map(|number| json!({"request_put": {"key": format!("{number:04}"), "value": ""}})).collect()
    };
    let said = (3, "etcdserver: too many operations in txn request".to_owned());
    assert_eq!(error(&program, "/v3/kv/txn", &json!({"success": puts(129)})), said);
    assert_eq!(error(&program, "/v3/kv/txn", &json!({"failure": puts(129)})), said);
    let twice = json!({"success": [{"request_put": {"key": "YQ=="}}, {"request_put": {"key": "YQ=="}}]});
    let said = (3, "etcdserver: duplicate key given in txn request".to_owned());
    assert_eq!(error(&program, "/v3/kv/txn", &twice), said);
    // As text: values nested like this one would take this test's own stack.
    let deep = r#"{"success":[{"request_txn":"#.repeat(2000) + "{}" + &"}]}".repeat(2000);
    let (head, body) = HttpClient::connect(&program.address).ask("POST", "/v3/kv/txn", &[], deep.as_bytes());
    let said: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((head.status, &said["code"]), (400, &3.into()));
    assert_eq!(ask(&program, "/v3/kv/txn", &json!({"success": puts(128)}))["header"]["revision"], "2");
}

#[test]
fn a_transaction_that_fails_half_way_leaves_no_trace() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    ask(&program, "/v3/kv/put", &json!({"key": "YQ==", "value": "MQ=="}));
    let put = json!({"request_put": {"key": "eg==", "ignore_lease": true}});
    let fatal = json!({"success": [
        {"request_delete_range": {"key": "YQ==", "range_end": "AA=="}},
        {"request_txn": {"success": [put]}},
    ]});
    for _ in 0..2 {
        assert_eq!(error(&program, "/v3/kv/txn", &fatal), (3, "etcdserver: key not found".to_owned()));
    }
    let before = ask(&program, "/v3/kv/range", &json!({"key": "AA==", "range_end": "AA=="}));
    assert_eq!((&before["header"]["revision"], &before["kvs"][0]["value"]), (&"2".into(), &"MQ==".into()));
    // Nor when the log is replayed.
    drop(program);
    let program = Program::start(directory.path(), &[]);
    let after = ask(&program, "/v3/kv/range", &json!({"key": "AA==", "range_end": "AA=="}));
    assert_eq!(after["kvs"], before["kvs"]);
    assert_eq!(ask(&program, "/v3/kv/put", &json!({"key": "YQ=="}))["header"]["revision"], "3");
}

#[test]
fn a_watch_from_the_future_waits_for_it() {
    let (_directory, program) = start();
    let mut client = HttpClient::connect(&program.address);
    client.begin("POST", "/v3/watch", &[], br#"{"create_request":{"key":"YQ==","start_revision":4}}"#);
    let mut next = || serde_json::from_slice::<Value>(&client.chunk().unwrap()).unwrap()["result"].take();
    assert_eq!(next()["created"], true);
    for value in ["Mg==", "Mw==", "NA=="] {
        ask(&program, "/v3/kv/put", &json!({"key": "YQ==", "value": value}));
    }
    assert_eq!(next()["events"][0]["kv"]["value"], "NA==");
    let refused = watch(&program, r#"{"create_request":{"key":"YQ==","start_revision":-5}}"#, 1);
    assert_eq!(refused[0]["cancel_reason"], "etcdserver: mvcc: required revision has been compacted");
}

/// Bytes of memory that a process takes.
fn resident_bytes(program: &Program) -> u64 {
    let pages = std::fs::read_to_string(format!("/proc/{}/statm", program.pid())).unwrap();
    pages.split(' ').nth(1).unwrap().parse::<u64>().unwrap() * 4096
}

#[test]
fn ten_thousand_watches_that_nobody_reads_take_bounded_memory() {
    const WATCHES: usize = 10_000;
    const GROWTH_BYTES: u64 = 384 << 20;
    let (_directory, program) = start();
    let before = resident_bytes(&program);
    let mut client = HttpClient::connect(&program.address);
    client.send("POST", "/v3/watch", &[], r#"{"create_request":{"key":"YQ=="}}"#.repeat(WATCHES).as_bytes());
    assert_eq!(client.head().status, 200);
    // Read, all this would be 60 GB.
    let value = "A".repeat(60 << 10);
    for number in 2..102 {
        let answer = ask(&program, "/v3/kv/put", &json!({"key": "YQ==", "value": value}));
        assert_eq!(answer["header"]["revision"], number.to_string());
    }
    let growth = resident_bytes(&program).saturating_sub(before);
    assert!(growth < GROWTH_BYTES, "grew by {} MiB", growth >> 20);
    // Others are served meanwhile.
    let seen = watch(&program, r#"{"create_request":{"key":"YQ==","start_revision":2}}"#, 2);
    assert_eq!(seen[1]["events"][0]["kv"]["mod_revision"], "2");
}

#[test]
fn clients_that_vanish_leave_nothing_behind() {
    let (_directory, program) = start();
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", program.pid())).unwrap().count();
    let before = descriptors();
    for round in 0..50 {
        let mut client = HttpClient::connect(&program.address);
        match round % 3 {
            0 => drop(client.begin("POST", "/v3/watch", &[], br#"{"create_request":{"key":"YQ=="}}"#)),
            1 => client.send("POST", "/v3/lock/lock", &[], br#"{"name":"bA=="}"#),
            // Says that more will come, and goes.
            _ => client.send("POST", "/v3/watch", &[("expect", "nothing")], b"{\"create_request\":"),
        }
    }
    let deadline = Instant::now() + PATIENCE;
    while descriptors() > before {
        assert!(Instant::now() < deadline, "{} file descriptors more than before", descriptors() - before);
        std::thread::sleep(Duration::from_millis(20));
    }
    // At most one of those who wanted the lock may have got it before it went.
    loop {
        let line = ask(&program, "/v3/kv/range", &json!({"key": "bC8=", "range_end": "bDA=", "count_only": true}));
        if line["count"].as_str().unwrap_or("0").parse::<u32>().unwrap() <= 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{line}");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(ask(&program, "/v3/kv/put", &json!({"key": "YQ=="})).get("header").is_some());
}
