//! One service's allocation. The lock on the claims is taken when the first value is needed, so that most updates never do.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::claims::Claims;
use super::range::{self, AddressRange, Refusal};
use super::{Hold, fields};
use crate::error::{Qualified, Status};
use crate::object::meta;
use crate::storage::ListOptions;
use crate::validation;
use crate::validation::field::{Error, Errors, Path};
use crate::verbs::Request;
use crate::verbs::options::causes;
use crate::verbs::write::storage_status;

type Spec = Map<String, Value>;

/// Settles the linked fields of a new or changed service and gives it what it lacks.
pub async fn run(request: &Request<'_>, service: &mut Value, live: Option<&Value>) -> Result<Hold, Status> {
    if request.subresource.is_some() {
        return Ok(None);
    }
    let name = meta::name(service).to_owned();
    let old = live.and_then(|live| live["spec"].as_object());
    let Some(spec) = service["spec"].as_object_mut() else { return Ok(None) };
    match old {
        None => fields::normalize_new(spec),
        Some(old) => {
            fields::keep_allocated(spec, old);
            fields::normalize_changed(spec, old);
        }
    }
    let related = |spec: &Spec| validation::service_addresses(spec, old);
    let settled = fields::settle_families(spec, old, &request.api.services.ranges, related);
    settled.map_err(|errors| invalid(&name, &errors))?;
    let dry_run = request.query.get("dryRun").is_some();
    let mut allocation = Allocation { request, name, hold: None, dry_run, ports: Vec::new() };
    match old {
        None => allocation.create(spec).await?,
        Some(old) => allocation.update(spec, old).await?,
    }
    Ok(allocation.hold)
}

fn invalid(name: &str, errors: &Errors) -> Status {
    Status::invalid(Qualified { group: "", name: "Service" }, name, causes(errors))
}

struct Allocation<'a> {
    request: &'a Request<'a>,
    name: String,
    hold: Hold,
    /// Nothing is stored, so nothing can be given twice: a named value need not be free, nor a port one of the range.
    dry_run: bool,
    /// Ports that this allocation has given already.
    ports: Vec<u16>,
}

impl Allocation<'_> {
    async fn create(&mut self, spec: &mut Spec) -> Result<(), Status> {
        self.all_addresses(spec).await?;
        if fields::has_node_ports(spec) {
            self.new_ports(spec).await?;
        }
        if fields::needs_health_check(spec) { self.health_check_port(spec).await } else { Ok(()) }
    }

    async fn update(&mut self, spec: &mut Spec, old: &Spec) -> Result<(), Status> {
        if !fields::keeps_preference(spec, old) {
            self.changed_addresses(spec, old).await?;
        }
        if fields::has_node_ports(spec) {
            self.changed_ports(spec, old).await?;
        }
        if fields::needs_health_check(spec) && !fields::needs_health_check(old) {
            self.health_check_port(spec).await?;
        }
        Ok(())
    }

    async fn changed_addresses(&mut self, spec: &mut Spec, old: &Spec) -> Result<(), Status> {
        if !fields::needs_cluster_ip(old) {
            return self.all_addresses(spec).await;
        }
        let families = fields::texts(spec, "ipFamilies");
        let upgraded = fields::list(old, "ipFamilies").len() == 1 && families.len() == 2;
        if fields::is_headless(old) || !fields::needs_cluster_ip(spec) || !upgraded {
            return Ok(());
        }
        let mut ips = fields::texts(spec, "clusterIPs");
        ips.resize(2, String::new());
        if let (Some(family), Some(ip)) = (families.get(1), ips.get(1).cloned()) {
            let given = self.address(family, &ip, &ips).await?;
            ips.truncate(1);
            ips.push(given);
        }
        spec.insert("clusterIPs".to_owned(), ips.into());
        Ok(())
    }

    /// One address for each family, those that the service names included.
    async fn all_addresses(&mut self, spec: &mut Spec) -> Result<(), Status> {
        if !fields::needs_cluster_ip(spec) || fields::is_headless(spec) {
            return Ok(());
        }
        let families = fields::texts(spec, "ipFamilies");
        let mut ips = fields::texts(spec, "clusterIPs");
        ips.resize(ips.len().max(families.len()), String::new());
        for (i, family) in families.iter().enumerate() {
            let wanted = ips.get(i).cloned().unwrap_or_default();
            let given = self.address(family, &wanted, &ips).await?;
            if let Some(ip) = ips.get_mut(i) {
                *ip = given;
            }
        }
        if let Some(first) = ips.first() {
            spec.insert("clusterIP".to_owned(), first.as_str().into());
        }
        spec.insert("clusterIPs".to_owned(), ips.into());
        Ok(())
    }

    /// The address that is wanted, or any of the family where none is.
    async fn address(&mut self, family: &str, wanted: &str, ips: &[String]) -> Result<String, Status> {
        let ranges = &self.request.api.services.ranges;
        let range: Option<&AddressRange> = ranges.iter().find(|range| range.family() == family);
        let (name, dry_run) = (self.name.clone(), self.dry_run);
        let claims = self.claims().await?;
        let is_taken = |ip: IpAddr| claims.has_address(ip);
        let refuse = |why: String| {
            let path = Path::new("spec").child("clusterIPs");
            invalid(&name, &vec![Error::invalid(&path, Value::from(ips.to_vec()), why)])
        };
        let range = range.ok_or_else(|| refuse(format!("failed to allocate IP: {}", Refusal::AddressForeign)))?;
        if wanted.is_empty() {
            return match range.next(rand::random(), is_taken) {
                Ok(ip) => Ok(ip.to_string()),
                Err(why) => {
                    Err(Status::internal(format_args!("failed to allocate a serviceIP for Service {name:?}: {why}")))
                }
            };
        }
        let ip = validation::addresses::parse_sloppy(wanted);
        let ip = ip.ok_or_else(|| Status::internal(format_args!("failed to parse service IP {wanted:?}")))?;
        match range.judge(ip, |ip| is_taken(ip) && !dry_run) {
            Ok(()) => Ok(wanted.to_owned()),
            Err(why) => Err(refuse(format!("failed to allocate IP {wanted}: {why}"))),
        }
    }

    /// Ports with one number share a node port, whatever their protocols.
    async fn new_ports(&mut self, spec: &mut Spec) -> Result<(), Status> {
        let wants = fields::wants_node_ports(spec);
        let mut ports = fields::list(spec, "ports").to_vec();
        let mut given: HashMap<i64, i64> = HashMap::new();
        for i in 0..ports.len() {
            let Some(port) = ports.get(i) else { break };
            let (number, wanted) = (port["port"].as_i64().unwrap_or_default(), fields::node_port(port));
            if wanted == 0 && !wants {
                continue;
            }
            let node_port = match given.get(&number) {
                Some(shared) if wanted == 0 || wanted == *shared => *shared,
                Some(_) => self.port(i, wanted).await?,
                None => {
                    let same = |p: &&Value| p["port"].as_i64() == Some(number) && fields::node_port(p) != 0;
                    let named = ports.iter().find(same).map(fields::node_port).unwrap_or_default();
                    let node_port = self.port(i, named).await?;
                    given.insert(number, node_port);
                    node_port
                }
            };
            if let Some(port) = ports.get_mut(i) {
                port["nodePort"] = node_port.into();
            }
        }
        spec.insert("ports".to_owned(), ports.into());
        Ok(())
    }

    async fn changed_ports(&mut self, spec: &mut Spec, old: &Spec) -> Result<(), Status> {
        let wants = fields::wants_node_ports(spec);
        let before: Vec<i64> = fields::list(old, "ports").iter().map(fields::node_port).collect();
        let mut ports = fields::list(spec, "ports").to_vec();
        let mut seen: Vec<(String, i64)> = Vec::new();
        for (i, port) in ports.iter_mut().enumerate() {
            let wanted = fields::node_port(port);
            if wanted == 0 && !wants {
                continue;
            }
            let ours = u16::try_from(wanted).is_ok_and(|wanted| self.ports.contains(&wanted));
            let node_port =
                if wanted != 0 && (before.contains(&wanted) || ours) { wanted } else { self.port(i, wanted).await? };
            port["nodePort"] = node_port.into();
            let key = (port["protocol"].as_str().unwrap_or_default().to_owned(), node_port);
            if seen.contains(&key) {
                return Err(Status::plain(format!("duplicate nodePort: {{{} {}}}", key.0, key.1)));
            }
            seen.push(key);
        }
        spec.insert("ports".to_owned(), ports.into());
        Ok(())
    }

    /// The node port that is wanted for port number `index`, or any where that is 0.
    async fn port(&mut self, index: usize, wanted: i64) -> Result<i64, Status> {
        self.any_port(wanted).await?.map_err(|why| match wanted {
            0 => Status::internal(format_args!("failed to allocate a nodePort: {why}")),
            wanted => {
                let path = Path::new("spec").child("ports").index(index).child("nodePort");
                invalid(&self.name, &vec![Error::invalid(&path, wanted, why.to_string())])
            }
        })
    }

    async fn health_check_port(&mut self, spec: &mut Spec) -> Result<(), Status> {
        let wanted = spec.get("healthCheckNodePort").and_then(Value::as_i64).unwrap_or_default();
        let port = self.any_port(wanted).await?.map_err(|why| {
            let what = if wanted == 0 { "a HealthCheck NodePort" } else { "requested HealthCheck NodePort" };
            Status::internal(format_args!("failed to allocate {what} {wanted}: {why}"))
        })?;
        spec.insert("healthCheckNodePort".to_owned(), port.into());
        Ok(())
    }

    async fn any_port(&mut self, wanted: i64) -> Result<Result<i64, Refusal>, Status> {
        let (ours, dry_run) = (self.ports.clone(), self.dry_run);
        let claims = self.claims().await?;
        let is_taken = |port: u16| claims.has_port(port) || ours.contains(&port);
        let port = match wanted {
            0 => range::next_port(rand::random(), is_taken),
            wanted if dry_run && range::judge_port(wanted, |_| false).is_err() => return Ok(Ok(wanted)),
            wanted => range::judge_port(wanted, is_taken),
        };
        Ok(port.map(|port| {
            self.ports.push(port);
            i64::from(port)
        }))
    }

    /// What is taken, as it is stored now. Nobody else can allocate from here on until the hold is dropped.
    async fn claims(&mut self) -> Result<&Claims, Status> {
        if self.hold.is_none() {
            let request = self.request;
            let mut claims = Arc::clone(&request.api.services.claims).lock_owned().await;
            let services = request.resource()?;
            let all = services.collection.list(&ListOptions::default()).await;
            let all = all.map_err(|error| storage_status(request, error))?;
            claims.refresh(&all.items, |entry| services.object(entry))?;
            self.hold = Some(claims);
        }
        self.hold.as_deref().ok_or_else(|| Status::internal("the lock on the claims is gone"))
    }
}
