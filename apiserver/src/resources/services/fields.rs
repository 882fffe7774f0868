//! The fields of a service that depend on each other: what a client means by giving some of them, and what a change of type clears.
//!
//! Upstream: `pkg/registry/core/service/{strategy.go,storage/storage.go,storage/alloc.go}`. All of it is pure.

use serde_json::{Map, Value};

use super::range::AddressRange;
use crate::validation::field::{Error, Errors, Path};

type Spec = Map<String, Value>;

/// The text in a field; empty where absent.
pub fn text<'a>(spec: &'a Spec, field: &str) -> &'a str {
    spec.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// The texts of a list.
pub fn texts(spec: &Spec, field: &str) -> Vec<String> {
    list(spec, field).iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// The items of a list.
pub fn list<'a>(spec: &'a Spec, field: &str) -> &'a [Value] {
    spec.get(field).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// Sets a field to the value, or removes it where that is null.
fn put(spec: &mut Spec, field: &str, value: Option<Value>) {
    match value {
        Some(value) => spec.insert(field.to_owned(), value),
        None => spec.remove(field),
    };
}

fn number(spec: &Spec, field: &str) -> i64 {
    spec.get(field).and_then(Value::as_i64).unwrap_or_default()
}

/// The port's node port; 0 where it has none.
pub fn node_port(port: &Value) -> i64 {
    port["nodePort"].as_i64().unwrap_or_default()
}

/// Whether the service has addresses of its own, or says that it wants none.
pub fn needs_cluster_ip(spec: &Spec) -> bool {
    text(spec, "type") != "ExternalName"
}

/// Whether the service says that it wants no addresses.
pub fn is_headless(spec: &Spec) -> bool {
    list(spec, "clusterIPs").first().is_some_and(|ip| ip == "None")
}

/// Whether the service's type has node ports.
pub fn has_node_ports(spec: &Spec) -> bool {
    matches!(text(spec, "type"), "NodePort" | "LoadBalancer")
}

/// Whether node ports that nobody asked for are given.
pub fn wants_node_ports(spec: &Spec) -> bool {
    match text(spec, "type") {
        "NodePort" => true,
        "LoadBalancer" => spec.get("allocateLoadBalancerNodePorts") != Some(&Value::Bool(false)),
        _ => false,
    }
}

/// Whether load balancers ask the nodes which of them have pods.
pub fn needs_health_check(spec: &Spec) -> bool {
    text(spec, "type") == "LoadBalancer" && text(spec, "externalTrafficPolicy") == "Local"
}

fn is_accessible(spec: &Spec) -> bool {
    has_node_ports(spec) || (text(spec, "type") == "ClusterIP" && !list(spec, "externalIPs").is_empty())
}

/// Brings `clusterIP` and `clusterIPs` of a new service together.
pub fn normalize_new(spec: &mut Spec) {
    let ip = text(spec, "clusterIP");
    if !ip.is_empty() && list(spec, "clusterIPs").is_empty() {
        let ips = vec![Value::from(ip)];
        put(spec, "clusterIPs", Some(ips.into()));
    }
}

/// Brings `clusterIP` and `clusterIPs` of a changed service together: an old client knows only the first.
pub fn normalize_changed(spec: &mut Spec, old: &Spec) {
    let (ip, old_ip) = (text(spec, "clusterIP").to_owned(), text(old, "clusterIP"));
    if list(spec, "clusterIPs").is_empty() && ip == old_ip {
        put(spec, "clusterIPs", old.get("clusterIPs").cloned());
    }
    if ip != old_ip && list(spec, "clusterIPs") == list(old, "clusterIPs") {
        let cleared = !old_ip.is_empty() && ip.is_empty();
        put(spec, "clusterIPs", (!cleared).then(|| vec![Value::from(ip)].into()));
    }
}

/// Fills in what was allocated before, so that a client may send again what it sent first.
pub fn keep_allocated(spec: &mut Spec, old: &Spec) {
    if needs_cluster_ip(old) && needs_cluster_ip(spec) {
        if text(spec, "clusterIP").is_empty() {
            put(spec, "clusterIP", old.get("clusterIP").cloned());
        }
        if list(spec, "clusterIPs").is_empty() {
            put(spec, "clusterIPs", old.get("clusterIPs").cloned());
        }
    }
    if has_node_ports(old) && has_node_ports(spec) {
        keep_node_ports(spec, list(old, "ports"));
    }
    if needs_health_check(old) && needs_health_check(spec) && number(spec, "healthCheckNodePort") == 0 {
        put(spec, "healthCheckNodePort", old.get("healthCheckNodePort").cloned());
    }
}

fn keep_node_ports(spec: &mut Spec, old: &[Value]) {
    let Some(ports) = spec.get_mut("ports").and_then(Value::as_array_mut) else { return };
    let used: Vec<i64> = ports.iter().map(node_port).filter(|p| *p != 0).collect();
    for port in ports.iter_mut().filter(|p| node_port(p) == 0) {
        let same_name =
            |o: &&Value| o["name"].as_str().unwrap_or_default() == port["name"].as_str().unwrap_or_default();
        let before = old.iter().rfind(same_name).map(node_port).unwrap_or_default();
        if before != 0 && !used.contains(&before) {
            port["nodePort"] = before.into();
        }
    }
}

/// Clears what a service's new type does not have, as long as the client has not changed it too.
pub fn drop_type_dependent(spec: &mut Spec, old: &Spec) {
    let same = |spec: &Spec, field: &str| spec.get(field) == old.get(field);
    if needs_cluster_ip(old) && !needs_cluster_ip(spec) {
        if same(spec, "clusterIP") && same(spec, "clusterIPs") {
            spec.remove("clusterIP");
            spec.remove("clusterIPs");
        }
        for field in ["ipFamilies", "ipFamilyPolicy"] {
            if same(spec, field) {
                spec.remove(field);
            }
        }
    }
    if has_node_ports(old) && !has_node_ports(spec) {
        let before: Vec<i64> = list(old, "ports").iter().map(node_port).collect();
        let mut ports = list(spec, "ports").to_vec();
        if ports.iter().map(node_port).all(|port| port == 0 || before.contains(&port)) {
            for port in ports.iter_mut().filter_map(Value::as_object_mut) {
                port.remove("nodePort");
            }
            if !ports.is_empty() {
                put(spec, "ports", Some(ports.into()));
            }
        }
    }
    if needs_health_check(old) && !needs_health_check(spec) && same(spec, "healthCheckNodePort") {
        spec.remove("healthCheckNodePort");
    }
    let balanced = |spec: &Spec| text(spec, "type") == "LoadBalancer";
    if balanced(old) && !balanced(spec) {
        for field in ["allocateLoadBalancerNodePorts", "loadBalancerClass"] {
            if same(spec, field) {
                spec.remove(field);
            }
        }
    }
    if is_accessible(old) && !is_accessible(spec) && same(spec, "externalTrafficPolicy") {
        spec.remove("externalTrafficPolicy");
    }
}

/// Whether both ask for two families where there are two, with the same addresses: a change of the cluster does not change them.
pub fn keeps_preference(spec: &Spec, old: &Spec) -> bool {
    let prefers = |spec: &Spec| text(spec, "ipFamilyPolicy") == "PreferDualStack";
    text(spec, "type") == text(old, "type")
        && needs_cluster_ip(spec)
        && prefers(spec)
        && (prefers(old) || text(old, "ipFamilyPolicy").is_empty())
        && ["clusterIPs", "ipFamilies"].iter().all(|field| list(spec, field) == list(old, field))
}

/// Settles policy and families of a service from what it says, what it was, and the ranges of the cluster, the default family's
/// first. `related` are the rules that fields in themselves must keep.
pub fn settle_families(
    spec: &mut Spec,
    old: Option<&Spec>,
    ranges: &[AddressRange],
    related: impl Fn(&Spec) -> Errors,
) -> Result<(), Errors> {
    if !needs_cluster_ip(spec) || old.is_some_and(|old| keeps_preference(spec, old)) {
        return Ok(());
    }
    let selectorless_headless =
        text(spec, "clusterIP") == "None" && spec.get("selector").and_then(Value::as_object).is_none_or(Map::is_empty);
    if text(spec, "ipFamilyPolicy").is_empty() {
        let before = old.map(|old| text(old, "ipFamilyPolicy")).filter(|policy| !policy.is_empty());
        let default = if selectorless_headless { "RequireDualStack" } else { "SingleStack" };
        put(spec, "ipFamilyPolicy", Some(before.unwrap_or(default).into()));
    }
    refuse_if(related(spec))?;
    let policy = text(spec, "ipFamilyPolicy").to_owned();
    let mut errors = Errors::new();
    if let Some(old) = old {
        shrink(spec, old, &policy, &mut errors);
    }
    let path = Path::new("spec");
    if policy == "SingleStack" {
        for (field, what) in [("clusterIPs", "cluster IPs"), ("ipFamilies", "IP families")] {
            if list(spec, field).len() == 2 {
                let why = format!("must be 'RequireDualStack' or 'PreferDualStack' when multiple {what} are specified");
                errors.push(Error::invalid(&path.child("ipFamilyPolicy"), policy.as_str(), why));
            }
        }
    }
    infer_families(spec, ranges, &mut errors);
    refuse_if(errors)?;
    let mut families = texts(spec, "ipFamilies");
    if selectorless_headless {
        // Whoever makes the endpoints may use a family that services cannot have addresses of.
        if families.is_empty() {
            families.extend(default_family(ranges));
        }
        if policy != "SingleStack" {
            add_other(&mut families);
        }
        put(spec, "ipFamilies", Some(families.into()));
        return Ok(());
    }
    let mut errors = Errors::new();
    if policy == "RequireDualStack" && ranges.len() < 2 {
        let why = "this cluster is not configured for dual-stack services";
        errors.push(Error::invalid(&path.child("ipFamilyPolicy"), policy.as_str(), why));
    }
    for (i, family) in families.iter().enumerate() {
        if !ranges.iter().any(|range| range.family() == family) {
            let why = "not configured on this cluster";
            errors.push(Error::invalid(&path.child("ipFamilies").index(i), family, why));
        }
    }
    refuse_if(errors)?;
    if families.is_empty() {
        families.extend(default_family(ranges));
    }
    if policy != "SingleStack" && ranges.len() == 2 {
        add_other(&mut families);
    }
    put(spec, "ipFamilies", Some(families.into()));
    Ok(())
}

fn refuse_if(errors: Errors) -> Result<(), Errors> {
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

fn default_family(ranges: &[AddressRange]) -> Option<String> {
    ranges.first().map(|range| range.family().to_owned())
}

fn add_other(families: &mut Vec<String>) {
    let other = match families.as_slice() {
        [one] if one == "IPv4" => "IPv6",
        [_] => "IPv4",
        _ => return,
    };
    families.push(other.to_owned());
}

/// A service that becomes single-stack gives up its second address; no other may lose one.
fn shrink(spec: &mut Spec, old: &Spec, policy: &str, errors: &mut Errors) {
    for (field, what) in [("clusterIPs", "cluster IP"), ("ipFamilies", "IP family")] {
        let (items, before) = (list(spec, field), list(old, field));
        if policy == "SingleStack" {
            if items == before && items.len() > 1 {
                let first = items.first().cloned();
                put(spec, field, Some(first.into_iter().collect()));
            }
        } else if !items.is_empty() && items.len() < before.len() {
            let path = Path::new("spec").child("ipFamilyPolicy");
            let why = format!("must be 'SingleStack' to release the secondary {what}");
            errors.push(Error::invalid(&path, policy, why));
        }
    }
}

/// Adds the families of addresses that come without.
fn infer_families(spec: &mut Spec, ranges: &[AddressRange], errors: &mut Errors) {
    let (ips, mut families) = (texts(spec, "clusterIPs"), texts(spec, "ipFamilies"));
    for (i, ip) in ips.iter().enumerate().take_while(|(_, ip)| *ip != "None") {
        if i < families.len() {
            continue;
        }
        let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
        if ranges.iter().any(|range| range.family() == family) {
            families.push(family.to_owned());
        } else {
            let path = Path::new("spec").child("clusterIPs").index(i);
            let why = format!("{family} is not configured on this cluster");
            errors.push(Error::invalid(&path, Value::from(ips.clone()), why));
        }
    }
    if !families.is_empty() {
        put(spec, "ipFamilies", Some(families.into()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> Spec {
        let Value::Object(fields) = value else { panic!("no object: {value}") };
        fields
    }

    fn settled(value: Value, ranges: &[&str]) -> Result<Value, String> {
        let ranges: Vec<AddressRange> = ranges.iter().map(|text| AddressRange::parse(text).unwrap()).collect();
        let mut spec = spec(value);
        let done = settle_families(&mut spec, None, &ranges, |_| Errors::new());
        done.map_err(|errors| errors.iter().map(Error::body).collect::<Vec<_>>().join("; "))?;
        Ok(json!([spec["ipFamilyPolicy"], spec["ipFamilies"]]))
    }

    #[test]
    fn families_follow_from_the_service_and_the_cluster() {
        let (v4, both) = (["10.0.0.0/24"], ["10.0.0.0/24", "fd00::/108"]);
        let plain = json!({"type": "ClusterIP"});
        assert_eq!(settled(plain.clone(), &both), Ok(json!(["SingleStack", ["IPv4"]])));
        let preferring = json!({"type": "ClusterIP", "ipFamilyPolicy": "PreferDualStack"});
        assert_eq!(settled(preferring.clone(), &v4), Ok(json!(["PreferDualStack", ["IPv4"]])));
        assert_eq!(settled(preferring, &both), Ok(json!(["PreferDualStack", ["IPv4", "IPv6"]])));
        let headless = json!({"type": "ClusterIP", "clusterIP": "None", "clusterIPs": ["None"]});
        assert_eq!(settled(headless, &v4), Ok(json!(["RequireDualStack", ["IPv4", "IPv6"]])));
        let v6 = json!({"type": "ClusterIP", "clusterIP": "fd00::9", "clusterIPs": ["fd00::9"]});
        assert_eq!(settled(v6.clone(), &both), Ok(json!(["SingleStack", ["IPv6"]])));
        assert!(settled(v6, &v4).unwrap_err().contains("IPv6 is not configured on this cluster"));
        let demanding = json!({"type": "ClusterIP", "ipFamilyPolicy": "RequireDualStack"});
        assert!(settled(demanding, &v4).unwrap_err().contains("not configured for dual-stack"));
    }

    #[test]
    fn a_client_may_send_again_what_it_sent_first() {
        let old = spec(json!({"type": "NodePort", "clusterIP": "10.0.0.5", "clusterIPs": ["10.0.0.5"],
            "ports": [{"name": "a", "nodePort": 30001}, {"name": "b", "nodePort": 30002}]}));
        let mut new = spec(json!({"type": "NodePort", "ports": [{"name": "b"}, {"name": "a", "nodePort": 30002}]}));
        keep_allocated(&mut new, &old);
        assert_eq!(new["clusterIPs"], old["clusterIPs"]);
        // The second port's number has gone to another.
        assert_eq!(new["ports"], json!([{"name": "b"}, {"name": "a", "nodePort": 30002}]));
    }

    #[test]
    fn an_old_client_changes_the_singular_field_alone() {
        let old = spec(json!({"clusterIP": "10.0.0.5", "clusterIPs": ["10.0.0.5"]}));
        let mut new = spec(json!({"clusterIP": "10.0.0.6", "clusterIPs": ["10.0.0.5"]}));
        normalize_changed(&mut new, &old);
        assert_eq!(new["clusterIPs"], json!(["10.0.0.6"]));
        let mut new = spec(json!({"clusterIPs": ["10.0.0.5"]}));
        normalize_changed(&mut new, &old);
        assert_eq!(new.get("clusterIPs"), None);
    }

    #[test]
    fn a_change_of_type_clears_what_the_new_one_does_not_have() {
        let old = spec(json!({"type": "LoadBalancer", "clusterIP": "10.0.0.5", "clusterIPs": ["10.0.0.5"],
            "externalTrafficPolicy": "Local", "healthCheckNodePort": 30009, "allocateLoadBalancerNodePorts": true,
            "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "ports": [{"port": 1, "nodePort": 30001}]}));
        let mut new = old.clone();
        new["type"] = "ExternalName".into();
        drop_type_dependent(&mut new, &old);
        assert_eq!(Value::from(new), json!({"type": "ExternalName", "ports": [{"port": 1}]}));
    }
}
