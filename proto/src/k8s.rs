//! The envelope that Kubernetes puts around every protobuf object, in storage and on the wire.
//!
//! Four magic bytes, then the message `k8s.io.apimachinery.pkg.runtime.Unknown`: the object's kind and its bytes.
//! Upstream always writes all four fields, empty strings too; readers accept any order and skip what they do not know.

use bytes::{BufMut, Bytes, BytesMut};

/// The first bytes of a protobuf object; nothing else that Kubernetes stores begins with them.
pub const MAGIC: [u8; 4] = *b"k8s\0";

/// The content of an envelope, borrowed from the encoded bytes.
///
/// To keep a part alive together with the buffer it came in, use [`Bytes::slice_ref`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unknown<'a> {
    /// `group/version`, or the version alone in the core group.
    pub api_version: &'a str,
    /// The kind.
    pub kind: &'a str,
    /// The object's own message.
    pub raw: &'a [u8],
    /// How `raw` is compressed; empty in all that Kubernetes writes.
    pub content_encoding: &'a str,
    /// The media type of `raw`; empty means protobuf.
    pub content_type: &'a str,
}

/// Why bytes are not an envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// The magic bytes are missing: perhaps JSON.
    NotProtobuf,
    /// The bytes end within a field.
    Truncated,
    /// A tag, length or wire type that protobuf does not allow here.
    Malformed,
    /// A string is not UTF-8.
    NotUtf8,
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotProtobuf => {
                "provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]"
            }
            Self::Truncated => "unexpected EOF",
            Self::Malformed => "malformed protobuf envelope",
            Self::NotUtf8 => "a string of the protobuf envelope is not UTF-8",
        })
    }
}

impl std::error::Error for DecodeError {}

/// The whole envelope around `raw`.
pub fn encode(api_version: &str, kind: &str, raw: &[u8]) -> Bytes {
    let head = header(api_version, kind, raw.len());
    let mut out = BytesMut::with_capacity(head.len() + raw.len() + TRAILER.len());
    out.put_slice(&head);
    out.put_slice(raw);
    out.put_slice(&TRAILER);
    out.freeze()
}

/// What stands before an object of `raw_len` bytes.
fn header(api_version: &str, kind: &str, raw_len: usize) -> Bytes {
    let type_meta_len = string_len(api_version) + string_len(kind);
    let mut out = BytesMut::with_capacity(MAGIC.len() + type_meta_len + 2 * (1 + MAX_VARINT_LEN));
    out.put_slice(&MAGIC);
    put_tag_and_len(&mut out, field::TYPE_META, type_meta_len);
    put_string(&mut out, type_meta::API_VERSION, api_version);
    put_string(&mut out, type_meta::KIND, kind);
    put_tag_and_len(&mut out, field::RAW, raw_len);
    out.freeze()
}

/// What stands after the object: an empty content encoding and an empty content type.
const TRAILER: [u8; 4] =
    [field::CONTENT_ENCODING << 3 | LENGTH_DELIMITED, 0, field::CONTENT_TYPE << 3 | LENGTH_DELIMITED, 0];

/// Reads an envelope. Nothing is copied.
pub fn decode(data: &[u8]) -> Result<Unknown<'_>, DecodeError> {
    let mut rest = data.strip_prefix(&MAGIC).ok_or(DecodeError::NotProtobuf)?;
    let mut unknown = Unknown::default();
    while !rest.is_empty() {
        match next_field(&mut rest)? {
            (1, Some(type_meta)) => decode_type_meta(type_meta, &mut unknown)?,
            (2, Some(raw)) => unknown.raw = raw,
            (3, Some(value)) => unknown.content_encoding = utf8(value)?,
            (4, Some(value)) => unknown.content_type = utf8(value)?,
            (1..=4, None) => return Err(DecodeError::Malformed),
            _ => {}
        }
    }
    Ok(unknown)
}

fn decode_type_meta<'a>(mut rest: &'a [u8], unknown: &mut Unknown<'a>) -> Result<(), DecodeError> {
    while !rest.is_empty() {
        match next_field(&mut rest)? {
            (1, Some(value)) => unknown.api_version = utf8(value)?,
            (2, Some(value)) => unknown.kind = utf8(value)?,
            (1..=2, None) => return Err(DecodeError::Malformed),
            _ => {}
        }
    }
    Ok(())
}

/// Field numbers of `Unknown`.
mod field {
    pub(super) const TYPE_META: u8 = 1;
    pub(super) const RAW: u8 = 2;
    pub(super) const CONTENT_ENCODING: u8 = 3;
    pub(super) const CONTENT_TYPE: u8 = 4;
}

/// Field numbers of `TypeMeta`.
mod type_meta {
    pub(super) const API_VERSION: u8 = 1;
    pub(super) const KIND: u8 = 2;
}

const LENGTH_DELIMITED: u8 = 2;
const MAX_VARINT_LEN: usize = 10;

fn string_len(value: &str) -> usize {
    1 + varint_len(value.len()) + value.len()
}

fn put_string(out: &mut BytesMut, number: u8, value: &str) {
    put_tag_and_len(out, number, value.len());
    out.put_slice(value.as_bytes());
}

fn put_tag_and_len(out: &mut BytesMut, number: u8, len: usize) {
    out.put_u8(number << 3 | LENGTH_DELIMITED);
    prost::encoding::encode_varint(len as u64, out);
}

fn varint_len(value: usize) -> usize {
    prost::encoding::encoded_len_varint(value as u64)
}

/// Takes one field off `rest`: its number and, if it is length-delimited, its bytes. Other wire types are skipped.
fn next_field<'a>(rest: &mut &'a [u8]) -> Result<(u64, Option<&'a [u8]>), DecodeError> {
    let tag = take_varint(rest)?;
    let number = tag >> 3;
    if number == 0 {
        return Err(DecodeError::Malformed);
    }
    let payload = match tag & 7 {
        0 => take_varint(rest).map(|_| None)?,
        1 => take(rest, 8).map(|_| None)?,
        2 => {
            let len = usize::try_from(take_varint(rest)?).map_err(|_| DecodeError::Malformed)?;
            Some(take(rest, len)?)
        }
        5 => take(rest, 4).map(|_| None)?,
        _ => return Err(DecodeError::Malformed),
    };
    Ok((number, payload))
}

fn take_varint(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    let before = *rest;
    prost::encoding::decode_varint(rest).map_err(|_| {
        let unfinished = before.len() < MAX_VARINT_LEN && before.iter().all(|byte| byte & 0x80 != 0);
        if unfinished { DecodeError::Truncated } else { DecodeError::Malformed }
    })
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecodeError> {
    let (taken, left) = rest.split_at_checked(len).ok_or(DecodeError::Truncated)?;
    *rest = left;
    Ok(taken)
}

fn utf8(value: &[u8]) -> Result<&str, DecodeError> {
    std::str::from_utf8(value).map_err(|_| DecodeError::NotUtf8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `v1 Pod` around the two bytes `0a 00`, as kube-apiserver stores it.
    const POD: &[u8] = b"k8s\0\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x02\x0a\x00\x1a\x00\x22\x00";

    #[test]
    fn encodes_all_four_fields() {
        assert_eq!(encode("v1", "Pod", &[0x0a, 0x00]), POD);
        assert_eq!(encode("", "", &[]), &b"k8s\0\x0a\x04\x0a\x00\x12\x00\x12\x00\x1a\x00\x22\x00"[..]);
    }

    #[test]
    fn decodes_without_copying() {
        let unknown = decode(POD).unwrap();
        assert_eq!(unknown, Unknown { api_version: "v1", kind: "Pod", raw: &[0x0a, 0x00], ..Unknown::default() });
        assert!(POD.as_ptr_range().contains(&unknown.raw.as_ptr()));
    }

    #[test]
    fn long_objects_survive_the_round_trip() {
        let raw = vec![7; 70_000];
        let encoded = encode("apps/v1", "Deployment", &raw);
        assert_eq!(decode(&encoded).unwrap().raw, raw);
    }

    #[test]
    fn reads_any_order_and_skips_unknown_fields() {
        let mut data = MAGIC.to_vec();
        data.extend_from_slice(b"\x22\x01x"); // content type
        data.extend_from_slice(b"\x28\x96\x01"); // field 5, varint
        data.extend_from_slice(b"\x35\x01\x02\x03\x04"); // field 6, 32 bits
        data.extend_from_slice(b"\x39\x01\x02\x03\x04\x05\x06\x07\x08"); // field 7, 64 bits
        data.extend_from_slice(b"\x42\x01z"); // field 8, bytes
        data.extend_from_slice(b"\x0a\x05\x12\x03Pod"); // kind alone
        data.extend_from_slice(b"\x0a\x04\x0a\x02v1"); // a second type meta merges
        let expected = Unknown { api_version: "v1", kind: "Pod", content_type: "x", ..Unknown::default() };
        assert_eq!(decode(&data).unwrap(), expected);
    }

    #[test]
    fn refuses_what_is_not_an_envelope() {
        assert_eq!(decode(b"{\"kind\":\"Pod\"}"), Err(DecodeError::NotProtobuf));
        assert_eq!(decode(b"k8s"), Err(DecodeError::NotProtobuf));
        assert_eq!(decode(b"k8s\0\x12\x05ab"), Err(DecodeError::Truncated));
        assert_eq!(decode(b"k8s\0\x12\xff"), Err(DecodeError::Truncated));
        assert_eq!(decode(b"k8s\0\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), Err(DecodeError::Malformed));
        assert_eq!(decode(b"k8s\0\x0b"), Err(DecodeError::Malformed), "groups");
        assert_eq!(decode(b"k8s\0\x10\x01"), Err(DecodeError::Malformed), "raw as a number");
        assert_eq!(decode(b"k8s\0\x1a\x01\xff"), Err(DecodeError::NotUtf8));
    }

    #[test]
    fn every_prefix_is_refused_or_whole_fields() {
        for end in MAGIC.len()..POD.len() {
            if let Ok(unknown) = decode(&POD[..end]) {
                assert!(unknown.raw.is_empty() || unknown.raw == [0x0a, 0x00]);
            }
        }
    }
}
