//! `/metrics`: what the process has counted, and how the store stands at the moment of asking.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Response};

use crate::error::StoreError;
use crate::metrics::text::{Kind, Text, float};
use crate::metrics::{METRICS, process};
use crate::store::{Status, Store};
use crate::version;

/// Answers a request for the metrics.
pub(super) async fn answer(store: &Store, method: &Method) -> Result<Response<Bytes>, StoreError> {
    let body = if *method == Method::HEAD { String::new() } else { render(store).await? };
    let mut answer = Response::new(body.into());
    let format = "text/plain; version=0.0.4; charset=utf-8; escaping=underscores";
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format));
    Ok(answer)
}

async fn render(store: &Store) -> Result<String, StoreError> {
    let mut text = Text::default();
    let status = store.status()?;
    let own = format!("{:x}", status.member_id);
    METRICS.write(&mut text, &own);
    store_gauges(store, &status, &own, &mut text);
    let keys = float(store.key_count().await?);
    text.gauge("etcd_debugging_mvcc_keys_total", "Keys in the store.", keys);
    process::write(&mut text);
    Ok(text.finish())
}

#[allow(clippy::cast_precision_loss, reason = "what the format asks for")]
fn store_gauges(store: &Store, status: &Status, own: &str, text: &mut Text) {
    let standing = status.standing;
    let yes = |holds: bool| f64::from(u8::from(holds));
    text.gauge("etcd_server_has_leader", "Whether a leader is known (1) or not (0).", yes(standing.leader_id != 0));
    let leads = standing.leader_id == status.member_id;
    text.gauge("etcd_server_is_leader", "Whether this member leads (1) or not (0).", yes(leads));
    text.gauge("etcd_server_is_learner", "Whether this member is a learner (1) or not (0).", yes(standing.is_learner));
    let applied = float(standing.applied_index);
    text.gauge("etcd_server_proposals_applied_total", "Index of the last entry that was applied.", applied);
    text.gauge("etcd_server_proposals_committed_total", "Index of the last entry known to be committed.", applied);
    let installing = "Whether another member's snapshot is being taken over (1) or not (0).";
    text.gauge("etcd_server_snapshot_apply_in_progress_total", installing, 0.0);
    text.gauge("etcd_server_quota_backend_bytes", "Bytes above which writes are refused.", float(status.quota_bytes));

    let head = status.head;
    text.gauge("etcd_debugging_mvcc_current_revision", "The store's revision.", head.revision as f64);
    // etcd's is -1 before the first compaction.
    let compacted = if head.compacted > 0 { head.compacted as f64 } else { -1.0 };
    text.gauge("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction.", compacted);
    text.gauge("etcd_debugging_auth_revision", "The revision of users and roles.", float(store.auth_revision()));
    let (size, in_use) = (float(head.logical_bytes()), float(head.logical_bytes_in_use()));
    text.gauge("etcd_mvcc_db_total_size_in_bytes", "Bytes of the store's data.", size);
    text.gauge(
        "etcd_mvcc_db_total_size_in_use_in_bytes",
        "Bytes that would stay if all history were compacted.",
        in_use,
    );

    let views = float(store.readers() as u64);
    text.gauge("etcd_mvcc_db_open_read_transactions", "Views of the data that are being read.", views);

    let census = store.watches().census();
    let watchers = float(census.watchers);
    text.gauge("etcd_debugging_mvcc_watcher_total", "Watchers.", watchers);
    text.gauge("etcd_debugging_mvcc_watch_stream_total", "Streams of watches.", float(census.streams));
    text.gauge("etcd_debugging_mvcc_slow_watcher_total", "Watchers that are behind.", float(census.behind));
    text.gauge("etcd_debugging_mvcc_pending_events_total", "Events that wait to be sent.", float(census.pending));

    let mut label = |name, help, label, value: &str| text.sample(name, help, Kind::Gauge, &[(label, value)], 1.0);
    let cluster = version::CLUSTER.trim_end_matches(".0");
    label("etcd_server_id", "This member's id, in hexadecimal.", "server_id", own);
    label("etcd_server_version", "The server's version.", "server_version", version::SERVER);
    label("etcd_cluster_version", "The version that all members speak.", "cluster_version", cluster);
    for (id, ..) in store.members() {
        let labels = [("Local", own), ("Remote", &format!("{id:x}"))];
        text.sample("etcd_network_known_peers", "Members that this one knows.", Kind::Gauge, &labels, 1.0);
    }
}
