//! `pintle-store snapshot save|status|restore`: etcdctl's and etcdutl's commands.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use pintle_store::grpc::client::save_snapshot;
use pintle_store::maintenance::bbolt::Database;
use pintle_store::maintenance::status::{Status, status};
use pintle_store::tls::{ClientTls, TlsSettings};

use crate::import::TargetOptions;
use crate::{Failure, progress};

/// Backups in etcd's own format.
#[derive(Subcommand)]
pub enum Command {
    /// Saves what a server has stored to a file.
    Save(Save),
    /// Checks a backup and says what is in it.
    Status(StatusOptions),
    /// Makes a data directory of a backup.
    Restore(Restore),
}

/// Saves what a server has stored.
#[derive(Args)]
pub struct Save {
    /// The file to write.
    file: PathBuf,
    /// The server: one URL, or host and port.
    #[arg(long, env = "ETCDCTL_ENDPOINTS", default_value = "127.0.0.1:2379")]
    endpoints: String,
    /// Who signs the server's certificate.
    #[arg(long, env = "ETCDCTL_CACERT")]
    cacert: Option<PathBuf>,
    /// The client's certificate.
    #[arg(long, env = "ETCDCTL_CERT")]
    cert: Option<PathBuf>,
    /// Its key.
    #[arg(long, env = "ETCDCTL_KEY")]
    key: Option<PathBuf>,
    /// Do not check the server's certificate.
    #[arg(long)]
    insecure_skip_tls_verify: bool,
    /// NAME:PASSWORD of a user with the role root.
    #[arg(long, env = "ETCDCTL_USER", hide_env_values = true)]
    user: Option<String>,
}

/// Says what is in a backup.
#[derive(Args)]
pub struct StatusOptions {
    /// The backup.
    file: PathBuf,
    /// How to say it.
    #[arg(short = 'w', long, value_enum, default_value_t = Format::Simple)]
    write_out: Format,
}

/// Makes a data directory of a backup.
#[derive(Args)]
pub struct Restore {
    /// The backup.
    file: PathBuf,
    /// Take a file that does not end with its hash, such as one copied from a data directory.
    #[arg(long)]
    skip_hash_check: bool,
    #[command(flatten)]
    target: TargetOptions,
}

/// etcdutl's output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Values with commas.
    Simple,
    /// Name and value a line.
    Fields,
    /// One line of JSON.
    Json,
    /// A table for people.
    Table,
}

impl Command {
    /// Does it, and returns what to print.
    pub fn run(self) -> Result<String, Failure> {
        match self {
            Self::Save(options) => options.run(),
            Self::Status(options) => options.run(),
            Self::Restore(Restore { file, skip_hash_check, target }) => target.fill_from(&file, skip_hash_check),
        }
    }
}

impl Save {
    fn run(self) -> Result<String, Failure> {
        let url = self.url()?;
        let tls = if url.starts_with("https:") || url.starts_with("unixs:") { Some(self.tls()?) } else { None };
        let user = match &self.user {
            Some(user) => {
                let (name, password) = user.split_once(':').ok_or("--user must be NAME:PASSWORD")?;
                Some((name.to_owned(), password.to_owned()))
            }
            None => None,
        };
        let part = part_of(&self.file);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let saved = create(&part).and_then(|file| {
            let bar = progress::bytes("saving", Some(0));
            let mut out = BufWriter::new(file);
            let version = runtime.block_on(save_snapshot(url, tls, user, &mut out, |came, remaining| {
                bar.inc(came);
                bar.set_length(bar.position() + remaining);
            }))?;
            bar.finish_and_clear();
            out.into_inner()?.sync_all()?;
            fs::rename(&part, &self.file)?;
            Ok(version)
        });
        match saved {
            Ok(version) => Ok(format!("Snapshot saved at {}\nServer version {version}\n", self.file.display())),
            Err(error) => {
                // What was begun is of no use; the error says why.
                let _ = fs::remove_file(&part);
                Err(format!("{}: {error}", self.endpoints).into())
            }
        }
    }

    fn url(&self) -> Result<String, Failure> {
        if self.endpoints.contains(',') {
            return Err("snapshot must be requested to one selected node, not multiple: name one in --endpoints".into());
        }
        if self.endpoints.contains("://") {
            return Ok(self.endpoints.clone());
        }
        Ok(format!("http://{}", self.endpoints))
    }

    fn tls(&self) -> Result<ClientTls, Failure> {
        if self.cacert.is_none() && !self.insecure_skip_tls_verify {
            return Err("an https endpoint needs --cacert, or --insecure-skip-tls-verify".into());
        }
        Ok(ClientTls::load(&TlsSettings {
            trusted_ca_file: self.cacert.clone(),
            client_cert_file: self.cert.clone(),
            client_key_file: self.key.clone(),
            self_signed: self.insecure_skip_tls_verify,
            ..TlsSettings::default()
        })?)
    }
}

fn part_of(file: &Path) -> PathBuf {
    let mut part = file.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// Only its owner may read a backup: it holds what the store holds.
fn create(path: &Path) -> Result<File, std::io::Error> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

impl StatusOptions {
    fn run(self) -> Result<String, Failure> {
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", self.file.display());
        let file = File::open(&self.file).map_err(|error| failed(&error))?;
        let mut database = Database::open(file).map_err(|error| failed(&error))?;
        let bar = progress::bytes("reading", Some(database.bytes()));
        let status = status(&mut database, |bytes| bar.inc(bytes)).map_err(|error| failed(&error))?;
        bar.finish_and_clear();
        self.write_out.show(&status)
    }
}

impl Format {
    fn show(self, status: &Status) -> Result<String, Failure> {
        let Status { hash, revision, total_key, total_size, version } = status;
        let cells =
            [format!("{hash:x}"), revision.to_string(), total_key.to_string(), human(*total_size), version.clone()];
        let mut out = Vec::new();
        match self {
            Self::Simple => writeln!(out, "{}", cells.join(", "))?,
            Self::Json => writeln!(out, "{}", serde_json::to_string(status)?)?,
            Self::Fields => writeln!(
                out,
                "\"Hash\" : {hash}\n\"Revision\" : {revision}\n\"Keys\" : {total_key}\n\"Size\" : {total_size}\n\
                 \"Version\" : {version}"
            )?,
            Self::Table => out = table(&["HASH", "REVISION", "TOTAL KEYS", "TOTAL SIZE", "VERSION"], &cells).into(),
        }
        Ok(String::from_utf8(out)?)
    }
}

/// One row under its heads, in a frame.
fn table(heads: &[&str], cells: &[String]) -> String {
    let widths: Vec<usize> = heads.iter().zip(cells).map(|(head, cell)| head.len().max(cell.len())).collect();
    let rule = |left: &str, middle: &str, right: &str| {
        let dashes: Vec<String> = widths.iter().map(|width| "─".repeat(width + 2)).collect();
        format!("{left}{}{right}\n", dashes.join(middle))
    };
    let row = |texts: Vec<String>| format!("│{}│\n", texts.join("│"));
    let head = row(heads.iter().zip(&widths).map(|(head, width)| format!(" {head:^width$} ")).collect());
    let cells = row(cells.iter().zip(&widths).map(|(cell, width)| format!(" {cell:>width$} ")).collect());
    [rule("┌", "┬", "┐"), head, rule("├", "┼", "┤"), cells, rule("└", "┴", "┘")].concat()
}

/// Bytes with two digits at least, in powers of 1000, as etcdutl shows them.
fn human(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 10 {
        return format!("{bytes} B");
    }
    let mut unit = 0;
    let mut tenths = u128::from(bytes) * 10;
    let mut divisor = 1;
    while tenths / divisor >= 10_000 {
        divisor *= 1000;
        unit += 1;
    }
    tenths = (tenths + divisor / 2) / divisor;
    let unit = UNITS.get(unit).copied().unwrap_or_default();
    if tenths < 100 {
        format!("{}.{} {unit}", tenths / 10, tenths % 10)
    } else {
        // A half goes to the even neighbour, as Go writes numbers.
        let up = tenths % 10 > 5 || (tenths % 10 == 5 && tenths / 10 % 2 == 1);
        format!("{} {unit}", tenths / 10 + u128::from(up))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_as_etcdutl_does() {
        let shown = [0, 9, 10, 999, 1000, 81_920, 151_552, 1_550_000, 20_480, 2_147_483_648].map(human);
        let expected = ["0 B", "9 B", "10 B", "999 B", "1.0 kB", "82 kB", "152 kB", "1.6 MB", "20 kB", "2.1 GB"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_table_frames_its_cells() {
        let shown = table(&["HASH", "VERSION"], &["29111cb1".to_owned(), "3.7.0".to_owned()]);
        let expected = "┌──────────┬─────────┐\n│   HASH   │ VERSION │\n├──────────┼─────────┤\n│ 29111cb1 │   3.7.0 │\n└──────────┴─────────┘\n";
        assert_eq!(shown, expected);
    }
}
