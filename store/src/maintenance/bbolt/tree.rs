//! One bucket's B+ tree, built from its entries in order: a leaf is written when it is full, and so is a branch at each
//! level above. In memory are one page a level and no more.

use std::io::{self, Write};

use super::page::{BRANCH, ELEMENT_BYTES, HEADER_BYTES, Header, LEAF, MAX_KEY_BYTES, PAGE_BYTES};

/// Numbers pages and writes them out, one after the other.
pub struct Pages<W> {
    out: W,
    next: u64,
}

impl<W: Write> Pages<W> {
    /// Goes on from the page `next`.
    pub fn new(out: W, next: u64) -> Self {
        Self { out, next }
    }

    /// How many pages there are by now.
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Writes a page, with as many behind it as `body` needs, and returns its number.
    pub fn write(&mut self, kind: u16, count: usize, body: &[&[u8]]) -> io::Result<u64> {
        const ZEROS: [u8; PAGE_BYTES] = [0; PAGE_BYTES];
        let bytes = HEADER_BYTES + body.iter().map(|part| part.len()).sum::<usize>();
        let pages = bytes.div_ceil(PAGE_BYTES);
        let (Ok(count), Ok(overflow)) = (u16::try_from(count), u32::try_from(pages - 1)) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "too much for one page"));
        };
        let page = self.next;
        self.out.write_all(&Header { page, kind, count, overflow }.encode())?;
        for part in body {
            self.out.write_all(part)?;
        }
        self.out.write_all(&ZEROS[..pages * PAGE_BYTES - bytes])?;
        self.next += u64::from(overflow) + 1;
        Ok(page)
    }

    /// Writes out what is buffered, and returns where to.
    pub fn finish(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }
}

/// A page being filled. Elements are completed when it is known how many there are, since they count positions from
/// themselves.
#[derive(Default)]
struct Filling {
    /// Flags, sizes and, of a branch, the child of each element.
    elements: Vec<Element>,
    /// Keys and values.
    data: Vec<u8>,
}

struct Element {
    flags: u32,
    key_bytes: u32,
    value_bytes: u32,
    child: u64,
}

impl Filling {
    fn has_room(&self, bytes: usize) -> bool {
        HEADER_BYTES + (self.elements.len() + 1) * ELEMENT_BYTES + self.data.len() + bytes <= PAGE_BYTES
    }

    fn push(&mut self, flags: u32, key: &[u8], value: &[u8], child: u64) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "a value is too large for bbolt");
        self.elements.push(Element {
            flags,
            key_bytes: u32::try_from(key.len()).map_err(too_large)?,
            value_bytes: u32::try_from(value.len()).map_err(too_large)?,
            child,
        });
        self.data.extend_from_slice(key);
        self.data.extend_from_slice(value);
        Ok(())
    }

    fn first_key(&self) -> &[u8] {
        let bytes = self.elements.first().map_or(0, |element| element.key_bytes as usize);
        self.data.get(..bytes).unwrap_or_default()
    }

    /// Writes the page and begins the next; returns its first key and number.
    fn write(&mut self, kind: u16, pages: &mut Pages<impl Write>) -> io::Result<(Vec<u8>, u64)> {
        let mut encoded = Vec::with_capacity(self.elements.len() * ELEMENT_BYTES);
        let mut at = 0;
        for (index, element) in self.elements.iter().enumerate() {
            let position = ((self.elements.len() - index) * ELEMENT_BYTES + at) as u64;
            let position = u32::try_from(position).map_err(io::Error::other)?;
            if kind == BRANCH {
                encoded.extend(position.to_le_bytes());
                encoded.extend(element.key_bytes.to_le_bytes());
                encoded.extend(element.child.to_le_bytes());
            } else {
                encoded.extend(element.flags.to_le_bytes());
                encoded.extend(position.to_le_bytes());
                encoded.extend(element.key_bytes.to_le_bytes());
                encoded.extend(element.value_bytes.to_le_bytes());
            }
            at += element.key_bytes as usize + element.value_bytes as usize;
        }
        let page = pages.write(kind, self.elements.len(), &[&encoded, &self.data])?;
        let first = self.first_key().to_vec();
        self.elements.clear();
        self.data.clear();
        Ok((first, page))
    }
}

/// A tree being built.
#[derive(Default)]
pub struct Tree {
    leaf: Filling,
    /// From the parents of leaves upward.
    branches: Vec<Filling>,
    last_key: Vec<u8>,
}

impl Tree {
    /// Adds an entry, whose key is greater than all before.
    pub fn add(&mut self, pages: &mut Pages<impl Write>, flags: u32, key: &[u8], value: &[u8]) -> io::Result<()> {
        let refuse = |text| Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        if key.is_empty() || key.len() > MAX_KEY_BYTES {
            return refuse("a key is empty or too long for bbolt");
        }
        if key <= self.last_key.as_slice() {
            return refuse("keys are not in order");
        }
        key.clone_into(&mut self.last_key);
        if !self.leaf.elements.is_empty() && !self.leaf.has_room(key.len() + value.len()) {
            self.flush_leaf(pages)?;
        }
        self.leaf.push(flags, key, value, 0)
    }

    /// Writes what is left and returns the root's page; none of a tree without entries.
    pub fn finish(mut self, pages: &mut Pages<impl Write>) -> io::Result<Option<u64>> {
        if self.leaf.elements.is_empty() {
            return Ok(None);
        }
        self.flush_leaf(pages)?;
        let (mut level, mut highest) = (0, self.branches.len() - 1);
        while let Some(branch) = self.branches.get_mut(level) {
            if let ([only], true) = (branch.elements.as_slice(), highest == level) {
                return Ok(Some(only.child));
            }
            let (first, page) = branch.write(BRANCH, pages)?;
            level += 1;
            self.promote(pages, level, &first, page)?;
            highest = self.branches.len() - 1;
        }
        Ok(None)
    }

    fn flush_leaf(&mut self, pages: &mut Pages<impl Write>) -> io::Result<()> {
        let (first, page) = self.leaf.write(LEAF, pages)?;
        self.promote(pages, 0, &first, page)
    }

    /// Tells the branch at `level` of a page below it; a full branch is written first.
    fn promote(&mut self, pages: &mut Pages<impl Write>, level: usize, first: &[u8], page: u64) -> io::Result<()> {
        if self.branches.len() == level {
            self.branches.push(Filling::default());
        }
        let full = match self.branches.get_mut(level) {
            // At least two children, or the tree would grow without end.
            Some(branch) if branch.elements.len() > 1 && !branch.has_room(first.len()) => {
                Some(branch.write(BRANCH, pages)?)
            }
            _ => None,
        };
        if let Some((first, page)) = full {
            self.promote(pages, level + 1, &first, page)?;
        }
        match self.branches.get_mut(level) {
            Some(branch) => branch.push(0, first, &[], page),
            None => Ok(()),
        }
    }
}
