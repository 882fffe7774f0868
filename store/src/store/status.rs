//! What the store says of itself.

use pintle_proto::etcdserverpb as pb;

use super::Store;
use crate::error::StoreError;
use crate::raft::node::Standing;
use crate::version;

impl Store {
    /// Where this node stands in the cluster. Looks at no data.
    pub fn standing(&self) -> Standing {
        self.0.node.standing()
    }

    /// The answer to etcd's `Status`.
    pub fn status_response(&self) -> Result<pb::StatusResponse, StoreError> {
        let standing = self.standing();
        let view = self.0.mvcc.view()?;
        let used = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
        let head = view.head();
        let mut errors = Vec::new();
        if standing.leader_id == 0 {
            errors.push(StoreError::NoLeader.to_string());
        }
        errors.extend(view.alarms()?.iter().map(describe_alarm));
        Ok(pb::StatusResponse {
            header: Some(self.header(view.revision())),
            version: version::SERVER.to_owned(),
            db_size: used(head.logical_bytes()),
            db_size_in_use: used(head.logical_bytes_in_use()),
            db_size_quota: used(self.config().quota_bytes),
            leader: standing.leader_id,
            raft_index: standing.last_index,
            raft_term: standing.term,
            raft_applied_index: standing.applied_index,
            errors,
            is_learner: standing.is_learner,
            storage_version: version::CLUSTER.to_owned(),
            downgrade_info: Some(pb::DowngradeInfo::default()),
        })
    }

    /// The alarms that are raised.
    pub fn alarms(&self) -> Result<Vec<pb::AlarmMember>, StoreError> {
        self.0.mvcc.view()?.alarms()
    }
}

/// An alarm as Go prints the message.
fn describe_alarm(alarm: &pb::AlarmMember) -> String {
    format!("memberID:{} alarm:{} ", alarm.member_id, alarm.alarm().as_str_name())
}
