//! What is stored where: the columns of both databases and the encoding of their keys and values.
//!
//! Integers in keys are big-endian so that byte order is numeric order; integers in values are big-endian too, for one
//! rule. Keys of clients may hold any byte.

/// A column family. The first group belongs to the `state/` database, the second to `raft/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// key -> create, mod, version, lease, value: the present state.
    Live,
    /// (main, sub) -> event: what happened, in order.
    History,
    /// escaped key, inverted revision -> kind: where a key's past is found in `History`.
    Versions,
    /// lease id -> granted and remaining TTL.
    Leases,
    /// lease id, key -> nothing: which keys a lease holds.
    Attachments,
    /// Users, roles and whether they are enforced.
    Auth,
    /// Members of the cluster.
    Members,
    /// Alarms that are raised.
    Alarms,
    /// Revision, watermarks, sizes, applied index.
    Meta,
    /// Raft log entries.
    Log,
    /// Raft vote and log bounds.
    Vote,
}

impl Column {
    /// How many columns there are.
    pub const COUNT: usize = 11;
    /// The columns of the `state/` database.
    pub const STATE: &'static [Column] = &[
        Column::Live,
        Column::History,
        Column::Versions,
        Column::Leases,
        Column::Attachments,
        Column::Auth,
        Column::Members,
        Column::Alarms,
        Column::Meta,
    ];
    /// The columns of the `raft/` database.
    pub const RAFT: &'static [Column] = &[Column::Log, Column::Vote];

    /// The column's name on disk. Never change one.
    pub fn name(self) -> &'static str {
        match self {
            Column::Live => "live",
            Column::History => "history",
            Column::Versions => "versions",
            Column::Leases => "leases",
            Column::Attachments => "attachments",
            Column::Auth => "auth",
            Column::Members => "members",
            Column::Alarms => "alarms",
            Column::Meta => "meta",
            Column::Log => "log",
            Column::Vote => "vote",
        }
    }
}
