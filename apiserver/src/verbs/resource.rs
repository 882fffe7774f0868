//! A resource bound to its types and its place in the store: objects from stored bytes, and back.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde_json::Value;

use crate::codec::negotiate::Encoding;
use crate::codec::{json, protobuf, revision};
use crate::error::Status;
use crate::object::meta;
use crate::resources::spec::{ResourceSpec, SelectableFields};
use crate::schema::{GroupVersionKind, Registry, TypeRef};
use crate::storage::{Attributes, Collection, CollectionSpec, Describe, Entry, EventKind, Storage, WireForm};
use crate::validation;

/// A stored resource in one version.
pub struct Resource {
    /// Its row in the table.
    pub spec: Arc<ResourceSpec>,
    /// The kind that clients of this version speak.
    pub gvk: GroupVersionKind,
    /// That kind's type.
    pub ty: TypeRef,
    /// Where its objects are.
    pub collection: Arc<Collection>,
    stored: Kind,
    forms: Forms,
}

/// A kind with its type.
#[derive(Clone)]
struct Kind {
    gvk: GroupVersionKind,
    ty: TypeRef,
}

/// The identifiers of this version's encodings among all of a collection's.
#[derive(Clone, Copy)]
struct Forms {
    first: u16,
}

/// In what surroundings an object is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// On its own, saying what it is.
    Alone,
    /// In a list, whose kind says what its items are.
    InList,
}

impl Forms {
    /// An entry's three encodings and an event's six frames are kept apart, and may share numbers.
    const PER_VERSION: u16 = 6;

    /// Those of row number `row` of the table.
    fn of(row: u16) -> Self {
        Self { first: row * Self::PER_VERSION }
    }

    fn json(self, place: Place) -> WireForm {
        WireForm(self.first + u16::from(place == Place::InList))
    }

    fn protobuf(self) -> WireForm {
        WireForm(self.first + 2)
    }

    fn frame(self, encoding: Encoding, kind: EventKind) -> WireForm {
        let kind = match kind {
            EventKind::Added => 0,
            EventKind::Modified => 1,
            EventKind::Deleted => 2,
        };
        let encoding = if encoding == Encoding::Protobuf { 3 } else { 0 };
        WireForm(self.first + encoding + kind)
    }
}

impl Resource {
    /// Binds row number `row` of the table; `None` for what is not stored.
    pub fn bind(spec: &Arc<ResourceSpec>, row: u16, registry: &Registry, storage: &Storage) -> Option<Self> {
        let place = spec.storage.as_ref()?;
        let stored = Kind { gvk: place.gvk.clone(), ty: registry.kind(&place.gvk)? };
        let describe = StoredFields { kind: stored.clone(), fields: spec.selectable_fields.clone() };
        let collection = storage.collection(&CollectionSpec {
            prefix: place.prefix.trim_start_matches("/registry/").to_owned(),
            namespaced: spec.namespaced,
            routing_field: spec.selectable_fields.get("spec.nodeName").map(|f| f.label.to_string()),
            describe: Arc::new(describe),
        });
        let gvk = spec.gvk();
        Some(Self { spec: Arc::clone(spec), ty: registry.kind(&gvk)?, gvk, collection, stored, forms: Forms::of(row) })
    }

    /// The object in this version, with its resourceVersion.
    pub fn object(&self, entry: &Entry) -> Result<Value, Status> {
        let mut object = self.stored.decode(&entry.stored).map_err(Status::internal)?;
        // What was stored by an older server, or cannot be said in protobuf, is filled in as for a client's body.
        validation::default(&self.stored.gvk, &mut object, Timestamp::UNIX_EPOCH);
        if self.stored.gvk != self.gvk {
            object = validation::convert(&self.stored.gvk, &self.gvk, object);
        }
        meta::set_text(&mut object, "resourceVersion", entry.revision.to_string());
        Ok(object)
    }

    /// The bytes to store for an object of this version.
    pub fn stored(&self, object: &Value) -> Result<Bytes, Status> {
        let mut object = object.clone();
        meta::set(&mut object, "resourceVersion", None);
        if self.stored.gvk != self.gvk {
            object = validation::convert(&self.gvk, &self.stored.gvk, object);
        }
        Ok(protobuf::encode(&object, &self.stored.ty))
    }

    /// The object's JSON text, made once and kept.
    pub fn json(&self, entry: &Entry, place: Place) -> Result<Bytes, Status> {
        entry.wire(self.forms.json(place), |entry| {
            let mut object = self.object(entry)?;
            if let (Place::InList, Some(fields)) = (place, object.as_object_mut()) {
                fields.remove("kind");
                fields.remove("apiVersion");
            }
            Ok(Bytes::from(json::encode(&object, &self.ty)))
        })
    }

    /// The object's protobuf bytes with the envelope, made once and kept.
    pub fn protobuf(&self, entry: &Entry) -> Result<Bytes, Status> {
        entry.wire(self.forms.protobuf(), |entry| {
            if self.stored.gvk == self.gvk {
                return revision::splice(&entry.stored, entry.revision).map_err(Status::internal);
            }
            let object = self.object(entry)?;
            Ok(protobuf::encode(&object, &self.ty))
        })
    }

    /// An identifier for whole watch frames of this version in this encoding, for this kind of event.
    pub fn frame_form(&self, encoding: Encoding, kind: EventKind) -> WireForm {
        self.forms.frame(encoding, kind)
    }
}

impl Kind {
    fn decode(&self, stored: &[u8]) -> Result<Value, String> {
        protobuf::decode(stored, |_, _| Some(self.ty.clone())).map_err(|e| e.to_string())
    }
}

/// Reads what selectors ask about from stored bytes.
struct StoredFields {
    kind: Kind,
    fields: SelectableFields,
}

impl Describe for StoredFields {
    fn describe(&self, stored: &[u8]) -> Result<Attributes, String> {
        let object = self.kind.decode(stored)?;
        let boxed = |text: &str| text.to_owned().into_boxed_str();
        let labels = meta::labels(&object).into_iter().flatten();
        let labels = labels.filter_map(|(k, v)| Some((boxed(k), boxed(v.as_str()?))));
        let fields = self.fields.fields.iter().map(|f| (boxed(&f.label), boxed(&f.value(&object))));
        Ok(Attributes::new(labels, fields))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn versions_of_one_collection_share_no_form() {
        let (mut encodings, mut frames) = (HashSet::new(), HashSet::new());
        for forms in [Forms::of(6), Forms::of(7)] {
            let made = [forms.json(Place::Alone), forms.json(Place::InList), forms.protobuf()];
            assert!(made.into_iter().all(|form| encodings.insert(form)));
            for encoding in [Encoding::Json, Encoding::Protobuf] {
                for kind in [EventKind::Added, EventKind::Modified, EventKind::Deleted] {
                    assert!(frames.insert(forms.frame(encoding, kind)), "{encoding:?} {kind:?}");
                }
            }
        }
    }
}
