//! Applies committed entries: as many as are there share one write to the state, which carries the applied index with
//! it.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use futures::{Stream, TryStreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine, Snapshot};
use openraft::{EntryPayload, OptionalSend};
use pintle_proto::mvccpb::Event;
use prost::Message;
use tokio::sync::watch;

use super::log_progress::LogProgress;
use super::record::{self, LogIdRecord, MembershipRecord};
use super::snapshot::{SnapshotBuilder, SnapshotData, SnapshotMeta, Source};
use super::{Entry, LogId, StoredMembership, TypeConfig};
use crate::apply::{Command, Outcome, Proposal, Response, apply};
use crate::engine::{Column, Engine, EngineError, Reader, WriteBatch};
use crate::error::StoreError;
use crate::limits;
use crate::metrics::METRICS;
use crate::mvcc::{Mvcc, Writer};

/// Where the id of the last applied entry lies in [`Column::Meta`].
const APPLIED: &[u8] = b"raft/applied";
/// Where the membership lies in [`Column::Members`].
const MEMBERSHIP: &[u8] = b"raft/membership";

/// Who hears what was applied, in order, after it can be read.
pub trait Observer: Send + Sync + 'static {
    /// These commands took effect, one after the other. Called before [`Observer::advanced`] of the same write.
    fn took_effect(&self, command: &Command, response: &Response);

    /// The store has come to `revision` by `events`. Called with every write, with no events too.
    fn advanced(&self, revision: i64, events: Vec<Event>);

    /// The whole state was replaced by another member's.
    fn replaced(&self) -> Result<(), StoreError>;
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
        Self::read(&engine.snapshot())
    }

    /// Reads it from a view of the state database.
    pub fn read(reader: &impl Reader) -> Result<Self, EngineError> {
        Self::decode(reader.get(Column::Meta, APPLIED)?.as_ref(), reader.get(Column::Members, MEMBERSHIP)?.as_ref())
    }

    /// Reads it from a copy of the state database.
    pub fn load_checkpoint<E: Engine>(engine: &E, directory: &Path) -> Result<Self, EngineError> {
        let get = |column, key| engine.read_checkpoint(directory, column, key);
        Self::decode(get(Column::Meta, APPLIED)?.as_ref(), get(Column::Members, MEMBERSHIP)?.as_ref())
    }

    fn decode(last: Option<&Bytes>, membership: Option<&Bytes>) -> Result<Self, EngineError> {
        let last = last.map(|bytes| record::decode::<LogIdRecord>("the applied index", bytes)).transpose()?;
        let membership = membership.map(|bytes| record::decode::<MembershipRecord>("the stored membership", bytes));
        let membership = membership.transpose()?.map(TryInto::try_into).transpose()?;
        Ok(Self { last: last.map(Into::into), membership: membership.unwrap_or_default() })
    }

    /// The index of that entry; 0 when there is none.
    pub fn index(&self) -> u64 {
        self.last.map_or(0, |id| id.index)
    }

    pub(super) fn store(&self, batch: &mut WriteBatch) {
        if let Some(last) = &self.last {
            batch.put(Column::Meta, APPLIED, LogIdRecord::from(last).encode_to_vec());
        }
        batch.put(Column::Members, MEMBERSHIP, MembershipRecord::from(&self.membership).encode_to_vec());
    }
}

/// The state machine of this node.
pub struct StateMachine<E> {
    mvcc: Arc<Mvcc<E>>,
    source: Source<E>,
    log: LogProgress,
    applied: Applied,
    /// The index of the last entry in the state, however it got there.
    index: watch::Sender<u64>,
    observer: Box<dyn Observer>,
}

impl<E: Engine> StateMachine<E> {
    /// A state machine over a state, which never comes further than the log on disk.
    pub fn open(source: Source<E>, log: LogProgress, observer: Box<dyn Observer>) -> Result<Self, EngineError> {
        let mvcc = source.mvcc().clone();
        let applied = Applied::load(&**mvcc.engine())?;
        let index = watch::Sender::new(applied.index());
        Ok(Self { mvcc, source, log, applied, index, observer })
    }

    /// Follows the index of the last entry that can be read in the state.
    pub fn applied_index(&self) -> watch::Receiver<u64> {
        self.index.subscribe()
    }

    fn meta(&self) -> SnapshotMeta {
        SnapshotMeta { last_log_id: self.applied.last, last_membership: self.applied.membership.clone() }
    }

    /// Applies entries with one write, then tells everyone: clients first, since they wait.
    async fn apply_round(&mut self, round: Vec<EntryResponder<TypeConfig>>) -> io::Result<()> {
        // A majority may have these entries before this node's disk has, and the state comes to disk when it likes: it would
        // be left with entries that the log has lost.
        if let Some((entry, _)) = round.last() {
            self.log.reaches(entry.log_id.index).await.map_err(io::Error::other)?;
        }
        let mut applied = self.applied.clone();
        for (entry, _) in &round {
            applied.last = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = &entry.payload {
                applied.membership = StoredMembership::new(Some(entry.log_id), membership.clone());
            }
        }
        let work = |writer: &mut Writer<'_, E::Snapshot<'_>>| apply_entries(writer, &round);
        let began = Instant::now();
        let outcomes = self.mvcc.write(work, |batch| applied.store(batch)).map_err(io::Error::other)?;
        METRICS.applied(round.len(), METRICS.commits.observe_since(began));
        self.applied = applied;
        self.tell(round, outcomes);
        self.index.send_replace(self.applied.index());
        Ok(())
    }

    fn tell(&self, round: Vec<EntryResponder<TypeConfig>>, outcomes: Vec<Vec<Outcome>>) {
        let mut news = Vec::new();
        let mut revision = None;
        for ((entry, responder), outcomes) in round.into_iter().zip(outcomes) {
            let mut replies = Vec::with_capacity(outcomes.len());
            for (proposal, outcome) in proposals(&entry).iter().zip(outcomes) {
                if let Ok(response) = &outcome.reply {
                    self.observer.took_effect(&proposal.command, response);
                }
                revision = Some(outcome.revision);
                news.extend(outcome.events);
                replies.push(outcome.reply);
            }
            if let Some(responder) = responder {
                responder.send(replies);
            }
        }
        if let Some(revision) = revision {
            self.observer.advanced(revision, news);
        }
    }
}

fn proposals(entry: &Entry) -> &[Proposal] {
    match &entry.payload {
        EntryPayload::Normal(batch) => batch.proposals(),
        EntryPayload::Blank | EntryPayload::Membership(_) => &[],
    }
}

/// Applies the proposals of each entry in order, each a transaction of its own.
fn apply_entries<R: Reader>(
    writer: &mut Writer<'_, R>,
    entries: &[EntryResponder<TypeConfig>],
) -> Result<Vec<Vec<Outcome>>, StoreError> {
    let mut apply = |proposal: &Proposal| {
        let began = Instant::now();
        let outcome = apply(writer, proposal)?;
        METRICS.applied_command(proposal.command.name(), outcome.reply.is_ok(), began);
        Ok(outcome)
    };
    entries.iter().map(|(entry, _)| proposals(entry).iter().map(&mut apply).collect()).collect()
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
        let mut round = Vec::new();
        let mut bytes = 0;
        while let Some((entry, responder)) = entries.try_next().await? {
            bytes += proposals(&entry).iter().map(Proposal::encoded_len).sum::<usize>();
            round.push((entry, responder));
            if bytes >= limits::APPLY_BYTES {
                self.apply_round(std::mem::take(&mut round)).await?;
                bytes = 0;
            }
        }
        self.apply_round(round).await
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<E> {
        SnapshotBuilder::new(self.source.clone(), self.meta())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, snapshot: SnapshotData<E>) -> io::Result<()> {
        let files = snapshot.files(meta.last_log_id).await.map_err(io::Error::other)?;
        let mvcc = self.mvcc.clone();
        let replaced = tokio::task::spawn_blocking(move || {
            let received = Applied::load_checkpoint(&**mvcc.engine(), &files.directory)?;
            mvcc.replace(&files.directory)?;
            Ok::<_, StoreError>(received)
        });
        let received = replaced.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        if received.last != meta.last_log_id {
            return Err(io::Error::other("a snapshot has reached another entry than it says"));
        }
        self.applied = received;
        self.observer.replaced().map_err(io::Error::other)?;
        self.index.send_replace(self.applied.index());
        Ok(())
    }

    async fn get_current_snapshot(
        &mut self,
    ) -> io::Result<Option<openraft::alias::SnapshotOf<TypeConfig, SnapshotData<E>>>> {
        let meta = self.source.offer(self.meta());
        Ok(meta.last_log_id.is_some().then(|| Snapshot { meta, snapshot: SnapshotData::Own(self.source.clone()) }))
    }
}
