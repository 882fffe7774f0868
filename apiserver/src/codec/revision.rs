//! The one place where an object's revision is written into its bytes.
//!
//! Stored bytes carry no resourceVersion: it is known only when they are stored. What a client gets is spliced here, and is
//! equal to what an encoder makes of the object with its resourceVersion set.

use bytes::Bytes;

use crate::schema::builtin;

use super::json::{Walk, write_string};
use super::protobuf::{DecodeError, Fields, Payload};

/// The object's message in the envelope.
const ENVELOPE_RAW: u32 = 2;
/// The `ObjectMeta` of every object's message.
const METADATA: u32 = 1;
/// The member of `ObjectMeta`.
const RESOURCE_VERSION: u32 = 6;
/// The most that a length takes, in bytes.
const VARINT_MAX: usize = 10;

/// How the text of an object is ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyOrder {
    /// As the schema says: built-in kinds.
    Schema,
    /// By key: custom resources.
    Sorted,
}

/// An enveloped object with its resourceVersion.
pub fn splice(stored: &[u8], revision: i64) -> Result<Bytes, DecodeError> {
    let magic = pintle_proto::k8s::MAGIC;
    let envelope = stored.strip_prefix(&magic).ok_or(DecodeError::Malformed("no envelope"))?;
    let Some(raw) = find(envelope, ENVELOPE_RAW)? else { return Ok(Bytes::copy_from_slice(stored)) };
    let message = splice_message(raw.content, revision)?;
    let mut out = Vec::with_capacity(magic.len() + envelope.len() + message.len() - raw.content.len() + VARINT_MAX);
    out.extend_from_slice(&magic);
    raw.replace(&mut out, ENVELOPE_RAW, &message);
    Ok(Bytes::from(out))
}

/// An object's message, without envelope, with its resourceVersion.
pub fn splice_message(message: &[u8], revision: i64) -> Result<Vec<u8>, DecodeError> {
    let Some(metadata) = find(message, METADATA)? else { return Ok(message.to_vec()) };
    let version = revision.to_string();
    let mut spliced = Vec::with_capacity(metadata.content.len() + version.len() + VARINT_MAX);
    let place = match find(metadata.content, RESOURCE_VERSION)? {
        Some(place) => place,
        None => gap(metadata.content, RESOURCE_VERSION)?,
    };
    place.replace(&mut spliced, RESOURCE_VERSION, version.as_bytes());
    let mut out = Vec::with_capacity(message.len() + spliced.len() - metadata.content.len() + VARINT_MAX);
    metadata.replace(&mut out, METADATA, &spliced);
    Ok(out)
}

/// The text of an object with its resourceVersion.
pub fn splice_json(text: &[u8], revision: i64, order: KeyOrder) -> Vec<u8> {
    let Some(Place { start, end, comma }) = json_place(text, order) else { return text.to_vec() };
    let mut out = Vec::with_capacity(text.len() + 48);
    out.extend_from_slice(text.get(..start).unwrap_or_default());
    if comma == Comma::Before {
        out.push(b',');
    }
    out.extend_from_slice(b"\"resourceVersion\":");
    write_string(&mut out, &revision.to_string());
    if comma == Comma::After {
        out.push(b',');
    }
    out.extend_from_slice(text.get(end..).unwrap_or_default());
    out
}

/// A member of a message, or the empty place where it belongs, with what stands before and after it.
struct Part<'a> {
    before: &'a [u8],
    content: &'a [u8],
    after: &'a [u8],
}

impl Part<'_> {
    /// Writes the whole with this content in its place.
    fn replace(&self, out: &mut Vec<u8>, number: u32, content: &[u8]) {
        out.extend_from_slice(self.before);
        prost::encoding::encode_key(number, prost::encoding::WireType::LengthDelimited, out);
        prost::encoding::encode_varint(content.len() as u64, out);
        out.extend_from_slice(content);
        out.extend_from_slice(self.after);
    }
}

/// The first member with the number.
fn find(message: &[u8], wanted: u32) -> Result<Option<Part<'_>>, DecodeError> {
    let mut fields = Fields::new(message);
    loop {
        let start = message.len() - fields.rest().len();
        match fields.next_field()? {
            Some((number, Payload::Bytes(content))) if number == wanted => {
                let before = message.get(..start).unwrap_or_default();
                return Ok(Some(Part { before, content, after: fields.rest() }));
            }
            Some(_) => {}
            None => return Ok(None),
        }
    }
}

/// The place before the first member with a larger number.
fn gap(message: &[u8], wanted: u32) -> Result<Part<'_>, DecodeError> {
    let mut fields = Fields::new(message);
    loop {
        let rest = fields.rest();
        match fields.next_field()? {
            Some((number, _)) if number < wanted => {}
            _ => {
                let before = message.get(..message.len() - rest.len()).unwrap_or_default();
                return Ok(Part { before, content: &[], after: rest });
            }
        }
    }
}

/// Which part of a text the resourceVersion takes.
struct Place {
    start: usize,
    end: usize,
    comma: Comma,
}

/// What parts the resourceVersion from its neighbours.
#[derive(PartialEq)]
enum Comma {
    None,
    Before,
    After,
}

fn json_place(text: &[u8], order: KeyOrder) -> Option<Place> {
    let mut walk = Walk::new(text);
    walk.open();
    while walk.key()? != "metadata" {
        walk.skip();
        walk.separator();
    }
    walk.open();
    let mut end = walk.offset();
    let mut comma = Comma::None;
    loop {
        let start = walk.offset();
        let Some(key) = walk.key() else { return Some(Place { start: end, end, comma }) };
        if key == "resourceVersion" {
            walk.skip();
            return Some(Place { start, end: walk.offset(), comma: Comma::None });
        }
        if comes_after(&key, order) {
            return Some(Place { start, end: start, comma: Comma::After });
        }
        walk.skip();
        end = walk.offset();
        comma = Comma::Before;
        walk.separator();
    }
}

/// Whether a key of the metadata is written after the resourceVersion.
fn comes_after(key: &str, order: KeyOrder) -> bool {
    let name = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
    match (order, builtin::registry().type_named(name)) {
        (KeyOrder::Schema, Some(meta)) => meta.position(key) > meta.position("resourceVersion"),
        _ => key > "resourceVersion",
    }
}
