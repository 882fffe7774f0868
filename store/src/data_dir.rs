//! The data directory: who holds it, and in which format it is.
//!
//! ```text
//! DIR/format    "pintle-store 1": written last when the directory is made
//! DIR/lock      locked while a store is open
//! DIR/raft/     log and vote
//! DIR/state/    what the log amounts to; state.N/ is what a snapshot replaced it by, until the next start
//! DIR/snapshots/ snapshots on their way to and from other members
//! ```

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The layout that this program writes, and the newest that it reads.
const FORMAT: u32 = 1;
const FORMAT_NAME: &str = "pintle-store";
const FORMAT_FILE: &str = "format";
const LOCK_FILE: &str = "lock";

/// Why a data directory cannot be used. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process, or another store of this one, has it open.
    #[error("the data directory {} is in use: stop the process that uses it, or choose another directory", .0.display())]
    InUse(PathBuf),
    /// A newer Pintle wrote it.
    #[error(
        "the data directory {} has format {found}, and this version reads up to {FORMAT}: run the newer version that wrote it, \
         or choose another directory",
        path.display()
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// It holds something else.
    #[error("the directory {} is not Pintle's ({found}): choose an empty directory", path.display())]
    Foreign {
        /// The directory.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// The system refused.
    #[error("cannot use the data directory {}: {cause}; check that it exists, is writable and has space", path.display())]
    Unusable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
}

/// A data directory that this process holds. Dropping it lets go of the lock.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory when it does not exist, locks it and checks its format.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |cause| DataDirError::Unusable { path, cause }
        };
        create_private(path).map_err(failed(path))?;
        let lock_path = path.join(LOCK_FILE);
        let lock =
            File::options().create(true).truncate(false).write(true).open(&lock_path).map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(&lock_path)(cause)),
        }
        let directory = Self { path: path.to_owned(), _lock: lock };
        let format_path = path.join(FORMAT_FILE);
        match fs::read_to_string(&format_path) {
            Ok(text) => directory.check_format(&text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                directory.check_unused()?;
                directory.write_format(&format_path).map_err(failed(&format_path))?;
            }
            Err(cause) => return Err(failed(&format_path)(cause)),
        }
        Ok(directory)
    }

    /// Where the raft log's database lies.
    pub fn raft(&self) -> PathBuf {
        self.path.join("raft")
    }

    /// Where the state's database lies.
    pub fn state(&self) -> PathBuf {
        self.path.join("state")
    }

    /// Where snapshots lie on their way to and from other members.
    pub fn snapshots(&self) -> PathBuf {
        self.path.join("snapshots")
    }

    fn check_format(&self, text: &str) -> Result<(), DataDirError> {
        let format = text.trim().strip_prefix(FORMAT_NAME).and_then(|number| number.trim().parse::<u32>().ok());
        match format {
            Some(found) if found > FORMAT => Err(DataDirError::Newer { path: self.path.clone(), found }),
            Some(_) => Ok(()),
            None => Err(self.foreign(format!("its file `{FORMAT_FILE}` does not name a format"))),
        }
    }

    fn check_unused(&self) -> Result<(), DataDirError> {
        if self.path.join("member").exists() {
            return Err(self.foreign("it holds data of etcd".to_owned()));
        }
        // The format file is written before either database is made.
        for database in [self.raft(), self.state()] {
            if database.exists() {
                return Err(self.foreign(format!("it has {} but no file `{FORMAT_FILE}`", database.display())));
            }
        }
        Ok(())
    }

    fn foreign(&self, found: String) -> DataDirError {
        DataDirError::Foreign { path: self.path.clone(), found }
    }

    /// Written aside and renamed, so that no half-written file is ever read.
    fn write_format(&self, format_path: &Path) -> std::io::Result<()> {
        let draft = self.path.join("format.new");
        let mut file = File::create(&draft)?;
        writeln!(file, "{FORMAT_NAME} {FORMAT}")?;
        file.sync_all()?;
        fs::rename(&draft, format_path)?;
        File::open(&self.path)?.sync_all()
    }
}

/// Makes a directory that only its owner can enter: it will hold Secrets.
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_held_by_one_and_opens_again_when_let_go() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_newer_format_is_refused_with_the_remedy() {
        let root = tempfile::tempdir().unwrap();
        drop(DataDir::open(root.path()).unwrap());
        fs::write(root.path().join(FORMAT_FILE), "pintle-store 2\n").unwrap();
        let error = DataDir::open(root.path()).unwrap_err().to_string();
        assert!(error.contains("run the newer version"), "{error}");
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        for (make, text) in [("member", "etcd"), ("raft", "no file `format`")] {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir(root.path().join(make)).unwrap();
            let error = DataDir::open(root.path()).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FORMAT_FILE), "something\n").unwrap();
        assert!(matches!(DataDir::open(root.path()), Err(DataDirError::Foreign { .. })));
    }
}
