//! Whether a member may show its certificate from where it connects: etcd's check of the names in it.

use std::net::IpAddr;

use rustls::pki_types::CertificateDer;
use tokio::net::lookup_host;

use crate::tls::{Residence, residence};

/// Judges a certificate that is shown from `address`. Names are looked up, unless they stand for many.
pub async fn fits(certificate: &CertificateDer<'_>, address: IpAddr) -> bool {
    match residence(certificate, address.to_canonical()) {
        Residence::Fits => true,
        Residence::Elsewhere => false,
        Residence::OneOf(hosts) => {
            for host in hosts.iter().filter(|host| !host.starts_with("*.")) {
                let found = lookup_host((host.as_str(), 0)).await;
                if found.is_ok_and(|mut found| found.any(|found| found.ip().to_canonical() == address.to_canonical())) {
                    return true;
                }
            }
            false
        }
    }
}
