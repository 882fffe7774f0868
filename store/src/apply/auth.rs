//! Users and roles: whether a command's author may do it, and changes of who may do what.

use pintle_proto::etcdserverpb as pb;

use super::command::{AuthChange, AuthCommand, Command};
use crate::auth::{Author, Judge};
use crate::engine::{Column, Reader};
use crate::error::{Result, StoreError};
use crate::mvcc::Writer;
use crate::mvcc::range::header;
use crate::mvcc::view::attached_keys;

/// Whether the author of a command may do it, now that it is applied.
pub(super) fn admit<R: Reader>(writer: &Writer<'_, R>, author: &Author, command: &Command) -> Result<()> {
    let rules = writer.rules();
    let Author::Client(who) = author else { return Ok(()) };
    if !rules.enabled() {
        return Ok(());
    }
    let judge = Judge { rules, who, lease_keys: &|id| attached_keys(writer.reader(), id) };
    match command {
        Command::Put(request) => judge.put(request),
        Command::DeleteRange(request) => judge.delete_range(request),
        Command::Txn(request) => judge.txn(request),
        Command::LeaseRevoke(request) => judge.write_lease(request.id),
        Command::Auth(_) => rules.permit_admin(who),
        // Judged before they are proposed: who may do these can do harm with them only to everyone alike.
        Command::Compact(_)
        | Command::LeaseGrant(_)
        | Command::LeaseCheckpoint(_)
        | Command::Alarm(_)
        | Command::Downgrade(_) => Ok(()),
    }
}

pub(super) fn change<R: Reader>(
    writer: &mut Writer<'_, R>,
    command: &AuthCommand,
) -> Result<Option<pb::ResponseHeader>> {
    let before = writer.rules().clone();
    let rules = writer.rules_mut();
    match command.change.as_ref().ok_or(StoreError::CorruptData("raft entry: empty auth command"))? {
        AuthChange::Enable(_) => rules.enable()?,
        AuthChange::Disable(_) => rules.disable(),
        AuthChange::UserAdd(request) => rules.user_add(request)?,
        AuthChange::UserDelete(request) => rules.user_delete(request)?,
        AuthChange::UserChangePassword(request) => rules.user_change_password(request)?,
        AuthChange::UserGrantRole(request) => rules.user_grant_role(request)?,
        AuthChange::UserRevokeRole(request) => rules.user_revoke_role(request)?,
        AuthChange::RoleAdd(request) => rules.role_add(request)?,
        AuthChange::RoleDelete(request) => rules.role_delete(request)?,
        AuthChange::RoleGrantPermission(request) => rules.role_grant_permission(request)?,
        AuthChange::RoleRevokePermission(request) => rules.role_revoke_permission(request)?,
        AuthChange::Authenticate(issued) => rules.may_have_token(&issued.user)?,
    }
    for (key, value) in writer.rules().changes_since(&before) {
        match value {
            Some(value) => writer.overlay().put(Column::Auth, key, value),
            None => writer.overlay().delete(Column::Auth, key),
        }
    }
    Ok(header(writer.revision()))
}
