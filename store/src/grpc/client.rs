//! A client of another server's Maintenance service, for the program's own commands.

use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::auth_client::AuthClient;
use pintle_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use sha2::{Digest, Sha256};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::Channel;
use tonic::{Request, Status};
use tower::service_fn;

use crate::http::connect::connect;
use crate::limits::SNAPSHOT_CHUNK_BYTES;
use crate::tls::ClientTls;

/// Bytes of the hash at the end of a backup.
const HASH_BYTES: usize = 32;

/// Fetches a backup from a server and writes it to `out`, its hash at the end. Returns the version of the server's
/// layout. `progress` is told how many bytes came and how many are still to come.
///
/// # Errors
/// When the server cannot be reached or refuses, when what came does not match its hash, and when writing fails.
pub async fn save_snapshot(
    url: String,
    tls: Option<ClientTls>,
    user: Option<(String, String)>,
    out: &mut impl Write,
    mut progress: impl FnMut(u64, u64),
) -> io::Result<String> {
    let urls: Arc<[String]> = Arc::new([url]);
    let connector = service_fn(move |_| connect(urls.clone(), tls.clone()));
    let channel = Channel::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
        .map_err(|error| io::Error::other(format!("cannot connect: {}", innermost(&error))))?;
    let mut request = Request::new(pb::SnapshotRequest {});
    if let Some((name, password)) = user {
        let login = pb::AuthenticateRequest { name, password };
        let token = AuthClient::new(channel.clone())
            .authenticate(login)
            .await
            .map_err(|status| refused(&status))?
            .into_inner()
            .token;
        let token = AsciiMetadataValue::try_from(token).map_err(io::Error::other)?;
        request.metadata_mut().insert("token", token);
    }
    // A message may come with a little around its blob.
    let mut client = MaintenanceClient::new(channel).max_decoding_message_size(64 * SNAPSHOT_CHUNK_BYTES);
    let mut chunks = client.snapshot(request).await.map_err(|status| refused(&status))?.into_inner();

    let mut hash = Sha256::new();
    let mut version = String::new();
    // The last blob is the hash; so each is held back until the next has come.
    let mut held: Option<Bytes> = None;
    while let Some(chunk) = chunks.try_next().await.map_err(|status| refused(&status))? {
        if let Some(blob) = held.replace(chunk.blob) {
            hash.update(&blob);
            out.write_all(&blob)?;
            progress(blob.len() as u64, chunk.remaining_bytes);
        }
        version = chunk.version;
    }
    let stored = held.unwrap_or_default();
    if stored.len() != HASH_BYTES || stored != hash.finalize().as_slice() {
        return Err(io::Error::other("what came does not match its sha256: it was cut off on the way; try again"));
    }
    out.write_all(&stored)?;
    Ok(version)
}

fn refused(status: &Status) -> io::Error {
    io::Error::other(status.message().to_owned())
}

/// What it comes down to; the errors around it say no more than where it happened.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
