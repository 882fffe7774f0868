//! Services and their endpoints.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go`, `pkg/apis/core/validation/validation.go`, `pkg/apis/discovery`.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::edit::{each, is_empty, object, set, set_absent, set_empty, text, within};
use super::field::{Error, Errors};
use super::node::Node;
use super::{addresses, container, formats, go_struct, meta};

/// How long a client stays with its pod under `ClientIP` affinity.
const CLIENT_IP_AFFINITY_SECONDS: i64 = 10_800;

/// Defaults of a service.
pub fn default_service(service: &mut Value) {
    object(service, |service| {
        let mut kind = String::new();
        within(service, "spec", |spec| {
            set_empty(spec, "sessionAffinity", "None");
            if text(spec, "sessionAffinity") == "None" {
                spec.remove("sessionAffinityConfig");
            }
            let timeout = || spec.get("sessionAffinityConfig")?.get("clientIP")?.get("timeoutSeconds");
            if text(spec, "sessionAffinity") == "ClientIP" && timeout().is_none_or(Value::is_null) {
                let config = json!({"clientIP": {"timeoutSeconds": CLIENT_IP_AFFINITY_SECONDS}});
                set(spec, "sessionAffinityConfig", config);
            }
            set_empty(spec, "type", "ClusterIP");
            text(spec, "type").clone_into(&mut kind);
            each(spec, "ports", |port| {
                set_empty(port, "protocol", "TCP");
                if is_empty(port, "targetPort") {
                    let number = port.get("port").cloned().unwrap_or_else(|| json!(0));
                    set(port, "targetPort", number);
                }
            });
            let accessible = matches!(kind.as_str(), "LoadBalancer" | "NodePort")
                || (kind == "ClusterIP" && !is_empty(spec, "externalIPs"));
            if accessible {
                set_empty(spec, "externalTrafficPolicy", "Cluster");
            }
            if matches!(kind.as_str(), "NodePort" | "LoadBalancer" | "ClusterIP") {
                set_absent(spec, "internalTrafficPolicy", "Cluster");
            }
            if kind == "LoadBalancer" {
                set_absent(spec, "allocateLoadBalancerNodePorts", true);
            }
        });
        if kind == "LoadBalancer" {
            within(service, "status", |status| {
                within(status, "loadBalancer", |balancer| {
                    each(balancer, "ingress", |ingress| {
                        if !is_empty(ingress, "ip") {
                            set_absent(ingress, "ipMode", "VIP");
                        }
                    });
                });
            });
        }
    });
}

/// Defaults of endpoints.
pub fn default_endpoints(endpoints: &mut Value) {
    object(endpoints, |endpoints| {
        each(endpoints, "subsets", |subset| each(subset, "ports", |port| set_empty(port, "protocol", "TCP")));
    });
}

/// Defaults of an endpoint slice.
pub fn default_endpoint_slice(slice: &mut Value) {
    object(slice, |slice| {
        each(slice, "ports", |port| {
            set_absent(port, "name", "");
            set_absent(port, "protocol", "TCP");
        });
    });
}

fn is_headless(spec: &Node<'_>) -> bool {
    let ips = spec.at("clusterIPs");
    ips.len() == 1 && ips.strings().next() == Some("None")
}

fn is_accessible(spec: &Node<'_>) -> bool {
    match spec.text("type") {
        "LoadBalancer" | "NodePort" => true,
        "ClusterIP" => !spec.at("externalIPs").is_empty(),
        _ => false,
    }
}

fn needs_health_check(spec: &Node<'_>) -> bool {
    spec.text("type") == "LoadBalancer" && spec.text("externalTrafficPolicy") == "Local"
}

/// Judges a new service.
pub fn create_service(service: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&service.at("metadata"), true, formats::label_name, errors);
    validate_service(service, None, errors);
}

/// Judges a changed service.
pub fn update_service(service: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&service.at("metadata"), &old.at("metadata"), errors);
    let (spec, old_spec) = (service.at("spec"), old.at("spec"));
    if spec.text("type") != "ExternalName" && old_spec.text("type") != "ExternalName" {
        update_cluster_ips(&spec, &old_spec, errors);
        update_ip_families(&spec, &old_spec, errors);
    }
    let class = spec.at("loadBalancerClass");
    let balanced = |spec: &Node<'_>| spec.text("type") == "LoadBalancer";
    if balanced(&spec) && balanced(&old_spec) && class.value != old_spec.get("loadBalancerClass") {
        errors.push(class.invalid("may not change once set"));
    }
    load_balancer_class(&spec, errors);
    if needs_health_check(&old_spec)
        && needs_health_check(&spec)
        && spec.get("healthCheckNodePort") != old_spec.get("healthCheckNodePort")
    {
        errors.push(spec.at("healthCheckNodePort").forbidden("field is immutable"));
    }
    validate_service(service, Some(&old_spec), errors);
}

fn load_balancer_class(spec: &Node<'_>, errors: &mut Errors) {
    let class = spec.at("loadBalancerClass");
    if !class.present() {
        return;
    }
    if spec.text("type") == "LoadBalancer" {
        meta::label_key(&class, errors);
    } else {
        errors.push(class.forbidden("may only be used when `type` is 'LoadBalancer'"));
    }
}

const FIXED: &str = "may not change once set";

fn list_shown(list: &Node<'_>) -> Value {
    list.value.clone()
}

fn update_cluster_ips(spec: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    if is_headless(spec) && is_headless(old) {
        return;
    }
    let (ips, old) = (spec.at("clusterIPs"), old.at("clusterIPs"));
    let (new_list, old_list): (Vec<&str>, Vec<&str>) = (ips.strings().collect(), old.strings().collect());
    let first = ips.path.index(0);
    let first_changed = !old_list.is_empty() && !new_list.is_empty() && new_list.first() != old_list.first();
    if new_list.len() == old_list.len() {
        for (i, (new, old)) in new_list.iter().zip(&old_list).enumerate() {
            if new != old {
                errors.push(Error::invalid(&ips.path.index(i), list_shown(&ips), FIXED));
            }
        }
    } else if old_list.len() > new_list.len() {
        if new_list.is_empty() {
            errors.push(Error::invalid(&first, list_shown(&ips), "primary clusterIP can not be unset"));
        }
        if first_changed {
            errors.push(Error::invalid(&first, list_shown(&ips), FIXED));
        }
        release_second(spec, new_list.len(), "clusterIP", errors);
    } else if first_changed {
        errors.push(Error::invalid(&first, list_shown(&ips), FIXED));
    }
}

fn release_second(spec: &Node<'_>, left: usize, what: &str, errors: &mut Errors) {
    let policy = spec.at("ipFamilyPolicy");
    if left == 1 && policy.str() != "SingleStack" {
        errors.push(policy.invalid(format!("must be set to 'SingleStack' when releasing the secondary {what}")));
    }
}

fn update_ip_families(spec: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    if is_headless(spec) || is_headless(old) {
        return;
    }
    let (families, old) = (spec.at("ipFamilies"), old.at("ipFamilies"));
    let (new_list, old_list): (Vec<&str>, Vec<&str>) = (families.strings().collect(), old.strings().collect());
    let first = families.path.index(0);
    let first_changed = !old_list.is_empty() && !new_list.is_empty() && new_list.first() != old_list.first();
    let ips = || list_shown(&spec.at("clusterIPs"));
    if new_list.len() == old_list.len() {
        for (new, old) in new_list.iter().zip(&old_list) {
            if new != old {
                errors.push(Error::invalid(&first, list_shown(&families), FIXED));
            }
        }
    } else if old_list.len() > new_list.len() {
        if spec.at("clusterIPs").is_empty() {
            errors.push(Error::invalid(&first, list_shown(&families), "primary ipFamily can not be unset"));
        }
        if first_changed {
            errors.push(Error::invalid(&first, ips(), FIXED));
        }
        release_second(spec, new_list.len(), "ipFamily", errors);
    } else if first_changed {
        errors.push(Error::invalid(&first, ips(), FIXED));
    }
}

const HINTS: &str = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES: &str = "service.beta.kubernetes.io/load-balancer-source-ranges";
const ONLY_LOAD_BALANCER: &str = "may only be used when `type` is 'LoadBalancer'";

fn validate_service(service: &Node<'_>, old: Option<&Node<'_>>, errors: &mut Errors) {
    let annotations = service.at("metadata").at("annotations");
    if annotations.has(HINTS)
        && annotations.has(TOPOLOGY_MODE)
        && annotations.get(HINTS) != annotations.get(TOPOLOGY_MODE)
    {
        let path = annotations.path.key(TOPOLOGY_MODE);
        let message = format!("must match annotations[{HINTS}] when both are specified");
        errors.push(Error::invalid(&path, annotations.text(TOPOLOGY_MODE), message));
    }
    let spec = service.at("spec");
    let (ports, kind) = (spec.at("ports"), spec.at("type"));
    let headless = is_headless(&spec);
    if ports.is_empty() && !headless && kind.str() != "ExternalName" {
        errors.push(ports.required(""));
    }
    match kind.str() {
        "LoadBalancer" | "NodePort" if headless => {
            let path = spec.path.child("clusterIPs").index(0);
            errors.push(Error::invalid(&path, "None", format!("may not be set to 'None' for {} services", kind.str())));
        }
        "ExternalName" => external_name(&spec, errors),
        _ => {}
    }
    let mut names: Vec<&str> = Vec::new();
    for port in ports.items() {
        service_port(&port, ports.len() > 1, &mut names, errors);
    }
    meta::labels(&spec.at("selector"), errors);
    let affinity = spec.at("sessionAffinity");
    container::required_one_of(&affinity, &["ClientIP", "None"], errors);
    session_affinity(&spec, affinity.str(), errors);
    if kind.str() != "ExternalName" {
        cluster_ips(&spec, headless, old, errors);
    }
    let existing: Vec<&str> = old.map(|old| old.at("externalIPs").strings().collect()).unwrap_or_default();
    for ip in spec.at("externalIPs").items() {
        let before = errors.len();
        if !existing.contains(&ip.str()) {
            addresses::legacy_ip(&ip, errors);
        }
        if errors.len() == before {
            endpoint_ip(&ip, errors);
        }
    }
    container::required_one_of(&kind, &["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"], errors);
    unique_ports(&ports, kind.str(), errors);
    source_ranges(&spec, &annotations, old.is_some(), errors);
    let allocate = spec.at("allocateLoadBalancerNodePorts");
    if allocate.present() && kind.str() != "LoadBalancer" {
        errors.push(allocate.forbidden(ONLY_LOAD_BALANCER));
    }
    load_balancer_class(&spec, errors);
    traffic(&spec, errors);
}

fn external_name(spec: &Node<'_>, errors: &mut Errors) {
    for name in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        let field = spec.at(name);
        if field.present() && !(field.value.is_array() && field.is_empty()) {
            errors.push(field.forbidden("may not be set for ExternalName services"));
        }
    }
    let name = spec.at("externalName");
    let plain = name.str().strip_suffix('.').unwrap_or(name.str());
    if plain.is_empty() {
        errors.push(name.required(""));
    } else {
        let messages = formats::dns_subdomain(plain);
        errors.extend(messages.into_iter().map(|message| Error::invalid(&name.path, plain, message)));
    }
}

fn service_port<'a>(port: &Node<'a>, needs_name: bool, names: &mut Vec<&'a str>, errors: &mut Errors) {
    let name = port.at("name");
    if !name.is_empty() {
        name.format(formats::dns_label(name.str()), errors);
        if names.contains(&name.str()) {
            errors.push(name.duplicate());
        } else {
            names.push(name.str());
        }
    } else if needs_name {
        errors.push(name.required(""));
    }
    container::port_number(&port.at("port"), errors);
    container::required_one_of(&port.at("protocol"), &["SCTP", "TCP", "UDP"], errors);
    container::port_number_or_name(&port.at("targetPort"), errors);
    let protocol = port.at("appProtocol");
    if protocol.present() {
        meta::label_key(&protocol, errors);
    }
}

fn session_affinity(spec: &Node<'_>, affinity: &str, errors: &mut Errors) {
    let config = spec.at("sessionAffinityConfig");
    if affinity == "None" && config.present() {
        errors.push(config.forbidden("must not be set when session affinity is None"));
    }
    if affinity == "ClientIP" {
        let timeout = config.at("clientIP").at("timeoutSeconds");
        if !(1..=86_400).contains(&timeout.int()) {
            errors.push(timeout.invalid_int("must be greater than 0 and less than 86400"));
        }
    }
}

/// Judges what a service says of its addresses, before any are allocated.
pub fn related_addresses(spec: &Node<'_>, old: Option<&Node<'_>>, errors: &mut Errors) {
    cluster_ips(spec, is_headless(spec), old, errors);
}

fn cluster_ips(spec: &Node<'_>, headless: bool, old: Option<&Node<'_>>, errors: &mut Errors) {
    let (ip, ips) = (spec.text("clusterIP"), spec.at("clusterIPs"));
    let list: Vec<&str> = ips.strings().collect();
    if ip.is_empty() {
        if !list.is_empty() {
            errors.push(ips.invalid("must be empty when `clusterIP` is not specified"));
        }
    } else if list.is_empty() {
        errors.push(ips.required(""));
    } else if list.first() != Some(&ip) {
        errors.push(ips.invalid("first value must match `clusterIP`"));
    }
    let families = spec.at("ipFamilies");
    let mut seen: Vec<&str> = Vec::new();
    for family in families.items() {
        family.one_of(&["IPv4", "IPv6"], errors);
        if seen.contains(&family.str()) {
            errors.push(family.duplicate());
        }
        seen.push(family.str());
    }
    let policy = spec.at("ipFamilyPolicy");
    if policy.present() {
        policy.one_of(&["PreferDualStack", "RequireDualStack", "SingleStack"], errors);
    }
    let existing: Vec<&str> = old.map(|old| old.at("clusterIPs").strings().collect()).unwrap_or_default();
    let before = errors.len();
    for (i, address) in ips.items().enumerate() {
        if i == 0 && address.str() == "None" {
            if list.len() > 1 {
                errors.push(ips.invalid("'None' must be the first and only value"));
            }
        } else if !existing.contains(&address.str()) {
            addresses::legacy_ip(&address, errors);
        }
    }
    let all_valid = errors.len() == before;
    if list.len() > 2 {
        errors.push(ips.invalid("may only hold up to 2 values"));
    }
    if !all_valid {
        return;
    }
    let is_v6 = |ip: &str| addresses::parse_sloppy(ip).is_some_and(|ip| ip.is_ipv6());
    if list.len() > 1 && list.iter().all(|ip| is_v6(ip)) | list.iter().all(|ip| !is_v6(ip)) {
        errors.push(ips.invalid("may specify no more than one IP for each IP family"));
    }
    if !headless {
        for (i, (address, family)) in ips.items().zip(families.strings()).enumerate() {
            let expected = if is_v6(address.str()) { "IPv6" } else { "IPv4" };
            if matches!(family, "IPv4" | "IPv6") && family != expected {
                errors.push(
                    address.invalid_text(format!("expected an {family} value as indicated by `ipFamilies[{i}]`")),
                );
            }
        }
    }
}

fn unique_ports(ports: &Node<'_>, kind: &str, errors: &mut Errors) {
    if kind == "ClusterIP" {
        for port in ports.items() {
            let node_port = port.at("nodePort");
            if node_port.int() != 0 {
                errors.push(node_port.forbidden("may not be used when `type` is 'ClusterIP'"));
            }
        }
    }
    let mut seen: Vec<(&str, i64)> = Vec::new();
    for port in ports.items() {
        let node_port = port.at("nodePort");
        let key = (port.text("protocol"), node_port.int());
        if key.1 != 0 && seen.contains(&key) {
            errors.push(node_port.duplicate());
        }
        seen.push(key);
    }
    let mut seen: Vec<(&str, i64)> = Vec::new();
    for port in ports.items() {
        let key = (port.text("protocol"), port.number("port").unwrap_or_default());
        if seen.contains(&key) {
            let shown = json!({"protocol": key.0, "port": key.1});
            errors.push(Error::duplicate(&port.path, go_struct::value("io.k8s.api.core.v1.ServicePort", &shown)));
        }
        seen.push(key);
    }
}

fn source_ranges(spec: &Node<'_>, annotations: &Node<'_>, is_update: bool, errors: &mut Errors) {
    let balanced = spec.text("type") == "LoadBalancer";
    let ranges = spec.at("loadBalancerSourceRanges");
    if !ranges.is_empty() {
        let path = spec.path.child("LoadBalancerSourceRanges");
        if !balanced {
            errors.push(Error::forbidden(&path, ONLY_LOAD_BALANCER));
        }
        for (i, range) in ranges.strings().enumerate() {
            let range = Value::from(range.trim());
            addresses::legacy_cidr(&Node { value: &range, path: path.index(i) }, errors);
        }
    } else if annotations.has(SOURCE_RANGES) {
        let path = annotations.path.key(SOURCE_RANGES);
        if !balanced {
            errors.push(Error::forbidden(&path, ONLY_LOAD_BALANCER));
        }
        let text = annotations.text(SOURCE_RANGES).trim();
        if !text.is_empty() && !is_update {
            for range in text.split(',') {
                let range = Value::from(range.trim());
                addresses::legacy_cidr(&Node { value: &range, path: path.clone() }, errors);
            }
        }
    }
}

fn traffic(spec: &Node<'_>, errors: &mut Errors) {
    let external = spec.at("externalTrafficPolicy");
    if is_accessible(spec) {
        container::required_one_of(&external, &["Cluster", "Local"], errors);
    } else if !external.is_empty() {
        errors.push(external.invalid_text("may only be set for externally-accessible services"));
    }
    let health = spec.at("healthCheckNodePort");
    if !needs_health_check(spec) {
        if health.int() != 0 {
            let message = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
            errors.push(health.invalid_int(message));
        }
    } else if health.int() != 0 {
        container::port_number(&health, errors);
    }
    let internal = spec.at("internalTrafficPolicy");
    if internal.present() {
        internal.one_of(&["Cluster", "Local"], errors);
    } else if matches!(spec.text("type"), "NodePort" | "LoadBalancer" | "ClusterIP") {
        errors.push(internal.required(""));
    }
    let distribution = spec.at("trafficDistribution");
    if distribution.present() {
        distribution.one_of(&["PreferClose", "PreferSameZone", "PreferSameNode"], errors);
    }
}

/// Requires an address that can be an endpoint's.
pub fn endpoint_ip(ip: &Node<'_>, errors: &mut Errors) {
    let Some(address) = addresses::parse_sloppy(ip.str()) else {
        errors.push(ip.invalid_text("must be a valid IP address"));
        return;
    };
    let address = address.to_canonical();
    if address.is_unspecified() {
        errors.push(ip.invalid_text(format!("may not be unspecified ({})", ip.str())));
    }
    if address.is_loopback() {
        errors.push(ip.invalid_text("may not be in the loopback range (127.0.0.0/8, ::1/128)"));
    }
    let (unicast, multicast) = match address {
        IpAddr::V4(v4) => (v4.is_link_local(), v4.octets().starts_with(&[224, 0, 0])),
        IpAddr::V6(v6) => (v6.segments()[0] & 0xffc0 == 0xfe80, v6.segments()[0] & 0xff0f == 0xff02),
    };
    if unicast {
        errors.push(ip.invalid_text("may not be in the link-local range (169.254.0.0/16, fe80::/10)"));
    }
    if multicast {
        errors.push(ip.invalid_text("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"));
    }
}

/// Judges new endpoints.
pub fn create_endpoints(endpoints: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&endpoints.at("metadata"), true, formats::subdomain_name, errors);
    subsets(&endpoints.at("subsets"), errors);
}

/// Judges changed endpoints.
pub fn update_endpoints(endpoints: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&endpoints.at("metadata"), &old.at("metadata"), errors);
    meta::validate_kube(&endpoints.at("metadata"), true, formats::subdomain_name, errors);
    if endpoints.get("subsets") != old.get("subsets") {
        subsets(&endpoints.at("subsets"), errors);
    }
}

fn subsets(subsets: &Node<'_>, errors: &mut Errors) {
    for subset in subsets.items() {
        let lists = [subset.at("addresses"), subset.at("notReadyAddresses")];
        if lists.iter().all(Node::is_empty) {
            errors.push(subset.required("must specify `addresses` or `notReadyAddresses`"));
        }
        for address in lists.iter().flat_map(Node::items) {
            let ip = address.at("ip");
            addresses::legacy_ip(&ip, errors);
            let hostname = address.at("hostname");
            if !hostname.is_empty() {
                hostname.format(formats::dns_label(hostname.str()), errors);
            }
            let node = address.at("nodeName");
            if node.present() {
                node.format(formats::dns_subdomain(node.str()), errors);
            }
            endpoint_ip(&ip, errors);
        }
        let ports = subset.at("ports");
        for port in ports.items() {
            let name = port.at("name");
            if !name.is_empty() {
                name.format(formats::dns_label(name.str()), errors);
            } else if ports.len() > 1 {
                errors.push(name.required(""));
            }
            container::port_number(&port.at("port"), errors);
            container::required_one_of(&port.at("protocol"), &["SCTP", "TCP", "UDP"], errors);
            let protocol = port.at("appProtocol");
            if protocol.present() {
                meta::label_key(&protocol, errors);
            }
        }
    }
}

/// Judges a new endpoint slice.
pub fn create_endpoint_slice(slice: &Node<'_>, errors: &mut Errors) {
    endpoint_slice(slice, errors);
    endpoints(&slice.at("endpoints"), slice.text("addressType"), errors);
}

/// Judges a changed endpoint slice.
pub fn update_endpoint_slice(slice: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    endpoint_slice(slice, errors);
    if slice.get("endpoints") != old.get("endpoints") {
        endpoints(&slice.at("endpoints"), slice.text("addressType"), errors);
    }
    let kind = slice.at("addressType");
    if kind.str() != old.text("addressType") {
        errors.push(kind.invalid_text("field is immutable"));
    }
}

fn endpoint_slice(slice: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&slice.at("metadata"), true, formats::subdomain_name, errors);
    container::required_one_of(&slice.at("addressType"), &["FQDN", "IPv4", "IPv6"], errors);
    let ports = slice.at("ports");
    if ports.len() > 20_000 {
        errors.push(Error::too_many(&ports.path, ports.len(), 20_000));
        return;
    }
    let mut names: Vec<&str> = Vec::new();
    for port in ports.items() {
        let name = port.at("name");
        if !name.is_empty() {
            name.format(formats::dns_label(name.str()), errors);
        }
        if names.contains(&name.str()) {
            errors.push(Error::duplicate(&name.path, name.str()));
        } else {
            names.push(name.str());
        }
        let protocol = port.at("protocol");
        if protocol.present() {
            protocol.one_of(&["SCTP", "TCP", "UDP"], errors);
        } else {
            errors.push(protocol.required(""));
        }
        let application = port.at("appProtocol");
        if application.present() {
            meta::label_key(&application, errors);
        }
    }
}

fn endpoints(endpoints: &Node<'_>, kind: &str, errors: &mut Errors) {
    if endpoints.len() > 1000 {
        errors.push(Error::too_many(&endpoints.path, endpoints.len(), 1000));
        return;
    }
    for endpoint in endpoints.items() {
        let list = endpoint.at("addresses");
        if list.is_empty() {
            errors.push(list.required("must contain at least 1 address"));
        } else if list.len() > 100 {
            errors.push(Error::too_many(&list.path, list.len(), 100));
        }
        for address in list.items() {
            slice_address(&list, &address, kind, errors);
        }
        let node = endpoint.at("nodeName");
        if node.present() {
            node.format(formats::dns_subdomain(node.str()), errors);
        }
        let topology = endpoint.at("deprecatedTopology");
        if topology.len() > 16 {
            errors.push(Error::too_many(&topology.path, topology.len(), 16));
        }
        meta::labels(&topology, errors);
        let hostname = endpoint.at("hostname");
        if hostname.present() {
            hostname.format(formats::dns_label(hostname.str()), errors);
        }
        hints(&endpoint.at("hints"), errors);
    }
}

fn slice_address(list: &Node<'_>, address: &Node<'_>, kind: &str, errors: &mut Errors) {
    let before = errors.len();
    match kind {
        "FQDN" => formats::fully_qualified_domain_name(address, errors),
        "IPv4" => addresses::legacy_ip(address, errors),
        "IPv6" => addresses::ip(address, errors),
        _ => {}
    }
    if errors.len() != before || !matches!(kind, "IPv4" | "IPv6") {
        return;
    }
    let is_v4 = addresses::parse_sloppy(address.str()).is_some_and(|ip| ip.is_ipv4());
    if is_v4 != (kind == "IPv4") {
        errors.push(Error::invalid(&list.path, address.str(), format!("must be an {kind} address")));
    }
    endpoint_ip(address, errors);
}

fn hints(hints: &Node<'_>, errors: &mut Errors) {
    let formats: [(&'static str, formats::Rule); 2] =
        [("forZones", formats::label_value), ("forNodes", formats::dns_subdomain)];
    for (list, format) in formats {
        let list = hints.at(list);
        if list.len() > 8 {
            errors.push(Error::too_many(&list.path, list.len(), 8));
            return;
        }
        let mut names: Vec<&str> = Vec::new();
        for hint in list.items() {
            let name = hint.at("name");
            if names.contains(&name.str()) {
                errors.push(Error::duplicate(&name.path, name.str()));
            } else {
                names.push(name.str());
            }
            name.format(format(name.str()), errors);
        }
    }
}
