//! A backup as a file: etcd's database, followed by its sha256 if it was saved from a server; without, if it was copied
//! from a data directory.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::bbolt::Database;
use super::{Error, Result};

/// Databases consist of whole sectors, so that whatever lies behind them shows.
const SECTOR_BYTES: u64 = 512;
/// Bytes of the hash.
const HASH_BYTES: u64 = 32;

/// A backup that can be read.
pub type SnapshotFile = Database<File>;

/// Whether a file of this size ends with a hash; etcd's rule.
pub fn has_hash(bytes: u64) -> bool {
    bytes % SECTOR_BYTES == HASH_BYTES
}

/// Opens a backup. Unless `skip_hash_check` is set, it must end with its hash. `progress` is told how many bytes of
/// the file were hashed.
///
/// # Errors
/// When the hash is missing or another, or the file is no database.
pub fn open(path: &Path, skip_hash_check: bool, progress: impl FnMut(u64)) -> Result<SnapshotFile> {
    let mut file = File::open(path)?;
    if !skip_hash_check {
        check_hash(&mut file, progress)?;
    }
    Ok(Database::open(file)?)
}

fn check_hash(file: &mut File, mut progress: impl FnMut(u64)) -> Result<()> {
    let bytes = file.seek(SeekFrom::End(0))?;
    if !has_hash(bytes) {
        return Err(Error::HashMissing);
    }
    file.rewind()?;
    let mut contents = BufReader::with_capacity(1 << 20, (&*file).take(bytes - HASH_BYTES));
    let mut hash = Sha256::new();
    loop {
        let piece = io::BufRead::fill_buf(&mut contents)?;
        let length = piece.len();
        if length == 0 {
            break;
        }
        hash.update(piece);
        progress(length as u64);
        io::BufRead::consume(&mut contents, length);
    }
    let mut stored = Vec::new();
    file.seek(SeekFrom::Start(bytes - HASH_BYTES))?;
    file.read_to_end(&mut stored)?;
    let computed = hash.finalize();
    if stored == computed.as_slice() { Ok(()) } else { Err(Error::HashDiffers) }
}
