//! What is in a backup, as `etcdutl snapshot status` tells.

use std::collections::HashSet;
use std::io::{Read, Seek};

use pintle_proto::mvccpb::KeyValue;
use prost::Message;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::bbolt::Database;
use super::{Error, Result, backend};

/// What is in a backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// CRC-32C over the names, keys and values of all buckets, in order.
    pub hash: u32,
    /// The revision of the last change.
    pub revision: i64,
    /// Keys that exist.
    pub total_key: usize,
    /// Bytes of the database.
    pub total_size: u64,
    /// The version of etcd that the layout is of; empty before 3.6.
    pub version: String,
}

/// Reads every page of a backup and says what is in it. `progress` is told how many bytes of keys and values were read.
///
/// # Errors
/// When the database is damaged or not etcd's.
pub fn status<F: Read + Seek>(database: &mut Database<F>, mut progress: impl FnMut(u64)) -> Result<Status> {
    database.check()?;
    let mut status = Status { total_size: database.bytes(), ..Status::default() };
    // Keys are remembered by a part of their hash, so that memory does not grow with their length.
    let mut alive: HashSet<[u8; 16]> = HashSet::new();
    for bucket in database.buckets()? {
        status.hash = crc32c::crc32c_append(status.hash, &bucket.name);
        let mut hash = status.hash;
        database.walk(&bucket, |key, value| {
            hash = crc32c::crc32c_append(crc32c::crc32c_append(hash, key), value);
            progress((key.len() + value.len()) as u64);
            if bucket.name == backend::KEY {
                let (revision, is_deletion) =
                    backend::parse_revision_key(key).ok_or(Error::Foreign("a change has no revision"))?;
                let kv = KeyValue::decode(value).map_err(|_| Error::Foreign("a change is malformed"))?;
                status.revision = revision.main;
                let name = digest(&kv.key);
                if is_deletion {
                    alive.remove(&name)
                } else {
                    alive.insert(name)
                };
            } else if bucket.name == backend::META && key == backend::STORAGE_VERSION {
                status.version = String::from_utf8_lossy(value).into_owned();
            }
            Ok::<(), Error>(())
        })?;
        status.hash = hash;
    }
    status.total_key = alive.len();
    Ok(status)
}

fn digest(key: &[u8]) -> [u8; 16] {
    let mut out = [0; 16];
    out.iter_mut().zip(Sha256::digest(key)).for_each(|(out, byte)| *out = byte);
    out
}
