//! Backups: the state at one moment as etcd's database, followed by its sha256, as `Maintenance.Snapshot` sends it.

use std::io::{self, Write};

use bytes::{Bytes, BytesMut};
use pintle_proto::etcdserverpb as pb;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::Store;
use crate::engine::Engine;
use crate::engine::rocks::RocksEngine;
use crate::error::StoreError;
use crate::limits::{SNAPSHOT_CHUNK_BYTES, SNAPSHOT_QUEUE_CHUNKS, SNAPSHOT_STALL};
use crate::maintenance::{self, export};
use crate::mvcc::Mvcc;
use crate::version;

/// The messages of one backup.
pub type SnapshotChunks = Receiver<Result<pb::SnapshotResponse, StoreError>>;

impl Store {
    /// Sends this member's state as it is now. It is read from a frozen view while it is sent, so that writers do not
    /// wait and nothing needs a place on disk.
    ///
    /// # Errors
    /// When as many backups are being sent as may be at the same time.
    pub fn snapshot(&self) -> Result<SnapshotChunks, StoreError> {
        let permit = self.0.snapshots.clone().try_acquire_owned().map_err(|_| StoreError::TooManyRequests)?;
        let (chunks, receiver) = channel(SNAPSHOT_QUEUE_CHUNKS);
        let mvcc = self.0.mvcc.clone();
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let mut stream = ChunkStream::new(runtime, chunks);
            if let Err(error) = send(&mvcc, &mut stream) {
                tracing::warn!(%error, "a snapshot was not sent to its end");
                stream.fail(error);
            }
            drop(permit);
        });
        Ok(receiver)
    }
}

fn send(mvcc: &Mvcc<RocksEngine>, stream: &mut ChunkStream) -> maintenance::Result<()> {
    let view = mvcc.engine().snapshot();
    let layout = export::measure(&view)?;
    stream.remaining_bytes = layout.bytes();
    export::write(&view, layout, &mut *stream)?;
    drop(view);
    Ok(stream.finish()?)
}

/// Cuts what is written to it into messages.
struct ChunkStream {
    runtime: Handle,
    chunks: Sender<Result<pb::SnapshotResponse, StoreError>>,
    buffer: BytesMut,
    hash: Sha256,
    /// Of the database, without its hash.
    remaining_bytes: u64,
}

impl ChunkStream {
    fn new(runtime: Handle, chunks: Sender<Result<pb::SnapshotResponse, StoreError>>) -> Self {
        Self { runtime, chunks, buffer: BytesMut::new(), hash: Sha256::new(), remaining_bytes: 0 }
    }

    /// Waits for the client to take what was sent before, but not for ever: meanwhile nothing that the view shows can
    /// be dropped from disk.
    fn send(&self, message: Result<pb::SnapshotResponse, StoreError>) -> io::Result<()> {
        match self.runtime.block_on(self.chunks.send_timeout(message, SNAPSHOT_STALL)) {
            Ok(()) => Ok(()),
            Err(_) => Err(io::Error::new(io::ErrorKind::BrokenPipe, "its client is gone or does not read")),
        }
    }

    fn send_blob(&self, blob: Bytes) -> io::Result<()> {
        let version = version::CLUSTER.to_owned();
        self.send(Ok(pb::SnapshotResponse { header: None, remaining_bytes: self.remaining_bytes, blob, version }))
    }

    fn send_buffer(&mut self) -> io::Result<()> {
        let blob = self.buffer.split().freeze();
        self.hash.update(&blob);
        self.remaining_bytes = self.remaining_bytes.saturating_sub(blob.len() as u64);
        self.send_blob(blob)
    }

    fn finish(&mut self) -> io::Result<()> {
        if !self.buffer.is_empty() {
            self.send_buffer()?;
        }
        let hash = self.hash.finalize_reset();
        self.send_blob(Bytes::copy_from_slice(&hash))
    }

    fn fail(&self, error: maintenance::Error) {
        let error = match error {
            maintenance::Error::Store(error) => error,
            error => StoreError::Engine(crate::engine::EngineError(error.to_string())),
        };
        // A client that is gone need not be told.
        let _ = self.send(Err(error));
    }
}

impl Write for ChunkStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = SNAPSHOT_CHUNK_BYTES.saturating_sub(self.buffer.len());
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        self.buffer.extend_from_slice(taken);
        if self.buffer.len() >= SNAPSHOT_CHUNK_BYTES {
            self.send_buffer()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
