//! IP addresses and ranges.
//!
//! Upstream: `apimachinery/pkg/util/validation/ip.go`.

use std::net::{IpAddr, Ipv4Addr};

use super::field::Errors;
use super::node::Node;

/// Reads an address as Kubernetes always has: leading zeros of IPv4 numbers are decimal.
pub fn parse_sloppy(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        if text.contains('.') {
            let (head, tail) = text.rsplit_once(':')?;
            let tail = parse_sloppy_v4(tail)?;
            return format!("{head}:{tail}").parse().ok();
        }
        return text.parse().ok();
    }
    parse_sloppy_v4(text).map(IpAddr::V4)
}

fn parse_sloppy_v4(text: &str) -> Option<Ipv4Addr> {
    let mut numbers = [0u8; 4];
    let mut parts = text.split('.');
    for number in &mut numbers {
        let part = parts.next()?;
        if part.is_empty() || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let significant = part.trim_start_matches('0');
        *number = if significant.is_empty() { 0 } else { significant.parse().ok()? };
    }
    parts.next().is_none().then(|| Ipv4Addr::from(numbers))
}

fn is_mapped(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// Judges an address in a field older than the strict rules: zeros and IPv4 in IPv6 are refused, other spellings are not.
pub fn legacy_ip(node: &Node<'_>, errors: &mut Errors) {
    let text = node.str();
    match parse_sloppy(text) {
        None => errors.push(node.invalid_text("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)")),
        Some(address) => {
            if text.parse::<IpAddr>().is_err() {
                errors.push(node.invalid_text("must not have leading 0s"));
            } else if is_mapped(&address) {
                errors.push(node.invalid_text("must not be an IPv4-mapped IPv6 address"));
            }
        }
    }
}

/// Judges an address in a newer field: the one canonical spelling is allowed.
pub fn ip(node: &Node<'_>, errors: &mut Errors) {
    let before = errors.len();
    legacy_ip(node, errors);
    if errors.len() == before
        && let Some(address) = parse_sloppy(node.str())
    {
        let canonical = address.to_string();
        if canonical != node.str() {
            errors.push(node.invalid_text(format!("must be in canonical form (\"{canonical}\")")));
        }
    }
}

/// Reads a range of addresses; the address may have bits beyond the prefix.
pub fn parse_cidr(text: &str) -> Option<(IpAddr, u8)> {
    let (address, bits) = text.split_once('/')?;
    let address = parse_sloppy(address)?;
    let max = if address.is_ipv4() { 32 } else { 128 };
    if bits.is_empty() || !bits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    bits.parse().ok().filter(|bits| *bits <= max).map(|bits| (address, bits))
}

/// The first address of a range.
pub fn network(address: IpAddr, bits: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let mask = u32::MAX.checked_shl(u32::from(32 - bits.min(32))).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX.checked_shl(u32::from(128 - bits.min(128))).unwrap_or(0);
            IpAddr::V6((u128::from(v6) & mask).into())
        }
    }
}

const CIDR: &str = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

/// Judges a range in a field older than the strict rules.
pub fn legacy_cidr(node: &Node<'_>, errors: &mut Errors) {
    let Some((address, bits)) = parse_cidr(node.str()) else {
        errors.push(node.invalid_text(CIDR));
        return;
    };
    let (text, bits_text) = node.str().split_once('/').unwrap_or_default();
    if text.parse::<IpAddr>().is_err() || bits_text.len() > 1 && bits_text.starts_with('0') {
        errors.push(node.invalid_text("must not have leading 0s in IP or prefix length"));
    } else if is_mapped(&address) {
        errors.push(node.invalid_text("must not have an IPv4-mapped IPv6 address"));
    } else if network(address, bits) != address {
        errors.push(node.invalid_text("must not have bits set beyond the prefix length"));
    }
}

/// Judges a range in a newer field: the one canonical spelling is allowed.
pub fn cidr(node: &Node<'_>, errors: &mut Errors) {
    let before = errors.len();
    legacy_cidr(node, errors);
    if errors.len() == before
        && let Some((address, bits)) = parse_cidr(node.str())
    {
        let canonical = format!("{}/{bits}", network(address, bits));
        if canonical != node.str() {
            errors.push(node.invalid_text(format!("must be in canonical form (\"{canonical}\")")));
        }
    }
}
