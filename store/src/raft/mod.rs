//! Raft: the replicated log, proposals and the state machine.
