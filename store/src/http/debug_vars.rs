//! `/debug/vars`: a few variables as JSON, as Go's expvar publishes etcd's.

use std::fmt::Write;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response};
use serde_json::json;

use crate::error::StoreError;
use crate::metrics::process::{Files, resident_bytes};
use crate::store::Store;

/// Answers a request for the variables. The command line is not among them: it may name what is nobody's business.
pub(super) fn answer(store: &Store) -> Result<Response<Bytes>, StoreError> {
    let status = store.status()?;
    let standing = status.standing;
    let leads = standing.leader_id == status.member_id;
    let hex = |id: u64| format!("{id:x}");
    let state = match (leads, standing.leader_id) {
        (true, _) => "StateLeader",
        (false, 0) => "StateCandidate",
        (false, _) => "StateFollower",
    };
    let program = std::env::args().next();
    let variables = [
        ("cmdline", json!([program])),
        ("file_descriptor_limit", json!(Files::read().limit)),
        ("memstats", json!({ "Sys": resident_bytes() })),
        (
            "raft.status",
            json!({
                "id": hex(status.member_id),
                "term": standing.term,
                "commit": standing.applied_index,
                "lead": hex(standing.leader_id),
                "raftState": state,
                "applied": standing.applied_index,
            }),
        ),
    ];
    let mut body = "{\n".to_owned();
    for (number, (name, value)) in variables.iter().enumerate() {
        let separator = if number == 0 { "" } else { ",\n" };
        // Writing to a string does not fail.
        let _ = write!(body, "{separator}\"{name}\": {value}");
    }
    body.push_str("\n}\n");
    let mut answer = Response::new(Bytes::from(body));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
    Ok(answer)
}
