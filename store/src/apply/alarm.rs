//! Alarms: who raised them, and what they forbid.

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::AlarmType;
use pintle_proto::etcdserverpb::alarm_request::AlarmAction;
use pintle_proto::etcdserverpb::request_op::Request;

use super::command::Command;
use crate::engine::schema::alarm_key;
use crate::engine::{Column, Reader};
use crate::error::{Result, StoreError};
use crate::mvcc::range::header;
use crate::mvcc::view::raised_alarms;
use crate::mvcc::{Head, Writer};

/// Whether alarms allow a command. Out of space, nothing may be added; if members disagree about the data, it may not be
/// changed at all. Reads are answered then too, as in etcd: the alarm is in the probes.
pub(super) fn admit(head: &Head, command: &Command) -> Result<()> {
    let (adds, touches_data) = match command {
        Command::Put(_) | Command::LeaseGrant(_) => (true, true),
        Command::Txn(request) => (may_put(request), true),
        Command::DeleteRange(_) | Command::Compact(_) | Command::LeaseRevoke(_) => (false, true),
        Command::LeaseCheckpoint(_) | Command::Alarm(_) | Command::Auth(_) | Command::Downgrade(_) => (false, false),
    };
    if touches_data && head.is_raised(AlarmType::Corrupt) {
        return Err(StoreError::Corrupt);
    }
    if adds && head.is_raised(AlarmType::Nospace) {
        return Err(StoreError::NoSpace);
    }
    Ok(())
}

/// Whether either branch of a transaction, or of one nested in it, puts a key.
fn may_put(request: &pb::TxnRequest) -> bool {
    request.success.iter().chain(&request.failure).any(|op| match &op.request {
        Some(Request::RequestPut(_)) => true,
        Some(Request::RequestTxn(request)) => may_put(request),
        Some(Request::RequestRange(_) | Request::RequestDeleteRange(_)) | None => false,
    })
}

pub(super) fn alarm<R: Reader>(writer: &mut Writer<'_, R>, request: &pb::AlarmRequest) -> Result<pb::AlarmResponse> {
    let key = alarm_key(request.member_id, request.alarm);
    let named = pb::AlarmMember { member_id: request.member_id, alarm: request.alarm };
    let none = i32::from(AlarmType::None);
    let alarms = match AlarmAction::try_from(request.action) {
        Ok(AlarmAction::Get) => {
            let mut raised = raised_alarms(writer.reader())?;
            raised.retain(|member| request.alarm == none || member.alarm == request.alarm);
            raised
        }
        // One that is not known could have no effect (etcd dies of it).
        Ok(AlarmAction::Activate) if request.alarm != none && AlarmType::try_from(request.alarm).is_ok() => {
            writer.overlay().put(Column::Alarms, key, Bytes::new());
            vec![named]
        }
        Ok(AlarmAction::Deactivate) if writer.reader().get(Column::Alarms, &key)?.is_some() => {
            writer.overlay().delete(Column::Alarms, key);
            vec![named]
        }
        Ok(AlarmAction::Activate | AlarmAction::Deactivate) | Err(_) => Vec::new(),
    };
    let raised = raised_alarms(writer.reader())?;
    writer.head_mut().alarms = raised.iter().fold(0, |bits, member| bits | Head::alarm_bit(member.alarm));
    Ok(pb::AlarmResponse { header: header(writer.revision()), alarms })
}
