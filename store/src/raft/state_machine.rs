//! Applies committed entries: as many as are there share one write to the state, which carries the applied index with it.

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend};
use prost::Message;

use super::record::{self, LogIdRecord, MembershipRecord};
use super::snapshot::{SnapshotBuilder, SnapshotData, SnapshotMeta};
use super::{Entry, LogId, StoredMembership, TypeConfig};
use crate::apply::Reply;
use crate::apply::command::Command;
use crate::engine::{Column, Cursor, Direction, Durability, Engine, EngineError, Reader, Span, WriteBatch};
use crate::error::StoreError;
use crate::limits;

/// Where the id of the last applied entry lies in [`Column::Meta`].
const APPLIED: &[u8] = b"raft/applied";
/// Where the membership lies in [`Column::Members`].
const MEMBERSHIP: &[u8] = b"raft/membership";

/// What commands are applied by. Errors are not replies: they halt the node.
pub trait Machine: Send + Sync + 'static {
    /// Applies one command on top of what is stored and of what earlier calls added to `batch`.
    fn apply(&mut self, command: &Command, batch: &mut WriteBatch) -> Result<Reply, StoreError>;

    /// What was applied since the last call is stored and can be read: whoever watches may hear of it.
    fn publish(&mut self);

    /// The stored state was replaced as a whole; what is held in memory must be read anew.
    fn reload(&mut self) -> Result<(), StoreError>;
}

/// How far the state has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// The last entry that was applied.
    pub last: Option<LogId>,
    /// The members as of that entry.
    pub membership: StoredMembership,
}

impl Applied {
    /// Reads it from the state database.
    pub fn load<E: Engine>(engine: &E) -> Result<Self, EngineError> {
        let snapshot = engine.snapshot();
        let last = snapshot.get(Column::Meta, APPLIED)?;
        let last = last.map(|bytes| record::decode::<LogIdRecord>("the applied index", &bytes)).transpose()?;
        let membership = snapshot.get(Column::Members, MEMBERSHIP)?;
        let membership = membership.map(|bytes| record::decode::<MembershipRecord>("the stored membership", &bytes));
        let membership = membership.transpose()?.map(TryInto::try_into).transpose()?;
        Ok(Self { last: last.map(Into::into), membership: membership.unwrap_or_default() })
    }

    fn store(&self, batch: &mut WriteBatch) {
        if let Some(last) = &self.last {
            batch.put(Column::Meta, APPLIED, LogIdRecord::from(last).encode_to_vec());
        }
        batch.put(Column::Members, MEMBERSHIP, MembershipRecord::from(&self.membership).encode_to_vec());
    }
}

/// The state machine of this node.
pub struct StateMachine<E> {
    engine: Arc<E>,
    machine: Box<dyn Machine>,
    applied: Applied,
    /// The last snapshot that was built or installed.
    snapshot: Option<SnapshotMeta>,
    /// Told after every write.
    written: Box<dyn Fn() + Send + Sync>,
}

impl<E: Engine> StateMachine<E> {
    /// A state machine over the state in `engine`; `written` runs after every write to it.
    pub fn open(
        engine: Arc<E>,
        machine: Box<dyn Machine>,
        written: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Self, EngineError> {
        let applied = Applied::load(&*engine)?;
        Ok(Self { engine, machine, applied, snapshot: None, written })
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied.last, last_membership: self.applied.membership.clone() }
    }

    fn add(
        &mut self,
        round: &mut Round,
        entry: Entry,
        responder: Option<ApplyResponder<TypeConfig>>,
    ) -> io::Result<()> {
        let mut replies = Vec::new();
        match entry.payload {
            EntryPayload::Blank => {}
            EntryPayload::Normal(batch) => {
                round.bytes += batch.encoded_len();
                replies.reserve(batch.commands().len());
                for command in batch.commands() {
                    replies.push(self.machine.apply(command, &mut round.batch).map_err(io::Error::other)?);
                }
            }
            EntryPayload::Membership(membership) => {
                self.applied.membership = StoredMembership::new(Some(entry.log_id), membership);
            }
        }
        self.applied.last = Some(entry.log_id);
        if let Some(responder) = responder {
            round.answers.push((responder, replies));
        }
        Ok(())
    }

    /// Stores what a round gave, then tells everyone: clients first, since they wait.
    fn finish(&mut self, mut round: Round) -> io::Result<()> {
        self.applied.store(&mut round.batch);
        self.engine.write(&round.batch, Durability::Buffered).map_err(io::Error::other)?;
        for (responder, replies) in round.answers {
            responder.send(replies);
        }
        self.machine.publish();
        (self.written)();
        Ok(())
    }
}

/// Entries that share one write.
#[derive(Default)]
struct Round {
    batch: WriteBatch,
    bytes: usize,
    answers: Vec<(ApplyResponder<TypeConfig>, Vec<Reply>)>,
}

impl<E: Engine> RaftStateMachine<TypeConfig> for StateMachine<E> {
    type SnapshotData = SnapshotData<E>;
    type SnapshotBuilder = SnapshotBuilder<E>;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((self.applied.last, self.applied.membership.clone()))
    }

    async fn apply<S>(&mut self, mut entries: S) -> io::Result<()>
    where
        S: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut round = Round::default();
        while let Some((entry, responder)) = entries.try_next().await? {
            self.add(&mut round, entry, responder)?;
            if round.bytes >= limits::APPLY_BYTES {
                self.finish(std::mem::take(&mut round))?;
            }
        }
        self.finish(round)
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<E> {
        let meta = self.meta();
        self.snapshot = Some(meta.clone());
        SnapshotBuilder::new(self.engine.clone(), meta)
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData<E>) -> io::Result<()> {
        replace(&*self.engine, snapshot.engine()).map_err(io::Error::other)?;
        self.applied = Applied { last: meta.last_log_id, membership: meta.last_membership.clone() };
        let mut batch = WriteBatch::new();
        self.applied.store(&mut batch);
        self.engine.write(&batch, Durability::Buffered).map_err(io::Error::other)?;
        self.engine.flush().map_err(io::Error::other)?;
        self.machine.reload().map_err(io::Error::other)?;
        self.snapshot = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<openraft::alias::SnapshotOf<TypeConfig, SnapshotData<E>>>> {
        let snapshot = |meta| Snapshot { meta, snapshot: SnapshotData::new(self.engine.clone()) };
        Ok(self.snapshot.clone().map(snapshot))
    }
}

/// Replaces everything in `target` by what is in `source`. The first write takes the applied index away and the caller
/// stores it last, so that a crash in between is noticed.
fn replace<E: Engine>(target: &E, source: &E) -> Result<(), EngineError> {
    let mut batch = WriteBatch::new();
    for column in Column::STATE {
        let present = target.snapshot();
        let mut cursor = present.scan(*column, &Span::all(), Direction::Forward)?;
        while let Some((key, _)) = cursor.entry() {
            batch.delete(*column, key.to_vec());
            cursor.advance()?;
        }
    }
    let contents = source.snapshot();
    let mut bytes = 0;
    for column in Column::STATE {
        let mut cursor = contents.scan(*column, &Span::all(), Direction::Forward)?;
        while let Some((key, value)) = cursor.entry() {
            if !(*column == Column::Meta && key == APPLIED) {
                batch.put(*column, key.to_vec(), value.to_vec());
                bytes += key.len() + value.len();
            }
            if bytes >= limits::APPLY_BYTES {
                target.write(&std::mem::take(&mut batch), Durability::Buffered)?;
                bytes = 0;
            }
            cursor.advance()?;
        }
    }
    target.write(&batch, Durability::Buffered)
}
