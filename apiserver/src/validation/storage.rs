//! Storage classes, drivers and attachments. Volumes are in `volume`.
//!
//! Upstream: `pkg/apis/storage/v1/defaults.go`, `pkg/apis/storage/validation/validation.go`.

use serde_json::{Value, json};

use super::edit::{object, set_absent, set_empty, within};
use super::field::{Error, Errors, Path};
use super::node::Node;
use super::quantity::Quantity;
use super::{formats, go_struct, meta, volume};

/// Defaults of a storage class.
pub fn default_storage_class(class: &mut Value) {
    object(class, |class| {
        set_absent(class, "reclaimPolicy", "Delete");
        set_absent(class, "volumeBindingMode", "Immediate");
    });
}

/// Defaults of a CSI driver.
pub fn default_csi_driver(driver: &mut Value) {
    object(driver, |driver| {
        within(driver, "spec", |spec| {
            set_absent(spec, "attachRequired", true);
            set_absent(spec, "podInfoOnMount", false);
            set_absent(spec, "storageCapacity", false);
            set_absent(spec, "fsGroupPolicy", "ReadWriteOnceWithFSType");
            set_empty(spec, "volumeLifecycleModes", json!(["Persistent"]));
            set_absent(spec, "requiresRepublish", false);
            set_absent(spec, "seLinuxMount", false);
        });
    });
}

/// Defaults of a volume attachment, which may hold a persistent volume's spec.
pub fn default_volume_attachment(attachment: &mut Value) {
    object(attachment, |attachment| {
        within(attachment, "spec", |spec| {
            within(spec, "source", |source| {
                within(source, "inlineVolumeSpec", |spec| {
                    volume::default_shared_sources(spec);
                });
            });
        });
    });
}

/// Defaults of a claim.
pub fn default_claim(claim: &mut Value) {
    object(claim, volume::default_claim);
}

const PARAMETERS_MAX_BYTES: usize = 256 * 1024;
const PARAMETERS_MAX: usize = 512;
const MESSAGE_MAX_BYTES: usize = 1024;
const NODE_ID_MAX_BYTES: usize = 256;

fn name(object: &Node<'_>, namespaced: bool, errors: &mut Errors) {
    meta::validate_kube(&object.at("metadata"), namespaced, formats::subdomain_name, errors);
}

fn update_name(object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&object.at("metadata"), &old.at("metadata"), errors);
}

fn provisioner(provisioner: &Node<'_>, errors: &mut Errors) {
    if provisioner.is_empty() {
        errors.push(provisioner.required(""));
        return;
    }
    let lower = provisioner.str().to_lowercase();
    for message in formats::label_key(&lower) {
        errors.push(Error::invalid(&provisioner.path, lower.as_str(), message));
    }
}

fn parameters(parameters: &Node<'_>, may_be_empty: bool, errors: &mut Errors) {
    if parameters.len() > PARAMETERS_MAX {
        errors.push(Error::too_long(&parameters.path, PARAMETERS_MAX));
        return;
    }
    let mut bytes = 0;
    for (key, value) in parameters.texts() {
        if key.is_empty() {
            errors.push(Error::invalid(&parameters.path, key, "field can not be empty."));
        }
        bytes += key.len() + value.len();
    }
    if bytes > PARAMETERS_MAX_BYTES {
        errors.push(Error::too_long(&parameters.path, PARAMETERS_MAX_BYTES));
    }
    if !may_be_empty && parameters.is_empty() {
        errors.push(parameters.required("must contain at least one key/value pair"));
    }
}

/// Judges a new storage class.
pub fn create_storage_class(class: &Node<'_>, errors: &mut Errors) {
    name(class, false, errors);
    provisioner(&class.at("provisioner"), errors);
    parameters(&class.at("parameters"), true, errors);
    let policy = class.at("reclaimPolicy");
    if !policy.is_empty() {
        policy.one_of(&["Delete", "Retain"], errors);
    }
    let mode = class.at("volumeBindingMode");
    if mode.present() {
        mode.one_of(&["Immediate", "WaitForFirstConsumer"], errors);
    } else {
        errors.push(mode.required(""));
    }
    topologies(&class.at("allowedTopologies"), errors);
}

fn topologies(topologies: &Node<'_>, errors: &mut Errors) {
    // Upstream compares with as many empty terms as there are terms, and then with those before.
    let mut terms: Vec<Vec<(&str, Vec<&str>)>> = vec![Vec::new(); topologies.len()];
    for term in topologies.items() {
        let expressions = term.at("matchLabelExpressions");
        let mut selected: Vec<(&str, Vec<&str>)> = Vec::new();
        for requirement in expressions.items() {
            let (key, values) = (requirement.at("key"), requirement.at("values"));
            if values.is_empty() {
                errors.push(values.required(""));
            }
            let mut seen: Vec<&str> = Vec::new();
            for value in values.items() {
                if seen.contains(&value.str()) {
                    errors.push(value.duplicate());
                } else {
                    seen.push(value.str());
                }
            }
            meta::label_key(&key, errors);
            if selected.iter().any(|(other, _)| *other == key.str()) {
                errors.push(Error::duplicate(&key.path, key.str()));
            }
            selected.retain(|(other, _)| *other != key.str());
            seen.sort_unstable();
            selected.push((key.str(), seen));
        }
        selected.sort_unstable();
        for _ in terms.iter().filter(|other| **other == selected) {
            errors.push(Error::duplicate(&expressions.path, ""));
        }
        terms.push(selected);
    }
}

/// Judges a changed storage class.
pub fn update_storage_class(class: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(class, old, errors);
    for name in ["parameters", "provisioner", "reclaimPolicy", "volumeBindingMode"] {
        class.at(name).immutable(old.get(name), errors);
    }
}

/// Judges a new volume attachment.
pub fn create_volume_attachment(attachment: &Node<'_>, errors: &mut Errors) {
    name(attachment, false, errors);
    let spec = attachment.at("spec");
    volume::csi_driver_name(&spec.at("attacher"), errors);
    let source = spec.at("source");
    let (inline, volume_name) = (source.at("inlineVolumeSpec"), source.at("persistentVolumeName"));
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (inline.present(), volume_name.present()) {
        (false, false) => errors.push(source.required(one)),
        (true, true) => errors.push(source.forbidden(one)),
        (false, true) => {
            if volume_name.is_empty() {
                errors.push(volume_name.required("must specify non empty persistentVolumeName"));
            }
        }
        (true, false) => volume::validate_persistent_spec(&inline, "", true, errors),
    }
    let node = spec.at("nodeName");
    node.format(formats::dns_subdomain(node.str()), errors);
    let status = attachment.at("status");
    let metadata = status.at("attachmentMetadata");
    if metadata.texts().map(|(key, value)| key.len() + value.len()).sum::<usize>() > PARAMETERS_MAX_BYTES {
        errors.push(Error::too_long(&metadata.path, PARAMETERS_MAX_BYTES));
    }
    for name in ["attachError", "detachError"] {
        let error = status.at(name);
        if error.text("message").len() > MESSAGE_MAX_BYTES {
            errors.push(Error::too_long(&error.path.child("message"), PARAMETERS_MAX_BYTES));
        }
        let code = error.at("errorCode");
        if code.int() < 0 {
            errors.push(code.invalid_int(formats::range_error(0, i64::from(i32::MAX))));
        }
    }
    if volume_name.present() {
        let path = Path::new("spec.source.persistentVolumeName");
        for message in formats::dns_subdomain(volume_name.str()) {
            errors.push(Error::invalid(&path, volume_name.str(), message));
        }
    }
}

/// Judges a changed volume attachment.
pub fn update_volume_attachment(attachment: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_volume_attachment(attachment, errors);
    let spec = attachment.at("spec");
    if spec.value != old.get("spec") {
        let shown = go_struct::value("io.k8s.api.storage.v1.VolumeAttachmentSpec", spec.value);
        errors.push(Error::invalid(&spec.path, shown, "field is immutable"));
    }
}

/// Judges a new CSI node.
pub fn create_csi_node(node: &Node<'_>, errors: &mut Errors) {
    name(node, false, errors);
    let mut names: Vec<&str> = Vec::new();
    for driver in node.at("spec").at("drivers").items() {
        let (name, id) = (driver.at("name"), driver.at("nodeID"));
        volume::csi_driver_name(&name, errors);
        if id.is_empty() {
            errors.push(id.required(""));
        }
        if id.len() > NODE_ID_MAX_BYTES {
            errors.push(id.invalid_text(format!("must be {NODE_ID_MAX_BYTES} characters or less")));
        }
        driver.at("allocatable").at("count").nonnegative(errors);
        if names.contains(&name.str()) {
            errors.push(Error::duplicate(&name.path, name.str()));
        }
        names.push(name.str());
        let mut keys: Vec<&str> = Vec::new();
        for key in driver.at("topologyKeys").strings() {
            if key.is_empty() {
                errors.push(driver.required(""));
            }
            if keys.contains(&key) {
                errors.push(Error::duplicate(&driver.path, key));
            }
            keys.push(key);
            errors
                .extend(formats::label_key(key).into_iter().map(|message| Error::invalid(&driver.path, key, message)));
        }
    }
}

/// Judges a changed CSI node: its drivers may come and go, and change how much they can take.
pub fn update_csi_node(node: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_csi_node(node, errors);
    let drivers = node.at("spec").at("drivers");
    let fixed = |driver: &Value| {
        let mut driver = driver.clone();
        object(&mut driver, |driver| drop(driver.remove("allocatable")));
        driver
    };
    for before in old.at("spec").at("drivers").items() {
        for driver in drivers.items().filter(|driver| driver.text("name") == before.text("name")) {
            let new = fixed(driver.value);
            if new != fixed(before.value) {
                let shown = go_struct::value("io.k8s.api.storage.v1.CSINodeDriver", &new);
                errors.push(Error::invalid(&drivers.path, shown, "field is immutable"));
            }
        }
    }
}

/// Judges a new CSI driver.
pub fn create_csi_driver(driver: &Node<'_>, errors: &mut Errors) {
    name(driver, false, errors);
    csi_driver_spec(&driver.at("spec"), errors);
}

/// Judges a changed CSI driver.
pub fn update_csi_driver(driver: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(driver, old, errors);
    let (spec, old) = (driver.at("spec"), old.at("spec"));
    csi_driver_spec(&spec, errors);
    let attach = Node { value: spec.get("attachRequired"), path: spec.path.child("attachedRequired") };
    attach.immutable(old.get("attachRequired"), errors);
    spec.at("volumeLifecycleModes").immutable(old.get("volumeLifecycleModes"), errors);
}

fn csi_driver_spec(spec: &Node<'_>, errors: &mut Errors) {
    let policy = spec.at("fsGroupPolicy");
    if policy.present() {
        policy.one_of(&["File", "None", "ReadWriteOnceWithFSType"], errors);
    }
    let requests = spec.at("tokenRequests");
    let mut audiences: Vec<&str> = Vec::new();
    for request in requests.items() {
        let audience = request.at("audience");
        if audiences.contains(&audience.str()) {
            errors.push(Error::duplicate(&audience.path, audience.str()));
            continue;
        }
        audiences.push(audience.str());
        let seconds = request.at("expirationSeconds");
        if seconds.present() {
            if seconds.int() < 600 {
                errors.push(seconds.invalid_int("may not specify a duration less than 10 minutes"));
            }
            if seconds.int() > 1 << 32 {
                errors.push(seconds.invalid_int("may not specify a duration larger than 2^32 seconds"));
            }
        }
    }
    let modes = spec.at("volumeLifecycleModes");
    for mode in modes.strings() {
        if !matches!(mode, "Persistent" | "Ephemeral") {
            errors.push(Error::not_supported(&modes.path, mode, &["Persistent", "Ephemeral"]));
        }
    }
    let period = spec.at("nodeAllocatableUpdatePeriodSeconds");
    if period.present() && period.int() < 10 {
        errors.push(period.invalid_int("must be greater than or equal to 10 seconds"));
    }
    let in_secrets = spec.at("serviceAccountTokenInSecrets");
    if in_secrets.present() && requests.is_empty() {
        errors.push(in_secrets.invalid("serviceAccountTokenInSecrets is set but no tokenRequests are specified"));
    }
}

/// Judges a new record of how much storage there is.
pub fn create_storage_capacity(capacity: &Node<'_>, errors: &mut Errors) {
    name(capacity, true, errors);
    meta::label_selector(&capacity.at("nodeTopology"), errors);
    let class = capacity.at("storageClassName");
    class.format(formats::dns_subdomain(class.str()), errors);
    let amount = capacity.at("capacity");
    if Quantity::of(amount.value).is_negative() {
        errors.push(amount.invalid_text("must be greater than or equal to 0"));
    }
}

/// Judges a changed record of how much storage there is.
pub fn update_storage_capacity(capacity: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(capacity, old, errors);
    let topology = capacity.at("nodeTopology");
    if topology.value != old.get("nodeTopology") {
        let shown = meta::selector_text(topology.value);
        errors.push(Error::invalid(&topology.path, shown, "field is immutable"));
    }
    let class = capacity.at("storageClassName");
    if class.str() != old.text("storageClassName") {
        errors.push(class.invalid_text("field is immutable"));
    }
}

/// Judges a new volume attributes class.
pub fn create_attributes_class(class: &Node<'_>, errors: &mut Errors) {
    name(class, false, errors);
    provisioner(&class.at("driverName"), errors);
    parameters(&class.at("parameters"), false, errors);
}

/// Judges a changed volume attributes class.
pub fn update_attributes_class(class: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    update_name(class, old, errors);
    for name in ["driverName", "parameters"] {
        if class.get(name) != old.get(name) {
            errors.push(class.at(name).forbidden(format!("updates to {name} are forbidden.")));
        }
    }
    create_attributes_class(class, errors);
}
