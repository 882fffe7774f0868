//! Counts what was applied.

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::response_op::Response as Done;
use pintle_proto::mvccpb::Event;
use pintle_proto::mvccpb::event::EventType;

use crate::apply::{Command, Response};
use crate::metrics::METRICS;
use crate::metrics::text::float;

/// Counts a command that took effect.
pub fn command(command: &Command, response: &Response) {
    match (command, response) {
        (Command::Put(_), _) => METRICS.puts.inc(),
        (Command::DeleteRange(_), _) => METRICS.deletes.inc(),
        (Command::Txn(_), Response::Txn(response)) => txn(response),
        (Command::LeaseGrant(_), Response::LeaseGrant(granted)) => {
            METRICS.leases_granted.inc();
            METRICS.lease_ttls.observe(float(granted.ttl.unsigned_abs()));
        }
        (Command::LeaseRevoke(_), _) => METRICS.leases_revoked.inc(),
        _ => {}
    }
}

/// Counts a transaction; one of a single operation is only that operation, as in etcd.
pub fn txn(response: &pb::TxnResponse) {
    let done = operations(response);
    METRICS.puts.add(done.puts);
    METRICS.deletes.add(done.deletes);
    METRICS.ranges.add(done.ranges);
    if done.puts + done.deletes + done.ranges > 1 {
        METRICS.txns.inc();
    }
}

/// Counts the bytes that were put.
pub fn events(events: &[Event]) {
    let puts = events.iter().filter(|event| event.r#type() == EventType::Put).filter_map(|event| event.kv.as_ref());
    METRICS.put_bytes.add(puts.map(|kv| (kv.key.len() + kv.value.len()) as u64).sum());
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Operations {
    puts: u64,
    deletes: u64,
    ranges: u64,
}

fn operations(response: &pb::TxnResponse) -> Operations {
    let mut done = Operations::default();
    for response in response.responses.iter().filter_map(|response| response.response.as_ref()) {
        match response {
            Done::ResponsePut(_) => done.puts += 1,
            Done::ResponseDeleteRange(_) => done.deletes += 1,
            Done::ResponseRange(_) => done.ranges += 1,
            Done::ResponseTxn(inner) => {
                let inner = operations(inner);
                done.puts += inner.puts;
                done.deletes += inner.deletes;
                done.ranges += inner.ranges;
            }
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_transactions_count_with_their_operations() {
        let op = |response| pb::ResponseOp { response: Some(response) };
        let put = || op(Done::ResponsePut(pb::PutResponse::default()));
        let range = op(Done::ResponseRange(pb::RangeResponse::default()));
        let inner = pb::TxnResponse { responses: vec![put(), range], ..Default::default() };
        let outer = pb::TxnResponse { responses: vec![put(), op(Done::ResponseTxn(inner))], ..Default::default() };
        assert_eq!(operations(&outer), Operations { puts: 2, deletes: 0, ranges: 1 });
    }
}
