//! Requests that go through the log.

use pintle_proto::etcdserverpb as pb;

use crate::apply::{AuthChange, Command, Response};

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
    Downgrade: pb::DowngradeInfo => pb::DowngradeResponse;
}

macro_rules! auth_writes {
    ($($kind:ident: $request:ty => $response:ident;)*) => {
        $(impl Write for $request {
            type Response = pb::$response;

            fn into_command(self) -> Command {
                AuthChange::$kind(self).into()
            }

            fn response(response: Response) -> Option<pb::$response> {
                if let Response::Auth(header) = response { Some(pb::$response { header }) } else { None }
            }

            fn header(response: &mut pb::$response) -> &mut Option<pb::ResponseHeader> {
                &mut response.header
            }
        })*
    };
}

auth_writes! {
    Enable: pb::AuthEnableRequest => AuthEnableResponse;
    Disable: pb::AuthDisableRequest => AuthDisableResponse;
    UserAdd: pb::AuthUserAddRequest => AuthUserAddResponse;
    UserDelete: pb::AuthUserDeleteRequest => AuthUserDeleteResponse;
    UserChangePassword: pb::AuthUserChangePasswordRequest => AuthUserChangePasswordResponse;
    UserGrantRole: pb::AuthUserGrantRoleRequest => AuthUserGrantRoleResponse;
    UserRevokeRole: pb::AuthUserRevokeRoleRequest => AuthUserRevokeRoleResponse;
    RoleAdd: pb::AuthRoleAddRequest => AuthRoleAddResponse;
    RoleDelete: pb::AuthRoleDeleteRequest => AuthRoleDeleteResponse;
    RoleGrantPermission: pb::AuthRoleGrantPermissionRequest => AuthRoleGrantPermissionResponse;
    RoleRevokePermission: pb::AuthRoleRevokePermissionRequest => AuthRoleRevokePermissionResponse;
}
