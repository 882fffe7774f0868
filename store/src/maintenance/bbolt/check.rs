//! Whether a database is whole: every page is in use once or free, and every entry can be reached.

use std::io::{Read, Seek};

use super::page::{FREELIST, HEADER_BYTES, NO_FREELIST, u64_at};
use super::reader::{Database, Seen};
use super::{Error, Result};

/// A freelist of more pages says so in place of its first entry.
const COUNT_ELSEWHERE: u16 = u16::MAX;

impl<F: Read + Seek> Database<F> {
    /// Reads every page.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&mut self) -> Result<()> {
        let pages = self.meta.pages;
        let mut seen = Seen::new(pages)?;
        for meta in 0..2 {
            seen.mark(meta);
        }
        for bucket in self.buckets_noting(&mut seen)? {
            self.walk_noting(&bucket, &mut seen, |_, _| Ok::<(), Error>(()))?;
        }
        if self.meta.freelist == NO_FREELIST {
            return Ok(());
        }
        for free in self.freelist(&mut seen)? {
            if free >= pages {
                return Err(Error::Damaged { page: self.meta.freelist, what: "it frees a page that is not there" });
            }
            if !seen.mark(free) {
                return Err(Error::Damaged { page: free, what: "it is in use and free" });
            }
        }
        match (0..pages).find(|page| seen.mark(*page)) {
            Some(page) => Err(Error::Damaged { page, what: "it is neither in use nor free" }),
            None => Ok(()),
        }
    }

    /// The pages that are free.
    fn freelist(&mut self, seen: &mut Seen) -> Result<Vec<u64>> {
        let number = self.meta.freelist;
        let damaged = |what| Error::Damaged { page: number, what };
        let mut page = Vec::new();
        let header = self.read_page(number, seen, &mut page)?;
        if header.kind != FREELIST {
            return Err(damaged("it is not the freelist"));
        }
        let entry = |index: usize| u64_at(&page, HEADER_BYTES + index * size_of::<u64>());
        let (first, count) = if header.count == COUNT_ELSEWHERE {
            (1, entry(0).and_then(|count| usize::try_from(count).ok()).ok_or(damaged("it has no count"))?)
        } else {
            (0, header.count.into())
        };
        if count > page.len() / size_of::<u64>() {
            return Err(damaged("it has more entries than it has room for"));
        }
        (first..first + count).map(|index| entry(index).ok_or(damaged("it is cut short"))).collect()
    }
}
