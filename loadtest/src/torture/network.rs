//! A network of its own: a namespace for each member, and a bridge that joins them and reaches the clients in ours. What
//! goes over it stays on this machine, and all of it is removed with the value.

use super::command::{run, undo};
use super::error::TortureError;

/// A hardware address that nobody has: what is sent there is lost without an error, as on a cable that was cut.
const NOWHERE: &str = "02:70:74:00:00:ff";

/// The namespaces and the bridge.
#[derive(Debug)]
pub struct Network {
    /// Tells this run's names and addresses from another's.
    tag: u32,
    members: usize,
    /// Whether the kernel can delay and lose packets at random.
    netem: bool,
}

impl Network {
    /// Makes a network for `members`.
    ///
    /// # Errors
    /// [`TortureError::Unavailable`] when this process may not, or lacks a tool: whatever a fault needs is tried here.
    pub fn new(members: usize) -> Result<Self, TortureError> {
        let mut network = Self { tag: std::process::id() % 50_000, members, netem: false };
        let made = network.make().and_then(|()| network.try_tools());
        made.map(|()| network).map_err(|error| {
            TortureError::Unavailable(format!(
                "needs root, iproute2 and util-linux for members in network namespaces: {error}"
            ))
        })
    }

    fn make(&self) -> Result<(), TortureError> {
        let (tag, bridge) = (self.tag, self.bridge());
        run(&format!("ip link add {bridge} type bridge"))?;
        run(&format!("ip addr add 198.18.{}.254/24 dev {bridge}", tag % 256))?;
        run(&format!("ip link set {bridge} up"))?;
        for member in 0..self.members {
            let (namespace, outside) = (self.namespace(member), format!("pt{tag}v{member}"));
            run(&format!("ip netns add {namespace}"))?;
            run(&format!("ip link add {outside} type veth peer name eth0 netns {namespace}"))?;
            run(&format!("ip link set {outside} master {bridge} up"))?;
            run(&format!("ip -n {namespace} link set eth0 address {}", hardware(member)))?;
            run(&format!("ip -n {namespace} addr add {}/24 dev eth0", self.address(member)))?;
            run(&format!("ip -n {namespace} link set eth0 up"))?;
            run(&format!("ip -n {namespace} link set lo up"))?;
        }
        self.pairs().try_for_each(|(from, to)| self.join(from, to))
    }

    /// Tries what members are started, signalled and slowed down with.
    fn try_tools(&mut self) -> Result<(), TortureError> {
        self.netem = run(&format!("tc -n {} qdisc add dev eth0 root netem delay 1ms", self.namespace(0))).is_ok();
        self.slow(0)?;
        self.hasten(0);
        run(&format!("kill -0 {}", std::process::id()))?;
        let clock = "unshare --time --monotonic 1 --boottime 1 -- true";
        run(&format!("nsenter --net=/run/netns/{} -- {clock}", self.namespace(0)))
    }

    fn bridge(&self) -> String {
        format!("pt{}br", self.tag)
    }

    /// The name of a member's namespace.
    pub fn namespace(&self, member: usize) -> String {
        format!("pt{}n{member}", self.tag)
    }

    /// A member's address.
    pub fn address(&self, member: usize) -> String {
        format!("198.18.{}.{}", self.tag % 256, member + 1)
    }

    /// Whether packets can be delayed and lost at random; otherwise a slow link has a narrow bandwidth instead.
    pub fn has_netem(&self) -> bool {
        self.netem
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let members = self.members;
        (0..members).flat_map(move |from| (0..members).map(move |to| (from, to))).filter(|(from, to)| from != to)
    }

    /// Loses whatever one member sends to another.
    pub fn cut(&self, from: usize, to: usize) -> Result<(), TortureError> {
        self.aim(from, to, NOWHERE)
    }

    /// Lets it through again.
    pub fn join(&self, from: usize, to: usize) -> Result<(), TortureError> {
        self.aim(from, to, &hardware(to))
    }

    fn aim(&self, from: usize, to: usize, at: &str) -> Result<(), TortureError> {
        let (namespace, address) = (self.namespace(from), self.address(to));
        run(&format!("ip -n {namespace} neigh replace {address} lladdr {at} dev eth0 nud permanent"))
    }

    /// Delays what a member sends, to clients too, and loses some of it.
    pub fn slow(&self, member: usize) -> Result<(), TortureError> {
        let how = if self.netem {
            "netem delay 60ms 40ms loss 5%"
        } else {
            // Without netem: a line so narrow that packets queue, and those that queue for too long are dropped.
            "tbf rate 300kbit burst 3000 latency 80ms"
        };
        run(&format!("tc -n {} qdisc replace dev eth0 root {how}", self.namespace(member)))
    }

    /// Ends that.
    pub fn hasten(&self, member: usize) {
        undo(&format!("tc -n {} qdisc del dev eth0 root", self.namespace(member)));
    }

    /// Undoes everything that was done to the network.
    pub fn heal(&self) -> Result<(), TortureError> {
        (0..self.members).for_each(|member| self.hasten(member));
        self.pairs().try_for_each(|(from, to)| self.join(from, to))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for member in 0..self.members {
            // Its end of the pair goes with it.
            undo(&format!("ip netns del {}", self.namespace(member)));
            undo(&format!("ip link del pt{}v{member}", self.tag));
        }
        undo(&format!("ip link del {}", self.bridge()));
    }
}

fn hardware(member: usize) -> String {
    format!("02:70:74:00:00:{:02x}", member + 1)
}
