//! A snapshot that another member sends: its files as they grow, in a directory of their own. A transfer that was cut
//! off goes on where it ended, also with a later snapshot that shares files with the earlier one, as RocksDB's do.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use pintle_proto::peerpb;

use crate::error::StoreError;
use crate::limits;

const MALFORMED: StoreError = StoreError::MalformedPeerMessage;

/// The files of a snapshot, with their sizes and checksums, in the order of their names.
pub fn describe(directory: &Path) -> io::Result<Vec<peerpb::SnapshotFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let (bytes, checksum) = checksum(&entry.path())?;
        files.push(peerpb::SnapshotFile { name, bytes, checksum });
    }
    files.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(files)
}

/// Bytes and CRC-32C of a file.
fn checksum(path: &Path) -> io::Result<(u64, u32)> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; limits::PEER_FILE_CHUNK_BYTES];
    let (mut bytes, mut checksum) = (0, 0);
    loop {
        let read = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..read).filter(|chunk| !chunk.is_empty()) else { return Ok((bytes, checksum)) };
        bytes += chunk.len() as u64;
        checksum = crc32c::crc32c_append(checksum, chunk);
    }
}

/// A snapshot on its way here.
#[derive(Debug)]
pub struct Incoming {
    directory: PathBuf,
    files: Vec<peerpb::SnapshotFile>,
}

impl Incoming {
    /// Takes note of what is offered, keeps what of it is here from an earlier attempt and removes the rest.
    pub fn begin(directory: PathBuf, files: Vec<peerpb::SnapshotFile>) -> Result<Self, StoreError> {
        let names: HashSet<&str> = files.iter().map(|file| file.name.as_str()).collect();
        let plain = |name: &str| !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\\', '\0']);
        if files.len() > limits::SNAPSHOT_FILES || names.len() != files.len() || !names.iter().all(|name| plain(name)) {
            return Err(MALFORMED);
        }
        let prepare = || {
            fs::create_dir_all(&directory)?;
            for entry in fs::read_dir(&directory)? {
                let entry = entry?;
                if !entry.file_name().to_str().is_some_and(|name| names.contains(name)) {
                    fs::remove_file(entry.path())?;
                }
            }
            io::Result::Ok(())
        };
        prepare().map_err(|error| disk(&error))?;
        Ok(Self { directory, files })
    }

    /// Bytes of each file that are here. A whole file that is not what was offered counts as none of it, and is removed.
    pub fn present(&self) -> Result<Vec<u64>, StoreError> {
        let present = |file: &peerpb::SnapshotFile| {
            let path = self.directory.join(&file.name);
            match fs::metadata(&path) {
                Ok(found) if found.len() < file.bytes => return Ok(found.len()),
                Ok(_) if checksum(&path)? == (file.bytes, file.checksum) => return Ok(file.bytes),
                Ok(_) => fs::remove_file(&path)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            Ok(0)
        };
        self.files.iter().map(present).collect::<io::Result<_>>().map_err(|error| disk(&error))
    }

    /// Adds to a file. A chunk must begin where the file ends.
    pub fn write(&self, chunk: &peerpb::SnapshotChunk) -> Result<(), StoreError> {
        let file = usize::try_from(chunk.file).ok().and_then(|index| self.files.get(index)).ok_or(MALFORMED)?;
        let end = chunk.offset.checked_add(chunk.data.len() as u64).ok_or(MALFORMED)?;
        if end > file.bytes {
            return Err(MALFORMED);
        }
        let write = || {
            let mut target =
                File::options().create(true).truncate(false).write(true).open(self.directory.join(&file.name))?;
            if target.seek(SeekFrom::End(0))? != chunk.offset {
                return Ok(false);
            }
            target.write_all(&chunk.data)?;
            Ok(true)
        };
        if write().map_err(|error| disk(&error))? { Ok(()) } else { Err(MALFORMED) }
    }

    /// Checks that everything is here as it was offered, and brings it to disk.
    pub fn finish(&self) -> Result<&Path, StoreError> {
        for (file, present) in self.files.iter().zip(self.present()?) {
            if present != file.bytes {
                tracing::warn!(file = file.name, "a file of a snapshot arrived damaged or not at all");
                return Err(MALFORMED);
            }
        }
        let sync = || {
            for file in &self.files {
                // An empty file has no chunks.
                let path = self.directory.join(&file.name);
                File::options().create(true).truncate(false).write(true).open(path)?.sync_all()?;
            }
            File::open(&self.directory)?.sync_all()
        };
        sync().map_err(|error| disk(&error))?;
        Ok(&self.directory)
    }
}

fn disk(error: &io::Error) -> StoreError {
    tracing::error!(%error, "cannot store a snapshot");
    StoreError::Unhealthy
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source() -> tempfile::TempDir {
        let source = tempfile::tempdir().unwrap();
        fs::write(source.path().join("CURRENT"), "current").unwrap();
        fs::write(source.path().join("1.sst"), vec![7; 10_000]).unwrap();
        fs::write(source.path().join("empty"), "").unwrap();
        source
    }

    fn send(source: &Path, incoming: &Incoming, max_bytes: usize) {
        let mut left = max_bytes;
        for ((index, file), present) in (0..).zip(&incoming.files).zip(incoming.present().unwrap()) {
            let content = fs::read(source.join(&file.name)).unwrap();
            let rest = &content[usize::try_from(present).unwrap()..];
            let data = rest[..rest.len().min(left)].to_vec();
            left -= data.len();
            if !data.is_empty() {
                let chunk = peerpb::SnapshotChunk { file: index, offset: present, data: data.into() };
                incoming.write(&chunk).unwrap();
            }
        }
    }

    #[test]
    fn a_transfer_goes_on_where_it_was_cut_off() {
        let (source, target) = (source(), tempfile::tempdir().unwrap());
        let files = describe(source.path()).unwrap();
        let incoming = Incoming::begin(target.path().join("in"), files.clone()).unwrap();
        send(source.path(), &incoming, 4000);
        assert!(incoming.finish().is_err());

        let again = Incoming::begin(target.path().join("in"), files.clone()).unwrap();
        assert_eq!(again.present().unwrap().iter().sum::<u64>(), 4000);
        send(source.path(), &again, usize::MAX);
        assert_eq!(describe(again.finish().unwrap()).unwrap(), files);
    }

    #[test]
    fn files_that_another_snapshot_shares_are_kept_and_others_removed() {
        let (source, target) = (source(), tempfile::tempdir().unwrap());
        let first = Incoming::begin(target.path().join("in"), describe(source.path()).unwrap()).unwrap();
        send(source.path(), &first, usize::MAX);
        fs::write(source.path().join("CURRENT"), "CURRENT").unwrap();
        fs::remove_file(source.path().join("empty")).unwrap();
        let second = Incoming::begin(target.path().join("in"), describe(source.path()).unwrap()).unwrap();
        assert_eq!(second.present().unwrap(), [10_000, 0], "the same name and size, but other bytes");
        send(source.path(), &second, usize::MAX);
        assert_eq!(describe(second.finish().unwrap()).unwrap().len(), 2);
    }

    #[test]
    fn a_sender_reaches_no_file_but_those_of_the_snapshot() {
        let target = tempfile::tempdir().unwrap();
        let file = |name: &str| peerpb::SnapshotFile { name: name.to_owned(), bytes: 5, checksum: 0 };
        for name in ["../state", "/etc/passwd", "", ".", "..", "a/b"] {
            assert!(Incoming::begin(target.path().join("in"), vec![file(name)]).is_err(), "{name}");
        }
        assert!(Incoming::begin(target.path().join("in"), vec![file("a"), file("a")]).is_err());
        let incoming = Incoming::begin(target.path().join("in"), vec![file("a")]).unwrap();
        let chunk = |file, offset, data: &'static [u8]| peerpb::SnapshotChunk { file, offset, data: data.into() };
        for chunk in [chunk(1, 0, b"x"), chunk(0, 1, b"x"), chunk(0, 0, b"123456"), chunk(0, u64::MAX, b"x")] {
            assert!(incoming.write(&chunk).is_err(), "{chunk:?}");
        }
        incoming.write(&chunk(0, 0, b"wrong")).unwrap();
        assert!(incoming.finish().is_err(), "the checksum tells");
    }
}
