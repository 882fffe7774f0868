//! The connections to other members that are not raft's own: one a member, kept as long as its addresses stay.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Member;
use super::network::{Link, Transport};
use super::node::Identity;

/// Links by member id. Clones share them.
#[derive(Clone)]
pub struct Links {
    identity: Identity,
    transport: Arc<dyn Transport>,
    known: Arc<Mutex<HashMap<u64, Known>>>,
}

/// Whom a link was made to, with the addresses of then.
type Known = (Member, Arc<dyn Link>);

impl Links {
    /// None yet, from the member that this node is.
    pub fn new(identity: Identity, transport: Arc<dyn Transport>) -> Self {
        Self { identity, transport, known: Arc::default() }
    }

    /// The link to a member that has these addresses.
    pub fn to(&self, id: u64, member: &Member) -> Arc<dyn Link> {
        let mut known = self.known.lock();
        if let Some((as_known, link)) = known.get(&id)
            && as_known.peer_urls == member.peer_urls
        {
            return link.clone();
        }
        let link = self.transport.connect(self.identity, id, member);
        known.insert(id, (member.clone(), link.clone()));
        link
    }
}
