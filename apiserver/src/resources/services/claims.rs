//! What services hold of the pools, read off the stored services themselves: nothing else can disagree with them, nothing is lost by a
//! crash, and what a service gives up is free at once.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::error::Status;
use crate::storage::Entry;

/// What one service holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// Its cluster addresses.
    pub addresses: Vec<IpAddr>,
    /// Its node ports, that of its health check among them.
    pub ports: Vec<u16>,
}

impl Claim {
    /// What the service holds.
    pub fn of(service: &Value) -> Self {
        let spec = &service["spec"];
        let list = |field: &str| spec[field].as_array().map(Vec::as_slice).unwrap_or_default();
        let port = |value: &Value| value.as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        let addresses = list("clusterIPs").iter().filter_map(Value::as_str).filter_map(|ip| ip.parse().ok());
        let ports = list("ports").iter().map(|p| &p["nodePort"]).chain([&spec["healthCheckNodePort"]]);
        Self { addresses: addresses.collect(), ports: ports.filter_map(port).collect() }
    }
}

/// What all services hold. An entry that has not changed is not read again.
#[derive(Debug, Default)]
pub struct Claims {
    by_key: HashMap<Bytes, (i64, Claim)>,
    addresses: HashMap<IpAddr, usize>,
    ports: HashMap<u16, usize>,
}

impl Claims {
    /// Takes over the state of `entries`, which are all services; `read` decodes one.
    pub fn refresh(
        &mut self,
        entries: &[Arc<Entry>],
        read: impl Fn(&Entry) -> Result<Value, Status>,
    ) -> Result<(), Status> {
        let mut gone = std::mem::take(&mut self.by_key);
        for entry in entries {
            let claim = match gone.remove(&entry.key) {
                Some((revision, claim)) if revision == entry.revision => claim,
                known => {
                    let claim = Claim::of(&read(entry)?);
                    self.count(&claim);
                    if let Some((_, before)) = known {
                        self.release(&before);
                    }
                    claim
                }
            };
            self.by_key.insert(entry.key.clone(), (entry.revision, claim));
        }
        for (_, claim) in gone.into_values() {
            self.release(&claim);
        }
        Ok(())
    }

    /// Whether a service holds the address.
    pub fn has_address(&self, address: IpAddr) -> bool {
        self.addresses.contains_key(&address)
    }

    /// Whether a service holds the port.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.contains_key(&port)
    }

    fn count(&mut self, claim: &Claim) {
        claim.addresses.iter().for_each(|a| *self.addresses.entry(*a).or_default() += 1);
        claim.ports.iter().for_each(|p| *self.ports.entry(*p).or_default() += 1);
    }

    fn release(&mut self, claim: &Claim) {
        claim.addresses.iter().for_each(|a| drop_one(&mut self.addresses, a));
        claim.ports.iter().for_each(|p| drop_one(&mut self.ports, p));
    }
}

fn drop_one<K: std::hash::Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::storage::Attributes;

    fn entry(key: &'static str, revision: i64, service: &Value) -> Arc<Entry> {
        let (key, stored) = (Bytes::from(key), Bytes::from(service.to_string()));
        Arc::new(Entry::new(key, stored, revision, Arc::new(Attributes::default())))
    }

    fn read(entry: &Entry) -> Result<Value, Status> {
        serde_json::from_slice(&entry.stored).map_err(Status::internal)
    }

    #[test]
    fn claims_follow_what_is_stored() {
        let service = |ip: &str, port: u16| json!({"spec": {"clusterIPs": [ip], "ports": [{"nodePort": port}]}});
        let (a, b) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        let mut claims = Claims::default();
        let one = entry("one", 1, &service("10.0.0.1", 30_001));
        claims.refresh(&[one.clone(), entry("two", 2, &service("None", 30_001))], read).unwrap();
        assert!(claims.has_address(a) && claims.has_port(30_001) && !claims.has_address(b));
        claims.refresh(&[one, entry("two", 3, &service("10.0.0.2", 0))], read).unwrap();
        assert!(claims.has_address(b) && claims.has_port(30_001));
        claims.refresh(&[entry("two", 3, &json!({}))], read).unwrap();
        assert!(!claims.has_address(a) && claims.has_address(b) && !claims.has_port(30_001));
    }
}
