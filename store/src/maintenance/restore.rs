//! Makes a data directory of a backup: that of one member of a new cluster. Every member of the cluster is restored
//! from the same backup, as with `etcdutl snapshot restore`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::import::{self, Imported, Options};
use super::snapshot_file::SnapshotFile;
use super::{Error, Result};
use crate::data_dir::DataDir;
use crate::engine::rocks::{Memory, RocksEngine};
use crate::limits::STANDALONE_CACHE_BYTES;
use crate::raft::{self, Member, membership};

/// The cluster that the data goes to, and which of its members this is.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where to make the data directory; it must be empty or not exist.
    pub data_dir: PathBuf,
    /// This member's name, one of those in `initial_cluster`.
    pub name: String,
    /// The members: name and peer URL, a name once for each URL.
    pub initial_cluster: Vec<(String, String)>,
    /// Tells clusters apart that would otherwise begin alike.
    pub cluster_token: String,
    /// This member's peer URLs, the same as in `initial_cluster`.
    pub peer_urls: Vec<String>,
}

impl Target {
    /// The members by id, and this one's id.
    ///
    /// # Errors
    /// When this member is not among them, or with other URLs.
    pub fn members(&self) -> Result<(u64, BTreeMap<u64, Member>)> {
        let mut by_name: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for (name, url) in &self.initial_cluster {
            by_name.entry(name).or_default().push(url.clone());
        }
        for urls in by_name.values_mut() {
            urls.sort_unstable();
        }
        let own = by_name.get(self.name.as_str()).ok_or_else(|| Error::NotAMember(self.name.clone()))?;
        let mut announced = self.peer_urls.clone();
        announced.sort_unstable();
        if *own != announced {
            return Err(Error::OtherPeerUrls { given: own.join(","), announced: announced.join(",") });
        }
        let id = |urls: &[String]| membership::member_id(urls, &self.cluster_token, None);
        let own = id(own);
        let members = by_name.into_iter().map(|(name, peer_urls)| {
            (id(&peer_urls), Member { name: name.to_owned(), peer_urls, ..Member::default() })
        });
        Ok((own, members.collect()))
    }
}

/// Makes the data directory. What was begun is removed again if it fails.
///
/// # Errors
/// When the directory is not empty, the backup is damaged, or writing fails.
pub fn restore(
    database: &mut SnapshotFile,
    target: &Target,
    options: Options,
    progress: impl FnMut(u64),
) -> Result<Imported> {
    let (member, members) = target.members()?;
    let existing = std::fs::read_dir(&target.data_dir);
    let existed = existing.is_ok();
    if existing.is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::NotEmpty(target.data_dir.clone()));
    }
    let filled = fill(database, target, member, &members, options, progress);
    if filled.is_err() {
        // Whoever tries again finds the directory as it was; the error says why it failed.
        let _ = std::fs::remove_dir_all(&target.data_dir);
        if existed {
            let _ = std::fs::create_dir(&target.data_dir);
        }
    }
    filled
}

fn fill(
    database: &mut SnapshotFile,
    target: &Target,
    member: u64,
    members: &BTreeMap<u64, Member>,
    options: Options,
    progress: impl FnMut(u64),
) -> Result<Imported> {
    let directory = DataDir::open(&target.data_dir)?;
    let memory = Memory::new(STANDALONE_CACHE_BYTES);
    let state = RocksEngine::open_state(&directory.state(), &memory)?;
    let log = RocksEngine::open_raft(&directory.raft(), &memory)?;
    let imported = import::import(database, &state, options, progress)?;
    raft::found(&log, &state, member, members)?;
    Ok(imported)
}
