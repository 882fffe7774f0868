//! Who follows what is applied: watches, leases, and whoever cleans up after a compaction.

use std::sync::Arc;

use pintle_proto::mvccpb::Event;
use tokio::sync::Notify;

use super::tally;
use super::tokens::Tokens;
use crate::apply::{AuthChange, AuthCommand, Command, Response};
use crate::engine::rocks::RocksEngine;
use crate::error::StoreError;
use crate::lease::Leases;
use crate::limits;
use crate::mvcc::{Mvcc, Replay};
use crate::raft::state_machine::Observer;
use crate::watch::plan::{Chunk, Plan};
use crate::watch::{History, Watches};

/// Passes on what took effect.
pub struct Audience {
    pub mvcc: Arc<Mvcc<RocksEngine>>,
    pub watches: Arc<Watches>,
    pub leases: Arc<Leases>,
    pub tokens: Arc<Tokens>,
    /// Told of compactions.
    pub compacted: Arc<Notify>,
}

impl Observer for Audience {
    fn took_effect(&self, command: &Command, response: &Response) {
        tally::command(command, response);
        match (command, response) {
            (Command::Compact(request), _) => {
                self.watches.compact(request.revision);
                self.compacted.notify_one();
            }
            (Command::LeaseGrant(_), Response::LeaseGrant(granted)) => self.leases.grant(granted.id, granted.ttl),
            (Command::LeaseRevoke(request), _) => self.leases.revoke(request.id),
            (Command::LeaseCheckpoint(request), _) => {
                for lease in &request.checkpoints {
                    self.leases.checkpoint(lease.id, lease.remaining_ttl);
                }
            }
            (Command::Auth(AuthCommand { change: Some(change) }), _) => self.rules_changed(change),
            (
                Command::Put(_)
                | Command::DeleteRange(_)
                | Command::Txn(_)
                | Command::LeaseGrant(_)
                | Command::Alarm(_)
                | Command::Downgrade(_)
                | Command::Auth(AuthCommand { change: None }),
                _,
            ) => {}
        }
    }

    fn advanced(&self, revision: i64, events: Vec<Event>) {
        tally::events(&events);
        self.watches.publish(revision, events);
    }

    fn replaced(&self) -> Result<(), StoreError> {
        let view = self.mvcc.view()?;
        self.watches.restore(view.revision(), view.compacted());
        self.leases.reset(view.leases()?);
        // Those that the other member's past took back are not known.
        self.tokens.clear();
        self.compacted.notify_one();
        Ok(())
    }
}

impl Audience {
    /// Remembers tokens, and forgets those that no longer count.
    fn rules_changed(&self, change: &AuthChange) {
        match change {
            AuthChange::Authenticate(issued) => self.tokens.issue(&issued.user, &issued.token),
            AuthChange::UserDelete(request) => self.tokens.forget_user(&request.name),
            AuthChange::UserChangePassword(request) => self.tokens.forget_user(&request.name),
            AuthChange::Disable(_) => self.tokens.clear(),
            AuthChange::Enable(_)
            | AuthChange::UserAdd(_)
            | AuthChange::UserGrantRole(_)
            | AuthChange::UserRevokeRole(_)
            | AuthChange::RoleAdd(_)
            | AuthChange::RoleDelete(_)
            | AuthChange::RoleGrantPermission(_)
            | AuthChange::RoleRevokePermission(_) => {}
        }
    }
}

/// The past, for watchers that have fallen behind.
pub struct Past(pub Arc<Mvcc<RocksEngine>>);

impl History for Past {
    fn read(&self, plan: &Plan) -> Result<Chunk, StoreError> {
        let view = self.0.view()?;
        let select = |key: &[u8]| plan.wants(key);
        match view.history(plan.from, limits::WATCH_CHUNK_BYTES, plan.wants_prev_kv(), select) {
            Ok(Replay { mut events, next }) => {
                // What the hub does not know yet it will be told by the state machine.
                events.retain(|event| event.kv.as_ref().is_some_and(|kv| kv.mod_revision <= plan.through));
                Ok(Chunk::Events { events, through: plan.through.min(next - 1) })
            }
            Err(StoreError::Compacted) => Ok(Chunk::Compacted { compact_revision: view.compacted() }),
            Err(error) => Err(error),
        }
    }
}
