//! Tells a write-ahead log that a crash cut short from one that is damaged, before RocksDB replays it.
//!
//! RocksDB's own recovery cannot: a flipped bit in a record's length makes the rest of the log look like the torn end
//! of a write, and acknowledged records behind it are dropped without a word. Here a record that does not check out is
//! a torn end only if no later record begins behind it; every record was synced before the next was written, so
//! whatever begins later proves that this one was once whole. The last record alone cannot be told apart: it may not
//! have been acknowledged.
//!
//! The format is RocksDB's `db/log_format.h`: blocks of 32 KiB hold fragments of records, each with a header of masked
//! CRC-32C, length and type. Pure, but for [`prepare`].

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// Fragments never cross the boundary of a block.
const BLOCK_BYTES: usize = 32 * 1024;
/// Checksum (4), length (2), type (1).
const HEADER_BYTES: usize = 7;
/// Zero, then 1 to 4 for a whole record and its first, middle and last fragment.
const TYPE_WHOLE: u8 = 1;
const TYPE_FIRST: u8 = 2;
const TYPE_LAST: u8 = 4;
/// Descriptions of the log itself, which RocksDB may put before the records.
const TYPE_TIMESTAMP_SIZES: u8 = 10;
const TYPE_PREDECESSOR: u8 = 130;

/// What the bytes of a write-ahead log are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every record checks out.
    Whole,
    /// The last write did not get through: the log is good up to this offset.
    Torn(usize),
    /// The record at this offset is damaged, and there are good ones behind it.
    Damaged(usize),
}

/// Judges the bytes of one log.
pub fn inspect(log: &[u8]) -> Verdict {
    let mut at = 0;
    while at < log.len() {
        let block_left = BLOCK_BYTES - at % BLOCK_BYTES;
        if block_left < HEADER_BYTES {
            at += block_left;
            continue;
        }
        match fragment(log, at) {
            Some(fragment) => at = fragment.end,
            None if a_record_begins_after(log, at) => return Verdict::Damaged(at),
            None => return Verdict::Torn(at),
        }
    }
    Verdict::Whole
}

struct Fragment {
    kind: u8,
    end: usize,
}

/// The fragment at an offset, if it checks out.
fn fragment(log: &[u8], at: usize) -> Option<Fragment> {
    let header: &[u8; HEADER_BYTES] = log.get(at..)?.first_chunk()?;
    let [c0, c1, c2, c3, l0, l1, kind] = *header;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let known = (TYPE_WHOLE..=TYPE_LAST).contains(&kind) || kind == TYPE_TIMESTAMP_SIZES || kind == TYPE_PREDECESSOR;
    let end = at + HEADER_BYTES + length;
    if !known || at / BLOCK_BYTES != (end - 1) / BLOCK_BYTES {
        return None;
    }
    // The checksum covers the type and what follows.
    let checksum = crc32c::crc32c(log.get(at + HEADER_BYTES - 1..end)?);
    (u32::from_le_bytes([c0, c1, c2, c3]) == mask(checksum)).then_some(Fragment { kind, end })
}

/// How RocksDB stores checksums of data that may itself contain checksums.
fn mask(checksum: u32) -> u32 {
    checksum.rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Whether a record begins anywhere behind `bad`. In the block of `bad` it may be anywhere; every later block begins
/// with a fragment.
fn a_record_begins_after(log: &[u8], bad: usize) -> bool {
    let block_end = log.len().min((bad / BLOCK_BYTES + 1) * BLOCK_BYTES);
    if (bad + 1..block_end).any(|at| fragment(log, at).is_some_and(|fragment| begins(fragment.kind))) {
        return true;
    }
    (block_end..log.len()).step_by(BLOCK_BYTES).any(|block| {
        let mut at = block;
        while let Some(fragment) = fragment(log, at) {
            if begins(fragment.kind) {
                return true;
            }
            at = fragment.end;
        }
        false
    })
}

fn begins(kind: u8) -> bool {
    matches!(kind, TYPE_WHOLE | TYPE_FIRST)
}

/// Looks at the logs in a database's directory before it is opened. Cuts off what a crash left torn.
///
/// # Errors
/// When a log is damaged, with its name and the offset; when one cannot be read or cut.
pub fn prepare(database: &Path) -> io::Result<()> {
    let mut logs: Vec<PathBuf> = match std::fs::read_dir(database) {
        Ok(files) => files.map(|file| file.map(|file| file.path())).collect::<io::Result<_>>()?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    logs.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    for path in logs {
        match inspect(&std::fs::read(&path)?) {
            Verdict::Whole => {}
            Verdict::Torn(at) => {
                let log = File::options().write(true).open(&path)?;
                tracing::info!(log = %path.display(), at, "cutting off a write that a crash interrupted");
                log.set_len(at as u64)?;
                log.sync_all()?;
            }
            Verdict::Damaged(at) => {
                let text = format!("the record at byte {at} of {} does not match its checksum", path.display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes records as RocksDB does.
    fn log(records: &[Vec<u8>]) -> Vec<u8> {
        let mut log = Vec::new();
        for record in records {
            let mut rest = record.as_slice();
            let mut first = true;
            loop {
                let left = BLOCK_BYTES - log.len() % BLOCK_BYTES;
                if left < HEADER_BYTES {
                    log.resize(log.len() + left, 0);
                    continue;
                }
                let (fragment, after) = rest.split_at(rest.len().min(left - HEADER_BYTES));
                let kind = match (first, after.is_empty()) {
                    (true, true) => TYPE_WHOLE,
                    (true, false) => TYPE_FIRST,
                    (false, false) => 3,
                    (false, true) => TYPE_LAST,
                };
                let covered = [&[kind], fragment].concat();
                log.extend(mask(crc32c::crc32c(&covered)).to_le_bytes());
                log.extend(u16::try_from(fragment.len()).unwrap().to_le_bytes());
                log.extend(covered);
                (rest, first) = (after, false);
                if rest.is_empty() {
                    break;
                }
            }
        }
        log
    }

    fn records() -> Vec<Vec<u8>> {
        (0..40_u8).map(|n| vec![n; usize::from(n) * 97 + 10]).chain([vec![7; 3 * BLOCK_BYTES], vec![9; 100]]).collect()
    }

    #[test]
    fn a_whole_log_is_whole() {
        assert_eq!(inspect(&[]), Verdict::Whole);
        assert_eq!(inspect(&log(&records())), Verdict::Whole);
    }

    #[test]
    fn a_cut_log_is_torn_wherever_it_is_cut() {
        let log = log(&records());
        for length in (0..log.len()).step_by(53) {
            let verdict = inspect(&log[..length]);
            assert!(matches!(verdict, Verdict::Whole | Verdict::Torn(_)), "cut to {length}: {verdict:?}");
        }
    }

    #[test]
    fn a_flipped_bit_is_damage_anywhere_but_in_the_last_record() {
        let mut log = log(&records());
        let last = log.len() - 100 - HEADER_BYTES;
        let padding = |at: usize| BLOCK_BYTES - at % BLOCK_BYTES < HEADER_BYTES;
        for at in (0..last).step_by(41) {
            log[at] ^= 1 << (at % 8);
            let verdict = inspect(&log);
            let expected = matches!(verdict, Verdict::Damaged(_)) || (padding(at) && verdict == Verdict::Whole);
            assert!(expected, "byte {at}: {verdict:?}");
            log[at] ^= 1 << (at % 8);
        }
        log[last + 20] ^= 1;
        assert_eq!(inspect(&log), Verdict::Torn(last));
    }

    #[test]
    fn pages_of_the_last_write_that_arrived_out_of_order_are_a_torn_end() {
        let mut log = log(&[vec![1; 50], vec![7; 3 * BLOCK_BYTES]]);
        log[100..4096].fill(0);
        assert_eq!(inspect(&log), Verdict::Torn(50 + HEADER_BYTES));
    }
}
