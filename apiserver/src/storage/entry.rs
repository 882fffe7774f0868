//! An object as the cache keeps it: stored bytes, what selectors ask about, and the wire encodings made so far.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

/// What selectors ask about an object. Read once from the stored bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// The object's labels, sorted by key.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// Its selectable fields (`metadata.name`, `spec.nodeName`, ...), sorted by name.
    pub fields: Box<[(Box<str>, Box<str>)]>,
}

impl Attributes {
    /// Attributes from pairs in any order.
    pub fn new(
        labels: impl IntoIterator<Item = (Box<str>, Box<str>)>,
        fields: impl IntoIterator<Item = (Box<str>, Box<str>)>,
    ) -> Self {
        let sorted = |mut pairs: Vec<(Box<str>, Box<str>)>| {
            pairs.sort_unstable();
            pairs.into_boxed_slice()
        };
        Self { labels: sorted(labels.into_iter().collect()), fields: sorted(fields.into_iter().collect()) }
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        find(&self.labels, key)
    }

    /// The value of a selectable field.
    pub fn field(&self, name: &str) -> Option<&str> {
        find(&self.fields, name)
    }
}

fn find<'a>(pairs: &'a [(Box<str>, Box<str>)], key: &str) -> Option<&'a str> {
    let at = pairs.binary_search_by(|(k, _)| (**k).cmp(key)).ok()?;
    pairs.get(at).map(|(_, value)| &**value)
}

/// Reads [`Attributes`] from stored bytes. One for each resource; implemented over the codec.
pub trait Describe: Send + Sync + 'static {
    /// The attributes, or why the bytes cannot be read.
    fn describe(&self, stored: &[u8]) -> Result<Attributes, String>;
}

/// Which encoding of an object: an identifier that the caller of [`Entry::wire`] allots, such as "JSON of apps/v1".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WireForm(pub u16);

/// Encodings made on first use and kept. Holds one item for each form asked for, of which there are few.
#[derive(Debug, Default)]
pub struct Encodings(Mutex<Vec<(WireForm, Bytes)>>);

impl Encodings {
    /// The encoding of this form; made by `encode` if nobody asked before. A failure is not kept.
    pub fn get_or_encode<E>(&self, form: WireForm, encode: impl FnOnce() -> Result<Bytes, E>) -> Result<Bytes, E> {
        let mut made = self.0.lock();
        if let Some((_, bytes)) = made.iter().find(|(known, _)| *known == form) {
            return Ok(bytes.clone());
        }
        let bytes = encode()?;
        made.push((form, bytes.clone()));
        Ok(bytes)
    }

    /// Forgets what was made, to be made again if it is asked for again.
    pub fn clear(&self) {
        self.0.lock().clear();
    }
}

/// An object at one revision. Immutable and shared.
#[derive(Debug)]
pub struct Entry {
    /// The whole storage key.
    pub key: Bytes,
    /// The revision that the object shows as its `metadata.resourceVersion`: of its last change, or of its deletion.
    pub revision: i64,
    /// The object as stored (protobuf envelope, or JSON), without a resourceVersion.
    pub stored: Bytes,
    /// What selectors ask about. Empty where the stored bytes cannot be read, and where the object was read or written on its own.
    pub attributes: Arc<Attributes>,
    encodings: Encodings,
}

impl Entry {
    /// An entry with no encodings yet.
    pub fn new(key: Bytes, stored: Bytes, revision: i64, attributes: Arc<Attributes>) -> Self {
        Self { key, revision, stored, attributes, encodings: Encodings::default() }
    }

    /// The same object at another revision: what a watcher sees as deleted.
    #[must_use]
    pub fn at(&self, revision: i64) -> Self {
        Self::new(self.key.clone(), self.stored.clone(), revision, Arc::clone(&self.attributes))
    }

    /// The object encoded in `form`, resourceVersion included; made by `encode` on first use, then kept.
    pub fn wire<E>(&self, form: WireForm, encode: impl FnOnce(&Self) -> Result<Bytes, E>) -> Result<Bytes, E> {
        self.encodings.get_or_encode(form, || encode(self))
    }

    /// Forgets the encodings: the object has been replaced, and only readers of the past may still want them.
    pub(super) fn forget_encodings(&self) {
        self.encodings.clear();
    }
}
