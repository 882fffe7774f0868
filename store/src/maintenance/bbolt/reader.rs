//! Reads a database. No byte of it is trusted: a page is read once at most, so that the work is bounded by the file's
//! size whatever its pages point to, and what is held in memory by [`limits`](crate::limits).

use std::io::{Read, Seek, SeekFrom};

use super::page::{
    BRANCH, BUCKET_HEADER_BYTES, HEADER_BYTES, Header, LEAF, META, META_BYTES, Meta, branch_element, leaf_element,
    u64_at,
};
use super::{Error, Result};
use crate::limits::{BBOLT_MAX_BRANCH_BYTES, BBOLT_MAX_DEPTH, BBOLT_MAX_LEAF_BYTES};

/// Sizes of pages that there are: those of the systems that etcd runs on.
const PAGE_BYTES_POSSIBLE: std::ops::RangeInclusive<u32> = 512..=64 * 1024;

/// A database to read.
pub struct Database<F> {
    file: F,
    pub(super) meta: Meta,
}

/// A bucket, as the root bucket holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: Vec<u8>,
    /// The page in the root bucket that names it.
    holder: u64,
    /// The root of its tree; 0 when it is inline.
    root: u64,
    /// The page in the root bucket's value, of one that is inline.
    inline: Vec<u8>,
}

/// Which pages were seen: a bit each.
pub(super) struct Seen(Vec<u64>);

impl Seen {
    pub(super) fn new(pages: u64) -> Result<Self> {
        let words = usize::try_from(pages.div_ceil(64)).map_err(|_| Error::Foreign("it claims too many pages"))?;
        Ok(Self(vec![0; words]))
    }

    /// Takes note of a page; false if it was noted before or there is no such page.
    pub(super) fn mark(&mut self, page: u64) -> bool {
        let Some(word) = usize::try_from(page / 64).ok().and_then(|word| self.0.get_mut(word)) else { return false };
        let bit = 1 << (page % 64);
        let fresh = *word & bit == 0;
        *word |= bit;
        fresh
    }
}

/// What is left to visit of a branch page: the pages below it, the last one first.
type Below = Vec<(Vec<u8>, u64)>;

impl<F: Read + Seek> Database<F> {
    /// Finds the newer valid meta page.
    ///
    /// # Errors
    /// When the file is no database, is shorter than it says, or cannot be read.
    pub fn open(mut file: F) -> Result<Self> {
        let bytes = file.seek(SeekFrom::End(0))?;
        let first = read_meta(&mut file, 0);
        let second = match &first {
            Ok(meta) => read_meta(&mut file, u64::from(meta.page_bytes)),
            // The second meta page lies behind a page of unknown size.
            Err(_) => (9..=16)
                .map(|power| (1 << power, read_meta(&mut file, 1 << power)))
                .find_map(|(at, meta)| meta.ok().filter(|meta| u64::from(meta.page_bytes) == at))
                .ok_or(Error::Foreign("no second meta page")),
        };
        let meta = match (first, second) {
            (Ok(a), Ok(b)) => {
                if b.transaction > a.transaction {
                    b
                } else {
                    a
                }
            }
            (Ok(meta), Err(_)) | (Err(_), Ok(meta)) => meta,
            (Err(error), Err(_)) => return Err(error),
        };
        if meta.pages.checked_mul(meta.page_bytes.into()).is_none_or(|needed| needed > bytes) {
            return Err(Error::Foreign("it is shorter than it says: it was cut off"));
        }
        Ok(Self { file, meta })
    }

    /// Bytes that the database has pages for.
    pub fn bytes(&self) -> u64 {
        self.meta.pages.saturating_mul(self.meta.page_bytes.into())
    }

    /// All buckets, by name.
    ///
    /// # Errors
    /// When a page is damaged or cannot be read.
    pub fn buckets(&mut self) -> Result<Vec<Bucket>> {
        let mut seen = Seen::new(self.meta.pages)?;
        self.buckets_noting(&mut seen)
    }

    /// Visits the entries of a bucket in the order of their keys.
    ///
    /// # Errors
    /// When a page is damaged or cannot be read, and whatever `visit` fails with.
    pub fn walk<E: From<Error>>(
        &mut self,
        bucket: &Bucket,
        visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut seen = Seen::new(self.meta.pages)?;
        self.walk_noting(bucket, &mut seen, visit)
    }

    pub(super) fn buckets_noting(&mut self, seen: &mut Seen) -> Result<Vec<Bucket>> {
        let mut buckets = Vec::new();
        self.traverse(self.meta.root, seen, |page, is_bucket, key, value| {
            let damaged = |what| Error::Damaged { page, what };
            if !is_bucket {
                return Err(damaged("a value outside of all buckets"));
            }
            let root = u64_at(value, 0).ok_or(damaged("a bucket without a root"))?;
            let inline = value.get(BUCKET_HEADER_BYTES..).ok_or(damaged("a bucket without a root"))?;
            let inline = if root == 0 { inline.to_vec() } else { Vec::new() };
            buckets.push(Bucket { name: key.to_vec(), holder: page, root, inline });
            Ok(())
        })?;
        Ok(buckets)
    }

    pub(super) fn walk_noting<E: From<Error>>(
        &mut self,
        bucket: &Bucket,
        seen: &mut Seen,
        mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut visit = |page, is_bucket, key: &[u8], value: &[u8]| {
            if is_bucket {
                return Err(Error::Damaged { page, what: "a bucket within a bucket, which etcd does not have" }.into());
            }
            visit(key, value)
        };
        if bucket.root != 0 {
            return self.traverse(bucket.root, seen, visit);
        }
        let damaged = |what| Error::Damaged { page: bucket.holder, what };
        let header = Header::decode(&bucket.inline).ok_or(damaged("an inline bucket without a page"))?;
        if header.kind != LEAF {
            return Err(damaged("an inline bucket that is no leaf").into());
        }
        visit_leaf(bucket.holder, &bucket.inline, header.count, &mut Order::default(), &mut visit)
    }

    /// Visits the entries below a page in order, each with the page it lies in.
    fn traverse<E: From<Error>>(
        &mut self,
        root: u64,
        seen: &mut Seen,
        mut visit: impl FnMut(u64, bool, &[u8], &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut order = Order::default();
        let mut page = Vec::new();
        let mut path: Vec<Below> = vec![vec![(Vec::new(), root)]];
        while let Some(below) = path.last_mut() {
            let Some((first_key, number)) = below.pop() else {
                path.pop();
                continue;
            };
            let damaged = |what| E::from(Error::Damaged { page: number, what });
            let header = self.read_page(number, seen, &mut page)?;
            order.begin(number, &first_key)?;
            match header.kind {
                // Only a root may be empty: of anything else there is nothing to be found in.
                LEAF if header.count == 0 && number != root => return Err(damaged("an empty leaf")),
                LEAF => visit_leaf(number, &page, header.count, &mut order, &mut visit)?,
                BRANCH if header.count == 0 => return Err(damaged("an empty branch")),
                BRANCH if path.len() > BBOLT_MAX_DEPTH => return Err(damaged("it lies too deep")),
                BRANCH => path.push(children(number, &page, header.count)?),
                _ => return Err(damaged("neither branch nor leaf")),
            }
        }
        Ok(())
    }

    /// Reads a page with those it runs over into.
    pub(super) fn read_page(&mut self, number: u64, seen: &mut Seen, page: &mut Vec<u8>) -> Result<Header> {
        let damaged = |what| Error::Damaged { page: number, what };
        if number <= 1 || number >= self.meta.pages {
            return Err(damaged("there is no such page"));
        }
        let page_bytes = u64::from(self.meta.page_bytes);
        let mut header = [0; HEADER_BYTES];
        self.file.seek(SeekFrom::Start(number * page_bytes))?;
        self.file.read_exact(&mut header)?;
        let header = Header::decode(&header).ok_or(damaged("it has no header"))?;
        if header.page != number {
            return Err(damaged("it says that it is another"));
        }
        let end = number + u64::from(header.overflow) + 1;
        if end > self.meta.pages {
            return Err(damaged("it runs over the end of the file"));
        }
        if !(number..end).all(|page| seen.mark(page)) {
            return Err(damaged("it is used twice"));
        }
        let bytes = (end - number) * page_bytes;
        let most = if header.kind == BRANCH { BBOLT_MAX_BRANCH_BYTES } else { BBOLT_MAX_LEAF_BYTES };
        let bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes <= most).ok_or(damaged("it is too large"))?;
        page.resize(bytes, 0);
        self.file.seek(SeekFrom::Start(number * page_bytes))?;
        self.file.read_exact(page)?;
        Ok(header)
    }
}

fn read_meta(file: &mut (impl Read + Seek), at: u64) -> Result<Meta> {
    let mut bytes = [0; HEADER_BYTES + META_BYTES];
    file.seek(SeekFrom::Start(at))?;
    file.read_exact(&mut bytes).map_err(|_| Error::Foreign("it is too short"))?;
    if Header::decode(&bytes).is_none_or(|header| header.kind != META) {
        return Err(Error::Foreign("it does not begin with a meta page"));
    }
    let meta = Meta::decode(bytes.get(HEADER_BYTES..).unwrap_or_default())?;
    if !PAGE_BYTES_POSSIBLE.contains(&meta.page_bytes) || !meta.page_bytes.is_power_of_two() {
        return Err(Error::Foreign("its pages have an impossible size"));
    }
    Ok(meta)
}

/// The pages below a branch, the last one first.
fn children(page: u64, bytes: &[u8], count: u16) -> Result<Below> {
    let child = |index| {
        let (key, child) =
            branch_element(bytes, index).ok_or(Error::Damaged { page, what: "an element points out of the page" })?;
        Ok((key.to_vec(), child))
    };
    (0..count).rev().map(child).collect()
}

fn visit_leaf<E: From<Error>>(
    page: u64,
    bytes: &[u8],
    count: u16,
    order: &mut Order,
    visit: &mut impl FnMut(u64, bool, &[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    for index in 0..count {
        let element =
            leaf_element(bytes, index).ok_or(Error::Damaged { page, what: "an element points out of the page" })?;
        order.next(page, element.key)?;
        visit(page, element.is_bucket, element.key, element.value)?;
    }
    Ok(())
}

/// Watches that keys ascend.
#[derive(Default)]
struct Order {
    last: Option<Vec<u8>>,
    /// No key of the present page is less.
    floor: Vec<u8>,
}

impl Order {
    /// A page begins of which its branch says that no key in it is less than `floor`.
    fn begin(&mut self, page: u64, floor: &[u8]) -> Result<()> {
        if self.last.as_ref().is_some_and(|last| !floor.is_empty() && floor <= last.as_slice()) {
            return Err(Error::Damaged { page, what: "the branch above has its keys out of order" });
        }
        floor.clone_into(&mut self.floor);
        Ok(())
    }

    fn next(&mut self, page: u64, key: &[u8]) -> Result<()> {
        if key < self.floor.as_slice() || self.last.as_ref().is_some_and(|last| key <= last.as_slice()) {
            return Err(Error::Damaged { page, what: "its keys are out of order" });
        }
        key.clone_into(self.last.get_or_insert_default());
        Ok(())
    }
}
