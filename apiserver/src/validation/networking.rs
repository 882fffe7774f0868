//! Network policies, ingresses and their classes, service address ranges.
//!
//! Upstream: `pkg/apis/networking/v1/defaults.go`, `pkg/apis/networking/validation/validation.go`.

use serde_json::{Value, json};

use super::edit::{each, is_empty, object, set, set_absent, within};
use super::field::{Error, Errors, Path};
use super::node::Node;
use super::{addresses, container, formats, go_struct, meta};

/// Defaults of a network policy.
pub fn default_network_policy(policy: &mut Value) {
    object(policy, |policy| {
        within(policy, "spec", |spec| {
            for rules in ["ingress", "egress"] {
                each(spec, rules, |rule| each(rule, "ports", |port| set_absent(port, "protocol", "TCP")));
            }
            if is_empty(spec, "policyTypes") {
                let types = if is_empty(spec, "egress") { json!(["Ingress"]) } else { json!(["Ingress", "Egress"]) };
                set(spec, "policyTypes", types);
            }
        });
    });
}

/// Defaults of an ingress class.
pub fn default_ingress_class(class: &mut Value) {
    object(class, |class| {
        within(class, "spec", |spec| {
            within(spec, "parameters", |parameters| set_absent(parameters, "scope", "Cluster"));
        });
    });
}

fn name(object: &Node<'_>, namespaced: bool, errors: &mut Errors) {
    meta::validate_kube(&object.at("metadata"), namespaced, formats::subdomain_name, errors);
}

fn update_name(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&object.at("metadata"), &old.at("metadata"), errors);
}

/// Judges a new network policy.
pub fn create_network_policy(policy: &Node<'_>, errors: &mut Errors) {
    name(policy, true, errors);
    network_policy_spec(&policy.at("spec"), &[], errors);
}

/// Judges a changed network policy. Ranges that it had before need not be well-formed.
pub fn update_network_policy(policy: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(policy, old, errors);
    let old = old.at("spec");
    let mut ranges: Vec<&str> = Vec::new();
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in old.at(rules).items() {
            for peer in rule.at(peers).items() {
                let block = peer.at("ipBlock");
                ranges.push(block.text("cidr"));
                ranges.extend(block.at("except").strings());
            }
        }
    }
    network_policy_spec(&policy.at("spec"), &ranges, errors);
}

fn network_policy_spec(spec: &Node<'_>, known: &[&str], errors: &mut Errors) {
    meta::label_selector(&spec.at("podSelector"), errors);
    for (rules, peers) in [("ingress", "from"), ("egress", "to")] {
        for rule in spec.at(rules).items() {
            for port in rule.at("ports").items() {
                network_policy_port(&port, errors);
            }
            for peer in rule.at(peers).items() {
                network_policy_peer(&peer, known, errors);
            }
        }
    }
    let types = spec.at("policyTypes");
    if types.len() > 2 {
        errors.push(types.invalid("may not specify more than two policyTypes"));
        return;
    }
    for kind in types.items() {
        kind.one_of(&["Ingress", "Egress"], errors);
    }
}

fn network_policy_port(port: &Node<'_>, errors: &mut Errors) {
    let protocol = port.at("protocol");
    if protocol.present() {
        protocol.one_of(&["TCP", "UDP", "SCTP"], errors);
    }
    let (start, end) = (port.at("port"), port.at("endPort"));
    if !start.present() {
        if end.present() {
            errors.push(end.invalid_int("may not be specified when `port` is not specified"));
        }
    } else if start.value.is_string() {
        if end.present() {
            errors.push(end.invalid_int("may not be specified when `port` is non-numeric"));
        }
        start.format(formats::port_name(start.str()), errors);
    } else {
        container::port_number(&start, errors);
        if end.present() {
            if end.int() < start.int() {
                errors.push(Error::invalid(&end.path, start.int(), "must be greater than or equal to `port`"));
            }
            container::port_number(&end, errors);
        }
    }
}

fn network_policy_peer(peer: &Node<'_>, known: &[&str], errors: &mut Errors) {
    let mut kinds = 0;
    for name in ["podSelector", "namespaceSelector"] {
        if let Some(selector) = peer.at(name).some() {
            kinds += 1;
            meta::label_selector(&selector, errors);
        }
    }
    let block = peer.at("ipBlock");
    if block.present() {
        kinds += 1;
        ip_block(&block, known, errors);
    }
    if kinds == 0 {
        errors.push(peer.required("must specify a peer"));
    } else if kinds > 1 && block.present() {
        errors.push(peer.forbidden("may not specify both ipBlock and another peer"));
    }
}

fn ip_block(block: &Node<'_>, known: &[&str], errors: &mut Errors) {
    let range = block.at("cidr");
    if range.is_empty() {
        errors.push(range.required(""));
        return;
    }
    let judge = |range: &Node<'_>, errors: &mut Errors| {
        if !known.contains(&range.str()) {
            addresses::legacy_cidr(range, errors);
        }
    };
    judge(&range, errors);
    let Some((address, bits)) = addresses::parse_cidr(range.str()) else { return };
    for except in block.at("except").items() {
        judge(&except, errors);
        let Some((inner, inner_bits)) = addresses::parse_cidr(except.str()) else { continue };
        let within = inner.is_ipv4() == address.is_ipv4()
            && addresses::network(inner, bits) == addresses::network(address, bits);
        if !within || bits >= inner_bits {
            errors.push(except.invalid_text("must be a strict subset of `cidr`"));
        }
    }
}

const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Judges a new ingress.
pub fn create_ingress(ingress: &Node<'_>, errors: &mut Errors) {
    name(ingress, true, errors);
    ingress_spec(&ingress.at("spec"), true, errors);
    let annotations = ingress.at("metadata").at("annotations");
    let class = ingress.at("spec").at("ingressClassName");
    if annotations.has(CLASS_ANNOTATION) && class.present() && annotations.text(CLASS_ANNOTATION) != class.str() {
        let path = Path::new("annotations").annotation(CLASS_ANNOTATION);
        let message = "must match `ingressClassName` when both are specified";
        errors.push(Error::invalid(&path, annotations.text(CLASS_ANNOTATION), message));
    }
}

/// Judges a changed ingress.
pub fn update_ingress(ingress: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(ingress, old, errors);
    name(ingress, true, errors);
    let old_secrets_valid = old.at("spec").at("tls").items().all(|tls| {
        let name = tls.text("secretName");
        name.is_empty() || formats::dns_subdomain(name).is_empty()
    });
    ingress_spec(&ingress.at("spec"), old_secrets_valid, errors);
}

/// Judges an ingress's changed status.
pub fn status_ingress(ingress: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(ingress, old, errors);
    for balancer in ingress.at("status").at("loadBalancer").at("ingress").items() {
        let (ip, hostname) = (balancer.at("ip"), balancer.at("hostname"));
        if !ip.is_empty() {
            addresses::legacy_ip(&ip, errors);
        }
        if !hostname.is_empty() {
            hostname.format(formats::dns_subdomain(hostname.str()), errors);
            if addresses::parse_sloppy(hostname.str()).is_some() {
                errors.push(hostname.invalid_text("must be a DNS name, not an IP address"));
            }
        }
    }
}

fn host(host: &Node<'_>, errors: &mut Errors) {
    if host.str().contains('*') {
        host.format(formats::wildcard_dns_subdomain(host.str()), errors);
    } else {
        host.format(formats::dns_subdomain(host.str()), errors);
    }
}

fn ingress_spec(spec: &Node<'_>, judge_secrets: bool, errors: &mut Errors) {
    let (rules, backend) = (spec.at("rules"), spec.at("defaultBackend"));
    if rules.is_empty() && !backend.present() {
        errors.push(Error::invalid(&spec.path, rules.value, "either `defaultBackend` or `rules` must be specified"));
    }
    if backend.present() {
        ingress_backend(&backend, errors);
    }
    for rule in rules.items() {
        let name = rule.at("host");
        if !name.is_empty() {
            if addresses::parse_sloppy(name.str()).is_some() {
                errors.push(name.invalid_text("must be a DNS name, not an IP address"));
            }
            host(&name, errors);
        }
        if let Some(http) = rule.at("http").some() {
            let paths = http.at("paths");
            if paths.is_empty() {
                errors.push(paths.required(""));
            }
            for path in paths.items() {
                ingress_path(&path, errors);
            }
        }
    }
    for tls in spec.at("tls").items() {
        for name in tls.at("hosts").items() {
            host(&name, errors);
        }
        let secret = tls.at("secretName");
        if judge_secrets && !secret.is_empty() {
            secret.format(formats::dns_subdomain(secret.str()), errors);
        }
    }
    let class = spec.at("ingressClassName");
    if class.present() {
        class.format(formats::dns_subdomain(class.str()), errors);
    }
}

fn ingress_path(rule: &Node<'_>, errors: &mut Errors) {
    let (kind, path) = (rule.at("pathType"), rule.at("path"));
    if !kind.present() {
        errors.push(kind.required("pathType must be specified"));
        return;
    }
    let absolute = path.str().starts_with('/');
    match kind.str() {
        "Exact" | "Prefix" => {
            if !absolute {
                errors.push(path.invalid_text("must be an absolute path"));
            }
            for sequence in ["//", "/./", "/../", "%2f", "%2F"] {
                if path.str().contains(sequence) {
                    errors.push(path.invalid_text(format!("must not contain '{sequence}'")));
                }
            }
            for suffix in ["/..", "/."] {
                if path.str().ends_with(suffix) {
                    errors.push(path.invalid_text(format!("cannot end with '{suffix}'")));
                }
            }
        }
        "ImplementationSpecific" => {
            if !path.is_empty() && !absolute {
                errors.push(path.invalid_text("must be an absolute path"));
            }
        }
        _ => errors.push(kind.not_supported(&["Exact", "ImplementationSpecific", "Prefix"])),
    }
    ingress_backend(&rule.at("backend"), errors);
}

fn ingress_backend(backend: &Node<'_>, errors: &mut Errors) {
    let (resource, service) = (backend.at("resource"), backend.at("service"));
    match (resource.present(), service.present()) {
        (true, true) => {
            errors.push(Error::invalid(&backend.path, "", "cannot set both resource and service backends"));
        }
        (true, false) => object_reference(&resource, errors),
        (false, true) => {
            let name = service.at("name");
            if name.is_empty() {
                errors.push(name.required(""));
            } else {
                name.format(formats::dns_label(name.str()), errors);
            }
            let (port_name, number) = (service.at("port").at("name"), service.at("port").at("number"));
            match (!port_name.is_empty(), number.int() != 0) {
                (true, true) => {
                    errors.push(Error::invalid(&backend.path, "", "cannot set both port name & port number"));
                }
                (true, false) => port_name.format(formats::port_name(port_name.str()), errors),
                (false, true) => container::port_number(&number, errors),
                (false, false) => errors.push(backend.required("port name or number is required")),
            }
        }
        (false, false) => errors.push(Error::invalid(&backend.path, "", "resource or service backend is required")),
    }
}

fn path_segment(node: &Node<'_>, errors: &mut Errors) {
    if node.is_empty() {
        errors.push(node.required(""));
    } else {
        node.format(formats::path_segment(node.str(), false), errors);
    }
}

fn object_reference(reference: &Node<'_>, errors: &mut Errors) {
    let group = reference.at("apiGroup");
    if group.present() {
        group.format(formats::dns_subdomain(group.str()), errors);
    }
    path_segment(&reference.at("kind"), errors);
    path_segment(&reference.at("name"), errors);
}

/// Judges a new ingress class.
pub fn create_ingress_class(class: &Node<'_>, errors: &mut Errors) {
    name(class, false, errors);
    let spec = class.at("spec");
    let controller = spec.at("controller");
    if controller.len() > 250 {
        errors.push(Error::too_long(&controller.path, 250));
    }
    formats::domain_prefixed_path(&controller, errors);
    let Some(parameters) = spec.at("parameters").some() else { return };
    object_reference(&parameters, errors);
    let (scope, namespace) = (parameters.at("scope"), parameters.at("namespace"));
    if !scope.present() {
        errors.push(scope.required(""));
        return;
    }
    match scope.str() {
        "Namespace" if namespace.present() => namespace.format(formats::dns_label(namespace.str()), errors),
        "Namespace" => errors.push(namespace.required("`parameters.scope` is set to 'Namespace'")),
        "Cluster" => {
            if namespace.present() {
                errors.push(namespace.forbidden("`parameters.scope` is set to 'Cluster'"));
            }
        }
        _ => errors.push(scope.not_supported(&["Cluster", "Namespace"])),
    }
}

/// Judges a changed ingress class.
pub fn update_ingress_class(class: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(class, old, errors);
    let controller = class.at("spec").at("controller");
    controller.immutable(old.at("spec").get("controller"), errors);
    create_ingress_class(class, errors);
}

fn ip_name(name: &str, _prefix: bool) -> formats::Messages {
    let value = Value::from(name);
    let mut errors = Errors::new();
    addresses::ip(&Node::root(&value), &mut errors);
    errors.into_iter().map(|error| error.detail).collect()
}

/// Judges a new IP address.
pub fn create_ip_address(address: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&address.at("metadata"), false, ip_name, errors);
    let parent = address.at("spec").at("parentRef");
    if !parent.present() {
        errors.push(parent.required(""));
        return;
    }
    let group = parent.at("group");
    if !group.is_empty() {
        group.format(formats::dns_subdomain(group.str()), errors);
    }
    path_segment(&parent.at("resource"), errors);
    path_segment(&parent.at("name"), errors);
    let namespace = parent.at("namespace");
    namespace.format(formats::path_segment(namespace.str(), false), errors);
}

/// Judges a changed IP address.
pub fn update_ip_address(address: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_ip_address(address, errors);
    update_name(address, old, errors);
    let parent = address.at("spec").at("parentRef");
    if parent.value != old.at("spec").get("parentRef") {
        let shown = go_struct::value("io.k8s.api.networking.v1.ParentReference", parent.value);
        errors.push(Error::invalid(&parent.path, shown, "field is immutable"));
    }
}

/// Judges a new range of service addresses.
pub fn create_service_cidr(range: &Node<'_>, errors: &mut Errors) {
    name(range, false, errors);
    service_cidrs(&range.at("spec"), errors);
}

fn service_cidrs(spec: &Node<'_>, errors: &mut Errors) {
    let cidrs = spec.at("cidrs");
    if cidrs.is_empty() {
        errors.push(cidrs.required("at least one CIDR required"));
        return;
    }
    if cidrs.len() > 2 {
        let shown = go_struct::value("io.k8s.api.networking.v1.ServiceCIDRSpec", spec.value);
        errors.push(Error::invalid(&cidrs.path, shown, "may only hold up to 2 values"));
        return;
    }
    for cidr in cidrs.items() {
        addresses::cidr(&cidr, errors);
    }
    let families: Vec<bool> =
        cidrs.strings().filter_map(addresses::parse_cidr).map(|(address, _)| address.is_ipv4()).collect();
    if families.len() == 2 && families.first() == families.last() {
        errors.push(
            cidrs.invalid("may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"),
        );
    }
}

/// Judges a changed range of service addresses.
pub fn update_service_cidr(range: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(range, old, errors);
    let (cidrs, old) = (range.at("spec").at("cidrs"), old.at("spec").at("cidrs"));
    match (old.len(), cidrs.len()) {
        (before, now) if before == now => {
            for (cidr, old) in cidrs.items().zip(old.items()) {
                cidr.immutable(old.value, errors);
            }
        }
        (1, 2) => {
            for (cidr, old) in cidrs.items().zip(old.items()) {
                cidr.immutable(old.value, errors);
            }
            service_cidrs(&range.at("spec"), errors);
        }
        _ => errors.push(cidrs.invalid("field is immutable")),
    }
}
