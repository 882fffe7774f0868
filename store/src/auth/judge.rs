//! Whether someone may do what a request asks for, looked at in etcd's order
//! (`server/etcdserver/apply/auth.go`): nested transactions are looked into, and both branches of each.

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::request_op::Request;

use super::author::Credentials;
use super::rules::{Access, Rules};
use crate::error::Result;

/// Finds the keys that a lease holds; none if there is no such lease.
pub type LeaseKeys<'a> = &'a dyn Fn(i64) -> Result<Vec<Bytes>>;

/// Judges the requests of one client.
pub struct Judge<'a> {
    /// What counts.
    pub rules: &'a Rules,
    /// The client.
    pub who: &'a Credentials,
    /// Where leases are looked up.
    pub lease_keys: LeaseKeys<'a>,
}

impl Judge<'_> {
    fn may(&self, access: Access, key: &[u8], range_end: &[u8]) -> Result<()> {
        self.rules.permit(self.who, access, key, range_end)
    }

    /// Reading a range.
    pub fn range(&self, request: &pb::RangeRequest) -> Result<()> {
        self.may(Access::Read, &request.key, &request.range_end)
    }

    /// Putting a key, and giving it to a lease: whoever may do that may end the lease, which deletes all its keys.
    pub fn put(&self, request: &pb::PutRequest) -> Result<()> {
        self.may(Access::Write, &request.key, &[])?;
        self.write_lease(request.lease)?;
        if request.prev_kv { self.may(Access::Read, &request.key, &[]) } else { Ok(()) }
    }

    /// Deleting a range.
    pub fn delete_range(&self, request: &pb::DeleteRangeRequest) -> Result<()> {
        self.may(Access::Write, &request.key, &request.range_end)?;
        if request.prev_kv { self.may(Access::Read, &request.key, &request.range_end) } else { Ok(()) }
    }

    /// A transaction, whichever way it goes.
    pub fn txn(&self, request: &pb::TxnRequest) -> Result<()> {
        for compare in &request.compare {
            self.may(Access::Read, &compare.key, &compare.range_end)?;
        }
        for op in request.success.iter().chain(&request.failure) {
            match &op.request {
                Some(Request::RequestRange(request)) => self.range(request)?,
                Some(Request::RequestPut(request)) => self.put(request)?,
                Some(Request::RequestDeleteRange(request)) => self.delete_range(request)?,
                Some(Request::RequestTxn(request)) => self.txn(request)?,
                None => {}
            }
        }
        Ok(())
    }

    /// Ending or renewing a lease, which writes its keys. Administrators may always.
    pub fn write_lease(&self, id: i64) -> Result<()> {
        self.lease(id, Access::Write)
    }

    /// Learning which keys a lease holds.
    pub fn read_lease(&self, id: i64) -> Result<()> {
        self.lease(id, Access::Read)
    }

    fn lease(&self, id: i64, access: Access) -> Result<()> {
        if self.rules.permit_admin(self.who).is_ok() {
            return Ok(());
        }
        (self.lease_keys)(id)?.iter().try_for_each(|key| self.may(access, key, &[]))
    }
}
