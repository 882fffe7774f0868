//! Every bound of the store in one place, unit in the name.

use std::time::Duration;

/// Operations in one transaction, those of nested transactions counted along each path (etcd's `--max-txn-ops`).
pub const MAX_TXN_OPS: usize = 128;

/// Bytes of one request (etcd's `--max-request-bytes`).
pub const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024 / 2;

/// Bytes of commands that share one raft entry, unless one command alone is larger.
pub const MAX_ENTRY_BYTES: usize = 1024 * 1024;

/// Bytes of the space quota unless a flag says otherwise (etcd's `--quota-backend-bytes`).
pub const DEFAULT_QUOTA_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// The longest lease, in seconds; etcd's `MaxLeaseTTL`.
pub const MAX_LEASE_TTL_SECONDS: i64 = 9_000_000_000;

/// Bytes that a key costs on top of itself and its value, as etcd's quota estimates it.
pub const KEY_OVERHEAD_BYTES: u64 = 256;

/// Bytes that a lease costs, as etcd's quota estimates it.
pub const LEASE_OVERHEAD_BYTES: u64 = 64;

/// Live keys in a block of the counting directory right after a block was split.
pub const DIRECTORY_BLOCK_KEYS: u32 = 128;

/// Directories kept by revision, so that pages at a revision in the past are counted without walking their range.
pub const RECENT_DIRECTORIES: usize = 64;

/// Events that a count at a revision in the past may replay before it walks its range instead.
pub const MAX_COUNT_REPLAY_EVENTS: usize = 16 * 1024;

/// Commands that may wait to be proposed; more are refused (`etcdserver: too many requests`).
pub const PROPOSAL_QUEUE_COMMANDS: usize = 16 * 1024;

/// Bytes of commands that may wait to be proposed or be on their way to disk.
pub const PROPOSAL_QUEUE_BYTES: usize = 64 << 20;

/// Bytes of log entries that share one write to the raft log.
pub const RAFT_LOG_WRITE_BYTES: usize = 4 << 20;

/// Bytes of log entries that are read at once while replaying.
pub const RAFT_LOG_READ_BYTES: usize = 4 << 20;

/// Bytes of log entries that are sent to a follower at once. It takes in some sixty of these before it has stored the
/// first.
pub const REPLICATION_BYTES: usize = 1 << 20;

/// Bytes of the newest log entries that stay in memory.
pub const RAFT_LOG_TAIL_BYTES: usize = 4 << 20;

/// Bytes that the raft log grows to before the state is flushed and the log purged.
pub const RAFT_LOG_MAX_BYTES: u64 = 64 << 20;

/// Bytes of entries that a purge leaves for followers that lag.
pub const RAFT_LOG_KEEP_BYTES: u64 = 16 << 20;

/// How long until a log that is too long, because a follower lags, is looked at again.
pub const RAFT_LOG_LAG_TICK: Duration = Duration::from_secs(1);

/// Bytes of commands that are applied with one write to the state.
pub const APPLY_BYTES: usize = 4 << 20;

/// Bytes of memory that a store inside another program takes for cached blocks and unflushed writes.
pub const EMBEDDED_CACHE_BYTES: usize = 32 << 20;

/// Bytes of memory that a store of its own takes for cached blocks and unflushed writes.
pub const STANDALONE_CACHE_BYTES: usize = 128 << 20;

/// Bytes that a change counts for in the store's size on top of its key and value: revisions, lease, bookkeeping.
pub const CHANGE_OVERHEAD_BYTES: u64 = 64;

/// Deliveries that wait for the reader of one stream of watches before its watchers are parked.
pub const WATCH_QUEUE_DELIVERIES: usize = 4096;

/// Bytes of events that wait for the reader of one stream of watches before its watchers are parked.
pub const WATCH_QUEUE_BYTES: usize = 2 * 1024 * 1024;

/// Bytes of events read from the history at once for watchers that fell behind.
pub const WATCH_CHUNK_BYTES: usize = 1024 * 1024;

/// Watchers that share one reading of the history.
pub const WATCHERS_PER_CATCH_UP: usize = 512;

/// Bytes of recent events kept in memory for watches that start a little in the past.
pub const RECENT_EVENTS_BYTES: usize = 1024 * 1024;

/// Recent events kept in memory for watches that start a little in the past.
pub const RECENT_EVENTS: usize = 4096;

/// Bytes of keys that the watches of one stream may take, a little added for each watch.
pub const WATCH_KEY_BYTES_PER_STREAM: usize = 64 * 1024 * 1024;

/// How long until an expired lease is proposed to be revoked again, if it is still there.
pub const LEASE_REVOKE_RETRY: Duration = Duration::from_secs(3);

/// How often the leader tells what is left of a lease that is longer than this; etcd's `LeaseCheckpointInterval`.
pub const LEASE_CHECKPOINT_INTERVAL: Duration = Duration::from_secs(300);

/// Leases in one checkpoint, and the shortest time between two checkpoints.
pub const LEASES_PER_CHECKPOINT: usize = 1000;

/// How long a change of members waits for another to end before it tries again.
pub const MEMBER_CHANGE_RETRY: Duration = Duration::from_millis(50);

/// How often the leader looks after members that are to get a vote.
pub const MEMBER_TEND_INTERVAL: Duration = Duration::from_millis(200);

/// How long a request that needs a leader waits before it looks for one again.
pub const LEADER_RETRY: Duration = Duration::from_millis(100);

/// How often a member asks whether it still is one.
pub const REMOVED_CHECK_INTERVAL: Duration = Duration::from_secs(3);

/// Expired leases that are revoked in one go.
pub const LEASE_REVOKES_AT_ONCE: usize = 1000;

/// Revokes of expired leases that wait for the log at the same time.
pub const LEASE_REVOKES_PENDING: usize = 64;

/// Bytes that a gRPC message may have beyond the limit of requests, so that etcd's own error is answered and not
/// gRPC's.
pub const REQUEST_OVERHEAD_BYTES: usize = 512 * 1024;

/// Reads of more than one key that work at the same time; some may wait for the disk.
pub const READS_AT_ONCE: usize = 8;

/// Bytes of the pieces that the answer to a range leaves in.
pub const RANGE_CHUNK_BYTES: usize = 64 * 1024;

/// Keys that a streamed range reads at once.
pub const RANGE_STREAM_PAGE_KEYS: i64 = 1000;

/// Bytes of keys and values in one message of a streamed range, unless one pair alone is larger.
pub const RANGE_STREAM_CHUNK_BYTES: usize = 256 * 1024;

/// Changes that are looked at in one go when dropping what was compacted: what is applied at the same time waits only while
/// the piece is written.
pub const PRUNE_CHANGES: usize = 250;

/// How long dropping what was compacted rests after each piece, in times that the piece took.
pub const PRUNE_REST: u32 = 3;

/// Bytes of a backup in one message; etcd's.
pub const SNAPSHOT_CHUNK_BYTES: usize = 32 * 1024;

/// Messages of a backup that wait for its client.
pub const SNAPSHOT_QUEUE_CHUNKS: usize = 8;

/// How long the client of a backup may take for one message.
pub const SNAPSHOT_STALL: Duration = Duration::from_secs(60);

/// Backups that are sent at the same time.
pub const SNAPSHOTS_AT_ONCE: usize = 4;

/// Branches above a leaf that a bbolt file may have; a tree of all the pages that there can be has fewer.
pub const BBOLT_MAX_DEPTH: usize = 40;

/// Bytes of one branch page of a bbolt file, with what it runs over into: a few keys of the longest kind.
pub const BBOLT_MAX_BRANCH_BYTES: usize = 1 << 20;

/// Bytes of one leaf page of a bbolt file, with what it runs over into: a few of the largest requests.
pub const BBOLT_MAX_LEAF_BYTES: usize = 256 << 20;

/// How long a client may take for the TLS handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take to send the headers of an HTTP/1 request.
pub const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// How long an HTTP/2 connection may be silent before the client is asked whether it is still there.
pub const HTTP2_PING_INTERVAL: Duration = Duration::from_secs(60);

/// How long a client may take to answer that.
pub const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes of a request that a client may send before it is read.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 1024 * 1024;

/// Bytes of all requests of one connection that its client may send before they are read.
pub const HTTP2_CONNECTION_WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// Requests that one connection may have open unless a flag says otherwise (etcd's `--max-concurrent-streams`, which is
/// unlimited there).
pub const DEFAULT_CONCURRENT_STREAMS: u32 = 65_536;

/// How long a server that stops lets open requests finish.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// How often watches that ask for it hear of progress unless a flag says otherwise (etcd's
/// `--watch-progress-notify-interval`).
pub const WATCH_PROGRESS_INTERVAL: Duration = Duration::from_secs(600);

/// The shortest such interval.
pub const MIN_WATCH_PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// How long a write may take when nothing but the disk delays it. What comes of it afterwards its client is not told.
pub const SLOW_WRITE: Duration = Duration::from_secs(5);

/// Simple tokens that are remembered; each was given for a password, and the one that would end first makes room.
pub const SIMPLE_TOKENS: usize = 100_000;

/// How long a simple token counts after it was used, unless a flag says otherwise (etcd's `--auth-token-ttl`).
pub const SIMPLE_TOKEN_TTL: Duration = Duration::from_secs(300);

/// How much longer a simple token must count for its use to be noted.
pub const SIMPLE_TOKEN_RENEWAL: Duration = Duration::from_millis(500);

/// How long a signed token counts unless `--auth-token` says otherwise; etcd's default.
pub const JWT_TTL: Duration = Duration::from_secs(300);

/// Bytes of a password; what is behind bcrypt would not look at.
pub const PASSWORD_BYTES: usize = 72;

/// Passwords that are hashed or compared at the same time: each takes a processor for tens of milliseconds.
pub const PASSWORDS_AT_ONCE: usize = 2;

/// The strength of hashed passwords unless a flag says otherwise (etcd's `--bcrypt-cost`).
pub const BCRYPT_COST: u32 = 10;

/// Bytes of JSON that the gateway reads for each byte that the message made of it may have.
pub const JSON_BYTES_PER_MESSAGE_BYTE: usize = 4;

/// JSON values inside each other that the gateway reads, as Go's `encoding/json` does.
pub const JSON_DEPTH: usize = 10_000;

/// Messages inside each other that are read, whatever they are encoded as.
pub const MESSAGE_DEPTH: usize = 100;

/// Batches of proposals that wait for a majority at the same time.
pub const PROPOSED_BATCHES: usize = 64;

/// How long commands gather for the next batch, if the last one takes that long to reach a majority.
pub const BATCH_GATHERING: Duration = Duration::from_millis(20);

/// How long until a batch that a node refused, because it does not lead, is proposed again.
pub const PROPOSE_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// How often proposals whose clients have gone are forgotten while nobody leads.
pub const LEADER_WAIT_TICK: Duration = Duration::from_millis(100);

/// How long a follower waits to apply what the leader has, or to be answered by it.
pub const FORWARD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long until a follower asks again for a read index (etcd's `readIndexRetryTime` is five times that).
pub const READ_INDEX_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Seconds that a lock or candidacy lasts whose owner brought no lease, as in etcd's `clientv3/concurrency`.
pub const SESSION_TTL_SECONDS: i64 = 60;

/// How long connecting to a member may take.
pub const PEER_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a short answer of another member may take.
pub const PEER_CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a node that founds a cluster waits for others to tell it that the cluster exists (etcd's bootstrap timeout).
pub const FOUNDING_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a node that joins a cluster waits for others to tell it the members.
pub const JOINING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one step of a snapshot's transfer may take: offering, sending, installing. It is resumed afterwards.
pub const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(3600);

/// Bytes of a message between members on top of one request: entries share messages.
pub const PEER_MESSAGE_BYTES: usize = 8 << 20;

/// Bytes that a member may send in one call before they are read.
pub const PEER_STREAM_WINDOW_BYTES: u32 = 2 << 20;

/// Bytes that a member may send in all its calls before they are read.
pub const PEER_CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

/// Bytes of a file that are sent at once.
pub const PEER_FILE_CHUNK_BYTES: usize = 256 << 10;

/// Files that a snapshot may have.
pub const SNAPSHOT_FILES: usize = 64 << 10;

/// Members whose traffic is measured.
pub const PEERS_MEASURED: usize = 64;

/// Instruments of one family of metrics.
pub const FAMILY_MEMBERS: usize = 64;

/// Characters of a name, sent by somebody who is not known, that are logged.
pub const LOGGED_NAME_CHARS: usize = 64;

/// How long after a connection could not be accepted the next is: out of file descriptors, most likely, some of which others
/// give back meanwhile.
pub const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// How long stopping waits until nothing holds a database any more.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it looks.
pub const CLOSE_TICK: Duration = Duration::from_millis(1);
