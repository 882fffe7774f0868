//! Who a request comes from, as far as what may be done with it is concerned.

use prost::Message;

/// Who a client has shown to be.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Credentials {
    /// The user's name; empty for a client that showed nothing, or came while authentication was off.
    #[prost(string, tag = "1")]
    pub user: String,
    /// The auth revision at which it was shown; 0 for a client that showed nothing.
    #[prost(uint64, tag = "2")]
    pub revision: u64,
}

impl Credentials {
    /// Of a client that showed nothing.
    pub const NOBODY: Self = Self { user: String::new(), revision: 0 };
}

/// Who stands behind a command. It is judged when the command is applied: a permission that was taken away meanwhile
/// is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Author {
    /// The server itself, or the program that it is part of: may do everything.
    Server,
    /// A client, who may do what its user may.
    Client(Credentials),
}
