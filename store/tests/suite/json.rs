//! etcd's messages as its JSON gateway writes them: numbers of 64 bits and bytes as strings, zeros left out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::compare::TargetUnion;
use pintle_proto::etcdserverpb::request_op::Request;
use pintle_proto::etcdserverpb::response_op::Response;
use pintle_proto::mvccpb::event::EventType;
use pintle_proto::mvccpb::{Event, KeyValue};
use serde_json::{Map, Value};

/// Reads a field of bytes.
pub fn bytes(value: &Value, field: &str) -> Bytes {
    value.get(field).and_then(Value::as_str).map(|text| STANDARD.decode(text).unwrap().into()).unwrap_or_default()
}

/// Reads a number, written as one or as a string.
pub fn number(value: &Value, field: &str) -> i64 {
    match value.get(field) {
        Some(Value::String(text)) => text.parse().unwrap(),
        Some(number) => number.as_i64().unwrap(),
        None => 0,
    }
}

/// Reads a flag.
pub fn flag(value: &Value, field: &str) -> bool {
    value.get(field).and_then(Value::as_bool).unwrap_or_default()
}

fn list(value: &Value, field: &str) -> Vec<Value> {
    value.get(field).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn name<'a>(value: &'a Value, field: &str, default: &'a str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or(default)
}

/// Reads a range request.
pub fn range_request(value: &Value) -> pb::RangeRequest {
    use pb::range_request::{SortOrder, SortTarget};
    pb::RangeRequest {
        key: bytes(value, "key"),
        range_end: bytes(value, "range_end"),
        limit: number(value, "limit"),
        revision: number(value, "revision"),
        sort_order: SortOrder::from_str_name(name(value, "sort_order", "NONE")).unwrap().into(),
        sort_target: SortTarget::from_str_name(name(value, "sort_target", "KEY")).unwrap().into(),
        serializable: flag(value, "serializable"),
        keys_only: flag(value, "keys_only"),
        count_only: flag(value, "count_only"),
        min_mod_revision: number(value, "min_mod_revision"),
        max_mod_revision: number(value, "max_mod_revision"),
        min_create_revision: number(value, "min_create_revision"),
        max_create_revision: number(value, "max_create_revision"),
    }
}

/// Reads a put request.
pub fn put_request(value: &Value) -> pb::PutRequest {
    pb::PutRequest {
        key: bytes(value, "key"),
        value: bytes(value, "value"),
        lease: number(value, "lease"),
        prev_kv: flag(value, "prev_kv"),
        ignore_value: flag(value, "ignore_value"),
        ignore_lease: flag(value, "ignore_lease"),
    }
}

/// Reads a delete request.
pub fn delete_range_request(value: &Value) -> pb::DeleteRangeRequest {
    pb::DeleteRangeRequest {
        key: bytes(value, "key"),
        range_end: bytes(value, "range_end"),
        prev_kv: flag(value, "prev_kv"),
    }
}

/// Reads a transaction.
pub fn txn_request(value: &Value) -> pb::TxnRequest {
    let ops = |field| list(value, field).iter().map(request_op).collect();
    pb::TxnRequest {
        compare: list(value, "compare").iter().map(compare).collect(),
        success: ops("success"),
        failure: ops("failure"),
    }
}

fn request_op(value: &Value) -> pb::RequestOp {
    let (kind, body) = value.as_object().unwrap().iter().next().unwrap();
    let request = match kind.as_str() {
        "request_range" => Request::RequestRange(range_request(body)),
        "request_put" => Request::RequestPut(put_request(body)),
        "request_delete_range" => Request::RequestDeleteRange(delete_range_request(body)),
        "request_txn" => Request::RequestTxn(txn_request(body)),
        other => panic!("operation {other}"),
    };
    pb::RequestOp { request: Some(request) }
}

fn compare(value: &Value) -> pb::Compare {
    use pb::compare::{CompareResult, CompareTarget};
    let target_union = ["version", "create_revision", "mod_revision", "value", "lease"]
        .into_iter()
        .find(|field| value.get(field).is_some())
        .map(|field| match field {
            "version" => TargetUnion::Version(number(value, field)),
            "create_revision" => TargetUnion::CreateRevision(number(value, field)),
            "mod_revision" => TargetUnion::ModRevision(number(value, field)),
            "value" => TargetUnion::Value(bytes(value, field)),
            _ => TargetUnion::Lease(number(value, field)),
        });
    pb::Compare {
        result: CompareResult::from_str_name(name(value, "result", "EQUAL")).unwrap().into(),
        target: CompareTarget::from_str_name(name(value, "target", "VERSION")).unwrap().into(),
        key: bytes(value, "key"),
        range_end: bytes(value, "range_end"),
        target_union,
    }
}

/// Writes an object without the fields that are zero, empty or absent.
struct Object(Map<String, Value>);

impl Object {
    fn new() -> Self {
        Self(Map::new())
    }

    fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let empty = match &value {
            Value::Null => true,
            Value::Bool(flag) => !flag,
            Value::String(text) => text.is_empty() || text == "0",
            Value::Array(list) => list.is_empty(),
            Value::Number(_) | Value::Object(_) => false,
        };
        if !empty {
            self.0.insert(name.into(), value);
        }
        self
    }

    fn header(self, header: Option<&pb::ResponseHeader>) -> Self {
        let revision = header.map(|header| Object::new().number("revision", header.revision).done());
        self.field("header", revision.unwrap_or_default())
    }

    fn number(self, name: &str, number: i64) -> Self {
        self.field(name, number.to_string())
    }

    fn bytes(self, name: &str, bytes: &[u8]) -> Self {
        self.field(name, STANDARD.encode(bytes))
    }

    fn list<T>(self, name: &str, items: &[T], write: impl Fn(&T) -> Value) -> Self {
        self.field(name, items.iter().map(write).collect::<Vec<_>>())
    }

    fn done(self) -> Value {
        self.0.into()
    }
}

fn key_value(kv: &KeyValue) -> Value {
    Object::new()
        .bytes("key", &kv.key)
        .number("create_revision", kv.create_revision)
        .number("mod_revision", kv.mod_revision)
        .number("version", kv.version)
        .bytes("value", &kv.value)
        .number("lease", kv.lease)
        .done()
}

/// Writes an event.
pub fn event(event: &Event) -> Value {
    let kind = if event.r#type == i32::from(EventType::Delete) { "DELETE" } else { "" };
    Object::new()
        .field("type", kind)
        .field("kv", event.kv.as_ref().map(key_value).unwrap_or_default())
        .field("prev_kv", event.prev_kv.as_ref().map(key_value).unwrap_or_default())
        .done()
}

/// Writes a header alone, as the simplest responses are.
pub fn header_only(revision: i64) -> Value {
    Object::new().header(Some(&pb::ResponseHeader { revision, ..Default::default() })).done()
}

/// Writes a range response.
pub fn range_response(response: &pb::RangeResponse) -> Value {
    Object::new()
        .header(response.header.as_ref())
        .list("kvs", &response.kvs, key_value)
        .field("more", response.more)
        .number("count", response.count)
        .done()
}

/// Writes a put response.
pub fn put_response(response: &pb::PutResponse) -> Value {
    Object::new()
        .header(response.header.as_ref())
        .field("prev_kv", response.prev_kv.as_ref().map(key_value).unwrap_or_default())
        .done()
}

/// Writes a delete response.
pub fn delete_range_response(response: &pb::DeleteRangeResponse) -> Value {
    Object::new()
        .header(response.header.as_ref())
        .number("deleted", response.deleted)
        .list("prev_kvs", &response.prev_kvs, key_value)
        .done()
}

/// Writes a transaction's response.
pub fn txn_response(response: &pb::TxnResponse) -> Value {
    Object::new()
        .header(response.header.as_ref())
        .field("succeeded", response.succeeded)
        .list("responses", &response.responses, response_op)
        .done()
}

fn response_op(op: &pb::ResponseOp) -> Value {
    let object = Object::new();
    match &op.response {
        Some(Response::ResponseRange(response)) => object.field("response_range", range_response(response)),
        Some(Response::ResponsePut(response)) => object.field("response_put", put_response(response)),
        Some(Response::ResponseDeleteRange(response)) => {
            object.field("response_delete_range", delete_range_response(response))
        }
        Some(Response::ResponseTxn(response)) => object.field("response_txn", txn_response(response)),
        None => object,
    }
    .done()
}

/// Writes a lease's grant.
pub fn lease_grant_response(response: &pb::LeaseGrantResponse) -> Value {
    Object::new().header(response.header.as_ref()).number("ID", response.id).done()
}

/// Writes the list of leases.
pub fn leases_response(revision: i64, ids: &[i64]) -> Value {
    let header = pb::ResponseHeader { revision, ..Default::default() };
    Object::new().header(Some(&header)).list("leases", ids, |id| Object::new().number("ID", *id).done()).done()
}

/// Writes what is known of a lease, without the time it has left.
pub fn time_to_live_response(revision: i64, id: i64, granted_ttl: i64, keys: &[Bytes]) -> Value {
    let header = pb::ResponseHeader { revision, ..Default::default() };
    Object::new()
        .header(Some(&header))
        .number("ID", id)
        .number("grantedTTL", granted_ttl)
        .list("keys", keys, |key| STANDARD.encode(key).into())
        .done()
}
