//! Raft's messages as they are on the wire. What a peer sends is checked here, so that raft meets nothing that its own
//! assertions would not let pass.

use bytes::Bytes;
use openraft::raft::{StreamAppendError, TransferLeaderError};
use pintle_proto::peerpb;
use prost::Message;

use crate::engine::EngineError;
use crate::error::StoreError;
use crate::raft::network::{AppendRequest, AppendResult, TransferRequest, TransferResponse, VoteRequest, VoteResponse};
use crate::raft::record::{self, EntryRecord, LogIdRecord, MembershipRecord, VoteRecord};
use crate::raft::snapshot::SnapshotMeta;
use crate::raft::{Entry, LogId, StoredMembership, Vote};

const MALFORMED: StoreError = StoreError::MalformedPeerMessage;

fn readable<T>(result: Result<T, EngineError>) -> Result<T, StoreError> {
    result.map_err(|_| MALFORMED)
}

pub fn ballot_to_wire(vote: &Vote) -> peerpb::Ballot {
    let VoteRecord { term, candidate, won } = vote.into();
    peerpb::Ballot { term, candidate, won }
}

pub fn ballot(wire: Option<peerpb::Ballot>) -> Result<Vote, StoreError> {
    let peerpb::Ballot { term, candidate, won } = wire.ok_or(MALFORMED)?;
    Ok(VoteRecord { term, candidate, won }.into())
}

/// The ballot of a leader: one that was won.
pub fn leaders_ballot(wire: Option<peerpb::Ballot>) -> Result<Vote, StoreError> {
    let vote = ballot(wire)?;
    if vote.committed { Ok(vote) } else { Err(MALFORMED) }
}

pub fn log_id_to_wire(id: &LogId) -> peerpb::LogId {
    let LogIdRecord { term, index } = id.into();
    peerpb::LogId { term, index }
}

pub fn log_id(wire: peerpb::LogId) -> LogId {
    LogIdRecord { term: wire.term, index: wire.index }.into()
}

pub fn append_to_wire(request: &AppendRequest) -> peerpb::AppendRequest {
    let encode = |entry: &Entry| Bytes::from(EntryRecord::from(entry).encode_to_vec());
    peerpb::AppendRequest {
        ballot: Some(ballot_to_wire(&request.vote)),
        previous: request.prev_log_id.as_ref().map(log_id_to_wire),
        committed: request.leader_commit.as_ref().map(log_id_to_wire),
        entries: request.entries.iter().map(encode).collect(),
    }
}

pub fn append(wire: peerpb::AppendRequest) -> Result<AppendRequest, StoreError> {
    let vote = leaders_ballot(wire.ballot)?;
    let prev_log_id = wire.previous.map(log_id);
    let decode = |bytes: Bytes| {
        let record = EntryRecord::decode(bytes).map_err(|_| MALFORMED)?;
        readable(record.into_entry())
    };
    let entries = wire.entries.into_iter().map(decode).collect::<Result<Vec<Entry>, _>>()?;
    // Raft relies on entries that follow one another, with terms that do not fall or exceed the leader's.
    let (mut term, mut next) = prev_log_id.map_or((0, 0), |id| (id.leader_id.term, id.index.saturating_add(1)));
    for entry in &entries {
        let id = entry.log_id;
        if id.index != next || id.leader_id.term < term {
            return Err(MALFORMED);
        }
        (term, next) = (id.leader_id.term, next.saturating_add(1));
    }
    if term > vote.leader_id.term {
        return Err(MALFORMED);
    }
    Ok(AppendRequest { vote, prev_log_id, entries, leader_commit: wire.committed.map(log_id) })
}

pub fn appended_to_wire(result: &AppendResult) -> peerpb::AppendResponse {
    use peerpb::append_response::Result as Wire;
    let result = match result {
        Ok(matched) => Wire::Matched(peerpb::Matched { id: matched.as_ref().map(log_id_to_wire) }),
        Err(StreamAppendError::Conflict(id)) => Wire::Conflict(log_id_to_wire(id)),
        Err(StreamAppendError::HigherVote(vote)) => Wire::Higher(ballot_to_wire(vote)),
    };
    peerpb::AppendResponse { result: Some(result) }
}

pub fn appended(wire: peerpb::AppendResponse) -> Result<AppendResult, StoreError> {
    use peerpb::append_response::Result as Wire;
    Ok(match wire.result.ok_or(MALFORMED)? {
        Wire::Matched(matched) => Ok(matched.id.map(log_id)),
        Wire::Conflict(id) => Err(StreamAppendError::Conflict(log_id(id))),
        Wire::Higher(vote) => Err(StreamAppendError::HigherVote(ballot(Some(vote))?)),
    })
}

pub fn vote_to_wire(request: &VoteRequest, pre_vote: bool) -> peerpb::VoteRequest {
    peerpb::VoteRequest {
        ballot: Some(ballot_to_wire(&request.vote)),
        last: request.last_log_id.as_ref().map(log_id_to_wire),
        transfer: request.leadership_transfer,
        pre_vote,
    }
}

pub fn vote(wire: peerpb::VoteRequest) -> Result<VoteRequest, StoreError> {
    let vote = ballot(wire.ballot)?;
    let last_log_id = wire.last.map(log_id);
    let newer_log = last_log_id.is_some_and(|last| last.leader_id.term > vote.leader_id.term);
    if vote.committed || newer_log {
        return Err(MALFORMED);
    }
    Ok(VoteRequest { vote, last_log_id, leadership_transfer: wire.transfer })
}

pub fn voted_to_wire(response: &VoteResponse) -> peerpb::VoteResponse {
    peerpb::VoteResponse {
        ballot: Some(ballot_to_wire(&response.vote)),
        last: response.last_log_id.as_ref().map(log_id_to_wire),
        granted: response.vote_granted,
    }
}

pub fn voted(wire: peerpb::VoteResponse) -> Result<VoteResponse, StoreError> {
    Ok(VoteResponse { vote: ballot(wire.ballot)?, vote_granted: wire.granted, last_log_id: wire.last.map(log_id) })
}

pub fn transfer_to_wire(request: &TransferRequest) -> peerpb::TransferLeaderRequest {
    peerpb::TransferLeaderRequest {
        from: Some(ballot_to_wire(request.from_leader())),
        to: *request.to_node_id(),
        last: request.last_log_id().map(log_id_to_wire),
    }
}

pub fn transfer(wire: peerpb::TransferLeaderRequest) -> Result<TransferRequest, StoreError> {
    Ok(TransferRequest::new(leaders_ballot(wire.from)?, wire.to, wire.last.map(log_id)))
}

pub fn transferred_to_wire(response: &TransferResponse) -> peerpb::TransferLeaderResponse {
    use peerpb::transfer_leader_response::Refused;
    let refused = response.as_ref().err().map(|error| match error {
        TransferLeaderError::VoteChanged { actual, .. } => Refused::Other(ballot_to_wire(actual)),
        TransferLeaderError::LogNotFlushed { actual, .. } => {
            Refused::Flushed(peerpb::Matched { id: actual.as_ref().map(log_id_to_wire) })
        }
    });
    peerpb::TransferLeaderResponse { refused }
}

pub fn transferred(
    request: &TransferRequest,
    wire: peerpb::TransferLeaderResponse,
) -> Result<TransferResponse, StoreError> {
    use peerpb::transfer_leader_response::Refused;
    Ok(match wire.refused {
        None => Ok(()),
        Some(Refused::Other(other)) => {
            Err(TransferLeaderError::VoteChanged { expected: *request.from_leader(), actual: ballot(Some(other))? })
        }
        Some(Refused::Flushed(flushed)) => Err(TransferLeaderError::LogNotFlushed {
            expected: request.last_log_id().copied(),
            actual: flushed.id.map(log_id),
        }),
    })
}

pub fn install_to_wire(vote: &Vote, meta: &SnapshotMeta) -> peerpb::SnapshotInstall {
    peerpb::SnapshotInstall {
        ballot: Some(ballot_to_wire(vote)),
        last: meta.last_log_id.as_ref().map(log_id_to_wire),
        membership: MembershipRecord::from(&meta.last_membership).encode_to_vec().into(),
    }
}

pub fn install(wire: &peerpb::SnapshotInstall) -> Result<(Vote, SnapshotMeta), StoreError> {
    let membership = readable(record::decode::<MembershipRecord>("membership", &wire.membership))?;
    let last_membership: StoredMembership = readable(membership.try_into())?;
    Ok((leaders_ballot(wire.ballot)?, SnapshotMeta { last_log_id: wire.last.map(log_id), last_membership }))
}

#[cfg(test)]
mod tests {
    use openraft::testing::blank_ent;

    use super::*;
    use crate::raft::TypeConfig;

    fn request(indexes: &[u64]) -> AppendRequest {
        let vote = Vote::new_committed(3, 7);
        let prev_log_id = Some(log_id(peerpb::LogId { term: 2, index: 4 }));
        let entries = indexes.iter().map(|index| blank_ent::<TypeConfig>(3, 0, *index)).collect();
        AppendRequest { vote, prev_log_id, entries, leader_commit: None }
    }

    #[test]
    fn appends_survive_the_way() {
        let sent = request(&[5, 6]);
        let received = append(append_to_wire(&sent)).unwrap();
        assert_eq!((received.vote, received.prev_log_id), (sent.vote, sent.prev_log_id));
        assert_eq!(received.entries, sent.entries);
    }

    #[test]
    fn what_raft_would_not_survive_is_refused() {
        assert!(append(append_to_wire(&request(&[6]))).is_err(), "a hole before the first entry");
        assert!(append(append_to_wire(&request(&[5, 7]))).is_err(), "a hole between entries");
        let mut beyond = append_to_wire(&request(&[5]));
        beyond.ballot = Some(peerpb::Ballot { term: 1, candidate: 7, won: true });
        assert!(append(beyond).is_err(), "entries of a later leader");
        let mut candidate = append_to_wire(&request(&[5]));
        candidate.ballot = Some(peerpb::Ballot { term: 3, candidate: 7, won: false });
        assert!(append(candidate).is_err(), "appends of one that was not elected");
        let mut garbage = append_to_wire(&request(&[5]));
        garbage.entries = vec![Bytes::from_static(b"\xff\xff")];
        assert!(append(garbage).is_err());
        assert!(append(peerpb::AppendRequest::default()).is_err());
        assert!(vote(peerpb::VoteRequest::default()).is_err());
    }
}
