//! The versioned entry of the replicated log and the commands in it.
//!
//! A command is complete: whatever depends on a clock, on chance or on a node's own flags (lease ids, minimum TTLs) was
//! stamped by the leader before it proposed, so that applying it is a pure function.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pintle_proto::etcdserverpb as pb;
use prost::Message;

use crate::auth::{Author, Credentials};
use crate::error::{Result, StoreError};

/// The layout of [`Entry::encode`]. Raise it when a node of the previous version could not apply an entry as this one
/// does.
const ENTRY_VERSION: u8 = 1;

/// One replicated command.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    /// Put one key.
    Put(pb::PutRequest),
    /// Delete a range of keys.
    DeleteRange(pb::DeleteRangeRequest),
    /// Compare, then do one of two lists of operations.
    Txn(pb::TxnRequest),
    /// Forget what was superseded up to a revision.
    Compact(pb::CompactionRequest),
    /// Create a lease; the id is never 0 and the TTL is at least the minimum.
    LeaseGrant(pb::LeaseGrantRequest),
    /// Delete a lease and its keys, on demand or on expiry.
    LeaseRevoke(pb::LeaseRevokeRequest),
    /// Note how much of a lease's TTL is left, so that a new leader does not start it over.
    LeaseCheckpoint(pb::LeaseCheckpointRequest),
    /// Raise, clear or list alarms.
    Alarm(pb::AlarmRequest),
    /// Change who may do what.
    Auth(AuthCommand),
    /// Announce that an older version is to take over, or take that back.
    Downgrade(pb::DowngradeInfo),
}

/// A command about users and roles.
#[derive(Clone, PartialEq, Message)]
pub struct AuthCommand {
    /// What to do; never absent.
    #[prost(oneof = "AuthChange", tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub change: Option<AuthChange>,
}

/// What a command about users and roles does. Passwords are hashed before they come here: the log never has one.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum AuthChange {
    /// Turn authentication on.
    #[prost(message, tag = "1")]
    Enable(pb::AuthEnableRequest),
    /// Turn authentication off.
    #[prost(message, tag = "2")]
    Disable(pb::AuthDisableRequest),
    /// Make a user.
    #[prost(message, tag = "3")]
    UserAdd(pb::AuthUserAddRequest),
    /// Delete a user.
    #[prost(message, tag = "4")]
    UserDelete(pb::AuthUserDeleteRequest),
    /// Give a user another password.
    #[prost(message, tag = "5")]
    UserChangePassword(pb::AuthUserChangePasswordRequest),
    /// Give a user a role.
    #[prost(message, tag = "6")]
    UserGrantRole(pb::AuthUserGrantRoleRequest),
    /// Take a role from a user.
    #[prost(message, tag = "7")]
    UserRevokeRole(pb::AuthUserRevokeRoleRequest),
    /// Make a role.
    #[prost(message, tag = "8")]
    RoleAdd(pb::AuthRoleAddRequest),
    /// Delete a role, and take it from whoever has it.
    #[prost(message, tag = "9")]
    RoleDelete(pb::AuthRoleDeleteRequest),
    /// Let a role do something with a range of keys.
    #[prost(message, tag = "10")]
    RoleGrantPermission(pb::AuthRoleGrantPermissionRequest),
    /// Take a range of keys from a role.
    #[prost(message, tag = "11")]
    RoleRevokePermission(pb::AuthRoleRevokePermissionRequest),
    /// Have every member know a token.
    #[prost(message, tag = "12")]
    Authenticate(IssuedToken),
}

impl AuthChange {
    fn name(&self) -> &'static str {
        match self {
            AuthChange::Enable(_) => "AuthEnable",
            AuthChange::Disable(_) => "AuthDisable",
            AuthChange::UserAdd(_) => "AuthUserAdd",
            AuthChange::UserDelete(_) => "AuthUserDelete",
            AuthChange::UserChangePassword(_) => "AuthUserChangePassword",
            AuthChange::UserGrantRole(_) => "AuthUserGrantRole",
            AuthChange::UserRevokeRole(_) => "AuthUserRevokeRole",
            AuthChange::RoleAdd(_) => "AuthRoleAdd",
            AuthChange::RoleDelete(_) => "AuthRoleDelete",
            AuthChange::RoleGrantPermission(_) => "AuthRoleGrantPermission",
            AuthChange::RoleRevokePermission(_) => "AuthRoleRevokePermission",
            AuthChange::Authenticate(_) => "Authenticate",
        }
    }
}

impl From<AuthChange> for Command {
    fn from(change: AuthChange) -> Self {
        Command::Auth(AuthCommand { change: Some(change) })
    }
}

/// A token that was given to a user whose password had been checked.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct IssuedToken {
    /// The user.
    #[prost(string, tag = "1")]
    pub user: String,
    /// The token.
    #[prost(string, tag = "2")]
    pub token: String,
}

impl Command {
    /// The number that stands for the kind of command on disk. Never reuse one.
    fn tag(&self) -> u8 {
        match self {
            Command::Put(_) => 1,
            Command::DeleteRange(_) => 2,
            Command::Txn(_) => 3,
            Command::Compact(_) => 4,
            Command::LeaseGrant(_) => 5,
            Command::LeaseRevoke(_) => 6,
            Command::LeaseCheckpoint(_) => 7,
            Command::Alarm(_) => 8,
            Command::Auth(_) => 9,
            Command::Downgrade(_) => 10,
        }
    }

    /// Its name in etcd's metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Command::Put(_) => "Put",
            Command::DeleteRange(_) => "DeleteRange",
            Command::Txn(_) => "Txn",
            Command::Compact(_) => "Compaction",
            Command::LeaseGrant(_) => "LeaseGrant",
            Command::LeaseRevoke(_) => "LeaseRevoke",
            Command::LeaseCheckpoint(_) => "LeaseCheckpoint",
            Command::Alarm(_) => "Alarm",
            Command::Auth(command) => command.change.as_ref().map_or("unknown", AuthChange::name),
            Command::Downgrade(_) => "DowngradeInfoSet",
        }
    }

    /// Bytes this command takes in an entry, its framing included.
    pub fn encoded_len(&self) -> usize {
        FRAME_BYTES + self.body_len()
    }

    fn body_len(&self) -> usize {
        match self {
            Command::Put(body) => body.encoded_len(),
            Command::DeleteRange(body) => body.encoded_len(),
            Command::Txn(body) => body.encoded_len(),
            Command::Compact(body) => body.encoded_len(),
            Command::LeaseGrant(body) => body.encoded_len(),
            Command::LeaseRevoke(body) => body.encoded_len(),
            Command::LeaseCheckpoint(body) => body.encoded_len(),
            Command::Alarm(body) => body.encoded_len(),
            Command::Auth(body) => body.encoded_len(),
            Command::Downgrade(body) => body.encoded_len(),
        }
    }

    fn encode_body(&self, out: &mut BytesMut) {
        match self {
            Command::Put(body) => body.encode_raw(out),
            Command::DeleteRange(body) => body.encode_raw(out),
            Command::Txn(body) => body.encode_raw(out),
            Command::Compact(body) => body.encode_raw(out),
            Command::LeaseGrant(body) => body.encode_raw(out),
            Command::LeaseRevoke(body) => body.encode_raw(out),
            Command::LeaseCheckpoint(body) => body.encode_raw(out),
            Command::Alarm(body) => body.encode_raw(out),
            Command::Auth(body) => body.encode_raw(out),
            Command::Downgrade(body) => body.encode_raw(out),
        }
    }

    fn decode(tag: u8, body: Bytes) -> Result<Self> {
        let malformed = |_| StoreError::CorruptData("raft entry: malformed command");
        Ok(match tag {
            1 => Command::Put(Message::decode(body).map_err(malformed)?),
            2 => Command::DeleteRange(Message::decode(body).map_err(malformed)?),
            3 => Command::Txn(Message::decode(body).map_err(malformed)?),
            4 => Command::Compact(Message::decode(body).map_err(malformed)?),
            5 => Command::LeaseGrant(Message::decode(body).map_err(malformed)?),
            6 => Command::LeaseRevoke(Message::decode(body).map_err(malformed)?),
            7 => Command::LeaseCheckpoint(Message::decode(body).map_err(malformed)?),
            8 => Command::Alarm(Message::decode(body).map_err(malformed)?),
            9 => Command::Auth(Message::decode(body).map_err(malformed)?),
            10 => Command::Downgrade(Message::decode(body).map_err(malformed)?),
            _ => return Err(StoreError::CorruptData("raft entry: unknown command")),
        })
    }
}

/// A command's tag (1 byte) and the length of its body (4 bytes).
const FRAME_BYTES: usize = 5;

/// Stands where a command's tag would: the frame names the author of the command after it. A command without one is
/// the server's own.
const AUTHOR_TAG: u8 = 0;

/// A command and who stands behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Proposal {
    /// Who must be allowed to do it.
    pub author: Author,
    /// What to do.
    pub command: Command,
}

impl Proposal {
    /// Bytes this proposal takes in an entry, its framing included.
    pub fn encoded_len(&self) -> usize {
        let author_len = match &self.author {
            Author::Server => 0,
            Author::Client(credentials) => FRAME_BYTES + credentials.encoded_len(),
        };
        author_len + self.command.encoded_len()
    }

    fn encode(&self, out: &mut BytesMut) {
        if let Author::Client(credentials) = &self.author {
            put_frame(AUTHOR_TAG, credentials.encoded_len(), out);
            credentials.encode_raw(out);
        }
        put_frame(self.command.tag(), self.command.body_len(), out);
        self.command.encode_body(out);
    }

    fn decode(bytes: &mut Bytes) -> Result<Self> {
        let (tag, body) = take_frame(bytes)?;
        if tag != AUTHOR_TAG {
            return Ok(Self { author: Author::Server, command: Command::decode(tag, body)? });
        }
        let malformed = |_| StoreError::CorruptData("raft entry: malformed author");
        let credentials = Credentials::decode(body).map_err(malformed)?;
        let (tag, body) = take_frame(bytes)?;
        Ok(Self { author: Author::Client(credentials), command: Command::decode(tag, body)? })
    }
}

/// The server's own proposal.
impl From<Command> for Proposal {
    fn from(command: Command) -> Self {
        Self { author: Author::Server, command }
    }
}

fn put_frame(tag: u8, body_len: usize, out: &mut BytesMut) {
    out.put_u8(tag);
    // A request is bounded far below 4 GiB before it is proposed.
    out.put_u32(u32::try_from(body_len).unwrap_or(u32::MAX));
}

fn take_frame(bytes: &mut Bytes) -> Result<(u8, Bytes)> {
    let cut_short = StoreError::CorruptData("raft entry: cut short");
    if bytes.remaining() < FRAME_BYTES {
        return Err(cut_short);
    }
    let tag = bytes.get_u8();
    let length = bytes.get_u32() as usize;
    if bytes.remaining() < length {
        return Err(cut_short);
    }
    Ok((tag, bytes.split_to(length)))
}

/// The payload of one raft entry: what was proposed together, applied in order, each an own transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// The proposals, in the order in which they are applied.
    pub proposals: Vec<Proposal>,
}

impl Entry {
    /// The entry's bytes in the raft log.
    pub fn encode(&self) -> Bytes {
        let length = 1 + self.proposals.iter().map(Proposal::encoded_len).sum::<usize>();
        let mut out = BytesMut::with_capacity(length);
        out.put_u8(ENTRY_VERSION);
        for proposal in &self.proposals {
            proposal.encode(&mut out);
        }
        out.freeze()
    }

    /// Reads what [`Entry::encode`] wrote; keys and values share memory with `bytes`.
    pub fn decode(mut bytes: Bytes) -> Result<Self> {
        if !bytes.has_remaining() || bytes.get_u8() != ENTRY_VERSION {
            return Err(StoreError::CorruptData("raft entry: unknown version"));
        }
        let mut proposals = Vec::new();
        while bytes.has_remaining() {
            proposals.push(Proposal::decode(&mut bytes)?);
        }
        Ok(Self { proposals })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let client = |user: &str, revision| Author::Client(Credentials { user: user.to_owned(), revision });
        let put = pb::PutRequest { key: "a".into(), value: "1".into(), ..Default::default() };
        let user = pb::AuthUserDeleteRequest { name: "ann".to_owned() };
        Entry {
            proposals: vec![
                Command::Put(put.clone()).into(),
                Command::LeaseRevoke(pb::LeaseRevokeRequest { id: 7 }).into(),
                Proposal { author: client("ann", 3), command: Command::Put(put) },
                Proposal { author: client("", 0), command: AuthChange::UserDelete(user).into() },
                Command::Txn(pb::TxnRequest::default()).into(),
            ],
        }
    }

    #[test]
    fn an_entry_survives_the_log() {
        let bytes = entry().encode();
        assert_eq!(bytes.len(), 1 + entry().proposals.iter().map(Proposal::encoded_len).sum::<usize>());
        assert_eq!(Entry::decode(bytes).unwrap(), entry());
    }

    #[test]
    fn a_cut_entry_is_refused_not_half_applied() {
        let bytes = entry().encode();
        let whole: Vec<usize> = entry()
            .proposals
            .iter()
            .scan(1, |end, proposal| {
                *end += proposal.encoded_len();
                Some(*end)
            })
            .collect();
        for length in 0..bytes.len() {
            let cut = Entry::decode(bytes.slice(..length));
            assert_eq!(cut.is_ok(), length == 1 || whole.contains(&length), "cut to {length}");
        }
    }

    #[test]
    fn an_unknown_version_or_command_is_refused() {
        assert!(Entry::decode(Bytes::from_static(&[9])).is_err());
        assert!(Entry::decode(Bytes::from_static(&[ENTRY_VERSION, 200, 0, 0, 0, 0])).is_err());
    }
}
