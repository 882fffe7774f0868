//! The Lock and Election services, through the JSON gateway: orders of events and texts are etcd's.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http_client::HttpClient;
use crate::program::Program;

const PATIENCE: Duration = Duration::from_secs(30);

/// Asks, and returns the answer without what differs between any two runs.
fn ask(address: &str, path: &str, request: &Value) -> Value {
    let (_, body) = HttpClient::connect(address).ask("POST", path, &[], request.to_string().as_bytes());
    let mut answer: Value = serde_json::from_slice(&body).unwrap();
    if let Some(header) = answer.get_mut("header").and_then(Value::as_object_mut) {
        header.retain(|name, _| name == "revision");
    }
    answer
}

fn grant(address: &str, id: i64) {
    assert_eq!(ask(address, "/v3/lease/grant", &json!({"TTL": 1000, "ID": id}))["ID"], id.to_string());
}

/// Waits until a range has so many keys.
fn wait_for_keys(address: &str, key: &str, range_end: &str, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    let request = json!({"key": key, "range_end": range_end, "count_only": true});
    loop {
        let answer = ask(address, "/v3/kv/range", &request);
        if answer["count"].as_str().unwrap_or("0") == count.to_string() {
            return;
        }
        assert!(Instant::now() < deadline, "{answer}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// `l/`, and what comes after all keys that begin so.
const LINE: [&str; 2] = ["bC8=", "bDA="];

/// `l/4d` and `l/4e`: the places of leases 77 and 78.
const PLACES: [&str; 2] = ["bC80ZA==", "bC80ZQ=="];

fn failure(message: &str) -> Value {
    json!({"code": 2, "message": message})
}

#[test]
fn a_lock_goes_to_who_waits_longest() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let address = &program.address;
    let lock = |lease: i64| ask(address, "/v3/lock/lock", &json!({"name": "bA==", "lease": lease}));
    assert_eq!(lock(999), failure("etcdserver: requested lease not found"));
    grant(address, 77);
    grant(address, 78);
    let held = json!({"header": {"revision": "2"}, "key": PLACES[0]});
    assert_eq!(lock(77), held);
    assert_eq!(lock(77), held, "again");

    // One that stops waiting leaves the line.
    let mut impatient = HttpClient::connect(address);
    impatient.send("POST", "/v3/lock/lock", &[], br#"{"name": "bA==", "lease": 78}"#);
    wait_for_keys(address, LINE[0], LINE[1], 2);
    drop(impatient);
    wait_for_keys(address, LINE[0], LINE[1], 1);

    let (unlocked, next) = thread::scope(|scope| {
        let next = scope.spawn(|| lock(78));
        wait_for_keys(address, LINE[0], LINE[1], 2);
        let unlocked = ask(address, "/v3/lock/unlock", &json!({"key": PLACES[0]}));
        (unlocked, next.join().unwrap())
    });
    assert_eq!(unlocked, json!({"header": {"revision": "6"}}));
    assert_eq!(next, json!({"header": {"revision": "6"}, "key": PLACES[1]}));

    // A place in the line does not outlive its lease.
    let expired = thread::scope(|scope| {
        let waiting = scope.spawn(|| lock(77));
        wait_for_keys(address, LINE[0], LINE[1], 2);
        ask(address, "/v3/lease/revoke", &json!({"ID": 77}));
        ask(address, "/v3/lease/revoke", &json!({"ID": 78}));
        waiting.join().unwrap()
    });
    assert_eq!(expired, failure("mutex: session is expired"));
    assert_eq!(ask(address, "/v3/lock/unlock", &json!({})), failure("etcdserver: key is not provided"));
    // Without a lease of its own a lock gets one.
    assert_eq!(ask(address, "/v3/lock/lock", &json!({}))["header"]["revision"], "10");
    assert_eq!(ask(address, "/v3/lease/leases", &json!({}))["leases"].as_array().unwrap().len(), 1);
}

#[test]
fn an_election_is_won_by_who_came_first() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let address = &program.address;
    let election = |method: &str, request: Value| ask(address, &format!("/v3/election/{method}"), &request);
    let campaign =
        |lease: i64, value: &str| election("campaign", json!({"name": "bA==", "lease": lease, "value": value}));
    let name = || json!({"name": "bA=="});
    assert_eq!(election("leader", name()), failure("election: no leader"));
    assert_eq!(campaign(5, "YQ=="), failure("etcdserver: requested lease not found"));
    for method in ["proclaim", "resign"] {
        assert_eq!(election(method, json!({})), failure("\"leader\" field must be provided"));
    }
    grant(address, 77);
    grant(address, 78);

    let mut observer = HttpClient::connect(address);
    observer.send("POST", "/v3/election/observe", &[], name().to_string().as_bytes());
    let leader = |place: &str, revision: &str, lease: &str| json!({"name": "bA==", "key": place, "rev": revision, "lease": lease});
    let elected = json!({"header": {"revision": "2"}, "leader": leader(PLACES[0], "2", "77")});
    assert_eq!(campaign(77, "YQ=="), elected);
    assert_eq!(observer.head().status, 200);
    let mut next_leader = || {
        let line: Value = serde_json::from_slice(&observer.chunk().unwrap()).unwrap();
        let result = &line["result"];
        [&result["header"]["revision"], &result["kv"]["key"], &result["kv"]["value"]]
            .map(|part| part.as_str().unwrap().to_owned())
    };
    assert_eq!(next_leader(), ["2", PLACES[0], "YQ=="]);
    // Standing again with another value proclaims that.
    assert_eq!(campaign(77, "Yg=="), elected);
    assert_eq!(next_leader(), ["3", PLACES[0], "Yg=="]);
    let of = |revision: &str, value: &str| json!({"leader": leader(PLACES[0], revision, "77"), "value": value});
    assert_eq!(election("proclaim", of("1", "Yw==")), failure("election: not leader"));
    assert_eq!(election("proclaim", of("2", "Yw==")), json!({"header": {"revision": "4"}}));
    assert_eq!(next_leader(), ["4", PLACES[0], "Yw=="]);

    let next = thread::scope(|scope| {
        let next = scope.spawn(|| campaign(78, "ZA=="));
        wait_for_keys(address, LINE[0], LINE[1], 2);
        let resigned = election("resign", json!({"leader": leader(PLACES[0], "2", "77")}));
        assert_eq!(resigned, json!({"header": {"revision": "6"}}));
        next.join().unwrap()
    });
    assert_eq!(next, json!({"header": {"revision": "5"}, "leader": leader(PLACES[1], "5", "78")}));
    assert_eq!(next_leader(), ["6", PLACES[1], "ZA=="]);
    assert_eq!(election("leader", name())["kv"]["value"], "ZA==");
    // Resigning from what one does not hold changes nothing.
    let resigned = election("resign", json!({"leader": leader(PLACES[0], "2", "77")}));
    assert_eq!(resigned, json!({"header": {"revision": "6"}}));
}
