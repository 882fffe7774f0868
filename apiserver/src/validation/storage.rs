//! Storage classes and drivers: defaults. Volumes are in `volume`.
//!
//! Upstream: `pkg/apis/storage/v1/defaults.go`.

use serde_json::{Value, json};

use super::edit::{object, set_absent, set_empty, within};
use super::volume;

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
                })
            });
        });
    });
}

/// Defaults of a claim.
pub fn default_claim(claim: &mut Value) {
    object(claim, volume::default_claim);
}
