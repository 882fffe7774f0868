//! Requests that go through the log.

use pintle_proto::etcdserverpb as pb;

use crate::apply::{Command, Response};

/// A request that becomes a command, and what that is answered with.
pub trait Write {
    /// The answer.
    type Response;

    /// The command to replicate.
    fn into_command(self) -> Command;
    /// The answer out of what applying the command gave; none if it is another command's.
    fn response(response: Response) -> Option<Self::Response>;
    /// The answer's header.
    fn header(response: &mut Self::Response) -> &mut Option<pb::ResponseHeader>;
}

macro_rules! writes {
    ($($kind:ident: $request:ty => $response:ty;)*) => {
        $(impl Write for $request {
            type Response = $response;

            fn into_command(self) -> Command {
                Command::$kind(self)
            }

            fn response(response: Response) -> Option<$response> {
                if let Response::$kind(response) = response { Some(response) } else { None }
            }

            fn header(response: &mut $response) -> &mut Option<pb::ResponseHeader> {
                &mut response.header
            }
        })*
    };
}

writes! {
    Put: pb::PutRequest => pb::PutResponse;
    DeleteRange: pb::DeleteRangeRequest => pb::DeleteRangeResponse;
    Txn: pb::TxnRequest => pb::TxnResponse;
    Compact: pb::CompactionRequest => pb::CompactionResponse;
    LeaseGrant: pb::LeaseGrantRequest => pb::LeaseGrantResponse;
    LeaseRevoke: pb::LeaseRevokeRequest => pb::LeaseRevokeResponse;
    LeaseCheckpoint: pb::LeaseCheckpointRequest => pb::LeaseCheckpointResponse;
    Alarm: pb::AlarmRequest => pb::AlarmResponse;
}
