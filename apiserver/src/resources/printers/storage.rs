//! Volumes, claims, and the classes and drivers behind them.

use serde_json::Value;

use super::column::{AGE, Doc, NAME, boolean, integer, string};
use super::duration::age;
use super::read::{annotation, at, flag, is_deleting, list, map, text};
use super::{Printer, cells};

pub fn core_printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "PersistentVolume" => Some(&PERSISTENT_VOLUME),
        "PersistentVolumeClaim" => Some(&PERSISTENT_VOLUME_CLAIM),
        _ => None,
    }
}

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "CSIDriver" => Some(&CSI_DRIVER),
        "CSINode" => Some(&CSI_NODE),
        "StorageClass" => Some(&STORAGE_CLASS),
        "VolumeAttachment" => Some(&VOLUME_ATTACHMENT),
        "VolumeAttributesClass" => Some(&VOLUME_ATTRIBUTES_CLASS),
        _ => None,
    }
}

static PERSISTENT_VOLUME: Printer = {
    const SPEC: &str = "io.k8s.api.core.v1.PersistentVolumeSpec";
    const STATUS: &str = "io.k8s.api.core.v1.PersistentVolumeStatus";
    Printer::new(
        &[
            NAME,
            string("Capacity", Doc::Field(SPEC, "capacity")),
            string("Access Modes", Doc::Field(SPEC, "accessModes")),
            string("Reclaim Policy", Doc::Field(SPEC, "persistentVolumeReclaimPolicy")),
            string("Status", Doc::Field(STATUS, "phase")),
            string("Claim", Doc::Field(SPEC, "claimRef")),
            string("StorageClass", Doc::Text("StorageClass of the pv")),
            string("VolumeAttributesClass", Doc::Text("VolumeAttributesClass of the pv")),
            string("Reason", Doc::Field(STATUS, "reason")),
            AGE,
            string("VolumeMode", Doc::Field(SPEC, "volumeMode")).wide(),
        ],
        |volume, now| {
            let claim = at(volume, "spec.claimRef");
            let claim = claim.map(|claim| format!("{}/{}", text(claim, "namespace"), text(claim, "name")));
            cells![
                text(volume, "metadata.name"),
                storage_quantity(volume, "spec.capacity"),
                access_modes(volume, "spec.accessModes"),
                text(volume, "spec.persistentVolumeReclaimPolicy"),
                phase(volume),
                claim.unwrap_or_default(),
                class(volume),
                or_unset(volume, "spec.volumeAttributesClassName"),
                text(volume, "status.reason"),
                age(volume, now),
                or_unset(volume, "spec.volumeMode"),
            ]
        },
    )
};

static PERSISTENT_VOLUME_CLAIM: Printer = {
    const SPEC: &str = "io.k8s.api.core.v1.PersistentVolumeClaimSpec";
    const STATUS: &str = "io.k8s.api.core.v1.PersistentVolumeClaimStatus";
    Printer::new(
        &[
            NAME,
            string("Status", Doc::Field(STATUS, "phase")),
            string("Volume", Doc::Field(SPEC, "volumeName")),
            string("Capacity", Doc::Field(STATUS, "capacity")),
            string("Access Modes", Doc::Field(STATUS, "accessModes")),
            string("StorageClass", Doc::Text("StorageClass of the pvc")),
            string("VolumeAttributesClass", Doc::Text("VolumeAttributesClass of the pvc")),
            AGE,
            string("VolumeMode", Doc::Field(SPEC, "volumeMode")).wide(),
        ],
        |claim, now| {
            let volume = text(claim, "spec.volumeName");
            // An unbound claim has neither capacity nor modes yet.
            let (capacity, modes) = if volume.is_empty() {
                ("", String::new())
            } else {
                (storage_quantity(claim, "status.capacity"), access_modes(claim, "status.accessModes"))
            };
            cells![
                text(claim, "metadata.name"),
                phase(claim),
                volume,
                capacity,
                modes,
                class(claim),
                or_unset(claim, "spec.volumeAttributesClassName"),
                age(claim, now),
                or_unset(claim, "spec.volumeMode"),
            ]
        },
    )
};

fn phase(object: &Value) -> &str {
    if is_deleting(object) { "Terminating" } else { text(object, "status.phase") }
}

fn or_unset<'a>(object: &'a Value, path: &str) -> &'a str {
    at(object, path).and_then(Value::as_str).unwrap_or("<unset>")
}

/// The `storage` of a list of resources; none is zero.
fn storage_quantity<'a>(object: &'a Value, path: &str) -> &'a str {
    map(object, path).and_then(|resources| resources.get("storage")).and_then(Value::as_str).unwrap_or("0")
}

/// The class that the old annotation names, or else the field.
fn class(object: &Value) -> &str {
    annotation(object, "volume.beta.kubernetes.io/storage-class")
        .unwrap_or_else(|| text(object, "spec.storageClassName"))
}

/// Access modes by their abbreviations, in a fixed order.
fn access_modes(object: &Value, path: &str) -> String {
    const MODES: [(&str, &str); 4] =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let modes = list(object, path);
    let present = MODES.iter().filter(|(mode, _)| modes.iter().any(|value| value.as_str() == Some(mode)));
    present.map(|(_, abbreviation)| *abbreviation).collect::<Vec<_>>().join(",")
}

static STORAGE_CLASS: Printer = {
    const CLASS: &str = "io.k8s.api.storage.v1.StorageClass";
    Printer::new(
        &[
            NAME,
            string("Provisioner", Doc::Field(CLASS, "provisioner")),
            string("ReclaimPolicy", Doc::Field(CLASS, "reclaimPolicy")),
            string("VolumeBindingMode", Doc::Field(CLASS, "volumeBindingMode")),
            string("AllowVolumeExpansion", Doc::Field(CLASS, "allowVolumeExpansion")),
            AGE,
        ],
        |class, now| {
            const DEFAULTS: [&str; 2] =
                ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];
            let mut name = text(class, "metadata.name").to_owned();
            if DEFAULTS.iter().any(|key| annotation(class, key) == Some("true")) {
                name.push_str(" (default)");
            }
            cells![
                name,
                text(class, "provisioner"),
                at(class, "reclaimPolicy").and_then(Value::as_str).unwrap_or("Delete"),
                at(class, "volumeBindingMode").and_then(Value::as_str).unwrap_or("Immediate"),
                flag(class, "allowVolumeExpansion").unwrap_or_default(),
                age(class, now),
            ]
        },
    )
};

static VOLUME_ATTRIBUTES_CLASS: Printer = Printer::new(
    &[NAME, string("DriverName", Doc::Field("io.k8s.api.storage.v1.VolumeAttributesClass", "driverName")), AGE],
    |class, now| cells![text(class, "metadata.name"), text(class, "driverName"), age(class, now)],
);

static VOLUME_ATTACHMENT: Printer = {
    const SPEC: &str = "io.k8s.api.storage.v1.VolumeAttachmentSpec";
    const SOURCE: &str = "io.k8s.api.storage.v1.VolumeAttachmentSource";
    const STATUS: &str = "io.k8s.api.storage.v1.VolumeAttachmentStatus";
    Printer::new(
        &[
            NAME,
            string("Attacher", Doc::Field(SPEC, "attacher")).format("name"),
            string("PV", Doc::Field(SOURCE, "persistentVolumeName")),
            string("Node", Doc::Field(SPEC, "nodeName")),
            boolean("Attached", Doc::Field(STATUS, "attached")),
            AGE,
        ],
        |attachment, now| {
            cells![
                text(attachment, "metadata.name"),
                text(attachment, "spec.attacher"),
                text(attachment, "spec.source.persistentVolumeName"),
                text(attachment, "spec.nodeName"),
                flag(attachment, "status.attached").unwrap_or_default(),
                age(attachment, now),
            ]
        },
    )
};

static CSI_NODE: Printer = {
    const DRIVERS: &str = "Drivers indicates the number of CSI drivers registered on the node";
    Printer::new(&[NAME, integer("Drivers", Doc::Text(DRIVERS)), AGE], |node, now| {
        cells![text(node, "metadata.name"), list(node, "spec.drivers").len(), age(node, now)]
    })
};

static CSI_DRIVER: Printer = {
    const SPEC: &str = "io.k8s.api.storage.v1.CSIDriverSpec";
    Printer::new(
        &[
            NAME,
            boolean("AttachRequired", Doc::Field(SPEC, "attachRequired")),
            boolean("PodInfoOnMount", Doc::Field(SPEC, "podInfoOnMount")),
            boolean("StorageCapacity", Doc::Field(SPEC, "storageCapacity")),
            string("TokenRequests", Doc::Field(SPEC, "tokenRequests")),
            boolean("RequiresRepublish", Doc::Field(SPEC, "requiresRepublish")),
            string("Modes", Doc::Field(SPEC, "volumeLifecycleModes")),
            AGE,
        ],
        |driver, now| {
            let modes: Vec<&str> = list(driver, "spec.volumeLifecycleModes").iter().filter_map(Value::as_str).collect();
            let requests = list(driver, "spec.tokenRequests").iter();
            let audiences: Vec<&str> = requests.map(|request| text(request, "audience")).collect();
            cells![
                text(driver, "metadata.name"),
                flag(driver, "spec.attachRequired").unwrap_or(true),
                flag(driver, "spec.podInfoOnMount").unwrap_or_default(),
                flag(driver, "spec.storageCapacity").unwrap_or_default(),
                if audiences.is_empty() { "<unset>".to_owned() } else { audiences.join(",") },
                flag(driver, "spec.requiresRepublish").unwrap_or_default(),
                if modes.is_empty() { "<none>".to_owned() } else { modes.join(",") },
                age(driver, now),
            ]
        },
    )
};
