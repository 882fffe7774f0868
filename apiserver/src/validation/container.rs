//! Containers: ports, environment, mounts, probes, hooks and security contexts.
//!
//! Upstream: `pkg/apis/core/validation/validation.go`.

use super::field::{BadValue, Error, Errors};
use super::node::Node;
use super::quantity::Quantity;
use super::{formats, meta, paths, resources};

/// What containers are judged against: what their pod says.
pub struct Pod<'a> {
    /// Volumes that can be mounted, by name.
    pub volumes: Vec<(&'a str, Node<'a>)>,
    /// Names of resource claims.
    pub claims: Vec<&'a str>,
    /// Seconds that containers have to stop.
    pub grace_period: Option<i64>,
    /// The pod's restart policy.
    pub restart_policy: &'a str,
    /// The operating system; none if the pod does not say.
    pub os: Option<&'a str>,
    /// Whether containers run in the host's user namespace.
    pub host_users: bool,
}

impl<'a> Pod<'a> {
    fn volume(&self, name: &str) -> Option<&Node<'a>> {
        self.volumes.iter().find(|(volume, _)| *volume == name).map(|(_, volume)| volume)
    }
}

/// Judges the containers that do a pod's work.
pub fn validate_containers(containers: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    if containers.is_empty() {
        errors.push(containers.required(""));
        return;
    }
    let mut names: Vec<&str> = Vec::new();
    for container in containers.items() {
        validate_common(&container, pod, errors);
        unique_name(&container, &mut names, errors);
        validate_hooks(&container, pod, errors);
        validate_restart_policy(&container, errors);
    }
    host_port_conflicts(containers, containers.items().collect(), errors);
}

fn unique_name<'a>(container: &Node<'a>, names: &mut Vec<&'a str>, errors: &mut Errors) {
    let name = container.at("name");
    if names.contains(&name.str()) {
        errors.push(Error::duplicate(&name.path, name.str()));
    } else {
        names.push(name.str());
    }
}

fn validate_hooks(container: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    if let Some(lifecycle) = container.at("lifecycle").some() {
        validate_lifecycle(&lifecycle, pod, errors);
    }
    for name in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let Some(probe) = container.at(name).some() else { continue };
        validate_probe(&probe, errors);
        if name == "readinessProbe" {
            let grace = probe.at("terminationGracePeriodSeconds");
            if grace.present() {
                errors.push(grace.invalid("must not be set for readinessProbes"));
            }
        } else {
            let threshold = probe.at("successThreshold");
            if threshold.int() != 1 {
                errors.push(threshold.invalid_int("must be 1"));
            }
        }
    }
}

const RULES_NEED_POLICY: &str = "must specify restartPolicy when restart rules are used";

fn validate_restart_policy(container: &Node<'_>, errors: &mut Errors) {
    let (policy, rules) = (container.at("restartPolicy"), container.at("restartPolicyRules"));
    if policy.present() {
        policy.one_of(&["Always", "Never", "OnFailure"], errors);
    } else if rules.is_empty() {
        return;
    } else {
        errors.push(policy.required(RULES_NEED_POLICY));
    }
    if rules.len() > 20 {
        errors.push(Error::too_many(&rules.path, rules.len(), 20));
    }
    for rule in rules.items() {
        rule.at("action").one_of(&["Restart", "RestartAllContainers"], errors);
        let codes = rule.at("exitCodes");
        if codes.present() {
            codes.at("operator").one_of(&["In", "NotIn"], errors);
            let values = codes.at("values");
            if values.len() > 255 {
                errors.push(Error::too_many(&values.path, values.len(), 255));
            }
        } else {
            errors.push(codes.required("must be specified"));
        }
    }
}

/// Judges the containers that run before a pod's others, and those of them that keep running beside.
pub fn validate_init_containers(list: &Node<'_>, containers: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    let mut names: Vec<&str> = containers.items().map(|container| container.text("name")).collect();
    for container in list.items() {
        validate_common(&container, pod, errors);
        let policy = container.at("restartPolicy");
        if policy.present() {
            validate_restart_policy(&container, errors);
        } else if !container.at("restartPolicyRules").is_empty() {
            errors.push(policy.required(RULES_NEED_POLICY));
        }
        let name = container.at("name");
        if names.contains(&name.str()) {
            errors.push(Error::duplicate(&name.path, name.str()));
        } else if !name.is_empty() {
            names.push(name.str());
        }
        host_port_conflicts(list, vec![container.clone()], errors);
        let sidecar = policy.str() == "Always";
        if sidecar {
            validate_hooks(&container, pod, errors);
        } else {
            for name in ["lifecycle", "livenessProbe", "readinessProbe", "startupProbe"] {
                let hook = container.at(name);
                if hook.present() {
                    errors.push(hook.forbidden("may not be set for init containers without restartPolicy=Always"));
                }
            }
            for resize in container.at("resizePolicy").items() {
                let policy = resize.at("restartPolicy");
                if policy.str() == "RestartContainer" {
                    errors.push(
                        policy.invalid_text("must not be set to 'RestartContainer' for non-sidecar initContainers"),
                    );
                }
            }
        }
    }
}

/// Fields that a container for debugging may not have, in the order in which they are reported.
const NOT_EPHEMERAL: [&str; 9] = [
    "ports",
    "resources",
    "resizePolicy",
    "restartPolicy",
    "restartPolicyRules",
    "livenessProbe",
    "readinessProbe",
    "startupProbe",
    "lifecycle",
];

/// Judges the containers that were added to a running pod for debugging.
pub fn validate_ephemeral_containers(
    list: &Node<'_>,
    containers: &Node<'_>,
    init_containers: &Node<'_>,
    pod: &Pod<'_>,
    errors: &mut Errors,
) {
    let others: Vec<&str> =
        containers.items().chain(init_containers.items()).map(|container| container.text("name")).collect();
    let mut names = others.clone();
    for container in list.items() {
        validate_common(&container, pod, errors);
        validate_image_spaces(&container, errors);
        unique_name(&container, &mut names, errors);
        let target = container.at("targetContainerName");
        if !target.is_empty() && !others.contains(&target.str()) {
            errors.push(Error::not_found(&target.path, target.str()));
        }
        for name in NOT_EPHEMERAL {
            let field = container.at(name);
            if field.present() && !field.is_empty() {
                errors.push(field.forbidden("cannot be set for an Ephemeral Container"));
            }
        }
        for mount in container.at("volumeMounts").items() {
            for name in ["subPath", "subPathExpr"] {
                let path = mount.at(name);
                if !path.is_empty() {
                    errors.push(path.forbidden("cannot be set for an Ephemeral Container"));
                }
            }
        }
    }
}

/// Requires an image without spaces around it, which only pods are held to.
pub fn validate_image_spaces(container: &Node<'_>, errors: &mut Errors) {
    let image = container.at("image");
    if image.str().trim() != image.str() {
        errors.push(image.invalid_text("must not have leading or trailing whitespace"));
    }
}

fn validate_common(container: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    let name = container.at("name");
    if name.is_empty() {
        errors.push(name.required(""));
    } else {
        name.format(formats::dns_label(name.str()), errors);
    }
    let image = container.at("image");
    if image.is_empty() {
        errors.push(image.required(""));
    }
    required_one_of(&container.at("terminationMessagePolicy"), &["File", "FallbackToLogsOnError"], errors);
    validate_ports(&container.at("ports"), errors);
    validate_env(&container.at("env"), errors);
    validate_env_from(&container.at("envFrom"), errors);
    validate_mounts(container, pod, errors);
    validate_devices(container, pod, errors);
    pull_policy(&container.at("imagePullPolicy"), errors);
    resources::requirements(&container.at("resources"), resources::container_name, &pod.claims, errors);
    validate_resize_policy(&container.at("resizePolicy"), pod, errors);
    if let Some(context) = container.at("securityContext").some() {
        validate_security_context(&context, pod, errors);
    }
}

/// Requires text, and one of `supported`.
pub fn required_one_of(node: &Node<'_>, supported: &[&str], errors: &mut Errors) {
    if node.is_empty() {
        errors.push(node.required(""));
    } else {
        node.one_of(supported, errors);
    }
}

/// Judges when an image is pulled.
pub fn pull_policy(policy: &Node<'_>, errors: &mut Errors) {
    required_one_of(policy, &["Always", "IfNotPresent", "Never"], errors);
}

fn validate_ports(ports: &Node<'_>, errors: &mut Errors) {
    let mut names: Vec<&str> = Vec::new();
    for port in ports.items() {
        let name = port.at("name");
        if !name.is_empty() {
            let messages = formats::port_name(name.str());
            if !messages.is_empty() {
                name.format(messages, errors);
            } else if names.contains(&name.str()) {
                errors.push(name.duplicate());
            } else {
                names.push(name.str());
            }
        }
        let number = port.at("containerPort");
        if number.int() == 0 {
            errors.push(number.required(""));
        } else {
            port_number(&number, errors);
        }
        let host = port.at("hostPort");
        if host.int() != 0 {
            port_number(&host, errors);
        }
        required_one_of(&port.at("protocol"), &["SCTP", "TCP", "UDP"], errors);
    }
}

/// Requires a port's number.
pub fn port_number(port: &Node<'_>, errors: &mut Errors) {
    for message in formats::port_number(port.int()) {
        errors.push(port.invalid_int(message));
    }
}

/// Requires a port's number or name.
pub fn port_number_or_name(port: &Node<'_>, errors: &mut Errors) {
    if port.value.is_string() {
        port.format(formats::port_name(port.str()), errors);
    } else {
        port_number(port, errors);
    }
}

fn host_port_conflicts(list: &Node<'_>, containers: Vec<Node<'_>>, errors: &mut Errors) {
    let mut seen: Vec<String> = Vec::new();
    for (i, container) in containers.into_iter().enumerate() {
        // Counted from the first of those that are compared, which for init containers is always 0.
        let ports = Node { value: container.get("ports"), path: list.path.index(i).child("ports") };
        for port in ports.items() {
            let host = port.at("hostPort");
            if host.int() == 0 {
                continue;
            }
            let key = format!("{}/{}/{}", port.text("protocol"), port.text("hostIP"), host.int());
            if seen.contains(&key) {
                errors.push(Error::duplicate(&host.path, key));
            } else {
                seen.push(key);
            }
        }
    }
}

fn validate_env(variables: &Node<'_>, errors: &mut Errors) {
    for variable in variables.items() {
        let name = variable.at("name");
        if name.is_empty() {
            errors.push(name.required(""));
        } else {
            name.format(formats::environment_variable_name(name.str()), errors);
        }
        if let Some(source) = variable.at("valueFrom").some() {
            validate_value_from(&variable, &source, errors);
        }
    }
}

const ENV_FIELDS: [&str; 9] = [
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

fn validate_value_from(variable: &Node<'_>, source: &Node<'_>, errors: &mut Errors) {
    let mut sources = 0;
    if let Some(field) = source.at("fieldRef").some() {
        sources += 1;
        field_selector(&field, &ENV_FIELDS, errors);
    }
    if let Some(resource) = source.at("resourceFieldRef").some() {
        sources += 1;
        resource_selector(&resource, false, errors);
    }
    for name in ["configMapKeyRef", "secretKeyRef"] {
        if let Some(selector) = source.at(name).some() {
            sources += 1;
            let name = selector.at("name");
            name.format(formats::dns_subdomain(name.str()), errors);
            let key = selector.at("key");
            if key.is_empty() {
                errors.push(key.required(""));
            } else {
                key.format(formats::config_map_key(key.str()), errors);
            }
        }
    }
    if let Some(file) = source.at("fileKeyRef").some() {
        sources += 1;
        validate_file_key(&file, errors);
    }
    let mut invalid = |message: &str| errors.push(Error::invalid(&source.path, "", message));
    if sources == 0 {
        invalid(
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        );
    } else if !variable.text("value").is_empty() {
        invalid("may not be specified when `value` is not empty");
    } else if sources > 1 {
        invalid("may not have more than one field specified at a time");
    }
}

fn validate_file_key(file: &Node<'_>, errors: &mut Errors) {
    let (key, volume, path) = (file.at("key"), file.at("volumeName"), file.at("path"));
    if key.is_empty() {
        errors.push(key.required(""));
    } else {
        key.format(formats::environment_variable_name(key.str()), errors);
    }
    if volume.is_empty() {
        errors.push(volume.required(""));
    } else {
        volume.format(formats::dns_label(volume.str()), errors);
    }
    if path.is_empty() {
        errors.push(path.required(""));
    } else {
        paths::no_backsteps(&path, errors);
    }
}

/// Fields of a pod that its containers can be told at all.
const POD_FIELDS: [&str; 14] = [
    "metadata.annotations",
    "metadata.labels",
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.restartPolicy",
    "spec.serviceAccountName",
    "spec.schedulerName",
    "status.phase",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
];

/// Judges a reference to a field of the pod, one of `supported` or an annotation or label.
pub fn field_selector(selector: &Node<'_>, supported: &[&str], errors: &mut Errors) {
    let (version, field) = (selector.at("apiVersion"), selector.at("fieldPath"));
    for required in [&version, &field] {
        if required.is_empty() {
            errors.push(required.required(""));
            return;
        }
    }
    let subscripted =
        field.str().strip_suffix("']").and_then(|text| text.split_once("['")).filter(|(path, _)| !path.is_empty());
    let failure = match subscripted {
        _ if version.str() != "v1" => Some(format!("unsupported pod version: {}", version.str())),
        Some(("metadata.annotations" | "metadata.labels", _)) => None,
        Some(_) => Some(format!("field label does not support subscript: {}", field.str())),
        None if field.str() == "spec.host" || POD_FIELDS.contains(&field.str()) => None,
        None => Some(format!("field label not supported: {}", field.str())),
    };
    if let Some(failure) = failure {
        errors.push(field.invalid_text(format!("error converting fieldPath: {failure}")));
        return;
    }
    if let Some((path, subscript)) = subscripted {
        let key = if path == "metadata.annotations" { subscript.to_lowercase() } else { subscript.to_owned() };
        for message in formats::label_key(&key) {
            errors.push(Error::invalid(&selector.path, key.as_str(), message));
        }
    } else {
        let path = if field.str() == "spec.host" { "spec.nodeName" } else { field.str() };
        if !supported.contains(&path) {
            errors.push(Error::not_supported(&field.path, path, supported));
        }
    }
}

const RESOURCE_FIELDS: [&str; 6] = [
    "limits.cpu",
    "limits.ephemeral-storage",
    "limits.memory",
    "requests.cpu",
    "requests.ephemeral-storage",
    "requests.memory",
];

/// Judges a reference to what a container may use. In a volume it must say which container.
pub fn resource_selector(selector: &Node<'_>, in_volume: bool, errors: &mut Errors) {
    const MEMORY_DIVISORS: [&str; 13] =
        ["1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"];
    let (container, resource) = (selector.at("containerName"), selector.at("resource"));
    let name = resource.str();
    let huge_page = name.starts_with("limits.hugepages-") || name.starts_with("requests.hugepages-");
    if in_volume && container.is_empty() {
        errors.push(container.required(""));
    } else if name.is_empty() {
        errors.push(resource.required(""));
    } else if !RESOURCE_FIELDS.contains(&name) && !huge_page {
        errors.push(resource.not_supported(&RESOURCE_FIELDS));
    }
    let divisor = selector.at("divisor");
    if Quantity::of(divisor.value).is_zero() {
        return;
    }
    let mut invalid = |supported: &[&str], what: &str| {
        if !supported.contains(&divisor.str()) {
            let list = if supported.len() == 2 { "1m and 1".to_owned() } else { supported.join(", ") };
            let message = format!("only divisor's values {list} are supported with the {what} resource");
            errors.push(Error::invalid(&divisor.path, name, message));
        }
    };
    match name {
        "limits.cpu" | "requests.cpu" => invalid(&["1m", "1"], "cpu"),
        "limits.memory" | "requests.memory" => invalid(&MEMORY_DIVISORS, "memory"),
        "limits.ephemeral-storage" | "requests.ephemeral-storage" => {
            invalid(&MEMORY_DIVISORS, "local ephemeral storage");
        }
        _ if huge_page => invalid(&MEMORY_DIVISORS, "hugepages"),
        _ => {}
    }
}

fn validate_env_from(sources: &Node<'_>, errors: &mut Errors) {
    for source in sources.items() {
        let prefix = source.at("prefix");
        if !prefix.is_empty() {
            prefix.format(formats::environment_variable_name(prefix.str()), errors);
        }
        let mut kinds = 0;
        for kind in ["configMapRef", "secretRef"] {
            if let Some(reference) = source.at(kind).some() {
                kinds += 1;
                let name = reference.at("name");
                if name.is_empty() {
                    errors.push(name.required(""));
                } else {
                    name.format(formats::subdomain_name(name.str(), true), errors);
                }
            }
        }
        if kinds == 0 {
            errors.push(Error::invalid(&sources.path, "", "must specify one of: `configMapRef` or `secretRef`"));
        } else if kinds > 1 {
            errors.push(Error::invalid(&sources.path, "", "may not have more than one field specified at a time"));
        }
    }
}

fn validate_mounts(container: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    let (mounts, devices) = (container.at("volumeMounts"), container.at("volumeDevices"));
    let mut seen: Vec<&str> = Vec::new();
    for mount in mounts.items() {
        let (name, path) = (mount.at("name"), mount.at("mountPath"));
        if name.is_empty() {
            errors.push(name.required(""));
        }
        if pod.volume(name.str()).is_none() {
            errors.push(Error::not_found(&name.path, name.str()));
        }
        if path.is_empty() {
            errors.push(path.required(""));
        }
        if seen.contains(&path.str()) {
            errors.push(path.invalid_text("must be unique"));
        }
        seen.push(path.str());
        if devices.items().any(|device| device.text("name") == name.str()) {
            errors.push(name.invalid_text("must not already exist in volumeDevices"));
        }
        if devices.items().any(|device| device.text("devicePath") == path.str()) {
            errors.push(path.invalid_text("must not already exist as a path in volumeDevices"));
        }
        // From here on upstream leaves out which mount it is.
        let at = |name: &'static str| Node { value: mount.get(name), path: mounts.path.child(name) };
        let (sub_path, expression) = (at("subPath"), at("subPathExpr"));
        if !sub_path.is_empty() {
            paths::descending(&sub_path, errors);
        }
        if !expression.is_empty() {
            if !sub_path.is_empty() {
                errors.push(mount.at("subPathExpr").invalid_text("subPathExpr and subPath are mutually exclusive"));
            }
            paths::descending(&expression, errors);
        }
        let propagation = at("mountPropagation");
        if propagation.present() {
            propagation.one_of(&["Bidirectional", "HostToContainer", "None"], errors);
            if propagation.str() == "Bidirectional" && !container.at("securityContext").flag("privileged") {
                errors.push(
                    propagation.forbidden("Bidirectional mount propagation is available only to privileged containers"),
                );
            }
        }
        let read_only = at("recursiveReadOnly");
        match read_only.str() {
            "Enabled" | "IfPossible" => {
                if !mount.flag("readOnly") {
                    errors.push(read_only.forbidden("may only be specified when readOnly is true"));
                }
                if propagation.present() && propagation.str() != "None" {
                    errors.push(
                        read_only.forbidden("may only be specified when mountPropagation is None or not specified"),
                    );
                }
            }
            _ if read_only.present() => {
                read_only.one_of(&["Disabled", "Enabled", "IfPossible"], errors);
            }
            _ => {}
        }
    }
}

fn validate_devices(container: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    let (mounts, devices) = (container.at("volumeMounts"), container.at("volumeDevices"));
    let (mut names, mut seen): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for device in devices.items() {
        let (name, path) = (device.at("name"), device.at("devicePath"));
        let volume = pod.volume(name.str());
        if name.is_empty() {
            errors.push(name.required(""));
        }
        if names.contains(&name.str()) {
            errors.push(name.invalid_text("must be unique"));
        }
        if volume.is_some_and(|volume| !volume.has("persistentVolumeClaim") && !volume.has("ephemeral")) {
            errors.push(
                name.invalid_text(
                    "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode",
                ),
            );
        }
        if volume.is_none() {
            errors.push(Error::not_found(&name.path, name.str()));
        }
        if path.is_empty() {
            errors.push(path.required(""));
        }
        if seen.contains(&path.str()) {
            errors.push(path.invalid_text("must be unique"));
        }
        if paths::has_backsteps(path.str()) {
            errors.push(path.invalid_text("can not contain backsteps ('..')"));
        } else {
            seen.push(path.str());
        }
        if mounts.items().any(|mount| mount.text("name") == name.str()) {
            errors.push(name.invalid_text("must not already exist in volumeMounts"));
        }
        if mounts.items().any(|mount| mount.text("mountPath") == path.str()) {
            errors.push(path.invalid_text("must not already exist as a path in volumeMounts"));
        }
        if !name.is_empty() {
            names.push(name.str());
        }
    }
}

fn validate_probe(probe: &Node<'_>, errors: &mut Errors) {
    validate_handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], None, errors);
    for name in ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"] {
        probe.at(name).nonnegative(errors);
    }
    let grace = probe.at("terminationGracePeriodSeconds");
    if grace.present() && grace.int() <= 0 {
        errors.push(grace.invalid_int("must be greater than 0"));
    }
}

fn validate_handler(handler: &Node<'_>, kinds: &[&'static str], grace_period: Option<i64>, errors: &mut Errors) {
    let mut found = false;
    for kind in kinds {
        let Some(action) = handler.at(kind).some() else { continue };
        if found {
            errors.push(action.forbidden("may not specify more than 1 handler type"));
            continue;
        }
        found = true;
        match *kind {
            "exec" => {
                let command = action.at("command");
                if command.is_empty() {
                    errors.push(command.required(""));
                }
            }
            "httpGet" => validate_http_get(&action, errors),
            "tcpSocket" => port_number_or_name(&action.at("port"), errors),
            "grpc" => port_number(&action.at("port"), errors),
            _ => validate_sleep(&action, grace_period, errors),
        }
    }
    if !found {
        errors.push(handler.required("must specify a handler type"));
    }
}

fn validate_http_get(action: &Node<'_>, errors: &mut Errors) {
    let path = action.at("path");
    if path.is_empty() {
        errors.push(path.required(""));
    }
    port_number_or_name(&action.at("port"), errors);
    action.at("scheme").one_of(&["HTTP", "HTTPS"], errors);
    let headers = action.at("httpHeaders");
    for header in headers.items() {
        let name = header.text("name");
        for message in formats::http_header_name(name) {
            errors.push(Error::invalid(&headers.path, name, message));
        }
    }
}

fn validate_sleep(action: &Node<'_>, grace_period: Option<i64>, errors: &mut Errors) {
    let seconds = action.number("seconds").unwrap_or_default();
    if let Some(grace) = grace_period.filter(|grace| !(0..=*grace).contains(&seconds)) {
        let message = format!("must be non-negative and less than terminationGracePeriodSeconds ({grace})");
        errors.push(Error::invalid(&action.path, seconds, message));
    }
}

fn validate_lifecycle(lifecycle: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    for name in ["postStart", "preStop"] {
        if let Some(handler) = lifecycle.at(name).some() {
            validate_handler(&handler, &["exec", "httpGet", "tcpSocket", "sleep"], pod.grace_period, errors);
        }
    }
    let Some(signal) = lifecycle.at("stopSignal").some() else { return };
    match pod.os {
        None => errors.push(signal.forbidden("may not be set for containers with empty `spec.os.name`")),
        Some("windows") => {
            signal.one_of(&["SIGKILL", "SIGTERM"], errors);
        }
        Some("linux") => {
            signal.one_of(&LINUX_SIGNALS, errors);
        }
        Some(_) => {}
    }
}

const LINUX_SIGNALS: [&str; 65] = [
    "SIGABRT",
    "SIGALRM",
    "SIGBUS",
    "SIGCHLD",
    "SIGCLD",
    "SIGCONT",
    "SIGFPE",
    "SIGHUP",
    "SIGILL",
    "SIGINT",
    "SIGIO",
    "SIGIOT",
    "SIGKILL",
    "SIGPIPE",
    "SIGPOLL",
    "SIGPROF",
    "SIGPWR",
    "SIGQUIT",
    "SIGRTMAX",
    "SIGRTMAX-1",
    "SIGRTMAX-10",
    "SIGRTMAX-11",
    "SIGRTMAX-12",
    "SIGRTMAX-13",
    "SIGRTMAX-14",
    "SIGRTMAX-2",
    "SIGRTMAX-3",
    "SIGRTMAX-4",
    "SIGRTMAX-5",
    "SIGRTMAX-6",
    "SIGRTMAX-7",
    "SIGRTMAX-8",
    "SIGRTMAX-9",
    "SIGRTMIN",
    "SIGRTMIN+1",
    "SIGRTMIN+10",
    "SIGRTMIN+11",
    "SIGRTMIN+12",
    "SIGRTMIN+13",
    "SIGRTMIN+14",
    "SIGRTMIN+15",
    "SIGRTMIN+2",
    "SIGRTMIN+3",
    "SIGRTMIN+4",
    "SIGRTMIN+5",
    "SIGRTMIN+6",
    "SIGRTMIN+7",
    "SIGRTMIN+8",
    "SIGRTMIN+9",
    "SIGSEGV",
    "SIGSTKFLT",
    "SIGSTOP",
    "SIGSYS",
    "SIGTERM",
    "SIGTRAP",
    "SIGTSTP",
    "SIGTTIN",
    "SIGTTOU",
    "SIGURG",
    "SIGUSR1",
    "SIGUSR2",
    "SIGVTALRM",
    "SIGWINCH",
    "SIGXCPU",
    "SIGXFSZ",
];

fn validate_resize_policy(policies: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    let mut seen: Vec<&str> = Vec::new();
    for policy in policies.items() {
        let resource = policy.text("resourceName");
        if seen.contains(&resource) {
            errors.push(Error::duplicate(&policy.path, resource));
        }
        seen.push(resource);
        // Upstream names the list here, not the item.
        let at = |name: &str| Node { value: policy.get(name), path: policies.path.clone() };
        required_one_of(&at("resourceName"), &["cpu", "memory"], errors);
        let restart = at("restartPolicy");
        required_one_of(&restart, &["NotRequired", "RestartContainer"], errors);
        if pod.restart_policy == "Never" && restart.str() != "NotRequired" {
            errors.push(restart.invalid_text("must be 'NotRequired' when pod `restartPolicy` is 'Never'"));
        }
    }
}

/// Judges an optional user or group ID.
pub fn user_id(id: &Node<'_>, errors: &mut Errors) {
    if id.present() {
        for message in formats::user_id(id.int()) {
            errors.push(id.invalid_int(message));
        }
    }
}

fn validate_security_context(context: &Node<'_>, pod: &Pod<'_>, errors: &mut Errors) {
    user_id(&context.at("runAsUser"), errors);
    user_id(&context.at("runAsGroup"), errors);
    let proc_mount = context.at("procMount");
    if proc_mount.present() {
        proc_mount.one_of(&["Default", "Unmasked"], errors);
        if pod.host_users && proc_mount.str() == "Unmasked" {
            errors.push(proc_mount.invalid_text("`hostUsers` must be false to use `Unmasked`"));
        }
    }
    seccomp_profile(&context.at("seccompProfile"), errors);
    if context.has("allowPrivilegeEscalation") && !context.flag("allowPrivilegeEscalation") {
        if context.flag("privileged") {
            errors.push(Error::invalid(
                &context.path,
                go_security_context(context),
                "cannot set `allowPrivilegeEscalation` to false and `privileged` to true",
            ));
        }
        for capability in context.at("capabilities").at("add").strings() {
            if capability == "CAP_SYS_ADMIN" {
                errors.push(Error::invalid(
                    &context.path,
                    go_security_context(context),
                    "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN",
                ));
            }
        }
    }
    windows_options(&context.at("windowsOptions"), errors);
    app_armor_profile(&context.at("appArmorProfile"), errors);
}

/// A security context as upstream shows it: all fields of its internal type, under their Go names.
fn go_security_context(context: &Node<'_>) -> BadValue {
    super::go_struct::value("io.k8s.api.core.v1.SecurityContext", context.value)
}

/// Judges an optional seccomp profile.
pub fn seccomp_profile(profile: &Node<'_>, errors: &mut Errors) {
    if !profile.present() {
        return;
    }
    let kind = profile.at("type");
    if kind.is_empty() {
        errors.push(kind.required("type is required when seccompProfile is set"));
    } else {
        kind.one_of(&["Localhost", "RuntimeDefault", "Unconfined"], errors);
    }
    let local = profile.at("localhostProfile");
    if kind.str() == "Localhost" {
        if local.present() {
            paths::descending(&local, errors);
        } else {
            errors.push(local.required("must be set when seccomp type is Localhost"));
        }
    } else if local.present() {
        let shown = super::go_struct::value("io.k8s.api.core.v1.SeccompProfile", profile.value);
        errors.push(Error::invalid(&local.path, shown, "can only be set when seccomp type is Localhost"));
    }
}

/// Judges an optional `AppArmor` profile.
pub fn app_armor_profile(profile: &Node<'_>, errors: &mut Errors) {
    const NEEDS_PROFILE: &str = "must be set when AppArmor type is Localhost";
    if !profile.present() {
        return;
    }
    let (kind, local) = (profile.at("type"), profile.at("localhostProfile"));
    match kind.str() {
        "Localhost" if !local.present() => errors.push(local.required(NEEDS_PROFILE)),
        "Localhost" => {
            if local.str().trim() != local.str() {
                errors.push(local.invalid_text("must not be padded with whitespace"));
            } else if local.is_empty() {
                errors.push(local.required(NEEDS_PROFILE));
            }
            if local.len() > 4095 {
                errors.push(Error::too_long(&local.path, 4095));
            }
        }
        "RuntimeDefault" | "Unconfined" => {
            if local.present() {
                errors.push(local.invalid_text("can only be set when AppArmor type is Localhost"));
            }
        }
        "" => errors.push(kind.required("type is required when appArmorProfile is set")),
        _ => errors.push(kind.not_supported(&["Localhost", "RuntimeDefault", "Unconfined"])),
    }
}

/// Judges optional settings for containers on Windows.
pub fn windows_options(options: &Node<'_>, errors: &mut Errors) {
    const SPEC_MAX_KIB: usize = 64;
    let name = options.at("gmsaCredentialSpecName");
    if name.present() {
        name.format(formats::dns_subdomain(name.str()), errors);
    }
    let spec = options.at("gmsaCredentialSpec");
    if spec.present() {
        if spec.is_empty() {
            errors.push(spec.invalid_text("gmsaCredentialSpec cannot be an empty string"));
        } else if spec.len() > SPEC_MAX_KIB * 1024 {
            errors.push(spec.invalid_text(format!("gmsaCredentialSpec size must be under {SPEC_MAX_KIB} KiB")));
        }
    }
    let user = options.at("runAsUserName");
    if user.present() {
        windows_user(&user, errors);
    }
}

fn windows_user(name: &Node<'_>, errors: &mut Errors) {
    let text = name.str();
    let mut invalid = |message: &str| errors.push(name.invalid_text(message));
    if text.is_empty() {
        return invalid("runAsUserName cannot be an empty string");
    }
    if text.bytes().any(|b| b.is_ascii_control()) {
        return invalid("runAsUserName cannot contain control characters");
    }
    let (domain, user) = match text.split('\\').collect::<Vec<_>>().as_slice() {
        [user] => (None, *user),
        [domain, user] => (Some(*domain), *user),
        _ => return invalid("runAsUserName cannot contain more than one backslash"),
    };
    if domain.is_some_and(|domain| domain.len() >= 256) {
        invalid("runAsUserName's Domain length must be under 256 characters");
    }
    if domain.is_some_and(|domain| !is_netbios_name(domain) && !is_windows_domain(domain)) {
        invalid("runAsUserName's Domain doesn't match the NetBios nor the DNS format");
    }
    if user.is_empty() {
        invalid("runAsUserName's User cannot be empty");
    } else if user.len() > 104 {
        invalid("runAsUserName's User length must not be longer than 104 characters");
    }
    if !user.is_empty() && user.chars().all(|c| c == '.' || c == ' ') {
        invalid("runAsUserName's User cannot contain only periods or spaces");
    }
    if user.contains(['"', '/', '\\', ':', ';', '|', '=', ',', '+', '*', '?', '<', '>', '@', '[', ']']) {
        invalid(r#"runAsUserName's User cannot contain the following characters: "/\:;|=,+*?<>@[]"#);
    }
}

fn is_netbios_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= 15
        && !name.starts_with('.')
        && !name.contains(['\\', '/', ':', '*', '?', '"', '<', '>', '|'])
}

fn is_windows_domain(name: &str) -> bool {
    name.split('.').all(|label| {
        label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
    })
}

/// Judges a list of label keys that are to be merged into a selector.
pub fn label_keys(keys: &Node<'_>, has_selector: bool, errors: &mut Errors) {
    if keys.is_empty() {
        return;
    }
    if !has_selector {
        errors.push(keys.forbidden("must not be specified when labelSelector is not set"));
        return;
    }
    for key in keys.items() {
        meta::label_key(&key, errors);
    }
}
