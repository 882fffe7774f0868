//! Pods and the templates that pods are made from.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go` and `conversion.go`, `pkg/apis/core/validation/validation.go`.

use serde_json::{Value, json};

use super::edit::{
    Fields, add_missing, each, is_absent, is_empty, object, set, set_absent, set_empty, text, within, within_new,
};
use super::field::{Error, Errors, Path};
use super::node::Node;
use super::quantity::Quantity;
use super::{addresses, affinity, container, formats, go_struct, image, meta, paths, resources, volume};
use crate::go_syntax::go_quote;

/// The lists of containers of a pod.
const CONTAINER_LISTS: [&str; 3] = ["initContainers", "containers", "ephemeralContainers"];

/// Defaults of a pod.
pub fn default_pod(pod: &mut Value) {
    object(pod, |pod| {
        within(pod, "metadata", drop_init_container_annotations);
        within(pod, "spec", |spec| {
            for list in ["containers", "initContainers"] {
                each(spec, list, |container| {
                    within(container, "resources", |resources| add_missing(resources, "requests", "limits"));
                });
            }
            set_absent(spec, "enableServiceLinks", true);
            if !is_empty(spec, "hostNetwork") {
                for list in ["containers", "initContainers"] {
                    each(spec, list, default_host_ports);
                }
            }
            default_spec(spec);
            // Only for pods: a template keeps what it was given.
            if spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|seconds| seconds < 0) {
                set(spec, "terminationGracePeriodSeconds", 1);
            }
        });
        within(pod, "status", default_status);
    });
}

/// On the host's network a container's port is the host's.
fn default_host_ports(container: &mut Fields) {
    each(container, "ports", |port| {
        if is_empty(port, "hostPort")
            && let Some(number) = port.get("containerPort").cloned()
        {
            set(port, "hostPort", number);
        }
    });
}

/// Reconciles a pod's one address with its list of addresses: the single one rules.
pub fn default_status(status: &mut Fields) {
    let ip = text(status, "podIP").to_owned();
    let first = status.get("podIPs").and_then(|ips| ips.get(0)?.get("ip")?.as_str()).map(str::to_owned);
    match first {
        Some(first) if ip.is_empty() && !first.is_empty() => set(status, "podIP", first),
        _ if ip.is_empty() => {}
        Some(first) if first == ip => {}
        _ => set(status, "podIPs", json!([{ "ip": ip }])),
    }
}

/// Defaults of a pod template.
pub fn default_template(template: &mut Fields) {
    within(template, "metadata", drop_init_container_annotations);
    within(template, "spec", default_spec);
}

/// Defaults of a `PodTemplate` object.
pub fn default_pod_template(object_value: &mut Value) {
    object(object_value, |object| within(object, "template", default_template));
}

/// Annotations of Kubernetes before 1.6, which kubelets would still obey.
fn drop_init_container_annotations(meta: &mut Fields) {
    within(meta, "annotations", |annotations| {
        for name in ["init-containers", "init-container-statuses"] {
            annotations.remove(&format!("pod.alpha.kubernetes.io/{name}"));
            annotations.remove(&format!("pod.beta.kubernetes.io/{name}"));
        }
    });
    if is_empty(meta, "annotations") {
        meta.remove("annotations");
    }
}

/// Defaults of a pod's spec.
pub fn default_spec(spec: &mut Fields) {
    set_empty(spec, "dnsPolicy", "ClusterFirst");
    set_empty(spec, "restartPolicy", "Always");
    within_new(spec, "securityContext", |_| ());
    set_absent(spec, "terminationGracePeriodSeconds", 30);
    set_empty(spec, "schedulerName", "default-scheduler");
    each(spec, "volumes", volume::default_volume);
    for list in CONTAINER_LISTS {
        each(spec, list, default_container);
    }
    // `serviceAccount` is the old name of `serviceAccountName`.
    if is_empty(spec, "serviceAccountName") {
        if !is_empty(spec, "serviceAccount") {
            let name = text(spec, "serviceAccount").to_owned();
            set(spec, "serviceAccountName", name);
        }
    } else {
        let name = text(spec, "serviceAccountName").to_owned();
        set(spec, "serviceAccount", name);
    }
}

fn default_container(container: &mut Fields) {
    if is_empty(container, "imagePullPolicy") {
        let policy = if image::tag(text(container, "image")) == Some("latest") { "Always" } else { "IfNotPresent" };
        set(container, "imagePullPolicy", policy);
    }
    set_empty(container, "terminationMessagePath", "/dev/termination-log");
    set_empty(container, "terminationMessagePolicy", "File");
    each(container, "ports", |port| set_empty(port, "protocol", "TCP"));
    each(container, "env", |variable| {
        within(variable, "valueFrom", |source| {
            within(source, "fieldRef", volume::default_field_ref);
            within(source, "fileKeyRef", |file| set_absent(file, "optional", false));
        });
    });
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        within(container, probe, default_probe);
    }
    within(container, "lifecycle", |lifecycle| {
        for hook in ["postStart", "preStop"] {
            within(lifecycle, hook, |handler| within(handler, "httpGet", default_http_get));
        }
    });
}

fn default_probe(probe: &mut Fields) {
    set_empty(probe, "timeoutSeconds", 1);
    set_empty(probe, "periodSeconds", 10);
    set_empty(probe, "successThreshold", 1);
    set_empty(probe, "failureThreshold", 3);
    within(probe, "httpGet", default_http_get);
    within(probe, "grpc", |grpc| {
        if is_absent(grpc, "service") {
            set(grpc, "service", "");
        }
    });
}

fn default_http_get(action: &mut Fields) {
    set_empty(action, "path", "/");
    set_empty(action, "scheme", "HTTP");
}

/// Judges a new pod.
pub fn create_pod(pod: &Node<'_>, errors: &mut Errors) {
    validate_pod(pod, errors);
    let spec = pod.at("spec");
    let ephemeral = spec.at("ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.push(ephemeral.forbidden("cannot be set on create"));
    }
    let node_name = spec.at("nodeName");
    if !node_name.is_empty() && !spec.at("schedulingGates").is_empty() {
        errors.push(node_name.forbidden("cannot be set until all schedulingGates have been cleared"));
    }
    validate_profile_annotations(&pod.at("metadata"), &spec, errors);
}

/// What holds of a pod at all times.
pub fn validate_pod(pod: &Node<'_>, errors: &mut Errors) {
    let (metadata, spec) = (pod.at("metadata"), pod.at("spec"));
    meta::validate_kube(&metadata, true, formats::subdomain_name, errors);
    validate_annotations(&metadata.at("annotations"), &spec, errors);
    validate_spec(&spec, Some(&metadata), errors);
    if spec.text("serviceAccountName").is_empty() {
        for volume in spec.at("volumes").items() {
            for source in volume.at("projected").at("sources").items() {
                let token = source.at("serviceAccountToken");
                if token.present() {
                    errors.push(token.forbidden("must not be specified when serviceAccountName is not set"));
                }
            }
        }
    }
    for list in ["containers", "initContainers"] {
        for container in spec.at(list).items() {
            container::validate_image_spaces(&container, errors);
        }
    }
}

/// Judges a template of pods, where it is a field of something that makes them.
pub fn validate_template(template: &Node<'_>, errors: &mut Errors) {
    let (metadata, spec) = (template.at("metadata"), template.at("spec"));
    validate_template_metadata(template, errors);
    validate_spec(&spec, None, errors);
    validate_profile_annotations(&metadata, &spec, errors);
    let ephemeral = spec.at("ephemeralContainers");
    if !ephemeral.is_empty() {
        errors.push(ephemeral.forbidden("ephemeral containers not allowed in pod template"));
    }
}

/// Judges a template's metadata, whose fields upstream names as if they were the template's own.
pub fn validate_template_metadata(template: &Node<'_>, errors: &mut Errors) {
    let metadata = template.at("metadata");
    let at = |name: &'static str| Node { value: metadata.get(name), path: template.path.child(name) };
    meta::labels(&at("labels"), errors);
    meta::annotations(&at("annotations"), errors);
    validate_annotations(&at("annotations"), &template.at("spec"), errors);
}

/// Judges a new `PodTemplate` object.
pub fn create_pod_template(object: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&object.at("metadata"), true, formats::subdomain_name, errors);
    validate_template(&object.at("template"), errors);
}

/// Judges a changed `PodTemplate` object.
pub fn update_pod_template(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&object.at("metadata"), &old.at("metadata"), errors);
    validate_template(&object.at("template"), errors);
}

/// The pod's containers in the order in which rules for all of them visit them.
fn all_containers<'a>(spec: &Node<'a>) -> impl Iterator<Item = Node<'a>> {
    let lists = CONTAINER_LISTS.map(|list| spec.at(list));
    lists.into_iter().flat_map(|list| list.items())
}

/// The annotation of pods that a kubelet runs without being asked to by the server.
pub const MIRROR: &str = "kubernetes.io/config.mirror";
const SECCOMP_POD: &str = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER: &str = "container.seccomp.security.alpha.kubernetes.io/";
const APP_ARMOR: &str = "container.apparmor.security.beta.kubernetes.io/";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

fn validate_annotations(annotations: &Node<'_>, spec: &Node<'_>, errors: &mut Errors) {
    if annotations.has(MIRROR) && spec.text("nodeName").is_empty() {
        let path = annotations.path.key(MIRROR);
        errors.push(Error::invalid(
            &path,
            annotations.text(MIRROR),
            "must set spec.nodeName if mirror pod annotation is set",
        ));
    }
    if annotations.has(DELETION_COST) {
        let cost = annotations.text(DELETION_COST);
        let leads_well = matches!(cost.as_bytes(), [b'1'..=b'9' | b'-', ..] | [b'0']);
        if cost.parse::<i32>().is_err() || !leads_well {
            let path = annotations.path.key(DELETION_COST);
            errors.push(Error::invalid(&path, cost, "must be a 32bit integer"));
        }
    }
    let seccomp = |profile: &str, key: &str, errors: &mut Errors| {
        let path = annotations.path.annotation(key);
        if let Some(file) = profile.strip_prefix("localhost/") {
            let file = Value::from(file);
            paths::descending(&Node { value: &file, path }, errors);
        } else if !matches!(profile, "runtime/default" | "docker/default" | "unconfined") {
            errors.push(Error::invalid(&path, profile, "must be a valid seccomp profile"));
        }
    };
    if annotations.has(SECCOMP_POD) {
        seccomp(annotations.text(SECCOMP_POD), SECCOMP_POD, errors);
    }
    for (key, profile) in annotations.texts() {
        if key.starts_with(SECCOMP_CONTAINER) {
            seccomp(profile, key, errors);
        }
    }
    for (key, profile) in annotations.texts() {
        let Some(name) = key.strip_prefix(APP_ARMOR) else { continue };
        let path = annotations.path.key(key);
        if !all_containers(spec).any(|container| container.text("name") == name) {
            errors.push(Error::invalid(&path, name, "container not found"));
        }
        if !(matches!(profile, "" | "runtime/default" | "unconfined") || profile.starts_with("localhost/")) {
            errors.push(Error::invalid(
                &path,
                profile,
                format!("invalid AppArmor profile name: {}", go_quote(profile)),
            ));
        }
    }
}

/// Requires profiles that are given both as fields and as annotations of old to be the same.
fn validate_profile_annotations(metadata: &Node<'_>, spec: &Node<'_>, errors: &mut Errors) {
    let annotations = metadata.at("annotations");
    let pod_context = spec.at("securityContext");
    let mut match_profile = |annotation: &Value, profile: &Node<'_>, path: &Path, what: &str, defaults: &[&str]| {
        let Some(annotation) = annotation.as_str() else { return };
        let kind_matches = match profile.text("type") {
            "Unconfined" => annotation == "unconfined",
            "RuntimeDefault" => defaults.contains(&annotation),
            "Localhost" => annotation.starts_with("localhost/"),
            _ => return,
        };
        let (what_type, what_profile) = (
            format!("{what} type in annotation and field must match"),
            format!("{what} profile in annotation and field must match"),
        );
        if !kind_matches {
            errors.push(Error::forbidden(&path.child("type"), what_type));
        } else if annotation.strip_prefix("localhost/").is_some_and(|file| profile.get("localhostProfile") != file) {
            errors.push(Error::forbidden(&path.child("localhostProfile"), what_profile));
        }
    };
    let seccomp_defaults = ["runtime/default", "docker/default"];
    let profile = pod_context.at("seccompProfile");
    match_profile(annotations.get(SECCOMP_POD), &profile, &profile.path, "seccomp", &seccomp_defaults);
    for container in all_containers(spec) {
        let profile = container.at("securityContext").at("seccompProfile");
        let key = format!("{SECCOMP_CONTAINER}{}", container.text("name"));
        match_profile(annotations.get(&key), &profile, &profile.path, "seccomp", &seccomp_defaults);
    }
    if spec.at("os").text("name") == "windows" {
        return;
    }
    for container in all_containers(spec) {
        let own = container.at("securityContext").at("appArmorProfile");
        let path = own.path.clone();
        let profile = own.some().unwrap_or_else(|| pod_context.at("appArmorProfile"));
        let key = format!("{APP_ARMOR}{}", container.text("name"));
        match_profile(annotations.get(&key), &profile, &path, "apparmor", &["runtime/default"]);
    }
}

/// Judges a pod's spec. `metadata` is the pod's; a template has none.
pub fn validate_spec(spec: &Node<'_>, metadata: Option<&Node<'_>>, errors: &mut Errors) {
    let context = spec.at("securityContext");
    let pod_name = metadata.map(|metadata| metadata.text("name")).unwrap_or_default();
    let volumes = volume::validate_volumes(&spec.at("volumes"), pod_name, errors);
    validate_resource_claims(&spec.at("resourceClaims"), metadata, errors);
    let claims = spec.at("resourceClaims");
    let pod = container::Pod {
        volumes,
        claims: claims.items().map(|claim| claim.text("name")).filter(|name| !name.is_empty()).collect(),
        grace_period: spec.number("terminationGracePeriodSeconds"),
        restart_policy: spec.text("restartPolicy"),
        os: spec.has("os").then(|| spec.at("os").text("name")),
        host_users: spec.get("hostUsers").as_bool().unwrap_or(true),
    };
    let (containers, init_containers) = (spec.at("containers"), spec.at("initContainers"));
    container::validate_containers(&containers, &pod, errors);
    container::validate_init_containers(&init_containers, &containers, &pod, errors);
    container::validate_ephemeral_containers(
        &spec.at("ephemeralContainers"),
        &containers,
        &init_containers,
        &pod,
        errors,
    );
    validate_pod_resources(spec, &pod.claims, errors);
    if spec.flag("hostNetwork") {
        validate_host_ports(&containers, metadata.is_some(), errors);
    }
    container::required_one_of(&spec.at("restartPolicy"), &["Always", "OnFailure", "Never"], errors);
    let dns_policies = ["ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"];
    container::required_one_of(&spec.at("dnsPolicy"), &dns_policies, errors);
    meta::labels(&spec.at("nodeSelector"), errors);
    validate_security_context(&context, spec, errors);
    affinity::validate(&spec.at("affinity"), errors);
    validate_dns_config(spec, errors);
    for gate in spec.at("readinessGates").items() {
        meta::label_key(&gate.at("conditionType"), errors);
    }
    validate_scheduling_gates(&spec.at("schedulingGates"), errors);
    affinity::validate_spread(&spec.at("topologySpreadConstraints"), errors);
    validate_host_process(spec, errors);
    validate_host_users(spec, errors);
    validate_hostname_override(spec, errors);
    optional_format(&spec.at("serviceAccountName"), formats::dns_subdomain, errors);
    optional_format(&spec.at("nodeName"), formats::dns_subdomain, errors);
    let deadline = spec.at("activeDeadlineSeconds");
    if deadline.present() {
        for message in formats::in_range(deadline.int(), 1, i64::from(i32::MAX)) {
            errors.push(deadline.invalid_int(message));
        }
    }
    optional_format(&spec.at("hostname"), formats::dns_label, errors);
    optional_format(&spec.at("subdomain"), formats::dns_label, errors);
    validate_tolerations(&spec.at("tolerations"), errors);
    for alias in spec.at("hostAliases").items() {
        addresses::legacy_ip(&alias.at("ip"), errors);
        for hostname in alias.at("hostnames").items() {
            hostname.format(formats::dns_subdomain(hostname.str()), errors);
        }
    }
    optional_format(&spec.at("priorityClassName"), formats::dns_subdomain, errors);
    let class = spec.at("runtimeClassName");
    if class.present() {
        class.format(formats::dns_subdomain(class.str()), errors);
    }
    let preemption = spec.at("preemptionPolicy");
    if preemption.present() {
        container::required_one_of(&preemption, &["PreemptLowerPriority", "Never"], errors);
    }
    if let Some(overhead) = spec.at("overhead").some() {
        validate_overhead(&overhead, errors);
    }
    validate_os(spec, errors);
    validate_file_key_volumes(spec, errors);
}

fn optional_format(node: &Node<'_>, format: fn(&str) -> formats::Messages, errors: &mut Errors) {
    if !node.is_empty() {
        node.format(format(node.str()), errors);
    }
}

/// Overhead is judged as if it were limits, and reported as such.
pub fn validate_overhead(overhead: &Node<'_>, errors: &mut Errors) {
    let mut limits = Fields::new();
    limits.insert("limits".to_owned(), overhead.value.clone());
    let limits = Value::Object(limits);
    resources::requirements(
        &Node { value: &limits, path: overhead.path.clone() },
        resources::container_name,
        &[],
        errors,
    );
}

fn validate_resource_claims(claims: &Node<'_>, metadata: Option<&Node<'_>>, errors: &mut Errors) {
    let is_static = metadata.is_some_and(|metadata| metadata.at("annotations").has(MIRROR));
    let mut names: Vec<&str> = Vec::new();
    for claim in claims.items() {
        if is_static {
            errors.push(Error::forbidden(&Path::new(""), "static pods do not support resource claims"));
            continue;
        }
        let name = claim.at("name");
        if name.is_empty() {
            errors.push(name.required(""));
        } else if names.contains(&name.str()) {
            errors.push(name.duplicate());
        } else {
            name.format(formats::dns_label(name.str()), errors);
            names.push(name.str());
        }
        let (direct, template) = (claim.at("resourceClaimName"), claim.at("resourceClaimTemplateName"));
        let shown = || go_struct::value("io.k8s.api.core.v1.PodResourceClaim", claim.value);
        if direct.present() && template.present() {
            let message = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified";
            errors.push(Error::invalid(&claim.path, shown(), message));
        }
        if !direct.present() && !template.present() {
            let message = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`";
            errors.push(Error::invalid(&claim.path, shown(), message));
        }
        for reference in [direct, template] {
            if reference.present() {
                reference.format(formats::dns_subdomain(reference.str()), errors);
            }
        }
    }
}

fn validate_pod_resources(spec: &Node<'_>, claims: &[&str], errors: &mut Errors) {
    let Some(node) = spec.at("resources").some() else { return };
    if spec.at("os").text("name") == "windows" {
        errors.push(node.forbidden("may not be set for a windows pod"));
        return;
    }
    let own_claims = node.at("claims");
    if own_claims.present() {
        errors.push(own_claims.forbidden("claims may not be set for Resources at pod-level"));
    }
    resources::requirements(&node, resources::pod_name, claims, errors);
    let limits = node.at("limits");
    for (i, container) in spec.at("containers").items().enumerate() {
        for (resource, limit) in container.at("resources").at("limits").texts() {
            let Some(allowed) = limits.get(resource).as_str() else { continue };
            if Quantity::parse(limit) > Quantity::parse(allowed) {
                let path = node.path.child("containers").index(i).key(resource).child("limits");
                let message = format!("must be less than or equal to pod limits of {allowed}");
                errors.push(Error::invalid(&path, limit, message));
            }
        }
    }
}

fn validate_host_ports(containers: &Node<'_>, is_pod: bool, errors: &mut Errors) {
    for container in containers.items() {
        for port in container.at("ports").items() {
            let host = port.at("hostPort");
            let differs = host.int() != port.number("containerPort").unwrap_or_default();
            if differs && (is_pod || host.int() != 0) {
                errors.push(host.invalid_int("must match `containerPort` when `hostNetwork` is true"));
            }
        }
    }
}

fn validate_security_context(context: &Node<'_>, spec: &Node<'_>, errors: &mut Errors) {
    for name in ["fsGroup", "runAsUser", "runAsGroup"] {
        container::user_id(&context.at(name), errors);
    }
    for group in context.at("supplementalGroups").items() {
        container::user_id(&group, errors);
    }
    if spec.flag("shareProcessNamespace") && spec.flag("hostPID") {
        let path = context.path.child("shareProcessNamespace");
        errors.push(Error::invalid(&path, true, "ShareProcessNamespace and HostPID cannot both be enabled"));
    }
    validate_sysctls(&context.at("sysctls"), spec, errors);
    let optional = |name, supported: &[&str], errors: &mut Errors| {
        let field = context.at(name);
        if field.present() {
            field.one_of(supported, errors);
        }
    };
    optional("fsGroupChangePolicy", &["Always", "OnRootMismatch"], errors);
    container::seccomp_profile(&context.at("seccompProfile"), errors);
    container::windows_options(&context.at("windowsOptions"), errors);
    container::app_armor_profile(&context.at("appArmorProfile"), errors);
    optional("supplementalGroupsPolicy", &["Merge", "Strict"], errors);
    optional("seLinuxChangePolicy", &["Recursive"], errors);
}

fn validate_sysctls(sysctls: &Node<'_>, spec: &Node<'_>, errors: &mut Errors) {
    const SEGMENT: &str = "[a-z0-9]([-_a-z0-9]*[a-z0-9])?";
    let mut names: Vec<&str> = Vec::new();
    for sysctl in sysctls.items() {
        let name = sysctl.at("name");
        let text = name.str();
        if text.is_empty() {
            errors.push(name.required(""));
        } else if text.len() > 253 || !is_sysctl(text) {
            let message = format!("must have at most 253 characters and match regex ^({SEGMENT}[\\./])*{SEGMENT}$");
            errors.push(name.invalid_text(message));
        } else if names.contains(&text) {
            errors.push(name.duplicate());
        }
        let normal = text.replace('/', ".");
        if spec.flag("hostNetwork") && normal.starts_with("net.") {
            errors.push(name.invalid_text("may not be specified when 'hostNetwork' is true"));
        } else if spec.flag("hostIPC") && is_ipc_sysctl(&normal) {
            errors.push(name.invalid_text("may not be specified when 'hostIPC' is true"));
        }
        names.push(text);
    }
}

fn is_sysctl(name: &str) -> bool {
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    name.split(['.', '/']).all(|segment| {
        let bytes = segment.as_bytes();
        bytes.first().is_some_and(edge)
            && bytes.last().is_some_and(edge)
            && bytes.iter().all(|b| edge(b) || *b == b'-' || *b == b'_')
    })
}

fn is_ipc_sysctl(name: &str) -> bool {
    name == "kernel.sem" || ["kernel.shm", "kernel.msg", "fs.mqueue."].iter().any(|prefix| name.starts_with(prefix))
}

fn validate_dns_config(spec: &Node<'_>, errors: &mut Errors) {
    const SERVERS_MAX: usize = 3;
    const SEARCHES_MAX: usize = 32;
    const SEARCH_CHARACTERS_MAX: usize = 2048;
    let config = spec.at("dnsConfig");
    let servers = config.at("nameservers");
    if spec.text("dnsPolicy") == "None" {
        if !config.present() {
            errors.push(config.required("must provide `dnsConfig` when `dnsPolicy` is None"));
            return;
        }
        if servers.is_empty() {
            errors.push(servers.required("must provide at least one DNS nameserver when `dnsPolicy` is None"));
            return;
        }
    }
    if servers.len() > SERVERS_MAX {
        errors.push(servers.invalid(format!("must not have more than {SERVERS_MAX} nameservers")));
    }
    for server in servers.items() {
        addresses::legacy_ip(&server, errors);
    }
    let searches = config.at("searches");
    if searches.len() > SEARCHES_MAX {
        errors.push(searches.invalid(format!("must not have more than {SEARCHES_MAX} search paths")));
    }
    let characters: usize = searches.strings().map(|search| search.len() + 1).sum();
    if characters > SEARCH_CHARACTERS_MAX + 1 {
        errors.push(searches.invalid(format!(
            "must not have more than {SEARCH_CHARACTERS_MAX} characters (including spaces) in the search list"
        )));
    }
    for search in searches.items() {
        if search.str() != "." {
            let name = search.str().strip_suffix('.').unwrap_or(search.str());
            for message in formats::dns_subdomain_with_underscore(name) {
                errors.push(Error::invalid(&search.path, name, message));
            }
        }
    }
    for option in config.at("options").items() {
        if option.text("name").is_empty() {
            errors.push(option.required("must not be empty"));
        }
    }
}

fn validate_scheduling_gates(gates: &Node<'_>, errors: &mut Errors) {
    let mut names: Vec<&str> = Vec::new();
    for gate in gates.items() {
        let name = gate.text("name");
        for message in formats::label_key(name) {
            errors.push(Error::invalid(&gate.path, name, message));
        }
        if names.contains(&name) {
            errors.push(Error::duplicate(&gate.path, name));
        }
        names.push(name);
    }
}

fn validate_host_process(spec: &Node<'_>, errors: &mut Errors) {
    let of = |context: &Node<'_>| context.at("securityContext").at("windowsOptions").get("hostProcess").as_bool();
    let pod = of(spec);
    let (mut all, mut host) = (0, 0);
    for container in all_containers(spec) {
        all += 1;
        let own = of(&container);
        if let (Some(pod), Some(own)) = (pod, own)
            && pod != own
        {
            let path = container.path.child("securityContext").child("windowsOptions").child("hostProcess");
            let message = format!("pod hostProcess value must be identical if both are specified, was {pod}");
            errors.push(Error::invalid(&path, own, message));
        }
        host += usize::from(own.or(pod).unwrap_or(false));
    }
    if host == 0 {
        return;
    }
    if host != all {
        let message = "If pod contains any hostProcess containers then all containers must be HostProcess containers";
        errors.push(Error::invalid(&spec.path, "", message));
    }
    if !spec.flag("hostNetwork") {
        let message = "hostNetwork must be true if pod contains any hostProcess containers";
        errors.push(Error::invalid(&spec.path.child("hostNetwork"), false, message));
    }
}

fn validate_host_users(spec: &Node<'_>, errors: &mut Errors) {
    const MESSAGE: &str = "when `hostUsers` is false";
    if spec.get("hostUsers").as_bool().unwrap_or(true) {
        return;
    }
    for (field, reported) in [("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")] {
        if spec.flag(field) {
            errors.push(Error::forbidden(&spec.path.child(reported), MESSAGE));
        }
    }
    for container in all_containers(spec) {
        let devices = container.at("volumeDevices");
        if !devices.is_empty() {
            errors.push(devices.forbidden(MESSAGE));
        }
    }
}

fn validate_hostname_override(spec: &Node<'_>, errors: &mut Errors) {
    let Some(name) = spec.at("hostnameOverride").some() else { return };
    if spec.flag("setHostnameAsFQDN") {
        errors.push(name.forbidden("may not be specified when setHostnameAsFQDN is true"));
    }
    if spec.flag("hostNetwork") {
        errors.push(name.forbidden("may not be specified when hostNetwork is true"));
    }
    if name.len() > 64 {
        errors.push(Error::too_long(&name.path, 64));
    }
    name.format(formats::dns_subdomain(name.str()), errors);
}

const TAINT_EFFECTS: [&str; 3] = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

/// Judges what effect a taint has.
pub fn taint_effect(effect: &Node<'_>, errors: &mut Errors) {
    container::required_one_of(effect, &TAINT_EFFECTS, errors);
}

/// Judges which taints are tolerated.
pub fn validate_tolerations(tolerations: &Node<'_>, errors: &mut Errors) {
    for toleration in tolerations.items() {
        let (key, operator) = (toleration.at("key"), toleration.at("operator"));
        let (value, effect) = (toleration.text("value"), toleration.at("effect"));
        if key.is_empty() {
            if operator.str() != "Exists" {
                errors.push(operator.invalid_text(
                    "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
                ));
            }
        } else {
            meta::label_key(&key, errors);
        }
        if toleration.has("tolerationSeconds") && effect.str() != "NoExecute" {
            errors.push(effect.invalid_text("effect must be 'NoExecute' when `tolerationSeconds` is set"));
        }
        match operator.str() {
            "Equal" | "" => {
                let messages = formats::label_value(value);
                if !messages.is_empty() {
                    errors.push(Error::invalid(&operator.path, value, messages.join(";")));
                }
            }
            "Exists" => {
                if !value.is_empty() {
                    let message = "value must be empty when `operator` is 'Exists'";
                    errors.push(Error::invalid(&operator.path, value, message));
                }
            }
            "Lt" | "Gt" => errors.push(operator.not_supported(&["Equal", "Exists", "Lt", "Gt"])),
            _ => errors.push(operator.not_supported(&["Equal", "Exists"])),
        }
        if !effect.is_empty() {
            effect.one_of(&TAINT_EFFECTS, errors);
        }
    }
}

fn validate_os(spec: &Node<'_>, errors: &mut Errors) {
    let Some(os) = spec.at("os").some() else { return };
    match os.text("name") {
        "" => errors.push(os.at("name").required("")),
        "linux" => {
            for owner in std::iter::once(spec.clone()).chain(all_containers(spec)) {
                let options = owner.at("securityContext").at("windowsOptions");
                if options.present() {
                    errors.push(options.forbidden("windows options cannot be set for a linux pod"));
                }
            }
        }
        "windows" => validate_windows(spec, errors),
        other => errors.push(Error::not_supported(&os.path, other, &["linux", "windows"])),
    }
}

fn validate_windows(spec: &Node<'_>, errors: &mut Errors) {
    const MESSAGE: &str = "cannot be set for a windows pod";
    let context = spec.at("securityContext");
    let mut forbid = |owner: &Node<'_>, name: &'static str| {
        let field = owner.at(name);
        let set =
            field.present() && field.value != &Value::Bool(false) && !(field.value.is_array() && field.is_empty());
        if set || (field.present() && matches!(name, "hostUsers" | "shareProcessNamespace")) {
            errors.push(field.forbidden(MESSAGE));
        }
    };
    for (in_context, name) in [
        (true, "appArmorProfile"),
        (true, "seLinuxOptions"),
        (false, "hostUsers"),
        (false, "hostPID"),
        (false, "hostIPC"),
        (true, "seccompProfile"),
        (true, "fsGroup"),
        (true, "fsGroupChangePolicy"),
        (true, "sysctls"),
        (false, "shareProcessNamespace"),
        (true, "runAsUser"),
        (true, "runAsGroup"),
        (true, "supplementalGroups"),
        (true, "supplementalGroupsPolicy"),
        (true, "seLinuxChangePolicy"),
    ] {
        forbid(if in_context { &context } else { spec }, name);
    }
    for container in all_containers(spec) {
        let context = container.at("securityContext");
        for name in [
            "appArmorProfile",
            "seLinuxOptions",
            "seccompProfile",
            "capabilities",
            "readOnlyRootFilesystem",
            "privileged",
            "allowPrivilegeEscalation",
            "procMount",
            "runAsUser",
            "runAsGroup",
        ] {
            let field = context.at(name);
            if field.present() {
                errors.push(field.forbidden(MESSAGE));
            }
        }
    }
}

fn validate_file_key_volumes(spec: &Node<'_>, errors: &mut Errors) {
    let volumes = spec.at("volumes");
    for container in all_containers(spec) {
        for variable in container.at("env").items() {
            let Some(file) = variable.at("valueFrom").at("fileKeyRef").some() else { continue };
            let name = file.at("volumeName");
            match volumes.items().rfind(|volume| volume.text("name") == name.str()) {
                None => errors.push(Error::not_found(&name.path, name.str())),
                Some(volume) if !volume.has("emptyDir") => {
                    errors.push(name.invalid_text("referenced volume must be of type emptyDir"));
                }
                Some(_) => {}
            }
        }
    }
}

/// What may be changed in a pod's spec, as the error lists it.
const UPDATABLE: &str = "`spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)";

/// Judges a changed pod against what it was.
pub fn update_pod(pod: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&pod.at("metadata"), &old.at("metadata"), errors);
    validate_pod(pod, errors);
    let (spec, old_spec) = (pod.at("spec"), old.at("spec"));
    let (annotations, old_annotations) = (pod.at("metadata").at("annotations"), old.at("metadata").at("annotations"));
    if annotations.get(MIRROR) != old_annotations.get(MIRROR) {
        let path = annotations.path.key(MIRROR);
        let message = "may not remove or update mirror pod annotation";
        if annotations.has(MIRROR) && !old_annotations.has(MIRROR) {
            errors.push(Error::forbidden(&path, "may not add mirror pod annotation"));
        } else {
            errors.push(Error::forbidden(&path, message));
        }
    }
    for list in ["containers", "initContainers"] {
        let containers = spec.at(list);
        if containers.len() != old_spec.at(list).len() {
            errors.push(containers.forbidden("pod updates may not add or remove containers"));
            return;
        }
        for container in containers.items() {
            let image = container.at("image");
            if image.is_empty() {
                errors.push(image.required(""));
            }
            container::validate_image_spaces(&container, errors);
        }
    }
    let (deadline, old_deadline) = (spec.at("activeDeadlineSeconds"), old_spec.number("activeDeadlineSeconds"));
    if deadline.present() {
        if !(0..=i64::from(i32::MAX)).contains(&deadline.int()) {
            errors.push(deadline.invalid_int(formats::range_error(0, i64::from(i32::MAX))));
            return;
        }
        if old_deadline.is_some_and(|old| old < deadline.int()) {
            errors.push(deadline.invalid_int("must be less than or equal to previous value"));
            return;
        }
    } else if old_deadline.is_some() {
        errors.push(deadline.invalid("must not update from a positive integer to nil value"));
    }
    update_tolerations(&spec.at("tolerations"), &old_spec.at("tolerations"), errors);
    update_scheduling_gates(&spec.at("schedulingGates"), &old_spec.at("schedulingGates"), errors);
    let mut munged = spec.value.clone();
    object(&mut munged, |munged| munge(munged, old_spec.value));
    if !old_spec.at("schedulingGates").is_empty() {
        let selector = spec.at("nodeSelector");
        if old_spec.at("nodeSelector").texts().any(|(key, value)| selector.text(key) != value || !selector.has(key)) {
            let message = "only additions to spec.nodeSelector are allowed (no mutations or deletions)";
            errors.push(selector.invalid(message));
        }
        object(&mut munged, |munged| restore(munged, old_spec.value, "nodeSelector"));
    }
    if &munged != old_spec.value {
        errors.push(spec.forbidden(format!("pod updates may not change fields other than {UPDATABLE}\n")));
    }
}

/// Sets a field to what it was.
fn restore(fields: &mut Fields, old: &Value, name: &str) {
    match old.get(name) {
        Some(value) => set(fields, name, value.clone()),
        None => drop(fields.remove(name)),
    }
}

/// Undoes the changes that are allowed.
fn munge(spec: &mut Fields, old: &Value) {
    for list in ["containers", "initContainers"] {
        let images = old.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
        let mut images = images.iter();
        each(spec, list, |container| {
            if let Some(old) = images.next() {
                restore(container, old, "image");
            }
        });
    }
    for name in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        restore(spec, old, name);
    }
    let was_negative = old.get("terminationGracePeriodSeconds").and_then(Value::as_i64).is_some_and(|old| old < 0);
    if was_negative && spec.get("terminationGracePeriodSeconds").and_then(Value::as_i64) == Some(1) {
        restore(spec, old, "terminationGracePeriodSeconds");
    }
}

fn update_tolerations(tolerations: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    let without_seconds = |toleration: &Value| {
        let mut toleration = toleration.clone();
        object(&mut toleration, |fields| drop(fields.remove("tolerationSeconds")));
        toleration
    };
    for old in old.items() {
        let old = without_seconds(old.value);
        if !tolerations.items().any(|toleration| without_seconds(toleration.value) == old) {
            let message = "existing toleration can not be modified except its tolerationSeconds";
            errors.push(tolerations.forbidden(message));
            return;
        }
    }
    validate_tolerations(tolerations, errors);
}

fn update_scheduling_gates(gates: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    for gate in gates.items() {
        let name = gate.at("name");
        if !old.items().any(|old| old.text("name") == name.str()) {
            let message = format!("only deletion is allowed, but found new scheduling gate '{}'", name.str());
            errors.push(name.forbidden(message));
        }
    }
}
