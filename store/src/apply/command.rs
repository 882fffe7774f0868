//! The versioned entry of the replicated log and the commands in it.
//!
//! A command is complete: whatever depends on a clock, on chance or on a node's own flags (lease ids, minimum TTLs) was
//! stamped by the leader before it proposed, so that applying it is a pure function.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pintle_proto::etcdserverpb as pb;
use prost::Message;

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
            _ => return Err(StoreError::CorruptData("raft entry: unknown command")),
        })
    }
}

/// A command's tag (1 byte) and the length of its body (4 bytes).
const FRAME_BYTES: usize = 5;

/// The payload of one raft entry: the commands that were proposed together, applied in order, each an own transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entry {
    /// The commands, in the order in which they are applied.
    pub commands: Vec<Command>,
}

impl Entry {
    /// The entry's bytes in the raft log.
    pub fn encode(&self) -> Bytes {
        let length = 1 + self.commands.iter().map(Command::encoded_len).sum::<usize>();
        let mut out = BytesMut::with_capacity(length);
        out.put_u8(ENTRY_VERSION);
        for command in &self.commands {
            out.put_u8(command.tag());
            // A request is bounded far below 4 GiB before it is proposed.
            out.put_u32(u32::try_from(command.body_len()).unwrap_or(u32::MAX));
            command.encode_body(&mut out);
        }
        out.freeze()
    }

    /// Reads what [`Entry::encode`] wrote; keys and values share memory with `bytes`.
    pub fn decode(mut bytes: Bytes) -> Result<Self> {
        if !bytes.has_remaining() || bytes.get_u8() != ENTRY_VERSION {
            return Err(StoreError::CorruptData("raft entry: unknown version"));
        }
        let mut commands = Vec::new();
        while bytes.has_remaining() {
            if bytes.remaining() < FRAME_BYTES {
                return Err(StoreError::CorruptData("raft entry: cut short"));
            }
            let tag = bytes.get_u8();
            let length = bytes.get_u32() as usize;
            if bytes.remaining() < length {
                return Err(StoreError::CorruptData("raft entry: cut short"));
            }
            commands.push(Command::decode(tag, bytes.split_to(length))?);
        }
        Ok(Self { commands })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            commands: vec![
                Command::Put(pb::PutRequest { key: "a".into(), value: "1".into(), ..Default::default() }),
                Command::LeaseRevoke(pb::LeaseRevokeRequest { id: 7 }),
                Command::Txn(pb::TxnRequest::default()),
            ],
        }
    }

    #[test]
    fn an_entry_survives_the_log() {
        let bytes = entry().encode();
        assert_eq!(bytes.len(), 1 + entry().commands.iter().map(Command::encoded_len).sum::<usize>());
        assert_eq!(Entry::decode(bytes).unwrap(), entry());
    }

    #[test]
    fn a_cut_entry_is_refused_not_half_applied() {
        let bytes = entry().encode();
        let whole: Vec<usize> = entry()
            .commands
            .iter()
            .scan(1, |end, command| {
                *end += command.encoded_len();
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
