//! Who leads, as far as this member can tell: nobody once the leader has been silent for too long, or this node leads
//! and has lost touch with a majority.

use std::sync::Arc;
use std::time::Duration;

use openraft::async_runtime::WatchReceiver;
use openraft::metrics::{RaftDataMetrics, RaftServerMetrics};
use openraft::{Instant as _, Raft};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use super::TypeConfig;
use super::state_machine::StateMachine;
use crate::engine::Engine;
use crate::metrics::METRICS;

/// Follows who leads: the member's id, 0 for nobody.
pub type LeaderWatch = watch::Receiver<u64>;

/// When this node last heard from a leader.
#[derive(Debug, Clone, Default)]
pub struct Heard(Arc<Mutex<Option<Instant>>>);

impl Heard {
    /// A leader has spoken.
    pub fn now(&self) {
        *self.0.lock() = Some(Instant::now());
    }

    fn within(&self, age: Duration) -> bool {
        self.0.lock().is_some_and(|heard| heard.elapsed() <= age)
    }
}

/// Watches who leads, as long as somebody listens and raft runs.
pub fn watch<E: Engine>(
    raft: &Raft<TypeConfig, StateMachine<E>>,
    id: u64,
    heard: Heard,
    election_timeout: Duration,
) -> LeaderWatch {
    let (mut server, data) = (raft.server_metrics(), raft.data_metrics());
    let judge = Judge { id, heard, election_timeout };
    let first = judge.leader(&server.borrow_watched(), &data.borrow_watched());
    let (sender, receiver) = watch::channel(first);
    if first != 0 {
        METRICS.leader_changes.inc();
    }
    tokio::spawn(async move {
        loop {
            let alone = is_alone(&server.borrow_watched());
            tokio::select! {
                () = sender.closed() => return,
                changed = server.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(election_timeout / 4), if !alone => {}
            }
            let leader = judge.leader(&server.borrow_watched(), &data.borrow_watched());
            let changed = sender.send_if_modified(|known| std::mem::replace(known, leader) != leader);
            if changed && leader != 0 {
                METRICS.leader_changes.inc();
            }
        }
    });
    receiver
}

fn is_alone(metrics: &RaftServerMetrics<TypeConfig>) -> bool {
    metrics.membership_config.voter_ids().nth(1).is_none()
}

struct Judge {
    id: u64,
    heard: Heard,
    election_timeout: Duration,
}

impl Judge {
    fn leader(&self, server: &RaftServerMetrics<TypeConfig>, data: &RaftDataMetrics<TypeConfig>) -> u64 {
        let Some(leader) = server.current_leader else { return 0 };
        let in_touch = if leader == self.id {
            let acknowledged = data.last_quorum_acked.as_ref();
            is_alone(server) || acknowledged.is_none_or(|at| at.elapsed() <= self.election_timeout)
        } else {
            // A follower stands for election one to two timeouts after it last heard from a leader.
            self.heard.within(self.election_timeout * 2)
        };
        if in_touch { leader } else { 0 }
    }
}
