//! `/members` on the peer port, as etcd answers it there.

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::store::Store;

/// Where the members are listed.
pub(super) const PATH: &str = "/members";

/// Lists the members as this node knows them, with the cluster's id in a header.
pub(super) fn answer<B>(store: &Store, request: &Request<B>) -> Response<Bytes> {
    if request.method() != Method::GET {
        let mut answer = Response::new(Bytes::from_static(b"Method Not Allowed\n"));
        *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
        return answer;
    }
    let Ok(members) = store.member_list() else {
        let mut answer = Response::new(Bytes::from_static(b"Internal Server Error\n"));
        *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        return answer;
    };
    let members: Vec<Value> = members.iter().map(member).collect();
    let mut answer = Response::new(Bytes::from(format!("{}\n", Value::Array(members))));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let cluster_id = store.header(0).cluster_id;
    if let Ok(id) = HeaderValue::from_str(&format!("{cluster_id:x}")) {
        answer.headers_mut().insert("X-Etcd-Cluster-ID", id);
    }
    answer
}

/// A member in Go's JSON, which leaves out what is empty.
fn member(member: &pintle_proto::etcdserverpb::Member) -> Value {
    let mut object = json!({ "id": member.id, "peerURLs": member.peer_ur_ls });
    if member.is_learner {
        object["isLearner"] = json!(true);
    }
    if !member.name.is_empty() {
        object["name"] = json!(member.name);
    }
    if !member.client_ur_ls.is_empty() {
        object["clientURLs"] = json!(member.client_ur_ls);
    }
    object
}
