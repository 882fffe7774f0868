//! Clients that others wrote: the Rust one, and two in Python (`tests/clients/`), one for gRPC and one for the gateway.

use std::ffi::OsStr;
use std::process::Command;
use std::time::Duration;

use etcd_client::{
    Client, Compare, CompareOp, DeleteOptions, EventType, GetOptions, LockOptions, ProclaimOptions, PutOptions,
    ResignOptions, SortOrder, SortTarget, Txn, TxnOp, TxnOpResponse, WatchOptions,
};

use crate::program::Program;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

async fn patiently<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future).await.expect("took too long")
}

struct Served {
    client: Client,
    _program: Program,
    _directory: tempfile::TempDir,
}

async fn serve() -> Served {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let client = patiently(Client::connect([&program.address], None)).await.unwrap();
    Served { client, _program: program, _directory: directory }
}

#[tokio::test]
async fn the_rust_client_reads_and_writes() {
    let mut served = serve().await;
    let client = &mut served.client;
    client.put("a", "1", None).await.unwrap();
    let put = client.put("a", "2", Some(PutOptions::new().with_prev_key())).await.unwrap();
    assert_eq!(put.prev_key().unwrap().value(), b"1");
    for key in ["p/1", "p/2", "p/3"] {
        client.put(key, key, None).await.unwrap();
    }
    let sorted = GetOptions::new().with_prefix().with_sort(SortTarget::Key, SortOrder::Descend).with_limit(2);
    let read = client.get("p/", Some(sorted)).await.unwrap();
    let keys: Vec<_> = read.kvs().iter().map(|kv| kv.key_str().unwrap()).collect();
    assert_eq!((keys, read.count(), read.more()), (vec!["p/3", "p/2"], 3, true));

    let txn = Txn::new()
        .when([Compare::value("a", CompareOp::Equal, "2"), Compare::version("b", CompareOp::Equal, 0)])
        .and_then([TxnOp::put("b", "x", None), TxnOp::get("b", None), TxnOp::txn(Txn::new())])
        .or_else([TxnOp::delete("a", None)]);
    let done = client.txn(txn).await.unwrap();
    assert!(done.succeeded());
    let [TxnOpResponse::Put(_), TxnOpResponse::Get(read), TxnOpResponse::Txn(_)] = &done.op_responses()[..] else {
        panic!("{done:?}");
    };
    assert_eq!(read.kvs()[0].value(), b"x");

    let deleted = client.delete("p/", Some(DeleteOptions::new().with_prefix().with_prev_key())).await.unwrap();
    assert_eq!((deleted.deleted(), deleted.prev_kvs().len()), (3, 3));
    client.compact(3, None).await.unwrap();
    let error = client.get("a", Some(GetOptions::new().with_revision(2))).await.unwrap_err();
    assert!(error.to_string().contains("etcdserver: mvcc: required revision has been compacted"), "{error}");
}

#[tokio::test]
async fn the_rust_client_watches() {
    let mut served = serve().await;
    let client = &mut served.client;
    client.put("a", "1", None).await.unwrap();
    let options = WatchOptions::new().with_prefix().with_start_revision(2).with_prev_key();
    let mut watch = client.watch("a", Some(options)).await.unwrap();
    client.put("a/b", "2", None).await.unwrap();
    client.delete("a", None).await.unwrap();
    let mut events = Vec::new();
    while events.len() < 3 {
        events.extend(patiently(watch.message()).await.unwrap().unwrap().events().iter().cloned());
    }
    assert_eq!(events[1].kv().unwrap().key(), b"a/b");
    assert_eq!(events[2].event_type(), EventType::Delete);
    assert_eq!(events[2].prev_kv().unwrap().value(), b"1");
    watch.request_progress().await.unwrap();
    let progress = patiently(watch.message()).await.unwrap().unwrap();
    assert_eq!(progress.header().unwrap().revision(), 4);
    watch.cancel(progress.watch_id().max(0)).await.unwrap();
    assert!(patiently(watch.message()).await.unwrap().unwrap().canceled());
}

#[tokio::test]
async fn the_rust_client_leases_locks_and_elects() {
    let mut served = serve().await;
    let client = &mut served.client;
    let lease = client.lease_grant(60, None).await.unwrap().id();
    client.put("leased", "1", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let (mut keeper, mut renewals) = client.lease_keep_alive(lease).await.unwrap();
    keeper.keep_alive().await.unwrap();
    assert_eq!(patiently(renewals.message()).await.unwrap().unwrap().ttl(), 60);
    assert_eq!(client.leases().await.unwrap().leases().len(), 1);

    let lock = client.lock("l", Some(LockOptions::new().with_lease(lease))).await.unwrap();
    assert_eq!(lock.key(), format!("l/{lease:x}").as_bytes());
    client.unlock(lock.key()).await.unwrap();

    let won = patiently(client.campaign("e", "me", lease)).await.unwrap();
    let leader = won.leader().unwrap().clone();
    assert_eq!(client.leader("e").await.unwrap().kv().unwrap().value(), b"me");
    let mut observed = client.observe("e").await.unwrap();
    assert_eq!(patiently(observed.message()).await.unwrap().unwrap().kv().unwrap().value(), b"me");
    client.proclaim("myself", Some(ProclaimOptions::new().with_leader(leader.clone()))).await.unwrap();
    assert_eq!(patiently(observed.message()).await.unwrap().unwrap().kv().unwrap().value(), b"myself");
    client.resign(Some(ResignOptions::new().with_leader(leader))).await.unwrap();
    let error = client.leader("e").await.unwrap_err();
    assert!(error.to_string().contains("election: no leader"), "{error}");

    client.lease_revoke(lease).await.unwrap();
    assert!(client.get("leased", None).await.unwrap().kvs().is_empty());
}

#[tokio::test]
async fn the_rust_client_asks_about_members() {
    let mut served = serve().await;
    let client = &mut served.client;
    client.put("a", "1", None).await.unwrap();
    let status = client.status().await.unwrap();
    assert!(status.version().starts_with("3.") && status.leader() != 0 && status.db_size() > 0, "{status:?}");
    let members = client.member_list().await.unwrap();
    assert_eq!(members.members()[0].id(), status.leader());
    assert!(
        client
            .alarm(etcd_client::AlarmAction::Get, etcd_client::AlarmType::None, None)
            .await
            .unwrap()
            .alarms()
            .is_empty()
    );
}

#[test]
fn python_clients_work() {
    for script in ["aetcd_basics.py", "etcd3gw_basics.py"] {
        python(script);
    }
}

/// Runs a script of `tests/clients/`. `make test` brings what they need; without it they are passed over, but never in
/// CI.
fn python(script: &str) {
    let python = |arguments: &[&OsStr]| Command::new("python3").args(arguments).output();
    let import = "import aetcd, etcd3gw";
    if !python(&["-c".as_ref(), import.as_ref()]).is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("CI").is_none(), "no Python clients; run the tests with `make test`");
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let program = Program::start(directory.path(), &[]);
    let (host, port) = program.address.rsplit_once(':').unwrap();
    let path = format!("{}/tests/clients/{script}", env!("CARGO_MANIFEST_DIR"));
    let output = python(&[path.as_ref(), host.as_ref(), port.as_ref()]).unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}
