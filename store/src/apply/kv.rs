//! Commands that change keys.

use pintle_proto::etcdserverpb as pb;

use crate::engine::Reader;
use crate::error::Result;
use crate::mvcc::range::header;
use crate::mvcc::{Writer, compact, txn};

pub(super) use crate::mvcc::txn::{delete_range, put};

pub(super) fn txn<R: Reader>(writer: &mut Writer<'_, R>, request: &pb::TxnRequest) -> Result<pb::TxnResponse> {
    txn::run(writer, request)
}

pub(super) fn compact<R: Reader>(
    writer: &mut Writer<'_, R>,
    request: &pb::CompactionRequest,
) -> Result<pb::CompactionResponse> {
    compact::compact(writer, request.revision)?;
    Ok(pb::CompactionResponse { header: header(writer.revision()) })
}
