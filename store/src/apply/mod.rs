//! The replicated commands and the pure function that applies them: no clock, no chance, no waiting.

mod alarm;
mod auth;
pub mod command;
mod downgrade;
mod kv;
mod lease;
pub mod reply;

use pintle_proto::etcdserverpb as pb;
use pintle_proto::mvccpb::Event;

pub use self::command::{AuthChange, AuthCommand, Command, Entry, IssuedToken, Proposal};
use crate::engine::Reader;
use crate::error::Result;
use crate::mvcc::Writer;

/// What a command that took effect is answered with, one variant a [`command::Command`]. Headers carry the revision;
/// what depends on the node (cluster, member, term) is filled in where the answer leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// To a put.
    Put(pb::PutResponse),
    /// To a deletion.
    DeleteRange(pb::DeleteRangeResponse),
    /// To a transaction.
    Txn(pb::TxnResponse),
    /// To a compaction.
    Compact(pb::CompactionResponse),
    /// To a lease's creation.
    LeaseGrant(pb::LeaseGrantResponse),
    /// To a lease's end.
    LeaseRevoke(pb::LeaseRevokeResponse),
    /// To a lease's checkpoint.
    LeaseCheckpoint(pb::LeaseCheckpointResponse),
    /// To raising, clearing or listing alarms.
    Alarm(pb::AlarmResponse),
    /// To announcing a downgrade.
    Downgrade(pb::DowngradeResponse),
    /// To a change of users and roles, which all are answered with a header alone.
    Auth(Option<pb::ResponseHeader>),
}

/// A command's answer. An error here is deterministic: every node comes to the same one, and the command counts as
/// applied.
pub type Reply = Result<Response>;

/// What a command came to.
#[derive(Debug)]
pub struct Outcome {
    /// What the client is answered; an error here is one that every node meets alike.
    pub reply: Reply,
    /// The changes of keys, in order, each with the state before it; all at [`Self::revision`].
    pub events: Vec<Event>,
    /// The store's main revision afterwards.
    pub revision: i64,
}

/// Applies one command, if its author may do that: it takes effect as a whole, or fails and leaves no trace.
///
/// An error returned here, rather than in the outcome, is this node's own trouble: it must halt.
pub fn apply<R: Reader>(writer: &mut Writer<'_, R>, proposal: &Proposal) -> Result<Outcome> {
    writer.begin();
    let (reply, events) = match dispatch(writer, proposal) {
        Ok(reply) => (Ok(reply), writer.commit()),
        Err(error) if error.is_deterministic() => {
            writer.abort();
            (Err(error), Vec::new())
        }
        Err(error) => return Err(error),
    };
    Ok(Outcome { reply, events, revision: writer.head().revision })
}

fn dispatch<R: Reader>(writer: &mut Writer<'_, R>, proposal: &Proposal) -> Result<Response> {
    let Proposal { author, command } = proposal;
    alarm::admit(writer.head(), command)?;
    auth::admit(writer, author, command)?;
    Ok(match command {
        Command::Put(request) => Response::Put(kv::put(writer, request)?),
        Command::DeleteRange(request) => Response::DeleteRange(kv::delete_range(writer, request)?),
        Command::Txn(request) => Response::Txn(kv::txn(writer, request)?),
        Command::Compact(request) => Response::Compact(kv::compact(writer, request)?),
        Command::LeaseGrant(request) => Response::LeaseGrant(lease::grant(writer, request)?),
        Command::LeaseRevoke(request) => Response::LeaseRevoke(lease::revoke(writer, *request)?),
        Command::LeaseCheckpoint(request) => Response::LeaseCheckpoint(lease::checkpoint(writer, request)?),
        Command::Alarm(request) => Response::Alarm(alarm::alarm(writer, request)?),
        Command::Downgrade(info) => Response::Downgrade(downgrade::downgrade(writer, info)),
        Command::Auth(command) => Response::Auth(auth::change(writer, command)?),
    })
}
