//! What the store says of itself.

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;

use super::Store;
use crate::error::StoreError;
use crate::mvcc::Head;
use crate::raft::node::Standing;
use crate::version;

/// How the store stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// The cluster.
    pub cluster_id: u64,
    /// This member.
    pub member_id: u64,
    /// Term, leader and indexes.
    pub standing: Standing,
    /// Revision, sizes and alarms.
    pub head: Head,
    /// Bytes of data at which writes are refused.
    pub quota_bytes: u64,
    /// Bytes of the raft log, which is cut when it has grown long.
    pub log_bytes: u64,
}

impl Store {
    /// Where this node stands in the cluster. Looks at no data.
    pub fn standing(&self) -> Standing {
        self.0.node.standing()
    }

    /// Whether this node is a learner: it follows, and answers only what says how it stands or need not be current.
    pub fn is_learner(&self) -> bool {
        self.0.node.is_learner()
    }

    /// How the store stands, as far as this node knows.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn status(&self) -> Result<Status, StoreError> {
        Ok(self.status_at(self.0.mvcc.view()?.head()))
    }

    /// How many keys there are. Does not walk them.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub async fn key_count(&self) -> Result<u64, StoreError> {
        let every = Bytes::from_static(b"\0");
        let request =
            pb::RangeRequest { key: every.clone(), range_end: every, count_only: true, ..pb::RangeRequest::default() };
        let response = self.read(move |mvcc| mvcc.view()?.range(&request)).await?;
        Ok(u64::try_from(response.count).unwrap_or_default())
    }

    /// Views of the data that are being read.
    pub fn readers(&self) -> usize {
        self.0.mvcc.engine().readers()
    }

    /// The revision of users and roles.
    pub fn auth_revision(&self) -> u64 {
        self.0.mvcc.rules().revision()
    }

    fn status_at(&self, head: &Head) -> Status {
        let identity = self.0.node.identity();
        Status {
            cluster_id: identity.cluster_id,
            member_id: identity.member_id,
            standing: self.standing(),
            head: *head,
            quota_bytes: self.config().quota_bytes,
            log_bytes: self.0.node.log_bytes(),
        }
    }

    /// The answer to etcd's `Status`.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn status_response(&self) -> Result<pb::StatusResponse, StoreError> {
        let view = self.0.mvcc.view()?;
        let Status { standing, head, quota_bytes, .. } = self.status_at(view.head());
        let mut errors = Vec::new();
        if standing.leader_id == 0 {
            errors.push(StoreError::NoLeader.to_string());
        }
        errors.extend(view.alarms()?.iter().map(describe_alarm));
        let size_field = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        Ok(pb::StatusResponse {
            header: Some(self.header(head.revision)),
            version: version::SERVER.to_owned(),
            db_size: size_field(head.logical_bytes()),
            db_size_in_use: size_field(head.logical_bytes_in_use()),
            db_size_quota: size_field(quota_bytes),
            leader: standing.leader_id,
            raft_index: standing.last_index,
            raft_term: standing.term,
            raft_applied_index: standing.applied_index,
            errors,
            is_learner: standing.is_learner,
            storage_version: version::CLUSTER.to_owned(),
            downgrade_info: Some(match view.downgrade_target()? {
                Some(target_version) => pb::DowngradeInfo { enabled: true, target_version },
                None => pb::DowngradeInfo::default(),
            }),
        })
    }

    /// The alarms that are raised.
    ///
    /// # Errors
    /// When the state cannot be read.
    pub fn alarms(&self) -> Result<Vec<pb::AlarmMember>, StoreError> {
        self.0.mvcc.view()?.alarms()
    }
}

/// An alarm as Go prints the message: without zeros, and a kind that has no name by its number.
fn describe_alarm(alarm: &pb::AlarmMember) -> String {
    let member = if alarm.member_id == 0 { String::new() } else { format!("memberID:{} ", alarm.member_id) };
    let kind = match pb::AlarmType::try_from(alarm.alarm) {
        Ok(pb::AlarmType::None) => String::new(),
        Ok(kind) => format!("alarm:{} ", kind.as_str_name()),
        Err(_) => format!("alarm:{} ", alarm.alarm),
    };
    member + &kind
}
