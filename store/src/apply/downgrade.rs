//! Whether the cluster is about to be run by an older version: noted, and told to whoever asks for the status.

use bytes::Bytes;
use pintle_proto::etcdserverpb as pb;

use crate::engine::schema::meta;
use crate::engine::{Column, Reader};
use crate::mvcc::Writer;
use crate::mvcc::range::header;

pub(super) fn downgrade<R: Reader>(writer: &mut Writer<'_, R>, info: &pb::DowngradeInfo) -> pb::DowngradeResponse {
    let key = Bytes::from_static(meta::DOWNGRADE);
    if info.enabled {
        writer.overlay().put(Column::Meta, key, Bytes::copy_from_slice(info.target_version.as_bytes()));
    } else {
        writer.overlay().delete(Column::Meta, key);
    }
    pb::DowngradeResponse { header: header(writer.revision()), version: String::new() }
}
