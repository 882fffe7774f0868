//! Backups in etcd's format: what a real etcd saved is taken over, and what is saved here comes back whole.

use std::fs;
use std::io::{Cursor, Read};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use pintle_proto::etcdserverpb as pb;
use pintle_store::engine::memory::MemoryEngine;
use pintle_store::engine::schema::{self, HistoryRecord};
use pintle_store::engine::{Column, Cursor as _, Direction, Durability, Engine, Reader, Span, WriteBatch};
use pintle_store::maintenance::bbolt::Database;
use pintle_store::maintenance::import::{Imported, Options, import};
use pintle_store::maintenance::restore::{Target, restore};
use pintle_store::maintenance::status::{Status, status};
use pintle_store::maintenance::{self, check::check, export, snapshot_file};
use pintle_store::mvcc::{Mvcc, Revision};
use pintle_store::{Store, StoreConfig};
use proptest::prelude::*;

use crate::program::Program;
use crate::store::{everything, put};

/// What `etcdctl snapshot save` of etcd 3.7.1 wrote: puts, deletions, transactions, bytes, large values, leases, a
/// compaction at 55, users and roles with authentication on, and a NOSPACE alarm.
fn golden() -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/etcd_snapshot.db.gz");
    let mut file = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap()).read_to_end(&mut file).unwrap();
    file
}

/// What etcd said of its store when the golden snapshot was saved.
const GOLDEN_REVISION: i64 = 73;
const GOLDEN_COMPACTED: i64 = 55;
const GOLDEN_HASH: u32 = 2_493_706_046;

fn taken_over(file: &[u8], options: Options) -> (Arc<MemoryEngine>, Imported) {
    let engine = Arc::new(MemoryEngine::new());
    let mut database = Database::open(Cursor::new(file)).unwrap();
    let imported = import(&mut database, &*engine, options, |_| {}).unwrap();
    (engine, imported)
}

fn exported(engine: &impl Engine) -> Vec<u8> {
    let view = engine.snapshot();
    let layout = export::measure(&view).unwrap();
    let file = export::write(&view, layout, Vec::new()).unwrap();
    assert_eq!(file.len() as u64, layout.bytes());
    file
}

/// Everything in an engine that a backup carries. Of the history without what is counted anew.
fn carried(engine: &impl Engine) -> Vec<(Column, Vec<u8>, Vec<u8>)> {
    let view = engine.snapshot();
    let columns = [Column::Live, Column::Versions, Column::Leases, Column::Attachments, Column::Alarms, Column::Auth];
    let mut entries = Vec::new();
    for column in columns.into_iter().chain([Column::History]) {
        let mut cursor = view.scan(column, &Span::all(), Direction::Forward).unwrap();
        while let Some((key, value)) = cursor.entry() {
            let mut value = value.to_vec();
            if column == Column::History {
                let revision = schema::parse_history_key(key).unwrap();
                let record = HistoryRecord::decode(revision, value.into()).unwrap();
                value = HistoryRecord { superseded_bytes: 0, ..record }.encode().to_vec();
            }
            entries.push((column, key.to_vec(), value));
            cursor.advance().unwrap();
        }
    }
    entries
}

#[test]
fn a_snapshot_of_etcd_is_taken_over_whole() {
    let (engine, Imported { head, changes }) = taken_over(&golden(), Options::default());
    assert_eq!((head.revision, head.compacted, head.leases, changes), (GOLDEN_REVISION, GOLDEN_COMPACTED, 3, 68));
    assert!(head.is_raised(pb::AlarmType::Nospace));
    let mvcc = Mvcc::open(engine.clone()).unwrap();
    assert_eq!(mvcc.view().unwrap().hash_keys(0).unwrap().hash, GOLDEN_HASH, "etcd's own hash");
    assert!(mvcc.auth_enabled());
    let range = mvcc.view().unwrap().range(&everything()).unwrap();
    assert_eq!(range.count, 38);
    let report = check(&engine.snapshot(), |_| {}).unwrap();
    assert_eq!((report.problems.as_slice(), report.keys, report.changes), (&[][..], 38, 68));
}

#[test]
fn its_status_is_what_etcdutl_says() {
    let mut database = Database::open(Cursor::new(golden())).unwrap();
    let expected = Status {
        hash: 3_629_071_570,
        revision: GOLDEN_REVISION,
        total_key: 38,
        total_size: 81_920,
        version: "3.7.0".to_owned(),
    };
    assert_eq!(status(&mut database, |_| {}).unwrap(), expected);
}

#[test]
fn what_was_taken_over_can_be_moved_back() {
    let (engine, _) = taken_over(&golden(), Options::default());
    let file = exported(&*engine);
    Database::open(Cursor::new(&file)).unwrap().check().unwrap();
    let (again, imported) = taken_over(&file, Options::default());
    assert_eq!((imported.head.revision, imported.head.compacted), (GOLDEN_REVISION, GOLDEN_COMPACTED));
    assert!(carried(&*again) == carried(&*engine));
    assert_eq!(Mvcc::open(again).unwrap().view().unwrap().hash_keys(0).unwrap().hash, GOLDEN_HASH);
}

#[test]
fn a_raised_revision_leaves_nothing_of_the_past_readable() {
    let (engine, Imported { head, .. }) = taken_over(&golden(), Options { bump_revision: 1000 });
    assert_eq!((head.revision, head.compacted), (GOLDEN_REVISION + 1000, GOLDEN_REVISION + 1000));
    let mvcc = Mvcc::open(engine).unwrap();
    while !mvcc.prune(10).unwrap().complete {}
    let view = mvcc.view().unwrap();
    assert_eq!(view.range(&everything()).unwrap().count, 38);
    let past = pb::RangeRequest { revision: GOLDEN_REVISION, ..everything() };
    assert_eq!(view.range(&past).unwrap_err().to_string(), "etcdserver: mvcc: required revision has been compacted");
}

#[test]
fn a_snapshot_that_was_damaged_or_cut_off_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snapshot.db");
    let golden = golden();
    let refusal = |file: &[u8]| {
        fs::write(&path, file).unwrap();
        snapshot_file::open(&path, false, |_| {}).map(drop).unwrap_err()
    };
    for at in [0, 20, 5000, 60_000, golden.len() - 1] {
        let mut damaged = golden.clone();
        damaged[at] ^= 0x10;
        assert!(matches!(refusal(&damaged), maintenance::Error::HashDiffers), "byte {at}");
    }
    assert!(matches!(refusal(&golden[..golden.len() - 32]), maintenance::Error::HashMissing));
    assert!(matches!(refusal(&golden[..20_001]), maintenance::Error::HashMissing));
    assert!(matches!(refusal(b"short"), maintenance::Error::HashMissing));
    fs::write(&path, &golden).unwrap();
    snapshot_file::open(&path, false, |_| {}).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// With the hash check skipped, nothing that a file says is believed.
    #[test]
    fn a_hostile_snapshot_is_an_error_or_a_store(flips in prop::collection::vec((0..81_920_usize, 1..=u8::MAX), 1..6)) {
        let mut file = golden();
        for (at, flip) in flips {
            file[at] ^= flip;
        }
        let Ok(mut database) = Database::open(Cursor::new(&file)) else { return Ok(()) };
        let _ = status(&mut database, |_| {});
        let engine = Arc::new(MemoryEngine::new());
        if import(&mut database, &*engine, Options::default(), |_| {}).is_ok() {
            let _ = check(&engine.snapshot(), |_| {});
            drop(Mvcc::open(engine));
        }
    }
}

#[test]
fn what_does_not_agree_is_told() {
    let damage = |change: fn(&mut WriteBatch)| {
        let (engine, _) = taken_over(&golden(), Options::default());
        let mut batch = WriteBatch::new();
        change(&mut batch);
        engine.write(&batch, Durability::Buffered).unwrap();
        check(&engine.snapshot(), |_| {}).unwrap()
    };
    assert_eq!(damage(|_| {}).problem_count, 0);
    let lost_key = damage(|batch| batch.delete(Column::Live, &b"key/1"[..]));
    assert!(lost_key.problems[0].contains("key/1"), "{:?}", lost_key.problems);
    let lost_change = damage(|batch| batch.delete(Column::History, schema::history_key(Revision::first_of(60))));
    assert_ne!(lost_change.problem_count, 0);
    let stray = damage(|batch| batch.put(Column::Attachments, schema::attachment_key(7, b"key/1"), ""));
    assert!(stray.problems[0].contains("lease 7"), "{:?}", stray.problems);
}

fn target(data_dir: &Path, config: &StoreConfig) -> Target {
    Target {
        data_dir: data_dir.to_owned(),
        name: config.name.clone(),
        initial_cluster: config.peer_urls.iter().map(|url| (config.name.clone(), url.clone())).collect(),
        cluster_token: config.cluster_token.clone(),
        peer_urls: config.peer_urls.clone(),
    }
}

/// Saves what a store has to a file, as a client does.
async fn save(store: &Store, path: &Path) {
    let mut chunks = store.snapshot().unwrap();
    let mut file = Vec::new();
    let mut remaining = None;
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk.unwrap();
        if let Some(remaining) = remaining.filter(|remaining| *remaining > 0) {
            assert_eq!(chunk.remaining_bytes, remaining - chunk.blob.len() as u64);
        }
        remaining = Some(chunk.remaining_bytes);
        assert_eq!(chunk.version, "3.7.0");
        file.extend_from_slice(&chunk.blob);
    }
    assert_eq!(remaining, Some(0));
    assert_eq!(file.len() % 512, 32);
    fs::write(path, file).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_store_is_the_one_that_was_saved() {
    let directory = tempfile::tempdir().unwrap();
    let config = StoreConfig::embedded(directory.path().join("saved"));
    let store = Store::open(config.clone()).await.unwrap();
    let grant = pb::LeaseGrantRequest { id: 7, ttl: 10_000 };
    store.lease_grant(grant).await.unwrap();
    for round in 0..30 {
        store.put(put(format!("key/{}", round % 7), format!("value {round}"))).await.unwrap();
    }
    store.put(pb::PutRequest { lease: 7, ..put("leased", "1") }).await.unwrap();
    let doomed = pb::DeleteRangeRequest { key: "key/2".into(), range_end: "key/4".into(), ..Default::default() };
    store.delete_range(doomed).await.unwrap();
    store.compact(pb::CompactionRequest { revision: 20, physical: true }).await.unwrap();
    store.put(put("large", "x".repeat(300_000))).await.unwrap();
    let path = directory.path().join("snapshot.db");
    save(&store, &path).await;
    // What happens later is not part of it.
    let revisions: Vec<i64> = (20..=store.revision().unwrap()).collect();
    let mut past = Vec::new();
    for revision in &revisions {
        past.push(store.range(pb::RangeRequest { revision: *revision, ..everything() }).await.unwrap().kvs);
    }
    store.put(put("later", "")).await.unwrap();
    store.shutdown().await.unwrap();

    let restored = StoreConfig { data_dir: directory.path().join("restored"), ..config };
    let mut file = snapshot_file::open(&path, false, |_| {}).unwrap();
    let target = target(&restored.data_dir, &restored);
    let imported = restore(&mut file, &target, Options::default(), |_| {}).unwrap();
    assert_eq!(Some(&imported.head.revision), revisions.last());
    let again = restore(&mut file, &target, Options::default(), |_| {}).unwrap_err();
    assert!(again.to_string().contains("not empty"), "{again}");

    for _ in 0..2 {
        let store = Store::open(restored.clone()).await.unwrap();
        for (revision, kvs) in revisions.iter().zip(&past) {
            let then = pb::RangeRequest { revision: *revision, ..everything() };
            assert!(store.range(then).await.unwrap().kvs == *kvs, "at {revision}");
        }
        let lease = pb::LeaseTimeToLiveRequest { id: 7, keys: true };
        let lease = store.lease_time_to_live(lease).await.unwrap();
        assert_eq!((lease.granted_ttl, lease.keys), (10_000, vec!["leased".into()]));
        let written = store.put(put("new", "1")).await.unwrap().header.unwrap();
        assert!(written.revision > imported.head.revision);
        store.shutdown().await.unwrap();
    }
}

#[test]
fn members_are_restored_with_the_ids_that_all_of_them_compute() {
    let url = |n| format!("http://10.0.0.{n}:2380");
    let target = |name: &str, own| Target {
        data_dir: "unused".into(),
        name: name.to_owned(),
        initial_cluster: [("a", 1), ("b", 2), ("c", 3)].map(|(name, n)| (name.to_owned(), url(n))).into(),
        cluster_token: "token".to_owned(),
        peer_urls: vec![url(own)],
    };
    let (a, members) = target("a", 1).members().unwrap();
    let (b, same) = target("b", 2).members().unwrap();
    assert_eq!(members, same);
    assert!(a != b && members.len() == 3 && members.contains_key(&a) && members.contains_key(&b));
    assert!(matches!(target("d", 1).members(), Err(maintenance::Error::NotAMember(_))));
    assert!(matches!(target("a", 2).members(), Err(maintenance::Error::OtherPeerUrls { .. })));
}

fn run(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_pintle-store")).args(arguments).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn the_commands_save_look_restore_check_and_defragment() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    let (file, restored) = (path("saved.db"), path("restored"));
    let program = Program::start(directory.path(), &["--listen-peer-urls=http://127.0.0.1:0"]);
    let (saved, said) = run(&["snapshot", "save", &file, "--endpoints", &program.address]);
    assert!(saved && said.ends_with("Server version 3.7.0\n"), "{said}");
    assert!(!Path::new(&format!("{file}.part")).exists());
    if Command::new("etcdctl").arg("version").output().is_ok() {
        let theirs = path("etcdctl.db");
        let etcdctl = |arguments: &[&str]| {
            let mut command = Command::new("etcdctl");
            let output =
                command.env("ETCDCTL_API", "3").args(["--endpoints", &program.address]).args(arguments).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        etcdctl(&["put", "a", "1"]);
        etcdctl(&["snapshot", "save", &theirs]);
        let status: serde_json::Value =
            serde_json::from_str(&etcdctl(&["snapshot", "status", &theirs, "-w=json"])).unwrap();
        let (_, ours) = run(&["snapshot", "status", &theirs, "-w=json"]);
        let ours: serde_json::Value = serde_json::from_str(&ours).unwrap();
        assert_eq!(status["revision"], 2);
        for field in ["hash", "revision", "totalSize"] {
            assert_eq!(status[field], ours[field], "{field}");
        }
        etcdctl(&["defrag"]);
        assert_eq!(etcdctl(&["get", "a"]), "a\n1\n");
    } else {
        assert!(std::env::var_os("CI").is_none(), "there is no etcdctl on PATH; run the tests with `make test`");
    }
    let data = path("data");
    assert!(run(&["check", "--data-dir", &data]).1.contains("in use"));
    drop(program);

    let (ok, said) = run(&["snapshot", "restore", &file, "--data-dir", &restored]);
    assert!(ok, "{said}");
    for directory in [&data, &restored] {
        let (ok, said) = run(&["check", "--data-dir", directory]);
        assert!(ok && said.contains("is whole"), "{said}");
        let (ok, said) = run(&["defrag", "--data-dir", directory]);
        assert!(ok, "{said}");
    }
    let (ok, said) = run(&["snapshot", "restore", &file, "--data-dir", &restored]);
    assert!(!ok && said.contains("not empty"), "{said}");
    let (ok, said) = run(&["snapshot", "restore", &file, "--data-dir", &path("x"), "--bump-revision=5"]);
    assert!(!ok && said.contains("--mark-compacted required"), "{said}");
    let (ok, said) = run(&["check", "--data-dir", &path("nothing")]);
    assert!(!ok && said.contains("no data directory"), "{said}");
    assert!(!Path::new(&path("nothing")).exists(), "a check makes nothing");
    let (ok, said) = run(&["snapshot", "status", &restored]);
    assert!(!ok && !said.contains("panicked"), "{said}");
}

#[test]
fn an_engine_that_was_never_written_to_is_a_fresh_etcd() {
    let file = exported(&MemoryEngine::new());
    let found = status(&mut Database::open(Cursor::new(&file)).unwrap(), |_| {}).unwrap();
    assert_eq!((found.revision, found.total_key), (0, 0));
    let (engine, imported) = taken_over(&file, Options::default());
    assert_eq!((imported.head.revision, imported.head.compacted), (1, -1));
    assert_eq!(Reader::get(&engine.snapshot(), Column::Live, b"").unwrap(), None);
}
