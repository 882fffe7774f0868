//! Writes a database from beginning to end without going back.
//!
//! The meta pages come first and say where the root is, which is known only at the end. So a database is written twice:
//! once to learn its [`Layout`], to nowhere, and once with it. Both runs must be given the same entries.

use std::io::{self, Write};

use super::page::{
    BUCKET_FLAG, BUCKET_HEADER_BYTES, FREELIST, HEADER_BYTES, Header, LEAF, META, META_BYTES, Meta, PAGE_BYTES,
};
use super::tree::{Pages, Tree};

/// What the meta pages must say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Layout {
    /// The root bucket's page.
    root: u64,
    /// Pages in all.
    pages: u64,
}

impl Layout {
    /// Bytes of the whole database.
    pub fn bytes(&self) -> u64 {
        self.pages * PAGE_BYTES as u64
    }
}

/// The freelist's page; data follows.
const FREELIST_PAGE: u64 = 2;

/// A database being written: buckets in the order of their names, and each one's entries in the order of their keys.
pub struct Writer<W> {
    pages: Pages<W>,
    layout: Layout,
    /// The bucket that entries go to.
    open: Option<(Vec<u8>, Tree)>,
    /// Those that are complete, by name, as the root bucket will hold them.
    buckets: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Writer<io::Sink> {
    /// Writes nothing, but learns the layout.
    ///
    /// # Errors
    /// Never; writing to nowhere succeeds.
    pub fn measure() -> io::Result<Self> {
        Self::new(io::sink(), Layout::default())
    }
}

impl<W: Write> Writer<W> {
    /// Begins a database of a layout that was measured.
    ///
    /// # Errors
    /// When writing fails.
    pub fn new(mut out: W, layout: Layout) -> io::Result<Self> {
        let page_bytes = u32::try_from(PAGE_BYTES).map_err(io::Error::other)?;
        for page in 0..FREELIST_PAGE {
            let meta =
                Meta { page_bytes, root: layout.root, freelist: FREELIST_PAGE, pages: layout.pages, transaction: page };
            out.write_all(&Header { page, kind: META, count: 0, overflow: 0 }.encode())?;
            out.write_all(&meta.encode())?;
            out.write_all(&[0; PAGE_BYTES - HEADER_BYTES - META_BYTES])?;
        }
        let mut pages = Pages::new(out, FREELIST_PAGE);
        pages.write(FREELIST, 0, &[])?;
        Ok(Self { pages, layout, open: None, buckets: Vec::new() })
    }

    /// Begins the next bucket, whose name is greater than all before.
    ///
    /// # Errors
    /// When writing fails.
    pub fn bucket(&mut self, name: &[u8]) -> io::Result<()> {
        self.close_bucket()?;
        self.open = Some((name.to_vec(), Tree::default()));
        Ok(())
    }

    /// Adds an entry to the bucket begun last, whose key is greater than all before.
    ///
    /// # Errors
    /// When writing fails, keys are not in order, or bbolt cannot hold the entry.
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        match &mut self.open {
            Some((_, tree)) => tree.add(&mut self.pages, 0, key, value),
            None => Err(io::Error::new(io::ErrorKind::InvalidInput, "an entry outside of all buckets")),
        }
    }

    /// Completes the database, and returns where it was written to and its layout.
    ///
    /// # Errors
    /// When writing fails, or the layout is not the one announced.
    pub fn finish(mut self) -> io::Result<(W, Layout)> {
        self.close_bucket()?;
        let mut root = Tree::default();
        for (name, value) in &self.buckets {
            root.add(&mut self.pages, BUCKET_FLAG, name, value)?;
        }
        let root = match root.finish(&mut self.pages)? {
            Some(root) => root,
            None => self.pages.write(LEAF, 0, &[])?,
        };
        let layout = Layout { root, pages: self.pages.count() };
        if self.layout != Layout::default() && self.layout != layout {
            return Err(io::Error::other("the database changed while it was written"));
        }
        Ok((self.pages.finish()?, layout))
    }

    fn close_bucket(&mut self) -> io::Result<()> {
        let Some((name, tree)) = self.open.take() else { return Ok(()) };
        let root = tree.finish(&mut self.pages)?;
        let mut value = vec![0; BUCKET_HEADER_BYTES];
        match root {
            Some(root) => value[..size_of::<u64>()].copy_from_slice(&root.to_le_bytes()),
            // One without entries has no page of its own but an empty one within its value.
            None => value.extend(Header { page: 0, kind: LEAF, count: 0, overflow: 0 }.encode()),
        }
        self.buckets.push((name, value));
        Ok(())
    }
}
