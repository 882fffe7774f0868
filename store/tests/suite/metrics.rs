//! Metrics and variables of the running program.

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{Cluster, eventually};
use crate::http_client::HttpClient;
use crate::program::Program;

/// Families by which etcd's dashboards and alerts watch it, with their types.
const FAMILIES: &str = "
etcd_cluster_version gauge
etcd_debugging_auth_revision gauge
etcd_debugging_lease_granted_total counter
etcd_debugging_lease_renewed_total counter
etcd_debugging_lease_revoked_total counter
etcd_debugging_lease_ttl_total histogram
etcd_debugging_mvcc_compact_revision gauge
etcd_debugging_mvcc_current_revision gauge
etcd_debugging_mvcc_db_compaction_keys_total counter
etcd_debugging_mvcc_db_compaction_last gauge
etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds histogram
etcd_debugging_mvcc_db_compaction_total_duration_milliseconds histogram
etcd_debugging_mvcc_events_total counter
etcd_debugging_mvcc_keys_total gauge
etcd_debugging_mvcc_pending_events_total gauge
etcd_debugging_mvcc_slow_watcher_total gauge
etcd_debugging_mvcc_total_put_size_in_bytes gauge
etcd_debugging_mvcc_watch_stream_total gauge
etcd_debugging_mvcc_watcher_total gauge
etcd_debugging_server_lease_expired_total counter
etcd_disk_backend_commit_duration_seconds histogram
etcd_disk_backend_defrag_duration_seconds histogram
etcd_disk_backend_snapshot_duration_seconds histogram
etcd_disk_defrag_inflight gauge
etcd_disk_wal_fsync_duration_seconds histogram
etcd_disk_wal_write_bytes_total gauge
etcd_mvcc_db_open_read_transactions gauge
etcd_mvcc_db_total_size_in_bytes gauge
etcd_mvcc_db_total_size_in_use_in_bytes gauge
etcd_mvcc_delete_total counter
etcd_mvcc_hash_duration_seconds histogram
etcd_mvcc_hash_rev_duration_seconds histogram
etcd_mvcc_put_total counter
etcd_mvcc_range_total counter
etcd_mvcc_txn_total counter
etcd_network_client_grpc_received_bytes_total counter
etcd_network_client_grpc_sent_bytes_total counter
etcd_network_known_peers gauge
etcd_server_feature_enabled gauge
etcd_server_has_leader gauge
etcd_server_health_failures counter
etcd_server_health_success counter
etcd_server_heartbeat_send_failures_total counter
etcd_server_id gauge
etcd_server_is_leader gauge
etcd_server_is_learner gauge
etcd_server_leader_changes_seen_total counter
etcd_server_learner_promote_successes counter
etcd_server_proposals_applied_total gauge
etcd_server_proposals_committed_total gauge
etcd_server_proposals_failed_total counter
etcd_server_proposals_pending gauge
etcd_server_quota_backend_bytes gauge
etcd_server_read_indexes_failed_total counter
etcd_server_slow_apply_total counter
etcd_server_slow_read_indexes_total counter
etcd_server_snapshot_apply_in_progress_total gauge
etcd_server_version gauge
etcd_snap_db_fsync_duration_seconds histogram
etcd_snap_db_save_total_duration_seconds histogram
grpc_server_handled_total counter
grpc_server_msg_received_total counter
grpc_server_msg_sent_total counter
grpc_server_started_total counter
os_fd_limit gauge
os_fd_used gauge
process_cpu_seconds_total counter
process_max_fds gauge
process_open_fds gauge
process_resident_memory_bytes gauge
process_start_time_seconds gauge
process_virtual_memory_bytes gauge
process_virtual_memory_max_bytes gauge
";

fn metrics(address: &str) -> String {
    let (head, body) = HttpClient::connect(address).ask("GET", "/metrics", &[], b"");
    assert_eq!(head.status, 200);
    assert!(head.header("content-type").starts_with("text/plain; version=0.0.4; charset=utf-8"));
    String::from_utf8(body).unwrap()
}

/// The value of one sample.
fn sample(metrics: &str, name: &str) -> f64 {
    told(metrics, name).unwrap_or_else(|| panic!("no {name}"))
}

/// The value of one sample, if it is told.
fn told(metrics: &str, name: &str) -> Option<f64> {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

fn call(address: &str, path: &str, body: &str) -> Value {
    let (head, answer) = HttpClient::connect(address).ask("POST", path, &[], body.as_bytes());
    assert_eq!(head.status, 200, "{path}");
    serde_json::from_slice(&answer).unwrap()
}

#[test]
fn what_happens_is_counted_under_etcds_names() {
    let directory = TempDir::new().unwrap();
    let program =
        Program::start(directory.path(), &["--listen-metrics-urls=http://127.0.0.1:0", "--metrics=extensive"]);
    let before = metrics(&program.address);
    for family in FAMILIES.trim().lines() {
        assert!(before.contains(&format!("# TYPE {family}\n")), "{family} is missing");
    }
    call(&program.address, "/v3/kv/put", r#"{"key":"YQ==","value":"Yg=="}"#);
    call(&program.address, "/v3/kv/range", r#"{"key":"YQ=="}"#);
    call(
        &program.address,
        "/v3/kv/txn",
        r#"{"success":[{"requestPut":{"key":"Yg==","value":"Yg=="}},{"requestDeleteRange":{"key":"YQ=="}}]}"#,
    );
    let lease = call(&program.address, "/v3/lease/grant", r#"{"TTL":"100"}"#);
    call(&program.address, "/v3/lease/revoke", &format!(r#"{{"ID":"{}"}}"#, lease["ID"].as_str().unwrap()));
    program.get("/health");
    let after = metrics(&program.places["serving metrics and health"]);
    let grew = |name: &str, by: f64| {
        // A sample with labels is told once there is something to tell.
        let (before, after) = (told(&before, name).unwrap_or_default(), sample(&after, name));
        assert!((after - before - by).abs() < 1e-9, "{name}: {before}, then {after}");
    };
    grew("etcd_mvcc_put_total", 2.0);
    grew("etcd_mvcc_delete_total", 1.0);
    // A health check reads too.
    grew("etcd_mvcc_range_total", 2.0);
    grew("etcd_mvcc_txn_total", 1.0);
    grew("etcd_debugging_mvcc_total_put_size_in_bytes", 4.0);
    grew("etcd_debugging_mvcc_current_revision", 2.0);
    grew("etcd_debugging_mvcc_keys_total", 1.0);
    grew("etcd_debugging_lease_granted_total", 1.0);
    grew("etcd_debugging_lease_revoked_total", 1.0);
    grew("etcd_debugging_lease_ttl_total_bucket{le=\"128\"}", 1.0);
    grew("etcd_server_health_success", 1.0);
    for operation in ["Put", "Txn", "LeaseGrant", "LeaseRevoke"] {
        let labels = format!(r#"{{version="v3",op="{operation}",success="true"}}"#);
        grew(&format!("etcd_server_apply_duration_seconds_count{labels}"), 1.0);
    }
    // A health check reads too.
    grew(r#"etcd_server_range_duration_seconds_count{success="true"}"#, 2.0);
    // The gateway's clients say no version.
    grew(r#"etcd_server_client_requests_total{type="unary",client_api_version="unknown"}"#, 5.0);
    let put = r#"{grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}"#;
    for name in ["grpc_server_started_total", "grpc_server_msg_received_total", "grpc_server_msg_sent_total"] {
        grew(&format!("{name}{put}"), 1.0);
    }
    grew(&format!("grpc_server_handling_seconds_count{put}"), 1.0);
    let handled = r#"grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"}"#;
    grew(handled, 1.0);
    for name in ["etcd_server_has_leader", "etcd_server_is_leader", "etcd_server_version{server_version=\"3.7.1\"}"] {
        assert!((sample(&after, name) - 1.0).abs() < 1e-9, "{name}");
    }
    assert!(sample(&after, "etcd_disk_wal_fsync_duration_seconds_count") > 0.0);
    assert!(sample(&after, "etcd_server_leader_changes_seen_total") > 0.0);
    assert!(!before.contains("go_"), "nothing of Go is here");
}

#[test]
fn histograms_of_methods_are_for_those_who_ask() {
    let directory = TempDir::new().unwrap();
    let program = Program::start(directory.path(), &[]);
    assert!(!metrics(&program.address).contains("grpc_server_handling_seconds"));
}

#[test]
fn variables_tell_how_raft_stands_and_no_secret() {
    let directory = TempDir::new().unwrap();
    let program = Program::start(directory.path(), &["--initial-cluster-token=a-secret"]);
    let (head, body) = HttpClient::connect(&program.address).ask("GET", "/debug/vars", &[], b"");
    assert_eq!(head.header("content-type"), "application/json; charset=utf-8");
    let body = String::from_utf8(body).unwrap();
    assert!(!body.contains("a-secret"), "{body}");
    let variables: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(variables["raft.status"]["raftState"], "StateLeader");
    assert_eq!(variables["raft.status"]["id"], variables["raft.status"]["lead"]);
    assert!(variables["file_descriptor_limit"].as_u64().unwrap() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_between_members_is_counted() {
    let cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let tells = |member: usize, name: &str, members: usize| {
        let url = cluster.client_url(member);
        let metrics = metrics(url.strip_prefix("http://").unwrap());
        let counted = |line: &&str| line.starts_with(name) && !line.ends_with(" 0");
        metrics.lines().filter(counted).count() >= members
    };
    eventually("the leader tells what it sent to whom, and how long they took", || async {
        let sent = tells(leader, "etcd_network_peer_sent_bytes_total{To=", 2);
        let connected = tells(leader, "etcd_network_active_peers{", 2);
        (sent && connected && tells(leader, "etcd_network_peer_round_trip_time_seconds_count{To=", 2)).then_some(())
    })
    .await;
    let follower = (leader + 1) % 3;
    eventually("a follower tells what came from whom", || async {
        tells(follower, "etcd_network_peer_received_bytes_total{From=", 1).then_some(())
    })
    .await;
}
