//! Pages as bytes: headers, the elements of branch and leaf pages, meta pages. Integers are little-endian.

use super::{Error, Result};

/// Bytes of a page that this program writes. Others are read too.
pub const PAGE_BYTES: usize = 4096;
/// Number (8), kind (2), count (2), overflow (4).
pub const HEADER_BYTES: usize = 16;
/// Bytes of an element of a branch or leaf page; all elements precede all keys and values.
pub const ELEMENT_BYTES: usize = 16;
/// Bytes before an inline bucket's page: the root page's number, 0 here, and a sequence number.
pub const BUCKET_HEADER_BYTES: usize = 16;
/// The longest key, in bytes.
pub const MAX_KEY_BYTES: usize = 32 * 1024;
/// Bytes of a meta page behind the header.
pub const META_BYTES: usize = 64;

/// A branch page.
pub const BRANCH: u16 = 0x01;
/// A leaf page.
pub const LEAF: u16 = 0x02;
/// A meta page.
pub const META: u16 = 0x04;
/// The freelist.
pub const FREELIST: u16 = 0x10;

/// Marks a leaf's element whose value is a bucket.
pub const BUCKET_FLAG: u32 = 0x01;
/// The freelist's page when there is none.
pub const NO_FREELIST: u64 = u64::MAX;

const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;
/// Bytes of a meta page that its checksum covers.
const SUMMED_BYTES: usize = META_BYTES - 8;

/// What every page begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The page's number.
    pub page: u64,
    /// What it holds.
    pub kind: u16,
    /// How many elements it has.
    pub count: u16,
    /// How many pages behind it belong to it.
    pub overflow: u32,
}

impl Header {
    /// As on disk.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..8].copy_from_slice(&self.page.to_le_bytes());
        out[8..10].copy_from_slice(&self.kind.to_le_bytes());
        out[10..12].copy_from_slice(&self.count.to_le_bytes());
        out[12..].copy_from_slice(&self.overflow.to_le_bytes());
        out
    }

    /// Reads a header; none when there are too few bytes.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        Some(Self {
            page: u64_at(bytes, 0)?,
            kind: u16_at(bytes, 8)?,
            count: u16_at(bytes, 10)?,
            overflow: u32_at(bytes, 12)?,
        })
    }
}

/// What a meta page says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Bytes of a page.
    pub page_bytes: u32,
    /// The root bucket's page.
    pub root: u64,
    /// The freelist's page, or [`NO_FREELIST`].
    pub freelist: u64,
    /// How many pages the file has.
    pub pages: u64,
    /// The transaction that wrote it.
    pub transaction: u64,
}

impl Meta {
    /// As on disk, behind the header.
    pub fn encode(&self) -> [u8; META_BYTES] {
        let mut out = [0; META_BYTES];
        out[..4].copy_from_slice(&MAGIC.to_le_bytes());
        out[4..8].copy_from_slice(&VERSION.to_le_bytes());
        out[8..12].copy_from_slice(&self.page_bytes.to_le_bytes());
        out[16..24].copy_from_slice(&self.root.to_le_bytes());
        out[32..40].copy_from_slice(&self.freelist.to_le_bytes());
        out[40..48].copy_from_slice(&self.pages.to_le_bytes());
        out[48..56].copy_from_slice(&self.transaction.to_le_bytes());
        let sum = fnv1a(&out[..SUMMED_BYTES]);
        out[SUMMED_BYTES..].copy_from_slice(&sum.to_le_bytes());
        out
    }

    /// Reads what follows a meta page's header.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let meta = |at| u64_at(bytes, at).ok_or(Error::Foreign("it is too short"));
        if u32_at(bytes, 0) != Some(MAGIC) {
            return Err(Error::Foreign("its magic number is another's"));
        }
        if u32_at(bytes, 4) != Some(VERSION) {
            return Err(Error::Foreign("its version is not 2"));
        }
        let summed = bytes.get(..SUMMED_BYTES).ok_or(Error::Foreign("it is too short"))?;
        if meta(SUMMED_BYTES)? != fnv1a(summed) {
            return Err(Error::Foreign("its meta page does not match its checksum"));
        }
        Ok(Self {
            page_bytes: u32_at(bytes, 8).unwrap_or(0),
            root: meta(16)?,
            freelist: meta(32)?,
            pages: meta(40)?,
            transaction: meta(48)?,
        })
    }
}

/// FNV-1a, 64 bits wide.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One element of a leaf page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeafElement<'a> {
    /// Whether the value is a bucket.
    pub is_bucket: bool,
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

/// The element `index` of a leaf page; none when it points out of the page.
pub fn leaf_element(page: &[u8], index: u16) -> Option<LeafElement<'_>> {
    let element = element(page, index)?;
    let flags = u32_at(element, 0)?;
    let (key, rest) = data(element, u32_at(element, 4)?)?.split_at_checked(size(u32_at(element, 8)?)?)?;
    let value = rest.get(..size(u32_at(element, 12)?)?)?;
    Some(LeafElement { is_bucket: flags & BUCKET_FLAG != 0, key, value })
}

/// The element `index` of a branch page: the first key below a page, and that page's number; none when it points out
/// of this page.
pub fn branch_element(page: &[u8], index: u16) -> Option<(&[u8], u64)> {
    let element = element(page, index)?;
    let key = data(element, u32_at(element, 0)?)?.get(..size(u32_at(element, 4)?)?)?;
    Some((key, u64_at(element, 8)?))
}

/// The page from an element on: positions count from there.
fn element(page: &[u8], index: u16) -> Option<&[u8]> {
    page.get(HEADER_BYTES + usize::from(index) * ELEMENT_BYTES..)
}

fn data(element: &[u8], position: u32) -> Option<&[u8]> {
    element.get(size(position)?..)
}

fn size(size: u32) -> Option<usize> {
    usize::try_from(size).ok()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

/// The integer at an offset; none when there are too few bytes.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}
