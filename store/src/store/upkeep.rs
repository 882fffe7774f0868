//! What a member does for the data by itself: compacting, and comparing it with the other members'.

use std::collections::BTreeMap;
use std::sync::Weak;
use std::time::{Duration, Instant};

use futures::future::join_all;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::alarm_request::AlarmAction;
use pintle_proto::etcdserverpb::downgrade_request::DowngradeAction;
use pintle_proto::peerpb::call_request::Call;
use pintle_proto::peerpb::call_response::Answer as PeerAnswer;

use super::{Inner, Store};
use crate::auth::Author;
use crate::error::StoreError;
use crate::maintenance::compactor::{Compactor, Retention};
use crate::maintenance::corruption::{self, Answer, Verdict};
use crate::maintenance::downgrade;
use crate::metrics::METRICS;
use crate::mvcc::KeysHash;
use crate::version;

/// What to do by itself, and how often.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// What automatic compaction keeps (`--auto-compaction-retention`); it is off if none.
    pub retention: Option<Retention>,
    /// How often the members' data is compared (`--corrupt-check-time`); never if none.
    pub corrupt_check_interval: Option<Duration>,
    /// How often it is compared at the compacted revision (`--compact-hash-check-time`); never if none.
    pub compact_hash_check_interval: Option<Duration>,
    /// Whether it is compared before the first client is served (`InitialCorruptCheck`).
    pub initial_corrupt_check: bool,
}

impl Store {
    /// The hash of the keys at a revision, as etcd computes it.
    ///
    /// # Errors
    /// [`StoreError::Compacted`], [`StoreError::FutureRevision`].
    pub async fn hash_kv(&self, request: pb::HashKvRequest) -> Result<pb::HashKvResponse, StoreError> {
        let Answer { keys, current } = self.keys_hash(request.revision).await?;
        Ok(pb::HashKvResponse {
            header: Some(self.header(current)),
            hash: keys.hash,
            compact_revision: keys.compacted,
            hash_revision: keys.revision,
        })
    }

    /// A hash of everything that members share.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn hash(&self) -> Result<pb::HashResponse, StoreError> {
        let began = Instant::now();
        let (hash, revision) = self
            .read(|mvcc| {
                let view = mvcc.view()?;
                Ok((view.hash_everything()?, view.revision()))
            })
            .await?;
        METRICS.hash_seconds.observe_since(began);
        Ok(pb::HashResponse { header: Some(self.header(revision)), hash })
    }

    /// Judges, announces or takes back that the cluster is to be run by an older version.
    ///
    /// # Errors
    /// What etcd answers to a version that cannot be downgraded to.
    pub async fn downgrade(&self, request: pb::DowngradeRequest) -> Result<pb::DowngradeResponse, StoreError> {
        let action = DowngradeAction::try_from(request.action).map_err(|_| StoreError::UnknownMethod)?;
        let (cluster, target) = match action {
            DowngradeAction::Cancel => (downgrade::parse(version::CLUSTER)?, None),
            DowngradeAction::Validate | DowngradeAction::Enable => {
                (downgrade::parse(version::CLUSTER)?, Some(downgrade::parse(&request.version)?))
            }
        };
        self.read_index().await?;
        let pending = self.0.mvcc.view()?.downgrade_target()?.is_some();
        if let Some(target) = target {
            downgrade::check(cluster, target, pending)?;
        }
        match (action, target) {
            (DowngradeAction::Enable, Some((major, minor))) => {
                let target_version = format!("{major}.{minor}.0");
                self.write(Author::Server, pb::DowngradeInfo { enabled: true, target_version }).await?;
            }
            (DowngradeAction::Cancel, _) if pending => {
                self.write(Author::Server, pb::DowngradeInfo::default()).await?;
            }
            _ => {}
        }
        let version = format!("{}.{}", cluster.0, cluster.1);
        Ok(pb::DowngradeResponse { header: Some(self.header(self.revision()?)), version })
    }

    async fn keys_hash(&self, revision: i64) -> Result<Answer, StoreError> {
        let began = Instant::now();
        let answer = self.read(move |mvcc| {
            let view = mvcc.view()?;
            Ok(Answer { keys: view.hash_keys(revision)?, current: view.revision() })
        });
        let answer = answer.await?;
        METRICS.hash_kv_seconds.observe_since(began);
        Ok(answer)
    }

    /// The other members' hashes at a revision; `None` of one that does not answer.
    async fn others_hashes(&self, revision: i64) -> BTreeMap<u64, Option<Answer>> {
        let me = self.0.node.identity().member_id;
        let others = self.members().into_iter().map(|(id, ..)| id).filter(|id| *id != me);
        let asked = others.map(|id| async move {
            let call = Call::HashKv(pb::HashKvRequest { revision });
            match tokio::time::timeout(self.request_timeout(), self.ask_member(id, call)).await {
                Ok(Ok(PeerAnswer::HashKv(response))) => (id, Some(understand(&response))),
                _ => (id, None),
            }
        });
        join_all(asked).await.into_iter().collect()
    }

    /// Compares the present data of all members and raises the alarm about one that differs.
    async fn check_present(&self) -> Result<(), StoreError> {
        let before = self.keys_hash(0).await?;
        let others = self.others_hashes(before.keys.revision).await;
        let others = others.into_iter().filter_map(|(id, answer)| Some((id, answer?))).collect();
        self.read_index().await?;
        let after = self.keys_hash(0).await?;
        match corruption::differing(self.0.node.identity().member_id, before, after, &others) {
            Some(corrupt) => self.raise_corrupt(corrupt).await,
            None => Ok(()),
        }
    }

    /// Compares the data of all members at the compacted revision, unless they agreed there before.
    async fn check_compacted(&self, agreed: &mut i64) -> Result<(), StoreError> {
        let compacted = self.0.mvcc.view()?.compacted();
        if compacted <= *agreed {
            return Ok(());
        }
        let mine = self.keys_hash(compacted).await?.keys;
        let others = self.others_hashes(compacted).await;
        let others = others.into_iter().map(|(id, answer)| (id, answer.map(|answer| answer.keys))).collect();
        match corruption::judge(self.0.node.identity().member_id, mine, &others) {
            Verdict::Agreed => *agreed = compacted,
            Verdict::Incomplete => {}
            Verdict::Corrupt(members) => {
                for member in members {
                    self.raise_corrupt(member).await?;
                }
            }
        }
        Ok(())
    }

    async fn raise_corrupt(&self, member_id: u64) -> Result<(), StoreError> {
        tracing::error!(member = format!("{member_id:x}"), "a member's data is not what the others have");
        let alarm = pb::AlarmType::Corrupt.into();
        self.alarm(pb::AlarmRequest { action: AlarmAction::Activate.into(), member_id, alarm }).await.map(drop)
    }

    /// Compares this member's data with the others' before it serves anyone. False if it differs.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub(super) async fn agrees_with_others(&self) -> Result<bool, StoreError> {
        let mine = self.keys_hash(0).await?.keys;
        let others = self.others_hashes(mine.revision).await;
        let others = others.into_iter().filter_map(|(id, answer)| Some((id, answer?))).collect();
        Ok(!corruption::differs_at_start(mine, &others))
    }

    fn leads_now(&self) -> bool {
        matches!(self.leads(), Ok(true))
    }
}

fn understand(response: &pb::HashKvResponse) -> Answer {
    let keys = KeysHash { hash: response.hash, revision: response.hash_revision, compacted: response.compact_revision };
    Answer { keys, current: response.header.as_ref().map_or(0, |header| header.revision) }
}

/// Compacts by itself while this member leads.
pub(super) async fn compact_by_itself(store: Weak<Inner>, retention: Retention) {
    let started = Instant::now();
    let revision = store.upgrade().and_then(|inner| Store(inner).revision().ok()).unwrap_or(0);
    let mut compactor = Compactor::new(retention, revision, Duration::ZERO);
    loop {
        tokio::time::sleep(compactor.interval()).await;
        let Some(store) = store.upgrade().map(Store) else { return };
        let Ok(revision) = store.revision() else { continue };
        let Some(revision) = compactor.due(revision, store.leads_now(), started.elapsed()) else { continue };
        match store.compact(pb::CompactionRequest { revision, physical: false }).await {
            Ok(_) | Err(StoreError::Compacted) => compactor.done(revision, started.elapsed()),
            Err(error) => tracing::warn!(revision, %error, "cannot compact; trying again later"),
        }
    }
}

/// Compares the members' present data every `interval` while this one leads.
pub(super) async fn compare_present(store: Weak<Inner>, interval: Duration) {
    loop {
        tokio::time::sleep(interval).await;
        let Some(store) = store.upgrade().map(Store) else { return };
        if store.leads_now()
            && let Err(error) = store.check_present().await
        {
            tracing::warn!(%error, "cannot compare the members' data");
        }
    }
}

/// Compares the members' compacted data every `interval` while this one leads.
pub(super) async fn compare_compacted(store: Weak<Inner>, interval: Duration) {
    let mut agreed = 0;
    loop {
        tokio::time::sleep(interval).await;
        let Some(store) = store.upgrade().map(Store) else { return };
        if store.leads_now()
            && let Err(error) = store.check_compacted(&mut agreed).await
        {
            tracing::warn!(%error, "cannot compare the members' compacted data");
        }
    }
}
