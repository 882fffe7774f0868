//! The JSON gateway over the wire: what etcd's answered to the same requests, and what its clients rely on.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::http_client::HttpClient;
use crate::program::Program;
use crate::replay::{self, Conversation, recorded};

/// Recorded cases that are not answered as etcd did. May only shrink.
const KNOWN_DIFFERENCES: &[usize] = &[];

#[test]
fn short_conversations_go_as_with_etcd() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let cases: Vec<Value> = recorded("etcd_cases.json.gz");
    assert_eq!(cases.len(), 31);
    let mut different = Vec::new();
    let mut report = String::new();
    for (number, case) in cases.iter().enumerate() {
        let answers = replay::case(&program.address, case);
        let steps = case["steps"].as_array().unwrap().iter().zip(case["want"].as_array().unwrap());
        let steps = steps.zip(&answers).filter(|((_, expected), answer)| expected != answer);
        let differences: Vec<_> = steps
            .map(|((step, expected), answer)| {
                format!("{} {}\n  etcd: {expected}\n  here: {answer}\n", step["p"], step["b"])
            })
            .collect();
        if !differences.is_empty() {
            different.push(number);
            writeln!(report, "case {number}, {}:\n{}", case["id"], differences.concat()).unwrap();
        }
    }
    assert_eq!(different, KNOWN_DIFFERENCES, "more differ than before, or fewer, and the list can shrink:\n{report}");
}

#[test]
fn a_long_conversation_goes_as_with_etcd() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let steps: Vec<Vec<Value>> = recorded("etcd_sequence.json.gz");
    assert_eq!(steps.len(), 11_499);
    let differences = Conversation::replay(&program.address, &steps);
    let shown = differences.get(..5).unwrap_or(&differences).join("\n");
    assert!(differences.is_empty(), "{} steps differ:\n{shown}", differences.len());
}

#[test]
fn users_and_roles_go_as_with_etcd() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &["--bcrypt-cost=4"]);
    let steps: Vec<Vec<Value>> = recorded("etcd_auth.json.gz");
    assert_eq!(steps.len(), 2969);
    let differences = Conversation::replay(&program.address, &steps);
    let shown = differences.get(..5).unwrap_or(&differences).join("\n");
    assert!(differences.is_empty(), "{} steps differ:\n{shown}", differences.len());
}

fn ask(program: &Program, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let (head, body) = HttpClient::connect(&program.address).ask(method, path, headers, body.as_bytes());
    (head.status, String::from_utf8(body).unwrap())
}

#[test]
fn what_is_wrong_with_a_request_is_told_as_grpc_gateway_does() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let post = |path, body| ask(&program, "POST", path, &[], body);
    let failure =
        |status: u16, code: i32, message: &str| (status, json!({"code": code, "message": message}).to_string());
    assert_eq!(post("/v3/kv/nope", "{}"), failure(404, 5, "Not Found"));
    assert_eq!(post("/v3/", "{}"), failure(404, 5, "Not Found"));
    assert_eq!(ask(&program, "GET", "/v3/kv/range", &[], ""), failure(501, 12, "Method Not Allowed"));
    assert_eq!(post("/v3/kv/range", ""), failure(400, 3, "etcdserver: key is not provided"));
    assert_eq!(post("/v3/kv/range", "{"), failure(400, 3, "unexpected EOF"));
    let said = "invalid character 'x' looking for beginning of value";
    assert_eq!(post("/v3/kv/range", "x"), failure(400, 3, said));
    let said = "proto:\u{a0}(line 1:8): invalid value for bytes field key: 1";
    assert_eq!(post("/v3/kv/range", "{\"key\":1}"), failure(400, 3, said));
    let timeout = [("grpc-timeout", "5x")];
    let said = failure(400, 3, "invalid grpc-timeout: 5x");
    assert_eq!(ask(&program, "POST", "/v3/kv/range", &timeout, "{}"), said);
    let huge = format!("{{\"key\":\"{}\"}}", "A".repeat(10 << 20));
    assert_eq!(post("/v3/kv/range", &huge), failure(429, 8, "http: request body too large"));
    // Unknown fields and names, and what follows the request, do not matter.
    let (status, body) = post("/v3beta/kv/range", r#"{"key":"YQ==","sort_order":"ODD","x":[{}]} y"#);
    assert_eq!(status, 200, "{body}");
}

#[test]
fn answers_have_the_headers_of_grpc_gateway() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let mut client = HttpClient::connect(&program.address);
    let (head, _) = client.ask("POST", "/v3/kv/range", &[], b"{\"key\":\"YQ==\"}");
    assert_eq!(head.header("content-type"), "application/json");
    assert_eq!(head.header("grpc-metadata-content-type"), "application/grpc");
    let (head, _) = client.ask("POST", "/v3/kv/range", &[], b"{}");
    assert_eq!(head.header("content-type"), "application/json");
    assert_eq!(head.header("grpc-metadata-content-type"), "");
}

#[test]
fn one_body_may_hold_several_requests() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let (_, granted) = ask(&program, "POST", "/v3/lease/grant", &[], "{\"TTL\":100}");
    let granted: Value = serde_json::from_str(&granted).unwrap();
    let id = granted["ID"].as_str().unwrap();
    let body = format!("{{\"ID\":\"{id}\"}} {{\"ID\":7}}");
    let (status, answers) = ask(&program, "POST", "/v3/lease/keepalive", &[], &body);
    assert_eq!(status, 200);
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers[0]["result"]["TTL"], "100");
    assert_eq!(answers[1]["result"].get("TTL"), None);
    assert_eq!(answers.len(), 2);

    // A watch goes on after its requests have ended.
    let watches = r#"{"create_request":{"key":"YQ=="}} {"create_request":{"key":"Yg==","watch_id":"9"}}"#;
    let mut watching = HttpClient::connect(&program.address);
    assert_eq!(watching.begin("POST", "/v3/watch", &[], watches.as_bytes()).status, 200);
    let mut next = || serde_json::from_slice::<Value>(&watching.chunk().unwrap()).unwrap();
    assert_eq!(next()["result"]["created"], true);
    assert_eq!(next()["result"]["watch_id"], "9");
    let (status, _) = ask(&program, "POST", "/v3/kv/put", &[], "{\"key\":\"Yg==\",\"value\":\"MQ==\"}");
    assert_eq!(status, 200);
    assert_eq!(next()["result"]["events"][0]["kv"]["value"], "MQ==");
}

#[test]
fn odd_requests_for_upkeep_are_answered_as_by_etcd() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let post = |path, body: Value| {
        let (status, answer) = ask(&program, "POST", path, &[], &body.to_string());
        (status, serde_json::from_str::<Value>(&answer).unwrap())
    };
    let put = || post("/v3/kv/put", json!({"key": "YQ==", "value": "MQ=="}));
    assert_eq!(put().0, 200);

    // Nothing lies before the beginning; it is hashed all the same.
    for revision in ["-2", "-9223372036854775808"] {
        let (status, hash) = post("/v3/maintenance/hashkv", json!({"revision": revision}));
        assert_eq!((status, &hash["hash"], &hash["hash_revision"]), (200, &json!(1_084_519_789), &json!(revision)));
    }

    // A leader may be told to lead.
    let (_, status) = post("/v3/maintenance/status", json!({}));
    let leader = status["leader"].as_str().unwrap().to_owned();
    assert_eq!(post("/v3/maintenance/transfer-leadership", json!({"targetID": leader})), (200, json!({})));
    assert_eq!(put().0, 200);

    // The value of an absent key compares with nothing, even by a comparison that does not exist.
    let compared =
        |key: &str| post("/v3/kv/txn", json!({"compare": [{"key": key, "target": "VALUE", "result": 21}]})).1;
    assert_eq!(compared("YQ==")["succeeded"], true);
    assert_eq!(compared("eg==").get("succeeded"), None);

    // Whether there is such a member is asked before its URLs.
    let unknown = json!({"code": 5, "message": "etcdserver: member not found"});
    assert_eq!(post("/v3/cluster/member/update", json!({"ID": 5, "peerURLs": ["odd"]})), (404, unknown));
    let bad = json!({"code": 3, "message": "etcdserver: given member URLs are invalid"});
    assert_eq!(post("/v3/cluster/member/update", json!({"ID": leader, "peerURLs": ["odd"]})), (400, bad));
}

#[test]
fn while_data_differs_it_is_read_and_not_changed() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let post = |path, body| ask(&program, "POST", path, &[], body).0;
    let key = r#"{"key":"YQ=="}"#;
    assert_eq!(post("/v3/kv/put", key), 200);
    assert_eq!(post("/v3/maintenance/alarm", r#"{"action":"ACTIVATE","alarm":"CORRUPT","memberID":1}"#), 200);
    for path in ["/v3/kv/put", "/v3/kv/deleterange"] {
        assert_eq!(post(path, key), 500, "{path}");
    }
    assert_eq!(post("/v3/kv/range", key), 200);
    assert_eq!(post("/v3/kv/txn", r#"{"success":[{"requestRange":{"key":"YQ=="}}]}"#), 200);
    assert_eq!(ask(&program, "GET", "/livez", &[], "").0, 200);
    let (status, report) = ask(&program, "GET", "/readyz", &[], "");
    assert_eq!(status, 503);
    assert!(
        report.contains("[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n"),
        "{report}"
    );
}
