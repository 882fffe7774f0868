//! Replies on their way from the member that applied a command to the one whose client waits for it.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use pintle_proto::etcdserverpb as pb;
use prost::Message;

use super::{Reply, Response};
use crate::error::{Result, StoreError};

/// Declares the codec of [`Response`]: the number that stands for a variant on the wire, never one twice.
macro_rules! responses {
    ($($tag:literal => $kind:ident($message:ty);)*) => {
        fn encode_response(response: &Response, out: &mut BytesMut) {
            match response {
                $(Response::$kind(message) => {
                    out.put_u8($tag);
                    message.encode_raw(out);
                })*
                Response::Auth(header) => {
                    out.put_u8(AUTH);
                    header.unwrap_or_default().encode_raw(out);
                }
            }
        }

        fn decode_response(tag: u8, body: Bytes) -> Result<Response> {
            let malformed = |_| StoreError::CorruptData("a reply is malformed");
            match tag {
                $($tag => <$message>::decode(body).map(Response::$kind).map_err(malformed),)*
                AUTH => pb::ResponseHeader::decode(body).map(|header| Response::Auth(Some(header))).map_err(malformed),
                _ => Err(StoreError::CorruptData("a reply of an unknown kind")),
            }
        }
    };
}

responses! {
    1 => Put(pb::PutResponse);
    2 => DeleteRange(pb::DeleteRangeResponse);
    3 => Txn(pb::TxnResponse);
    4 => Compact(pb::CompactionResponse);
    5 => LeaseGrant(pb::LeaseGrantResponse);
    6 => LeaseRevoke(pb::LeaseRevokeResponse);
    7 => LeaseCheckpoint(pb::LeaseCheckpointResponse);
    8 => Alarm(pb::AlarmResponse);
    10 => Downgrade(pb::DowngradeResponse);
}

/// Stands for an error, whose text follows.
const ERROR: u8 = 0;
/// Stands for a change of users and roles, whose header follows.
const AUTH: u8 = 9;

/// The bytes that [`decode`] reads.
pub fn encode(reply: &Reply) -> Bytes {
    let mut out = BytesMut::new();
    match reply {
        Ok(response) => encode_response(response, &mut out),
        Err(error) => {
            out.put_u8(ERROR);
            out.put_slice(error.to_string().as_bytes());
        }
    }
    out.freeze()
}

/// Reads a reply. What cannot be read is an error too.
pub fn decode(mut bytes: Bytes) -> Reply {
    match bytes.try_get_u8() {
        Ok(ERROR) => Err(StoreError::from_text(&String::from_utf8_lossy(&bytes))),
        Ok(tag) => decode_response(tag, bytes),
        Err(_) => Err(StoreError::CorruptData("a reply is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_survive_the_way() {
        let put = Response::Put(pb::PutResponse {
            header: Some(pb::ResponseHeader { revision: 7, ..Default::default() }),
            prev_kv: None,
        });
        assert_eq!(decode(encode(&Ok(put.clone()))).unwrap(), put);
        let error = decode(encode(&Err(StoreError::LeaseNotFound))).unwrap_err();
        assert!(matches!(error, StoreError::LeaseNotFound));
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for bytes in [&b""[..], &[200], &[1, 0xff], &[ERROR, 0xff]] {
            assert!(decode(Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
    }
}
