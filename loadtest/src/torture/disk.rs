//! A small disk for each member: a file system in a file in memory, so that it can be filled up, and can lose what was not
//! synced as it does when the power fails.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use tempfile::TempDir;

use super::command::{run, undo};
use super::error::TortureError;

/// Bytes of one member's disk.
const DISK_BYTES: u64 = 256 << 20;
/// Tries to copy a disk while nothing is written to it.
const COPIES: usize = 20;

/// The disks of one run.
#[derive(Debug)]
pub struct Disks {
    directory: TempDir,
    members: usize,
}

impl Disks {
    /// Makes a disk for each member.
    ///
    /// # Errors
    /// [`TortureError::Unavailable`] when this process may not mount file systems.
    pub fn new(members: usize) -> Result<Self, TortureError> {
        let unavailable = |error: &dyn std::fmt::Display| {
            TortureError::Unavailable(format!("needs root, loop devices and ext4 to make disks that fail: {error}"))
        };
        let directory = TempDir::new().map_err(|error| unavailable(&error))?;
        // Two images of each, the logs, and some room.
        let bytes = DISK_BYTES * 2 * members as u64 + (256 << 20);
        let place = directory.path().display().to_string();
        run(&format!("mount -t tmpfs -o size={bytes} tmpfs {place}")).map_err(|error| unavailable(&error))?;
        let disks = Self { directory, members };
        for member in 0..members {
            let image = disks.image(member);
            let made = File::create(&image).and_then(|file| file.set_len(DISK_BYTES));
            let made = made.and_then(|()| fs::create_dir(disks.mounted(member)));
            made.map_err(|error| unavailable(&error))?;
            let format = format!("mkfs.ext4 -q -F -m 0 {}", image.display());
            run(&format).and_then(|()| disks.mount(member)).map_err(|error| unavailable(&error))?;
        }
        Ok(disks)
    }

    fn image(&self, member: usize) -> PathBuf {
        self.directory.path().join(format!("disk{member}"))
    }

    /// Where a member's disk is mounted.
    pub fn mounted(&self, member: usize) -> PathBuf {
        self.directory.path().join(format!("member{member}"))
    }

    /// A file for a member's output, which is not on its disk.
    pub fn output(&self, member: usize) -> PathBuf {
        self.directory.path().join(format!("member{member}.log"))
    }

    fn mount(&self, member: usize) -> Result<(), TortureError> {
        run(&format!("mount -o loop {} {}", self.image(member).display(), self.mounted(member).display()))
    }

    fn unmount(&self, member: usize) -> Result<(), TortureError> {
        run(&format!("umount {}", self.mounted(member).display()))
    }

    /// Sets a disk aside as it would be if the power failed now: with everything that was synced, and little that was not,
    /// since the system holds that back for seconds. Its member must stand still.
    pub fn freeze(&self, member: usize) -> Result<(), TortureError> {
        let (image, frozen) = (self.image(member), self.frozen(member));
        let failed = |said: String| TortureError::Tool { command: format!("copy of {}", image.display()), said };
        let changed = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
        for _ in 0..COPIES {
            let before: SystemTime = changed(&image).map_err(|error| failed(error.to_string()))?;
            run(&format!("cp --sparse=always {} {}", image.display(), frozen.display()))?;
            if changed(&image).map_err(|error| failed(error.to_string()))? == before {
                return Ok(());
            }
        }
        Err(failed("it changes all the time".to_owned()))
    }

    /// Puts the disk that was set aside in place of the present one. Its member must have ended.
    pub fn thaw(&self, member: usize) -> Result<(), TortureError> {
        self.unmount(member)?;
        let (image, frozen) = (self.image(member), self.frozen(member));
        fs::rename(&frozen, &image).map_err(|error| TortureError::Tool {
            command: format!("rename of {}", frozen.display()),
            said: error.to_string(),
        })?;
        self.mount(member)
    }

    fn frozen(&self, member: usize) -> PathBuf {
        self.directory.path().join(format!("frozen{member}"))
    }

    /// Leaves no room on a disk.
    pub fn fill(&self, member: usize) {
        // It fails when the room has run out, as it should.
        let ballast = self.ballast(member);
        undo(&format!("dd if=/dev/zero of={} bs=64k status=none", ballast.display()));
    }

    /// Makes room again.
    pub fn clear(&self, member: usize) {
        // It may not be there.
        let _ = fs::remove_file(self.ballast(member));
    }

    fn ballast(&self, member: usize) -> PathBuf {
        self.mounted(member).join("ballast")
    }
}

impl Drop for Disks {
    fn drop(&mut self) {
        for member in 0..self.members {
            undo(&format!("umount {}", self.mounted(member).display()));
        }
        undo(&format!("umount {}", self.directory.path().display()));
    }
}
