//! Keys: reading and changing them.

use std::sync::Arc;
use std::time::Instant;

use pintle_proto::etcdserverpb as pb;

use super::{Store, prune, tally};
use crate::auth::Author;
use crate::error::StoreError;
use crate::metrics::METRICS;
use crate::mvcc::{check, txn};

impl Store {
    /// Reads a range of keys, now or at a revision of the past. Unless the request is `serializable`, everything
    /// acknowledged before the call is seen.
    pub async fn range(&self, request: pb::RangeRequest) -> Result<pb::RangeResponse, StoreError> {
        check::range(&request)?;
        METRICS.ranges.inc();
        if !request.serializable {
            self.0.node.read_index().await?;
        }
        let began = Instant::now();
        let read = if request.range_end.is_empty() {
            self.0.mvcc.view().and_then(|view| view.range(&request))
        } else {
            self.read(move |mvcc| mvcc.view()?.range(&request)).await
        };
        METRICS.read_range(read.is_ok(), began);
        let mut response = read?;
        self.complete(&mut response.header);
        Ok(response)
    }

    /// Compares, then does one of two lists of operations, all at one revision. One that only reads is not written to
    /// the log.
    pub async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, StoreError> {
        check::txn(&request, self.0.config.max_txn_ops)?;
        if !txn::is_read_only(&request) {
            return self.write(Author::Server, request).await;
        }
        if !txn::is_serializable(&request) {
            self.0.node.read_index().await?;
        }
        self.read_txn(Arc::new(request)).await
    }

    /// Answers a transaction that only reads from what this node has applied.
    pub(super) async fn read_txn(&self, request: Arc<pb::TxnRequest>) -> Result<pb::TxnResponse, StoreError> {
        let mut response = self.read(move |mvcc| mvcc.view()?.txn(&request)).await?;
        tally::txn(&response);
        self.complete(&mut response.header);
        Ok(response)
    }

    /// Stores a key.
    pub async fn put(&self, request: pb::PutRequest) -> Result<pb::PutResponse, StoreError> {
        check::put(&request)?;
        self.write(Author::Server, request).await
    }

    /// Deletes a range of keys.
    pub async fn delete_range(&self, request: pb::DeleteRangeRequest) -> Result<pb::DeleteRangeResponse, StoreError> {
        check::delete_range(&request)?;
        self.write(Author::Server, request).await
    }

    /// Forgets what was superseded up to a revision. A `physical` compaction returns when it is gone from this node's
    /// disk.
    pub async fn compact(&self, request: pb::CompactionRequest) -> Result<pb::CompactionResponse, StoreError> {
        let physical = request.physical;
        let response = self.write(Author::Server, request).await?;
        if physical {
            prune::prune(&Arc::downgrade(&self.0.mvcc)).await?;
        }
        Ok(response)
    }
}
