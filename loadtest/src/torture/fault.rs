//! What is done to the cluster, and how it is undone.

use std::fmt;
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::cluster::Cluster;
use super::error::TortureError;

/// A fault. Each is undone by [`heal`], whatever else was done meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Fault {
    /// A member ends at once (SIGKILL).
    Kill,
    /// The leader ends at once.
    KillLeader,
    /// All members end at once.
    KillAll,
    /// A member ends in order and starts again.
    Restart,
    /// A member stands still and goes on later, as if its clock had jumped (SIGSTOP, SIGCONT).
    Pause,
    /// The leader stands still.
    PauseLeader,
    /// A member and the others do not hear each other.
    Isolate,
    /// The leader and the others do not hear each other.
    IsolateLeader,
    /// What one member sends to the others is lost; what they send arrives.
    Mute,
    /// What the others send to one member is lost; what it sends arrives.
    Deafen,
    /// Two members do not hear each other; both hear the third.
    Split,
    /// What a member sends is delayed, and some of it lost.
    SlowLink,
    /// A member's disk is full.
    DiskFull,
    /// The power of a member fails: what it had not synced is lost.
    PowerLoss,
    /// The power of all members fails at once.
    PowerLossAll,
    /// A member starts again with another clock.
    ClockJump,
    /// The leader is told to hand over.
    MoveLeader,
    /// The past is forgotten while clients write.
    Compact,
    /// A member is away until the others have forgotten the entries it lacks.
    FarBehind,
}

impl Fault {
    /// How long it lasts.
    pub fn duration(self, random: &mut StdRng) -> Duration {
        let millis = match self {
            Self::Restart | Self::ClockJump | Self::MoveLeader | Self::Compact => 200..800,
            Self::PowerLoss | Self::PowerLossAll | Self::KillAll => 200..1500,
            Self::FarBehind => 5000..8000,
            _ => 500..4000,
        };
        Duration::from_millis(random.random_range(millis))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// What a fault did.
#[derive(Debug)]
pub struct Injected {
    /// To which members, or what else there is to know.
    pub what: String,
    /// A member that may end by itself because of it.
    pub may_end: Option<usize>,
}

/// Does a fault to the cluster, whose compactions reach at most `compactable`.
pub async fn inject(
    fault: Fault,
    cluster: &mut Cluster,
    random: &mut StdRng,
    compactable: i64,
) -> Result<Injected, TortureError> {
    let everyone: Vec<usize> = (0..cluster.size()).collect();
    let victim = everyone.choose(random).copied().unwrap_or(0);
    let leads = matches!(fault, Fault::KillLeader | Fault::PauseLeader | Fault::IsolateLeader | Fault::MoveLeader);
    let victim = if leads { cluster.leader().await.unwrap_or(victim) } else { victim };
    let others: Vec<usize> = everyone.iter().copied().filter(|member| *member != victim).collect();
    let other = others.choose(random).copied().unwrap_or(victim);
    let mut injected = Injected { what: format!("member {victim}"), may_end: None };
    match fault {
        Fault::Kill | Fault::KillLeader | Fault::FarBehind => cluster.members[victim].kill(),
        Fault::KillAll => {
            cluster.members.iter_mut().for_each(super::member::Member::kill);
            "all members".clone_into(&mut injected.what);
        }
        Fault::Restart => cluster.members[victim].stop(),
        Fault::Pause | Fault::PauseLeader => cluster.members[victim].signal("STOP")?,
        Fault::Isolate | Fault::IsolateLeader => {
            for other in others {
                cluster.network.cut(victim, other)?;
                cluster.network.cut(other, victim)?;
            }
        }
        Fault::Mute => others.iter().try_for_each(|other| cluster.network.cut(victim, *other))?,
        Fault::Deafen => others.iter().try_for_each(|other| cluster.network.cut(*other, victim))?,
        Fault::Split => {
            cluster.network.cut(victim, other)?;
            cluster.network.cut(other, victim)?;
            injected.what = format!("members {victim} and {other}");
        }
        Fault::SlowLink => cluster.network.slow(victim)?,
        Fault::DiskFull => {
            cluster.disks.fill(victim);
            injected.may_end = Some(victim);
        }
        Fault::PowerLoss => power_loss(cluster, &[victim])?,
        Fault::PowerLossAll => {
            power_loss(cluster, &everyone)?;
            "all members".clone_into(&mut injected.what);
        }
        Fault::ClockJump => {
            let ahead = Duration::from_secs(random.random_range(1..100_000_000));
            cluster.members[victim].kill();
            cluster.members[victim].start(ahead)?;
            injected.what = format!("member {victim}, {} s ahead", ahead.as_secs());
        }
        Fault::MoveLeader => {
            let said = cluster.move_leader(victim, other).await;
            injected.what = format!("from {victim} to {other}: {}", said.err().unwrap_or_else(|| "done".to_owned()));
        }
        Fault::Compact => {
            let said = cluster.compact(victim, compactable).await;
            injected.what = format!(
                "through {compactable} by member {victim}: {}",
                said.err().unwrap_or_else(|| "done".to_owned())
            );
        }
    }
    Ok(injected)
}

/// All members concerned stand still, their disks are set aside, and they end.
fn power_loss(cluster: &mut Cluster, members: &[usize]) -> Result<(), TortureError> {
    for &member in members {
        cluster.members[member].signal("STOP")?;
    }
    for &member in members {
        cluster.disks.freeze(member)?;
    }
    for &member in members {
        cluster.members[member].kill();
        cluster.disks.thaw(member)?;
    }
    Ok(())
}

/// Undoes all faults: every member runs, hears and is heard, and has room. Those that `may_end` are started again.
pub fn heal(cluster: &mut Cluster, may_end: &[usize]) -> Result<(), TortureError> {
    cluster.network.heal()?;
    for number in 0..cluster.size() {
        cluster.disks.clear(number);
        let member = &mut cluster.members[number];
        if may_end.contains(&number) {
            // One that still runs may have given up writing.
            member.kill();
        }
        if member.is_running() {
            member.signal("CONT")?;
        }
        member.start(Duration::ZERO)?;
    }
    Ok(())
}
