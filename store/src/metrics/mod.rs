//! What the process counts, under etcd's names.
//!
//! Counters belong to the process, as Prometheus has it: a program with several stores counts them together. Gauges are
//! read off a store when somebody asks ([`crate::http`]).

pub mod family;
pub mod instrument;
pub mod peers;
pub mod process;
pub mod rpc;
pub mod text;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use self::family::Family;
use self::instrument::{Counter, Gauge, Histogram};
use self::peers::Peers;
use self::rpc::Rpcs;
use self::text::{Kind, Text, float};

/// Seconds of what a disk does; 1 ms to 8 s.
const DISK_SECONDS: &[f64] =
    &[0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192];
/// Seconds of one operation; 0.1 ms to 52 s.
const OPERATION_SECONDS: &[f64] = &[
    0.0001, 0.0002, 0.0004, 0.0008, 0.0016, 0.0032, 0.0064, 0.0128, 0.0256, 0.0512, 0.1024, 0.2048, 0.4096, 0.8192,
    1.6384, 3.2768, 6.5536, 13.1072, 26.2144, 52.4288,
];
/// Seconds of reading all keys; 10 ms to 164 s.
const HASH_SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84];
/// Seconds of taking in another member's snapshot; 0.1 s to 51 s.
const RECEIVE_SECONDS: &[f64] = &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2];
/// Milliseconds of one step of dropping compacted history; 1 ms to 4 s.
const PAUSE_MILLIS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0];
const DEFRAG_SECONDS: &[f64] = &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4, 204.8, 409.6];
const SNAPSHOT_SECONDS: &[f64] =
    &[0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36];
const COMPACTION_MILLIS: &[f64] = &[
    100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0, 12800.0, 25600.0, 51200.0, 102_400.0, 204_800.0, 409_600.0,
    819_200.0,
];
const LEASE_SECONDS: &[f64] = &[
    1.0,
    2.0,
    4.0,
    8.0,
    16.0,
    32.0,
    64.0,
    128.0,
    256.0,
    512.0,
    1024.0,
    2048.0,
    4096.0,
    8192.0,
    16384.0,
    32768.0,
    65536.0,
    131_072.0,
    262_144.0,
    524_288.0,
    1_048_576.0,
    2_097_152.0,
    4_194_304.0,
    8_388_608.0,
];

/// The process's metrics.
pub static METRICS: Metrics = Metrics::new();

/// Durations above which something is slow, in milliseconds.
#[derive(Debug)]
pub struct SlowMillis {
    /// Applying entries (`--warning-apply-duration`).
    pub apply: AtomicU64,
    /// A request that is not a stream (`--warning-unary-request-duration`).
    pub request: AtomicU64,
}

impl SlowMillis {
    fn is_slow(limit: &AtomicU64, took: Duration) -> bool {
        took.as_millis() > u128::from(limit.load(Ordering::Relaxed))
    }
}

macro_rules! metrics {
    (
        counters { $($counter:ident: $counter_name:literal, $counter_help:literal;)* }
        rising { $($rising:ident: $rising_name:literal, $rising_help:literal;)* }
        gauges { $($gauge:ident: $gauge_name:literal, $gauge_help:literal;)* }
        histograms { $($histogram:ident: $histogram_name:literal, $bounds:expr, $histogram_help:literal;)* }
        families { $($family:ident: $family_name:literal, $type:ty, $labels:expr, $new:expr, $family_help:literal;)* }
    ) => {
        /// Everything that is counted where it happens.
        #[derive(Debug)]
        pub struct Metrics {
            $(#[doc = $counter_help] pub $counter: Counter,)*
            $(#[doc = $rising_help] pub $rising: Counter,)*
            $(#[doc = $gauge_help] pub $gauge: Gauge,)*
            $(#[doc = $histogram_help] pub $histogram: Histogram,)*
            $(#[doc = $family_help] pub $family: $type,)*
            /// Calls of gRPC methods.
            pub rpcs: Rpcs,
            /// Traffic with other members.
            pub peers: Peers,
            /// From when on applying is slow and a request is, in milliseconds.
            pub slow_millis: SlowMillis,
            /// Whether histograms of every method's duration are told (`--metrics extensive`).
            pub extensive: AtomicBool,
            /// Names of features, their stages, and whether they are on; as the program was told.
            pub features: OnceLock<Vec<(&'static str, &'static str, bool)>>,
        }

        impl Metrics {
            const fn new() -> Self {
                Self {
                    $($counter: Counter::new(),)*
                    $($rising: Counter::new(),)*
                    $($gauge: Gauge::new(),)*
                    $($histogram: Histogram::new($bounds),)*
                    $($family: Family::new($labels, $new),)*
                    rpcs: Rpcs::new(),
                    peers: Peers::new(),
                    slow_millis: SlowMillis { apply: AtomicU64::new(100), request: AtomicU64::new(300) },
                    extensive: AtomicBool::new(false),
                    features: OnceLock::new(),
                }
            }

            /// A command has been applied, or found not to be possible, since `began`.
            pub fn applied_command(&self, operation: &str, success: bool, began: Instant) {
                let labels = ["v3", operation, if success { "true" } else { "false" }];
                self.apply_seconds.observe(labels, began.elapsed().as_secs_f64());
            }

            /// A range has been read, or found not to be possible, since `began`.
            pub fn read_range(&self, success: bool, began: Instant) {
                let labels = [if success { "true" } else { "false" }];
                self.range_seconds.observe(labels, began.elapsed().as_secs_f64());
            }

            /// Entries have been applied with one write, which took so long.
            pub fn applied(&self, entries: usize, took: Duration) {
                if SlowMillis::is_slow(&self.slow_millis.apply, took) {
                    self.slow_applies.inc();
                    tracing::warn!(entries, ?took, "applying took too long");
                }
            }

            /// Tells everything, as the member with this id.
            pub fn write(&self, text: &mut Text, local: &str) {
                $(text.counter($counter_name, $counter_help, self.$counter.get());)*
                // Counts that etcd tells as gauges.
                $(text.gauge($rising_name, $rising_help, float(self.$rising.get()));)*
                #[allow(clippy::cast_precision_loss, reason = "what the format asks for")]
                {
                    $(text.gauge($gauge_name, $gauge_help, self.$gauge.get() as f64);)*
                }
                $(text.histogram($histogram_name, $histogram_help, &[], &self.$histogram);)*
                $(self.$family.write(text, $family_name, $family_help);)*
                self.rpcs.write(text, self.extensive.load(Ordering::Relaxed));
                self.peers.write(text, local);
                for (name, stage, on) in self.features.get().into_iter().flatten() {
                    let labels = [("name", *name), ("stage", *stage)];
                    let help = "Whether a feature is on (1) or off (0).";
                    text.sample("etcd_server_feature_enabled", help, Kind::Gauge, &labels, f64::from(u8::from(*on)));
                }
            }
        }
    };
}

metrics! {
    counters {
        puts: "etcd_mvcc_put_total", "Puts applied by this member.";
        deletes: "etcd_mvcc_delete_total", "Deletes applied by this member.";
        ranges: "etcd_mvcc_range_total", "Ranges read from this member.";
        txns: "etcd_mvcc_txn_total", "Transactions of several operations seen by this member.";
        events_sent: "etcd_debugging_mvcc_events_total", "Events sent to watchers by this member.";
        leases_granted: "etcd_debugging_lease_granted_total", "Leases granted.";
        leases_revoked: "etcd_debugging_lease_revoked_total", "Leases revoked.";
        leases_renewed: "etcd_debugging_lease_renewed_total", "Leases renewed at this member.";
        leases_expired: "etcd_debugging_server_lease_expired_total", "Leases that this member ended since their time was over.";
        proposals_failed: "etcd_server_proposals_failed_total", "Proposals that failed.";
        read_indexes_failed: "etcd_server_read_indexes_failed_total", "Consistent reads that failed.";
        slow_read_indexes: "etcd_server_slow_read_indexes_total", "Consistent reads that took too long.";
        slow_applies: "etcd_server_slow_apply_total", "Times that applying took longer than --warning-apply-duration.";
        leader_changes: "etcd_server_leader_changes_seen_total", "Leaders that this member has seen.";
        heartbeat_send_failures: "etcd_server_heartbeat_send_failures_total", "Heartbeats that this member could not send in time while it led.";
        learners_promoted: "etcd_server_learner_promote_successes", "Learners promoted while this member led.";
        health_ok: "etcd_server_health_success", "Health checks that succeeded.";
        health_failed: "etcd_server_health_failures", "Health checks that failed.";
        client_received_bytes: "etcd_network_client_grpc_received_bytes_total", "Bytes of messages from gRPC clients.";
        compacted_versions: "etcd_debugging_mvcc_db_compaction_keys_total", "Versions of keys dropped since they were compacted.";
        client_sent_bytes: "etcd_network_client_grpc_sent_bytes_total", "Bytes of messages to gRPC clients.";
    }
    rising {
        put_bytes: "etcd_debugging_mvcc_total_put_size_in_bytes", "Bytes of keys and values put at this member.";
        log_bytes: "etcd_disk_wal_write_bytes_total", "Bytes written to the raft log.";
    }
    gauges {
        proposals_pending: "etcd_server_proposals_pending", "Proposals that wait to be committed and applied.";
        defrags: "etcd_disk_defrag_inflight", "Whether this member is being defragmented (1) or not (0).";
        last_compaction: "etcd_debugging_mvcc_db_compaction_last", "When compacted history was last dropped, in Unix seconds; 0 if not since the start.";
    }
    histograms {
        log_syncs: "etcd_disk_wal_fsync_duration_seconds", DISK_SECONDS, "How long writing and syncing the raft log takes.";
        commits: "etcd_disk_backend_commit_duration_seconds", DISK_SECONDS, "How long applying a batch to the state takes.";
        defrag_seconds: "etcd_disk_backend_defrag_duration_seconds", DEFRAG_SECONDS, "How long defragmenting takes.";
        snapshot_seconds: "etcd_disk_backend_snapshot_duration_seconds", SNAPSHOT_SECONDS, "How long sending a snapshot takes.";
        compaction_millis: "etcd_debugging_mvcc_db_compaction_total_duration_milliseconds", COMPACTION_MILLIS, "How long dropping compacted history takes.";
        lease_ttls: "etcd_debugging_lease_ttl_total", LEASE_SECONDS, "The seconds that leases are granted for.";
        hash_seconds: "etcd_mvcc_hash_duration_seconds", HASH_SECONDS, "How long hashing everything takes.";
        hash_kv_seconds: "etcd_mvcc_hash_rev_duration_seconds", HASH_SECONDS, "How long hashing the keys at a revision takes.";
        receive_seconds: "etcd_snap_db_save_total_duration_seconds", RECEIVE_SECONDS, "How long storing another member's snapshot takes.";
        receive_sync_seconds: "etcd_snap_db_fsync_duration_seconds", DISK_SECONDS, "How long checking and syncing another member's snapshot takes.";
        pause_millis: "etcd_debugging_mvcc_db_compaction_pause_duration_milliseconds", PAUSE_MILLIS, "How long one step of dropping compacted history takes; writes go on meanwhile.";
    }
    families {
        apply_seconds: "etcd_server_apply_duration_seconds", Family<3, Histogram>, ["version", "op", "success"], || Histogram::new(OPERATION_SECONDS), "How long applying a command takes.";
        range_seconds: "etcd_server_range_duration_seconds", Family<1, Histogram>, ["success"], || Histogram::new(OPERATION_SECONDS), "How long reading a range takes.";
        client_requests: "etcd_server_client_requests_total", Family<2, Counter>, ["type", "client_api_version"], Counter::new, "Requests by the version that their client says it has.";
        promotions_failed: "etcd_server_learner_promote_failures", Family<1, Counter>, ["Reason"], Counter::new, "Learners that could not be promoted while this member led.";
    }
}
