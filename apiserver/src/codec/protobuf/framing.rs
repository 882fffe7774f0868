//! Lists and watch events around objects that are encoded already.

use bytes::{BufMut, Bytes, BytesMut};

use super::wire::Reversed;

/// What a list says of itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListHead<'a> {
    /// `apiVersion` of the list.
    pub api_version: &'a str,
    /// Kind of the list.
    pub kind: &'a str,
    /// `metadata.resourceVersion`.
    pub resource_version: &'a str,
    /// `metadata.continue`; empty after the last page.
    pub continue_token: &'a str,
    /// `metadata.remainingItemCount`.
    pub remaining: Option<i64>,
}

/// A list as pieces in order: what comes before the items, and each item. `items` are messages without their envelopes.
pub fn list(head: ListHead<'_>, items: Vec<Bytes>) -> impl Iterator<Item = Bytes> + Send + use<> {
    let items: Vec<(Bytes, Bytes)> = items.into_iter().map(|item| (header(2, item.len()), item)).collect();
    let metadata = list_metadata(head);
    let metadata_header = header(1, metadata.len());
    let items_len: usize = items.iter().map(|(header, item)| header.len() + item.len()).sum();
    let raw_len = metadata_header.len() + metadata.len() + items_len;
    // The envelope around a message that is not at hand: its own bytes are what stands before and after an empty one.
    let (before, after) = envelope(head, raw_len);
    let mut first = BytesMut::from(before.as_ref());
    first.extend_from_slice(&metadata_header);
    first.extend_from_slice(&metadata);
    let items = items.into_iter().flat_map(|(header, item)| [header, item]);
    std::iter::once(first.freeze()).chain(items).chain(std::iter::once(after))
}

/// A watch event with its length before it. `object` is an enveloped object.
pub fn watch_frame(event: &str, object: &[u8]) -> Bytes {
    let mut raw = Reversed::with_capacity(object.len() + 8);
    raw.bytes_field(1, object);
    let raw = raw.into_vec();
    let mut message = Reversed::with_capacity(raw.len() + event.len() + 16);
    message.bytes_field(2, &raw);
    message.bytes_field(1, event.as_bytes());
    let message = message.into_vec();
    let mut frame = BytesMut::with_capacity(message.len() + 4);
    // An event is far below 4 GiB: objects are bounded by the size of a request.
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message);
    frame.freeze()
}

fn list_metadata(head: ListHead<'_>) -> Vec<u8> {
    let mut metadata = Reversed::with_capacity(64);
    if let Some(remaining) = head.remaining {
        metadata.varint_field(4, remaining.cast_unsigned());
    }
    metadata.bytes_field(3, head.continue_token.as_bytes());
    metadata.bytes_field(2, head.resource_version.as_bytes());
    metadata.bytes_field(1, b"");
    metadata.into_vec()
}

/// The tag and length of a member of `len` bytes.
fn header(number: u32, len: usize) -> Bytes {
    let mut writer = Reversed::with_capacity(12);
    writer.varint(len as u64);
    writer.varint(u64::from(number) << 3 | 2);
    writer.into_vec().into()
}

/// What an envelope puts before and after a message of `raw_len` bytes.
fn envelope(head: ListHead<'_>, raw_len: usize) -> (Bytes, Bytes) {
    let empty = pintle_proto::k8s::encode(head.api_version, head.kind, b"");
    // An empty message is its tag and a length of 0, followed by two empty strings.
    let tail = empty.len().saturating_sub(EMPTY_TAIL.len());
    let mut before = BytesMut::from(empty.get(..tail.saturating_sub(2)).unwrap_or_default());
    before.extend_from_slice(&header(2, raw_len));
    (before.freeze(), Bytes::from_static(EMPTY_TAIL))
}

/// `contentEncoding` and `contentType`, both empty.
const EMPTY_TAIL: &[u8] = &[0x1a, 0, 0x22, 0];

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::codec::protobuf;
    use crate::schema::{GroupVersionKind, builtin};

    #[test]
    fn a_list_of_pieces_is_the_list_encoded_whole() {
        let object = |name: &str| json!({"metadata": {"name": name}, "data": {"k": "v"}});
        let (a, b) = (object("a"), object("b"));
        let kind = |kind: &str| builtin::registry().kind(&GroupVersionKind::new("", "v1", kind)).unwrap();
        let items: Vec<Bytes> = [&a, &b].map(|o| Bytes::from(protobuf::encode_message(o, &kind("ConfigMap")))).to_vec();
        let head = ListHead {
            api_version: "v1",
            kind: "ConfigMapList",
            resource_version: "12",
            continue_token: "next",
            remaining: Some(3),
        };
        let whole = json!({
            "kind": "ConfigMapList", "apiVersion": "v1",
            "metadata": {"resourceVersion": "12", "continue": "next", "remainingItemCount": 3},
            "items": [a, b],
        });
        let pieces: Vec<u8> = list(head, items).flatten().collect();
        assert_eq!(pieces, protobuf::encode(&whole, &kind("ConfigMapList")));
    }

    #[test]
    fn a_watch_frame_tells_its_length() {
        let frame = watch_frame("ADDED", b"object");
        assert_eq!(frame.as_ref(), b"\0\0\0\x11\x0a\x05ADDED\x12\x08\x0a\x06object");
    }
}
