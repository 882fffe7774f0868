//! Clusters of real processes whose members come and go, whose leader moves, whose leases outlive it, and whose data is
//! compared.

use std::process::Command;
use std::time::{Duration, Instant};

use etcd_client::{AlarmType, Client, GetOptions, MemberAddOptions, PutOptions};
use pintle_store::engine::rocks::{Memory, RocksEngine};
use pintle_store::engine::schema::{Change, HistoryRecord, history_key};
use pintle_store::engine::{Column, Durability, Engine, Reader, WriteBatch};
use pintle_store::mvcc::Revision;

use super::cluster::{Cluster, eventually, get, put};

/// Waits until a member lists these: it hears of changes a moment after who made them.
async fn comes_to_list(client: &Client, expected: &[&str]) {
    let line = |member: &etcd_client::Member| {
        let name = if member.name().is_empty() { "unstarted" } else { member.name() };
        format!("{name}{}", if member.is_learner() { " learner" } else { "" })
    };
    eventually(&format!("{expected:?} are the members"), || async {
        let list = client.clone().member_list().await.ok()?;
        let mut lines: Vec<String> = list.members().iter().map(line).collect();
        lines.sort();
        (lines == expected).then_some(())
    })
    .await;
}

async fn id_of(client: &mut Client, name: &str) -> u64 {
    let list = client.member_list().await.unwrap();
    list.members().iter().find(|member| member.name() == name).unwrap().id()
}

/// The hash of the keys on a member, and the revision that it has reached.
async fn hash(client: &mut Client) -> (u32, i64) {
    let response = client.hash_kv(0).await.unwrap();
    (response.hash(), response.header().unwrap().revision())
}

#[tokio::test(flavor = "multi_thread")]
async fn members_come_and_go() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let mut client = cluster.client((leader + 1) % 3).await;
    put(&mut client, "a", "1").await;
    comes_to_list(&client, &["m0", "m1", "m2"]).await;

    // Added before it runs; it has its vote when it has caught up.
    let fourth = cluster.reserve();
    let urls = [cluster.peer_url(fourth)];
    eventually("a member is added", || async {
        let asked = Instant::now();
        client.clone().member_add(urls.clone(), None).await.ok()?;
        assert!(asked.elapsed() < Duration::from_secs(5), "it waits for a process that does not run");
        Some(())
    })
    .await;
    comes_to_list(&client, &["m0", "m1", "m2", "unstarted"]).await;
    let twice = client.member_add(urls, None).await.unwrap_err().to_string();
    assert!(twice.contains("etcdserver: "), "{twice}");
    cluster.join(fourth);
    let mut newcomer = cluster.client(fourth).await;
    assert_eq!(get(&mut newcomer, "a").await.as_deref(), Some("1"));
    comes_to_list(&client, &["m0", "m1", "m2", "m3"]).await;
    let newcomer_id = id_of(&mut client, "m3").await;
    eventually("leadership moves to who has joined", || async {
        let leader = cluster.leader().await;
        cluster.client(leader).await.move_leader(newcomer_id).await.ok()
    })
    .await;

    // A learner has none before it is promoted.
    let fifth = cluster.reserve();
    let options = MemberAddOptions::new().with_is_learner();
    // Refused while not all members have been connected for a while.
    let added = eventually("a learner is added", || async {
        client.clone().member_add([cluster.peer_url(fifth)], Some(options.clone())).await.ok()
    })
    .await;
    let learner = added.member().unwrap().id();
    let early = client.member_promote(learner).await.unwrap_err().to_string();
    assert!(early.contains("can only promote a learner member which is in sync with leader"), "{early}");
    cluster.join(fifth);
    drop(cluster.client(fifth).await);
    comes_to_list(&client, &["m0", "m1", "m2", "m3", "m4 learner"]).await;
    // It answers only what need not be current.
    let mut to_learner = cluster.client(fifth).await;
    let refused = to_learner.get("a", None).await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: rpc not supported for learner"), "{refused}");
    let refused = to_learner.put("a", "1", None).await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: rpc not supported for learner"), "{refused}");
    to_learner.get("a", Some(GetOptions::new().with_serializable())).await.unwrap();
    eventually("the learner is promoted", || async { client.clone().member_promote(learner).await.ok() }).await;
    let again = client.member_promote(learner).await.unwrap_err().to_string();
    assert!(again.contains("can only promote a learner member"), "{again}");

    // Who never started can go, and so can the leader.
    let never = cluster.reserve();
    let added = eventually("a member is added that never starts", || async {
        client.clone().member_add([cluster.peer_url(never)], None).await.ok()
    })
    .await;
    let never_id = added.member().unwrap().id();
    client.member_update(never_id, ["http://localhost:1".to_owned()]).await.unwrap();
    client.member_remove(never_id).await.unwrap();
    let gone = client.member_remove(never_id).await.unwrap_err().to_string();
    assert!(gone.contains("etcdserver: member not found"), "{gone}");
    let leader = cluster.leader().await;
    let mut other = cluster.client((leader + 1) % 5).await;
    let leader_id = id_of(&mut other, &format!("m{leader}")).await;
    // By itself: it answers before it goes.
    cluster.client(leader).await.member_remove(leader_id).await.unwrap();
    let left = ["m0", "m1", "m2", "m3", "m4"].into_iter().filter(|name| *name != format!("m{leader}"));
    comes_to_list(&other, &left.collect::<Vec<_>>()).await;
    cluster.ends(leader, "removed from the cluster").await;
    put(&mut other, "a", "2").await;

    let mut hashes = Vec::new();
    for member in (0..5).filter(|member| *member != leader) {
        let mut client = cluster.client(member).await;
        assert_eq!(get(&mut client, "a").await.as_deref(), Some("2"));
        hashes.push(hash(&mut client).await);
    }
    hashes.dedup();
    assert_eq!(hashes.len(), 1, "members disagree: {hashes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_removed_while_it_was_down_ends_when_it_starts_again() {
    let mut cluster = Cluster::start(3);
    let gone = (cluster.leader().await + 1) % 3;
    let mut client = cluster.client((gone + 1) % 3).await;
    put(&mut client, "a", "1").await;
    let id = id_of(&mut client, &format!("m{gone}")).await;
    cluster.kill(gone);
    eventually("it is removed", || async { client.clone().member_remove(id).await.ok() }).await;
    cluster.restart(gone);
    cluster.ends(gone, "removed from the cluster").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_reached_at_its_new_address_without_a_new_leader() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let moved = (leader + 1) % 3;
    let mut client = cluster.client(leader).await;
    put(&mut client, "a", "1").await;
    let id = id_of(&mut client, &format!("m{moved}")).await;
    cluster.stop(moved).await;
    cluster.move_peer(moved);
    client.member_update(id, [cluster.peer_url(moved)]).await.unwrap();
    put(&mut client, "a", "2").await;
    cluster.restart(moved);
    let mut client = cluster.client(moved).await;
    assert_eq!(get(&mut client, "a").await.as_deref(), Some("2"));
    assert_eq!(cluster.leader().await, leader);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_that_is_kept_alive_outlives_its_leader_and_one_that_is_not_ends() {
    let mut cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    let mut client = cluster.client((leader + 1) % 3).await;
    let kept = client.lease_grant(60, None).await.unwrap().id();
    let doomed = client.lease_grant(3, None).await.unwrap().id();
    client.put("kept", "", Some(PutOptions::new().with_lease(kept))).await.unwrap();
    client.put("doomed", "", Some(PutOptions::new().with_lease(doomed))).await.unwrap();
    let (mut keeper, mut answers) = client.lease_keep_alive(kept).await.unwrap();
    keeper.keep_alive().await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap().ttl(), 60, "a follower asks the leader");
    assert!(client.lease_time_to_live(kept, None).await.unwrap().ttl() > 50);

    cluster.kill(leader);
    eventually("a lease ends under the next leader", || async {
        let left = client.clone().lease_time_to_live(doomed, None).await.ok()?;
        (left.ttl() == -1).then_some(())
    })
    .await;
    assert_eq!(get(&mut client, "doomed").await, None);
    assert_eq!(get(&mut client, "kept").await.as_deref(), Some(""));
    assert!(client.lease_time_to_live(kept, None).await.unwrap().ttl() > 20);
    client.lease_revoke(kept).await.unwrap();
    assert_eq!(get(&mut client, "kept").await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_other_data_is_found_and_nothing_is_written_any_more() {
    let mut cluster = Cluster::start_with(3, &["--corrupt-check-time=1s"]);
    let follower = (cluster.leader().await + 1) % 3;
    let mut client = cluster.client((follower + 1) % 3).await;
    put(&mut client, "a", "1").await;
    let corrupt = id_of(&mut client, &format!("m{follower}")).await;
    cluster.stop(follower).await;
    {
        let state = RocksEngine::open_state(&cluster.path(follower).join("state"), &Memory::new(8 << 20)).unwrap();
        let revision = Revision::first_of(2);
        let bytes = state.snapshot().get(Column::History, &history_key(revision)).unwrap().unwrap();
        let mut record = HistoryRecord::decode(revision, bytes).unwrap();
        let Change::Put(live) = &mut record.change else { panic!("{record:?}") };
        live.value = "2".into();
        let mut batch = WriteBatch::new();
        batch.put(Column::History, history_key(revision), record.encode());
        state.write(&batch, Durability::Buffered).unwrap();
        state.flush().unwrap();
    }
    cluster.restart(follower);
    eventually("the alarm names the member", || async {
        let alarms = client.clone().alarm(etcd_client::AlarmAction::Get, AlarmType::Corrupt, None).await.ok()?;
        alarms.alarms().iter().any(|alarm| alarm.member_id() == corrupt).then_some(())
    })
    .await;
    let refused = client.put("a", "3", None).await.unwrap_err().to_string();
    assert!(refused.contains("etcdserver: corrupt cluster"), "{refused}");
    // As in etcd, whoever reads may.
    client.get("a", None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_compacted_by_itself() {
    let mut cluster = Cluster::start_with(1, &["--auto-compaction-retention=1s"]);
    let mut client = cluster.client(0).await;
    for value in 0..20 {
        put(&mut client, "a", &value.to_string()).await;
    }
    eventually("an old revision is compacted", || async {
        let compacted = client.clone().hash_kv(0).await.ok()?.compact_version();
        (compacted > 1).then_some(())
    })
    .await;
    cluster.kill(0);
}

/// The commands of etcdctl that are about members. `make test` brings an etcdctl.
#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_sees_the_cluster() {
    if Command::new("etcdctl").arg("version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "there is no etcdctl on PATH; run the tests with `make test`");
        eprintln!("skipped: no etcdctl on PATH");
        return;
    }
    let cluster = Cluster::start(3);
    let leader = cluster.leader().await;
    for member in 0..3 {
        drop(cluster.client(member).await);
    }
    let etcdctl = |member: usize, arguments: &[&str]| {
        let output = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", cluster.client_url(member)))
            .arg("--command-timeout=30s")
            .args(arguments)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    };
    let follower = (leader + 1) % 3;
    let (listed, members) = etcdctl(follower, &["member", "list"]);
    assert!(listed && members.lines().filter(|line| line.contains(", started, m")).count() == 3, "{members}");
    let (asked, hashes) = etcdctl(follower, &["endpoint", "hashkv", "--cluster"]);
    let mut hashes: Vec<&str> = hashes.lines().filter_map(|line| line.split(", ").nth(1)).collect();
    assert!(asked && hashes.len() == 3, "{hashes:?}");
    hashes.dedup();
    assert_eq!(hashes.len(), 1);
    let line = members.lines().find(|line| line.contains(&format!(", m{follower}, "))).unwrap();
    let target = line.split(',').next().unwrap();
    let (moved, said) = etcdctl(leader, &["move-leader", target]);
    assert!(moved && said.contains("Leadership transferred"), "{said}");
    let (moved, said) = etcdctl(leader, &["move-leader", target]);
    assert!(!moved, "it does not lead: {said}");
    let (done, said) = etcdctl(leader, &["member", "remove", "1"]);
    assert!(!done && said.contains("member not found"), "{said}");
}
