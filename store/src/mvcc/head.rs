//! The replicated state that fits in one record: where the store stands.

use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use parking_lot::RwLock;

use pintle_proto::etcdserverpb::AlarmType;

use super::revision::Revision;
use crate::engine::schema::meta;
use crate::engine::{Column, Reader};
use crate::error::{Result, StoreError};

/// Where the store stands: read with every snapshot and written with every batch, so that data and header agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Main revision of the last transaction that wrote something.
    pub revision: i64,
    /// Nothing below this revision can be read; -1 before the first compaction.
    pub compacted: i64,
    /// Bytes of all changes ever made.
    pub written_bytes: u64,
    /// Bytes of changes that no reader at the present revision needs.
    pub superseded_bytes: u64,
    /// Bytes of changes that compaction made unreachable.
    pub freed_bytes: u64,
    /// Leases that exist.
    pub leases: u64,
    /// A bit for each kind of alarm that some member has raised.
    pub alarms: u32,
}

impl Default for Head {
    fn default() -> Self {
        Self {
            revision: Revision::FRESH,
            compacted: -1,
            written_bytes: 0,
            superseded_bytes: 0,
            freed_bytes: 0,
            leases: 0,
            alarms: 0,
        }
    }
}

impl Head {
    /// Reads the head of a store; a fresh one has the default.
    pub fn read(reader: &impl Reader) -> Result<Self> {
        reader.get(Column::Meta, meta::HEAD)?.map_or_else(|| Ok(Self::default()), Self::decode)
    }

    /// The bytes of [`meta::HEAD`].
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(52);
        out.put_i64(self.revision);
        out.put_i64(self.compacted);
        out.put_u64(self.written_bytes);
        out.put_u64(self.superseded_bytes);
        out.put_u64(self.freed_bytes);
        out.put_u64(self.leases);
        out.put_u32(self.alarms);
        out.freeze()
    }

    fn decode(mut bytes: Bytes) -> Result<Self> {
        let damaged = |_| StoreError::CorruptData("head record is cut short");
        Ok(Self {
            revision: bytes.try_get_i64().map_err(damaged)?,
            compacted: bytes.try_get_i64().map_err(damaged)?,
            written_bytes: bytes.try_get_u64().map_err(damaged)?,
            superseded_bytes: bytes.try_get_u64().map_err(damaged)?,
            freed_bytes: bytes.try_get_u64().map_err(damaged)?,
            leases: bytes.try_get_u64().map_err(damaged)?,
            alarms: bytes.try_get_u32().map_err(damaged)?,
        })
    }

    /// Whether some member has raised this kind of alarm.
    pub fn is_raised(&self, alarm: AlarmType) -> bool {
        self.alarms & Self::alarm_bit(alarm.into()) != 0
    }

    /// The bit of [`Self::alarms`] that stands for a kind of alarm.
    pub(crate) fn alarm_bit(alarm: i32) -> u32 {
        u32::try_from(alarm).ok().and_then(|alarm| 1_u32.checked_shl(alarm)).unwrap_or(0)
    }

    /// The size that the quota judges. A count of replicated bytes: all nodes agree on it, whatever their engines hold.
    pub fn logical_bytes(&self) -> u64 {
        let changes = self.written_bytes.saturating_sub(self.freed_bytes);
        changes + self.leases * crate::limits::LEASE_OVERHEAD_BYTES
    }

    /// The part of [`Self::logical_bytes`] that compacting to the present revision would leave.
    pub fn logical_bytes_in_use(&self) -> u64 {
        let changes = self.written_bytes.saturating_sub(self.superseded_bytes);
        changes + self.leases * crate::limits::LEASE_OVERHEAD_BYTES
    }
}

/// The head as the last batch left it, so that not every reader has to look for it among the data.
#[derive(Debug, Default)]
pub struct LatestHead {
    /// Rises when a batch begins to be written, and again when the head is that batch's: odd meanwhile.
    steps: AtomicU64,
    head: RwLock<Head>,
}

impl LatestHead {
    /// The head.
    pub fn get(&self) -> Head {
        *self.head.read()
    }

    /// Replaces it by what `write` has written; whoever calls this takes turns. If it fails, nobody can tell what is to be
    /// seen, and [`Self::beside`] has nothing to say until something is written again.
    pub fn change(&self, write: impl FnOnce() -> Result<Head>) -> Result<()> {
        let writing = self.steps.load(Ordering::SeqCst) | 1;
        self.steps.store(writing, Ordering::SeqCst);
        let head = write()?;
        *self.head.write() = head;
        self.steps.store(writing + 1, Ordering::SeqCst);
        Ok(())
    }

    /// What `look` sees, with the head that belongs to it; none if something was written meanwhile.
    pub fn beside<T>(&self, look: impl FnOnce() -> T) -> (T, Option<Head>) {
        let before = self.steps.load(Ordering::SeqCst);
        let head = self.get();
        let seen = look();
        let still = before.is_multiple_of(2) && self.steps.load(Ordering::SeqCst) == before;
        (seen, still.then_some(head))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_belongs_to_what_is_seen_or_is_not_told() {
        let (latest, head) = (LatestHead::default(), |revision| Head { revision, ..Head::default() });
        let change = |revision| latest.change(|| Ok(head(revision)));
        change(2).unwrap();
        assert_eq!(latest.beside(|| 7), (7, Some(head(2))));
        assert_eq!(latest.beside(|| change(3).unwrap()).1, None, "written meanwhile");
        let during = latest.change(|| {
            assert_eq!(latest.beside(|| ()).1, None, "written, but not told yet");
            Ok(head(4))
        });
        during.unwrap();
        assert_eq!(latest.beside(|| ()).1, Some(head(4)));
        assert!(latest.change(|| Err(StoreError::Stopped)).is_err());
        assert_eq!((latest.get(), latest.beside(|| ()).1), (head(4), None), "who knows");
        change(5).unwrap();
        assert_eq!(latest.beside(|| ()).1, Some(head(5)));
    }
}
