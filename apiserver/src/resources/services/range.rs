//! The pools that services draw from: a range of addresses for each IP family, and the range of node ports. Pure: what is taken, and
//! where the search begins, are arguments.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// Ports that services are reachable by on every node.
pub const NODE_PORTS: RangeInclusive<u16> = 30_000..=32_767;
/// No more than this many addresses of an IPv6 range are handed out, nor searched.
const ADDRESSES_MAX: u128 = 1 << 32;

/// Why a value cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nothing is free.
    #[error("range is full")]
    Full,
    /// Another service has it.
    #[error("provided IP is already allocated")]
    AddressTaken,
    /// Another service has it.
    #[error("provided port is already allocated")]
    PortTaken,
    /// The network's own address, or the broadcast address.
    #[error("the provided IP ({0}) is not in the valid range. The range of valid IPs is {1}")]
    AddressReserved(IpAddr, String),
    /// It is in no range of services.
    #[error("the provided network does not match the current range")]
    AddressForeign,
    /// It is no node port.
    #[error("provided port is not in the valid range. The range of valid ports is 30000-32767")]
    PortForeign,
}

/// The addresses of one IP family that services get (`--service-cluster-ip-range`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressRange {
    base: u128,
    bits: u32,
    is_v6: bool,
}

impl AddressRange {
    /// Reads `10.0.0.0/24` or `fd00::/108`. `None` where the text is no range, or one with no address to give.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.trim().split_once('/')?;
        let bits: u32 = bits.parse().ok()?;
        let (number, width, is_v6) = match address.parse().ok()? {
            IpAddr::V4(v4) => (u128::from(u32::from(v4)), 32, false),
            IpAddr::V6(v6) => (u128::from(v6), 128, true),
        };
        let free = u32::checked_sub(width, bits)?;
        let mask = u128::MAX.checked_shl(free).unwrap_or(0);
        let range = Self { base: number & mask, bits, is_v6 };
        (range.first() <= range.last()).then_some(range)
    }

    /// `IPv4` or `IPv6`.
    pub fn family(&self) -> &'static str {
        if self.is_v6 { "IPv6" } else { "IPv4" }
    }

    /// Whether the address lies in the range's network.
    pub fn contains(&self, address: IpAddr) -> bool {
        let (number, is_v6) = number(address);
        is_v6 == self.is_v6 && number >= self.base && number - self.base < self.size()
    }

    /// The first address that a service may have, which is that of the `kubernetes` service.
    pub fn first_address(&self) -> IpAddr {
        self.address(self.first())
    }

    /// Whether the address may be a service's that asks for it.
    pub fn judge(&self, address: IpAddr, is_taken: impl Fn(IpAddr) -> bool) -> Result<(), Refusal> {
        if !self.contains(address) {
            return Err(Refusal::AddressForeign);
        }
        let (number, _) = number(address);
        if number < self.first() || number > self.last() {
            let network = self.address(self.base);
            return Err(Refusal::AddressReserved(address, format!("{network}/{}", self.bits)));
        }
        if is_taken(address) { Err(Refusal::AddressTaken) } else { Ok(()) }
    }

    /// A free address. The lower part of the range is left to those who ask for addresses by name, as long as the upper lasts.
    pub fn next(&self, random: u64, is_taken: impl Fn(IpAddr) -> bool) -> Result<IpAddr, Refusal> {
        let (first, count) = (self.first(), self.last() - self.first() + 1);
        let reserved = reserved(count, 16, 16, 256);
        let free = |at: u128| !is_taken(self.address(first + at));
        let found = search(reserved..count, random, free).or_else(|| search(0..reserved, random, free));
        found.map(|at| self.address(first + at)).ok_or(Refusal::Full)
    }

    fn size(&self) -> u128 {
        let width = if self.is_v6 { 128 } else { 32 };
        1_u128.checked_shl(width - self.bits).unwrap_or(ADDRESSES_MAX).min(ADDRESSES_MAX)
    }

    /// The network's own address is nobody's.
    fn first(&self) -> u128 {
        self.base + 1
    }

    /// In IPv4 the last address is for broadcasts.
    fn last(&self) -> u128 {
        let last = self.base + (self.size() - 1);
        if self.is_v6 { last } else { last - 1 }
    }

    fn address(&self, number: u128) -> IpAddr {
        match u32::try_from(number) {
            Ok(v4) if !self.is_v6 => Ipv4Addr::from(v4).into(),
            _ => Ipv6Addr::from(number).into(),
        }
    }
}

/// Whether the port may be a service's that asks for it.
pub fn judge_port(port: i64, is_taken: impl Fn(u16) -> bool) -> Result<u16, Refusal> {
    let port = u16::try_from(port).ok().filter(|port| NODE_PORTS.contains(port)).ok_or(Refusal::PortForeign)?;
    if is_taken(port) { Err(Refusal::PortTaken) } else { Ok(port) }
}

/// A free node port; the lower part of the range is spared like that of addresses.
pub fn next_port(random: u64, is_taken: impl Fn(u16) -> bool) -> Result<u16, Refusal> {
    let count = u128::from(NODE_PORTS.end() - NODE_PORTS.start()) + 1;
    let reserved = reserved(count, 32, 16, 128);
    let port = |at: u128| u16::try_from(at + u128::from(*NODE_PORTS.start())).unwrap_or(*NODE_PORTS.end());
    let free = |at: u128| !is_taken(port(at));
    let found = search(reserved..count, random, free).or_else(|| search(0..reserved, random, free));
    found.map(port).ok_or(Refusal::Full)
}

/// How many values at the beginning of a pool are spared: a share of them, within bounds; none of a small pool.
fn reserved(count: u128, share: u128, least: u128, most: u128) -> u128 {
    if count <= least { 0 } else { (count / share).clamp(least, most) }
}

/// The first free position, from a random one on and around.
fn search(positions: std::ops::Range<u128>, random: u64, free: impl Fn(u128) -> bool) -> Option<u128> {
    let count = positions.end.saturating_sub(positions.start);
    let begin = positions.start + u128::from(random).checked_rem(count)?;
    (begin..positions.end).chain(positions.start..begin).find(|at| free(*at))
}

fn number(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(v4) => (u128::from(u32::from(v4)), false),
        IpAddr::V6(v6) => (u128::from(v6), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn networks_are_read_and_their_edges_are_nobodys() {
        let range = AddressRange::parse("10.0.0.7/24").unwrap();
        assert_eq!(range.first_address(), ip("10.0.0.1"));
        let judge = |text: &str| range.judge(ip(text), |taken| taken == ip("10.0.0.9"));
        assert_eq!(judge("10.0.0.254"), Ok(()));
        assert_eq!(judge("10.0.0.9"), Err(Refusal::AddressTaken));
        assert_eq!(judge("10.0.1.1"), Err(Refusal::AddressForeign));
        let text = "the provided IP (10.0.0.255) is not in the valid range. The range of valid IPs is 10.0.0.0/24";
        assert_eq!(judge("10.0.0.255").unwrap_err().to_string(), text);
        assert_eq!(AddressRange::parse("fd00::/108").unwrap().first_address(), ip("fd00::1"));
        for bad in ["10.0.0.0", "10.0.0.0/33", "10.0.0.0/32", "x/8", ""] {
            assert_eq!(AddressRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn every_address_is_given_once_and_the_lower_ones_last() {
        let range = AddressRange::parse("10.0.0.0/24").unwrap();
        let mut taken = std::collections::HashSet::new();
        for random in 0..254 {
            let address = range.next(random * 7919, |a| taken.contains(&a)).unwrap();
            assert!(range.judge(address, |a| taken.contains(&a)).is_ok());
            let is_low = address <= ip("10.0.0.16");
            assert_eq!(is_low, taken.len() >= 254 - 16, "{address} after {}", taken.len());
            taken.insert(address);
        }
        assert_eq!(range.next(0, |a| taken.contains(&a)), Err(Refusal::Full));
    }

    #[test]
    fn ports_come_from_their_range() {
        assert_eq!(judge_port(30_080, |p| p == 30_080), Err(Refusal::PortTaken));
        assert_eq!(judge_port(80, |_| false), Err(Refusal::PortForeign));
        assert_eq!(next_port(0, |p| p != 30_005), Ok(30_005));
        assert_eq!(next_port(7, |_| true), Err(Refusal::Full));
        assert!(next_port(u64::MAX, |_| false).unwrap() >= 30_086);
    }
}
