//! Services, their endpoints, ingresses and addresses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::column::{AGE, Doc, NAME, string};
use super::duration::age;
use super::read::{annotation, at, int, list, map, text, text_or};
use super::{Printer, cells, format};

pub fn core_printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "Endpoints" => Some(&ENDPOINTS),
        "Service" => Some(&SERVICE),
        _ => None,
    }
}

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "EndpointSlice" => Some(&ENDPOINT_SLICE),
        "IPAddress" => Some(&IP_ADDRESS),
        "Ingress" => Some(&INGRESS),
        "IngressClass" => Some(&INGRESS_CLASS),
        "NetworkPolicy" => Some(&NETWORK_POLICY),
        "ServiceCIDR" => Some(&SERVICE_CIDR),
        _ => None,
    }
}

static SERVICE: Printer = {
    const SPEC: &str = "io.k8s.api.core.v1.ServiceSpec";
    Printer::new(
        &[
            NAME,
            string("Type", Doc::Field(SPEC, "type")),
            string("Cluster-IP", Doc::Field(SPEC, "clusterIP")),
            string("External-IP", Doc::Field(SPEC, "externalIPs")),
            string("Port(s)", Doc::Field(SPEC, "ports")),
            AGE,
            string("Selector", Doc::Field(SPEC, "selector")).wide(),
        ],
        |service, now| {
            // A service written before there were two families has the one field only.
            let cluster_ip = list(service, "spec.clusterIPs").first().and_then(Value::as_str);
            let cluster_ip = cluster_ip.unwrap_or_else(|| text_or(service, "spec.clusterIP", "<none>"));
            cells![
                text(service, "metadata.name"),
                text(service, "spec.type"),
                cluster_ip,
                external_ip(service),
                service_ports(service),
                age(service, now),
                format::labels(map(service, "spec.selector")),
            ]
        },
    )
};

fn external_ip(service: &Value) -> String {
    let external: Vec<&str> = list(service, "spec.externalIPs").iter().filter_map(Value::as_str).collect();
    match text(service, "spec.type") {
        "ClusterIP" | "NodePort" if external.is_empty() => "<none>".to_owned(),
        "ClusterIP" | "NodePort" => external.join(","),
        "LoadBalancer" => {
            let mut addresses = load_balancer(service);
            addresses.extend(external.into_iter().map(str::to_owned));
            if addresses.is_empty() { "<pending>".to_owned() } else { addresses.join(",") }
        }
        "ExternalName" => text(service, "spec.externalName").to_owned(),
        _ => "<unknown>".to_owned(),
    }
}

/// The addresses or else the host names of a load balancer, in order, each once.
fn load_balancer(object: &Value) -> Vec<String> {
    let points = list(object, "status.loadBalancer.ingress").iter();
    let addresses = points.map(|point| text_or(point, "ip", text(point, "hostname"))).filter(|at| !at.is_empty());
    addresses.map(str::to_owned).collect::<BTreeSet<_>>().into_iter().collect()
}

fn service_ports(service: &Value) -> String {
    let port = |port: &Value| {
        let (number, node_port, protocol) = (int(port, "port"), int(port, "nodePort"), text(port, "protocol"));
        if node_port > 0 { format!("{number}:{node_port}/{protocol}") } else { format!("{number}/{protocol}") }
    };
    let ports: Vec<String> = list(service, "spec.ports").iter().map(port).collect();
    if ports.is_empty() { "<none>".to_owned() } else { ports.join(",") }
}

static ENDPOINTS: Printer = Printer::new(
    &[NAME, string("Endpoints", Doc::Field("io.k8s.api.core.v1.Endpoints", "subsets")), AGE],
    |object, now| cells![text(object, "metadata.name"), endpoints(object), age(object, now)],
);

/// Every address with every port of its subset; a subset without ports shows its addresses alone.
fn endpoints(object: &Value) -> String {
    let subsets = list(object, "subsets");
    if subsets.is_empty() {
        return "<none>".to_owned();
    }
    let mut endpoints = Vec::new();
    for subset in subsets {
        let addresses = || list(subset, "addresses").iter().map(|address| text(address, "ip"));
        let ports = list(subset, "ports");
        if ports.is_empty() {
            endpoints.extend(addresses().map(str::to_owned));
        }
        for port in ports {
            endpoints.extend(addresses().map(|ip| host_port(ip, int(port, "port"))));
        }
    }
    format::shortened(&endpoints, 3)
}

/// An address and a port; IPv6 addresses stand in brackets.
fn host_port(ip: &str, port: i64) -> String {
    if ip.contains(':') { format!("[{ip}]:{port}") } else { format!("{ip}:{port}") }
}

static ENDPOINT_SLICE: Printer = {
    const SLICE: &str = "io.k8s.api.discovery.v1.EndpointSlice";
    Printer::new(
        &[
            NAME,
            string("AddressType", Doc::Field(SLICE, "addressType")),
            string("Ports", Doc::Field(SLICE, "ports")),
            string("Endpoints", Doc::Field(SLICE, "endpoints")),
            AGE,
        ],
        |slice, now| {
            let port = |port: &Value| match at(port, "port") {
                Some(number) => number.to_string(),
                None => at(port, "name").and_then(Value::as_str).unwrap_or("*").to_owned(),
            };
            let ports: Vec<String> = list(slice, "ports").iter().map(port).collect();
            let addresses = list(slice, "endpoints").iter().flat_map(|endpoint| list(endpoint, "addresses"));
            let addresses: Vec<&str> = addresses.filter_map(Value::as_str).collect();
            cells![
                text(slice, "metadata.name"),
                text(slice, "addressType"),
                or_unset(format::shortened(&ports, 3)),
                or_unset(format::shortened(&addresses, 3)),
                age(slice, now),
            ]
        },
    )
};

fn or_unset(text: String) -> String {
    if text.is_empty() { "<unset>".to_owned() } else { text }
}

static INGRESS: Printer = {
    const CLASS: &str = "The name of the IngressClass resource that should be used for additional configuration";
    const HOSTS: &str = "Hosts that incoming requests are matched against before the ingress rule";
    const ADDRESS: &str = "Address is a list containing ingress points for the load-balancer";
    Printer::new(
        &[
            NAME,
            string("Class", Doc::Text(CLASS)),
            string("Hosts", Doc::Text(HOSTS)),
            string("Address", Doc::Text(ADDRESS)),
            string("Ports", Doc::Text("Ports of TLS configurations that open")),
            AGE,
        ],
        |ingress, now| {
            let class = at(ingress, "spec.ingressClassName").and_then(Value::as_str);
            cells![
                text(ingress, "metadata.name"),
                class.unwrap_or("<none>"),
                hosts(ingress),
                load_balancer(ingress).join(","),
                if list(ingress, "spec.tls").is_empty() { "80" } else { "80, 443" },
                age(ingress, now),
            ]
        },
    )
};

/// The first hosts of the rules. Rules beyond the third host count as more, whether they name a host or not.
fn hosts(ingress: &Value) -> String {
    const MAX: usize = 3;
    let rules = list(ingress, "spec.rules");
    let mut hosts = Vec::new();
    let mut more = false;
    for rule in rules {
        more |= hosts.len() == MAX;
        let host = text(rule, "host");
        if !more && !host.is_empty() {
            hosts.push(host);
        }
    }
    match (hosts.is_empty(), more) {
        (true, _) => "*".to_owned(),
        (false, true) => format!("{} + {} more...", hosts.join(","), rules.len().saturating_sub(MAX)),
        (false, false) => hosts.join(","),
    }
}

static INGRESS_CLASS: Printer = Printer::new(
    &[
        NAME,
        string("Controller", Doc::Text("Controller that is responsible for handling this class")),
        string("Parameters", Doc::Text("A reference to a resource with additional parameters")),
        AGE,
    ],
    |class, now| {
        let mut name = text(class, "metadata.name").to_owned();
        if annotation(class, "ingressclass.kubernetes.io/is-default-class") == Some("true") {
            name.push_str(" (default)");
        }
        let parameters = at(class, "spec.parameters").map(|reference| {
            let group = at(reference, "apiGroup").and_then(Value::as_str);
            let group = group.map(|group| format!(".{group}")).unwrap_or_default();
            format!("{}{group}/{}", text(reference, "kind"), text(reference, "name"))
        });
        let parameters = parameters.unwrap_or_else(|| "<none>".to_owned());
        cells![name, text(class, "spec.controller"), parameters, age(class, now)]
    },
);

static NETWORK_POLICY: Printer = Printer::new(
    &[NAME, string("Pod-Selector", Doc::Field("io.k8s.api.networking.v1.NetworkPolicySpec", "podSelector")), AGE],
    |policy, now| {
        let selector = format::label_selector(at(policy, "spec.podSelector"));
        cells![text(policy, "metadata.name"), selector, age(policy, now)]
    },
);

static SERVICE_CIDR: Printer = Printer::new(
    &[NAME, string("CIDRs", Doc::Field("io.k8s.api.networking.v1.ServiceCIDRSpec", "cidrs")), AGE],
    |object, now| {
        let cidrs: Vec<&str> = list(object, "spec.cidrs").iter().filter_map(Value::as_str).collect();
        cells![text(object, "metadata.name"), cidrs.join(","), age(object, now)]
    },
);

// Its rows have one cell more than there are columns, in the original too.
static IP_ADDRESS: Printer = Printer::new(
    &[NAME, string("ParentRef", Doc::Field("io.k8s.api.networking.v1.IPAddressSpec", "parentRef"))],
    |object, now| {
        let parent = at(object, "spec.parentRef").map_or_else(|| "<none>".to_owned(), parent_reference);
        cells![text(object, "metadata.name"), parent, age(object, now)]
    },
);

/// `resource.group/namespace/name`, without what is empty.
fn parent_reference(parent: &Value) -> String {
    let mut reference = text(parent, "resource").to_lowercase();
    for (separator, part) in [(".", text(parent, "group").to_lowercase()), ("/", text(parent, "namespace").to_owned())]
    {
        if !part.is_empty() {
            reference = reference + separator + &part;
        }
    }
    reference + "/" + text(parent, "name")
}
