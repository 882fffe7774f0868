//! How an object or a list is shown to a client: whole, as metadata alone, or as a table, in the encoding it accepts.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Value, json as value};

use super::options::causes;
use super::resource::{Place, Resource};
use super::{Reply, ReplyBody, Request};
use crate::codec::negotiate::{Accepted, Encoding, MetaVersion, Transform};
use crate::codec::protobuf::framing::{self, ListHead};
use crate::codec::table::{IncludeObject, Table, TableOptions, partial_object_metadata};
use crate::codec::{json, pretty, protobuf, yaml};
use crate::error::{Qualified, Status};
use crate::limits;
use crate::schema::{GroupVersionKind, Registry, TypeRef};
use crate::storage::Entry;
use crate::validation::field::{self, Path};

/// What a list says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListMeta {
    /// The revision at which the list was read.
    pub revision: i64,
    /// How to go on, where the list is not complete.
    pub continue_token: Option<String>,
    /// How many objects follow, where that is known.
    pub remaining: Option<i64>,
}

/// One stored object as the request wants it.
pub fn entry(request: &Request<'_>, resource: &Resource, entry: &Entry) -> Result<Bytes, Status> {
    let accepted = request.accepted;
    match (accepted.encoding, accepted.transform) {
        (Encoding::Json, None) if !accepted.pretty => Ok(line(&resource.json(entry, Place::Alone)?)),
        (Encoding::Protobuf, None) => resource.protobuf(entry),
        _ => object(request, &resource.object(entry)?),
    }
}

/// An object at hand as the request wants it.
pub fn object(request: &Request<'_>, object: &Value) -> Result<Bytes, Status> {
    let accepted = request.accepted;
    let registry = request.api.registry;
    match accepted.transform {
        None => encode(registry, accepted, object),
        // A Status says what happened; it is no object to be shown otherwise.
        Some(_) if object["kind"] == "Status" => encode(registry, accepted, object),
        Some((Transform::PartialObjectMetadata, version)) => {
            encode(registry, accepted, &partial_object_metadata(object, version))
        }
        Some((Transform::Table, version)) => {
            let table = Table::of_object(request.spec, object, table_options(request, version)?);
            Ok(encode_table(registry, accepted, &table))
        }
        Some((Transform::PartialObjectMetadataList, _)) => {
            let why = "you requested PartialObjectMetadataList, but the requested object is not a list";
            Err(Status::not_acceptable(why))
        }
    }
}

/// A table in the accepted encoding, which is JSON or YAML.
pub fn encode_table(registry: &Registry, accepted: Accepted, table: &Table) -> Bytes {
    let row_object = |object: &Value| match type_of(registry, &kind_of(object)) {
        Some(ty) => json::encode(object, &ty),
        None => json::encode_unstructured(object),
    };
    let text = match registry.type_named(LIST_META) {
        Some(list_metadata) => table.to_json(row_object, &list_metadata),
        None => Vec::new(),
    };
    match accepted.encoding {
        Encoding::Yaml => yaml::from_json(&text).into(),
        Encoding::Json | Encoding::Protobuf if accepted.pretty => pretty::indent(&text).into(),
        Encoding::Json | Encoding::Protobuf => line(&text),
    }
}

/// The published name of the type of a list's metadata.
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// The kind that an object says it is.
pub fn kind_of(object: &Value) -> GroupVersionKind {
    let text = |name: &str| object[name].as_str().unwrap_or_default();
    GroupVersionKind::from_api_version(text("apiVersion"), text("kind"))
}

/// The type of a kind. The kinds of `meta.k8s.io` are published without one.
pub fn type_of(registry: &Registry, gvk: &GroupVersionKind) -> Option<TypeRef> {
    match gvk.group.as_str() {
        "meta.k8s.io" => registry.type_named(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{}", gvk.kind)),
        _ => registry.kind(gvk),
    }
}

/// Any API object in the accepted encoding.
pub fn encode(registry: &Registry, accepted: Accepted, object: &Value) -> Result<Bytes, Status> {
    encode_as(registry, accepted, &kind_of(object), object)
}

/// The same for an object that does not say itself what it is.
pub fn encode_as(
    registry: &Registry,
    accepted: Accepted,
    gvk: &GroupVersionKind,
    object: &Value,
) -> Result<Bytes, Status> {
    let ty = type_of(registry, gvk).ok_or_else(|| Status::internal(format_args!("no type for {gvk}")))?;
    Ok(match accepted.encoding {
        Encoding::Json if accepted.pretty => pretty::indent(&json::encode(object, &ty)).into(),
        Encoding::Json => line(&json::encode(object, &ty)),
        Encoding::Yaml => yaml::encode(object, &ty).into(),
        Encoding::Protobuf => protobuf::encode(object, &ty),
    })
}

/// A JSON text as a line.
fn line(text: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(text.len() + 1);
    bytes.extend_from_slice(text);
    bytes.put_u8(b'\n');
    bytes.freeze()
}

/// How the request wants its table.
pub fn table_options(request: &Request<'_>, version: MetaVersion) -> Result<TableOptions, Status> {
    let include = request.query.get("includeObject").unwrap_or_default();
    let include = IncludeObject::parse(include).ok_or_else(|| {
        let path = Path::new("includeObject");
        let error = field::Error::invalid(&path, include, "must be 'Metadata', 'Object', 'None', or empty");
        let kind = Qualified { group: "meta.k8s.io", name: "TableOptions" };
        Status::invalid(kind, "", causes(&[error]))
    })?;
    Ok(TableOptions { include, version, no_headers: false, now: request.now })
}

/// A list as the request wants it.
pub fn list(
    request: &Request<'_>,
    resource: &Arc<Resource>,
    entries: &[Arc<Entry>],
    page: &ListMeta,
) -> Result<Reply, Status> {
    let accepted = request.accepted;
    let body = match (accepted.encoding, accepted.transform) {
        (Encoding::Json, None) if !accepted.pretty => ReplyBody::Chunks(json_list(resource, entries, page)?),
        (Encoding::Protobuf, None) => ReplyBody::Chunks(protobuf_list(resource, entries, page)?),
        (_, transform) => {
            let objects: Result<Vec<Value>, Status> = entries.iter().map(|e| resource.object(e)).collect();
            ReplyBody::Bytes(shown_list(request, resource, &objects?, page, transform)?)
        }
    };
    Ok(Reply { code: 200, body })
}

fn shown_list(
    request: &Request<'_>,
    resource: &Resource,
    objects: &[Value],
    page: &ListMeta,
    transform: Option<(Transform, MetaVersion)>,
) -> Result<Bytes, Status> {
    let (registry, accepted) = (request.api.registry, request.accepted);
    let list = |kind: &str, api_version: &str, items: Vec<Value>| value!({ "kind": kind, "apiVersion": api_version, "metadata": page.to_value(), "items": items });
    let gvk = resource.spec.list_gvk();
    let shown = match transform {
        Some((Transform::Table, version)) => {
            let whole = list(&gvk.kind, &gvk.api_version(), objects.to_vec());
            let table = Table::of_list(&resource.spec, &whole, table_options(request, version)?);
            return Ok(encode_table(registry, accepted, &table));
        }
        Some((Transform::PartialObjectMetadata | Transform::PartialObjectMetadataList, version)) => {
            let items = objects.iter().map(|o| partial_object_metadata(o, version)).collect();
            list("PartialObjectMetadataList", version.api_version(), items)
        }
        None => list(&gvk.kind, &gvk.api_version(), objects.iter().map(bare).collect()),
    };
    encode(registry, accepted, &shown)
}

/// An object without its kind, which its list tells.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("kind");
        fields.remove("apiVersion");
    }
    object
}

impl ListMeta {
    /// The list's `metadata`.
    pub fn to_value(&self) -> Value {
        let mut metadata = value!({ "resourceVersion": self.revision.to_string() });
        if let Some(token) = &self.continue_token {
            metadata["continue"] = token.as_str().into();
        }
        if let Some(remaining) = self.remaining {
            metadata["remainingItemCount"] = remaining.into();
        }
        metadata
    }

    /// The same as JSON text, its members in the order of the type's fields.
    fn to_json(&self) -> String {
        let token = self.continue_token.as_deref().map(|token| format!(",\"continue\":{}", Value::from(token)));
        let remaining = self.remaining.map(|remaining| format!(",\"remainingItemCount\":{remaining}"));
        format!(
            "{{\"resourceVersion\":\"{}\"{}{}}}",
            self.revision,
            token.unwrap_or_default(),
            remaining.unwrap_or_default()
        )
    }
}

type Chunks = Box<dyn Iterator<Item = Bytes> + Send>;

/// A JSON list as a concatenation of its items' kept texts.
fn json_list(resource: &Arc<Resource>, entries: &[Arc<Entry>], page: &ListMeta) -> Result<Chunks, Status> {
    let gvk = resource.spec.list_gvk();
    let head = format!(
        "{{\"kind\":\"{}\",\"apiVersion\":\"{}\",\"metadata\":{},\"items\":[",
        gvk.kind,
        gvk.api_version(),
        page.to_json()
    );
    // An object that cannot be shown fails the request here, before anything has been sent.
    let items: Result<Vec<Bytes>, Status> = entries.iter().map(|e| resource.json(e, Place::InList)).collect();
    let comma = Bytes::from_static(b",");
    let items = items?.into_iter().enumerate().flat_map(move |(at, item)| {
        let separator = (at > 0).then(|| comma.clone());
        separator.into_iter().chain(std::iter::once(item))
    });
    let pieces = std::iter::once(Bytes::from(head)).chain(items).chain(std::iter::once(Bytes::from_static(b"]}\n")));
    Ok(Box::new(Coalesced { pieces }))
}

/// A protobuf list of its items' kept bytes, without their envelopes.
fn protobuf_list(resource: &Arc<Resource>, entries: &[Arc<Entry>], page: &ListMeta) -> Result<Chunks, Status> {
    let bare = |entry: &Arc<Entry>| {
        let enveloped = resource.protobuf(entry)?;
        let envelope = pintle_proto::k8s::decode(&enveloped).map_err(Status::internal)?;
        Ok(enveloped.slice_ref(envelope.raw))
    };
    let items: Result<Vec<Bytes>, Status> = entries.iter().map(bare).collect();
    let gvk = resource.spec.list_gvk();
    let head = ListHead {
        api_version: &gvk.api_version(),
        kind: &gvk.kind,
        resource_version: &page.revision.to_string(),
        continue_token: page.continue_token.as_deref().unwrap_or_default(),
        remaining: page.remaining,
    };
    Ok(Box::new(Coalesced { pieces: framing::list(head, items?) }))
}

/// Small pieces joined to chunks that are worth a TLS record.
struct Coalesced<I> {
    pieces: I,
}

impl<I: Iterator<Item = Bytes>> Iterator for Coalesced<I> {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let first = self.pieces.next()?;
        if first.len() >= limits::CHUNK_BYTES {
            return Some(first);
        }
        let mut chunk = BytesMut::with_capacity(limits::CHUNK_BYTES + first.len());
        chunk.extend_from_slice(&first);
        while chunk.len() < limits::CHUNK_BYTES {
            match self.pieces.next() {
                Some(piece) => chunk.extend_from_slice(&piece),
                None => break,
            }
        }
        Some(chunk.freeze())
    }
}
