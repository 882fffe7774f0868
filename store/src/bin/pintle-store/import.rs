//! `pintle-store import` and `pintle-store snapshot restore`: a data directory out of etcd's database.

use std::path::{Path, PathBuf};

use clap::Args;
use pintle_store::maintenance::import::{Imported, Options as ImportOptions};
use pintle_store::maintenance::restore::{Target, restore};
use pintle_store::maintenance::snapshot_file;

use crate::{Failure, progress};

/// Makes a data directory of a backup of etcd.
#[derive(Args)]
pub struct Options {
    /// The backup, or the file `member/snap/db` of an etcd that has been stopped.
    file: PathBuf,
    #[command(flatten)]
    target: TargetOptions,
}

/// Where the data goes: etcdutl's flags.
#[derive(Args)]
pub struct TargetOptions {
    /// Where to make the data directory (default "NAME.etcd").
    #[arg(long)]
    data_dir: Option<PathBuf>,
    /// This member's name.
    #[arg(long, default_value = "default")]
    name: String,
    /// The members of the new cluster: NAME=PEER-URL,...; this one alone by default.
    #[arg(long)]
    initial_cluster: Option<String>,
    /// Tells clusters apart that would otherwise begin alike.
    #[arg(long, default_value = "etcd-cluster")]
    initial_cluster_token: String,
    /// This member's peer URLs.
    #[arg(long, default_value = "http://localhost:2380")]
    initial_advertise_peer_urls: String,
    /// How far to raise the revision, so that clients never see it go back; with --mark-compacted.
    #[arg(long, default_value_t = 0)]
    bump_revision: u64,
    /// What was before the raised revision counts as compacted.
    #[arg(long)]
    mark_compacted: bool,
    /// etcd's write-ahead log, of which there is none here.
    #[arg(long, hide = true)]
    wal_dir: Option<PathBuf>,
    /// etcd's memory map, of which there is none here.
    #[arg(long, hide = true)]
    initial_memory_map_size: Option<u64>,
}

impl Options {
    /// Takes the backup over. Its hash is checked if it has one.
    pub fn run(self) -> Result<String, Failure> {
        let bytes = size(&self.file)?;
        self.target.fill_from(&self.file, !snapshot_file::has_hash(bytes))
    }
}

impl TargetOptions {
    /// Makes the data directory.
    pub fn fill_from(&self, file: &Path, skip_hash_check: bool) -> Result<String, Failure> {
        if (self.bump_revision > 0) != self.mark_compacted {
            return Err("--mark-compacted required if --bump-revision > 0, and not otherwise".into());
        }
        let target = self.target()?;
        let bytes = size(file)?;
        let bar = progress::bytes("checking", Some(bytes));
        let database = snapshot_file::open(file, skip_hash_check, |bytes| bar.inc(bytes));
        let mut database = database.map_err(|error| format!("{}: {error}", file.display()))?;
        bar.finish_and_clear();
        let bar = progress::bytes("importing", Some(bytes));
        let options = ImportOptions { bump_revision: self.bump_revision };
        let imported = restore(&mut database, &target, options, |bytes| bar.inc(bytes));
        bar.finish_and_clear();
        let Imported { head, changes } = imported.map_err(|error| format!("{}: {error}", file.display()))?;
        Ok(format!(
            "made {} of {}: revision {}, {changes} changes, {} leases\n",
            target.data_dir.display(),
            file.display(),
            head.revision,
            head.leases,
        ))
    }

    fn target(&self) -> Result<Target, Failure> {
        let peer_urls: Vec<String> = self.initial_advertise_peer_urls.split(',').map(str::to_owned).collect();
        let member = |member: &str| {
            let (name, url) = member.split_once('=')?;
            Some((name.trim().to_owned(), url.trim().to_owned()))
        };
        let initial_cluster = match &self.initial_cluster {
            Some(members) => members
                .split(',')
                .map(|text| member(text).ok_or(format!("--initial-cluster: {text:?} is not NAME=PEER-URL")))
                .collect::<Result<_, _>>()?,
            None => peer_urls.iter().map(|url| (self.name.clone(), url.clone())).collect(),
        };
        Ok(Target {
            data_dir: self.data_dir.clone().unwrap_or_else(|| format!("{}.etcd", self.name).into()),
            name: self.name.clone(),
            initial_cluster,
            cluster_token: self.initial_cluster_token.clone(),
            peer_urls,
        })
    }
}

fn size(file: &Path) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(metadata.len())
}
