//! How many bytes the raft log holds, and up to where it must be forgotten to hold fewer. Pure.

use std::collections::VecDeque;

/// Entries are counted in pieces of about this size, so that the count itself stays small.
const PIECE_BYTES: u64 = 256 << 10;

struct Piece {
    first: u64,
    last: u64,
    bytes: u64,
}

/// Bytes by index. A piece that is cut counts whole until it is gone: the log is never taken for smaller than it is.
#[derive(Default)]
pub struct Sizes {
    pieces: VecDeque<Piece>,
    total: u64,
}

impl Sizes {
    /// Bytes of the entries that are present.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Adds the newest entry.
    pub fn push(&mut self, index: u64, bytes: u64) {
        self.total += bytes;
        match self.pieces.back_mut() {
            Some(piece) if piece.bytes < PIECE_BYTES => {
                piece.last = index;
                piece.bytes += bytes;
            }
            _ => self.pieces.push_back(Piece { first: index, last: index, bytes }),
        }
    }

    /// Forgets the entries from `index` on.
    pub fn truncate(&mut self, index: u64) {
        while self.pieces.back().is_some_and(|piece| piece.first >= index) {
            self.total -= self.pieces.pop_back().map_or(0, |piece| piece.bytes);
        }
        if let Some(piece) = self.pieces.back_mut() {
            piece.last = piece.last.min(index.saturating_sub(1));
        }
    }

    /// Forgets the entries up to `upto`, included.
    pub fn purge(&mut self, upto: u64) {
        while self.pieces.front().is_some_and(|piece| piece.last <= upto) {
            self.total -= self.pieces.pop_front().map_or(0, |piece| piece.bytes);
        }
        if let Some(piece) = self.pieces.front_mut() {
            piece.first = piece.first.max(upto + 1);
        }
    }

    /// The greatest index that can be purged while `keep_bytes` of newer entries remain.
    pub fn purgeable(&self, keep_bytes: u64) -> Option<u64> {
        let mut left = self.total;
        let mut upto = None;
        for piece in &self.pieces {
            if left - piece.bytes < keep_bytes {
                break;
            }
            left -= piece.bytes;
            upto = Some(piece.last);
        }
        upto
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hundred() -> Sizes {
        let mut sizes = Sizes::default();
        (1..=100).for_each(|index| sizes.push(index, PIECE_BYTES / 2));
        sizes
    }

    #[test]
    fn purging_by_bytes_keeps_what_was_asked_for() {
        let mut sizes = hundred();
        assert_eq!(sizes.total(), 50 * PIECE_BYTES);
        assert_eq!(sizes.purgeable(50 * PIECE_BYTES), None);
        let upto = sizes.purgeable(10 * PIECE_BYTES).unwrap();
        sizes.purge(upto);
        assert_eq!((upto, sizes.total()), (80, 10 * PIECE_BYTES));
        assert_eq!(sizes.purgeable(0), Some(100));
    }

    #[test]
    fn a_truncated_log_counts_no_less_than_it_holds() {
        let mut sizes = hundred();
        sizes.truncate(50);
        assert!(sizes.total() >= 49 * PIECE_BYTES / 2 && sizes.total() <= 25 * PIECE_BYTES);
        sizes.push(50, 1);
        sizes.purge(50);
        assert_eq!(sizes.total(), 0);
    }
}
