//! The space quota: what a command may cost, and whether it fits. Pure.

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::request_op::Request;

use crate::apply::Command;
use crate::limits::{KEY_OVERHEAD_BYTES, LEASE_OVERHEAD_BYTES};

/// Whether a command may be proposed when the store holds `used_bytes` of `quota_bytes`. What adds nothing always fits,
/// so that a full store can be cleaned up.
pub fn fits(command: &Command, used_bytes: u64, quota_bytes: u64) -> bool {
    let cost = cost(command);
    cost == 0 || used_bytes.saturating_add(cost) < quota_bytes
}

/// Bytes that a command may add, estimated as etcd does (`server/storage/quota.go`).
fn cost(command: &Command) -> u64 {
    match command {
        Command::Put(request) => put_cost(request),
        Command::Txn(request) => txn_cost(request),
        Command::LeaseGrant(_) => LEASE_OVERHEAD_BYTES,
        Command::DeleteRange(_)
        | Command::Compact(_)
        | Command::LeaseRevoke(_)
        | Command::LeaseCheckpoint(_)
        | Command::Alarm(_)
        | Command::Auth(_)
        | Command::Downgrade(_) => 0,
    }
}

fn put_cost(request: &pb::PutRequest) -> u64 {
    KEY_OVERHEAD_BYTES + (request.key.len() + request.value.len()) as u64
}

/// The dearer of the two branches.
fn txn_cost(request: &pb::TxnRequest) -> u64 {
    let branch = |ops: &[pb::RequestOp]| ops.iter().map(op_cost).fold(0, u64::saturating_add);
    branch(&request.success).max(branch(&request.failure))
}

fn op_cost(op: &pb::RequestOp) -> u64 {
    match &op.request {
        Some(Request::RequestPut(request)) => put_cost(request),
        Some(Request::RequestTxn(request)) => txn_cost(request),
        Some(Request::RequestRange(_) | Request::RequestDeleteRange(_)) | None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(value_bytes: usize) -> pb::PutRequest {
        pb::PutRequest { key: "k".into(), value: vec![0; value_bytes].into(), ..Default::default() }
    }

    #[test]
    fn what_adds_is_refused_when_full_and_what_removes_is_not() {
        assert!(fits(&Command::Put(put(9)), 0, 1000));
        assert!(!fits(&Command::Put(put(9)), 800, 1000));
        assert!(fits(&Command::DeleteRange(pb::DeleteRangeRequest::default()), 5000, 1000));
        assert!(fits(&Command::Compact(pb::CompactionRequest::default()), 5000, 1000));
    }

    #[test]
    fn a_transaction_costs_its_dearer_branch() {
        let op = |value_bytes| pb::RequestOp { request: Some(Request::RequestPut(put(value_bytes))) };
        let txn = pb::TxnRequest { success: vec![op(1)], failure: vec![op(1), op(700)], ..Default::default() };
        assert_eq!(cost(&Command::Txn(txn)), 2 * (KEY_OVERHEAD_BYTES + 1) + 701);
    }
}
