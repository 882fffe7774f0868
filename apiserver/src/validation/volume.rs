//! Volumes of pods and persistent volumes: defaults.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go`.

use super::edit::{Fields, each, is_absent, is_empty, object, set, set_absent, set_empty, text, within};
use super::image;

/// `0644`, the mode of files from config maps, secrets and the like.
const DEFAULT_FILE_MODE: i64 = 0o644;
const PROJECTED_TOKEN_SECONDS: i64 = 60 * 60;

/// Defaults of one volume of a pod.
pub fn default_volume(volume: &mut Fields) {
    let has_source = volume.iter().any(|(name, value)| name != "name" && !value.is_null());
    if !has_source {
        set(volume, "emptyDir", Fields::new());
    }
    within(volume, "image", |image| {
        if is_empty(image, "pullPolicy") {
            let policy = if image::tag(text(image, "reference")) == Some("latest") { "Always" } else { "IfNotPresent" };
            set(image, "pullPolicy", policy);
        }
    });
    default_shared_sources(volume);
    within(volume, "secret", default_mode);
    within(volume, "configMap", default_mode);
    within(volume, "downwardAPI", |source| {
        default_mode(source);
        default_downward_items(source);
    });
    within(volume, "projected", |projected| {
        default_mode(projected);
        each(projected, "sources", |source| {
            within(source, "downwardAPI", default_downward_items);
            within(source, "serviceAccountToken", |token| {
                set_absent(token, "expirationSeconds", PROJECTED_TOKEN_SECONDS)
            });
        });
    });
    within(volume, "ephemeral", |ephemeral| {
        within(ephemeral, "volumeClaimTemplate", |template| within(template, "spec", default_claim_spec));
    });
}

/// Defaults of the sources that volumes and persistent volumes have in common.
pub fn default_shared_sources(volume: &mut Fields) {
    within(volume, "hostPath", |source| set_absent(source, "type", ""));
    within(volume, "iscsi", |source| set_empty(source, "iscsiInterface", "default"));
    within(volume, "rbd", |source| {
        set_empty(source, "pool", "rbd");
        set_empty(source, "user", "admin");
        set_empty(source, "keyring", "/etc/ceph/keyring");
    });
    within(volume, "azureDisk", |source| {
        set_absent(source, "cachingMode", "ReadWrite");
        set_absent(source, "fsType", "ext4");
        set_absent(source, "readOnly", false);
        set_absent(source, "kind", "Shared");
    });
    within(volume, "scaleIO", |source| {
        set_empty(source, "storageMode", "ThinProvisioned");
        set_empty(source, "fsType", "xfs");
    });
}

/// Defaults of a claim's spec, also where it is a template.
pub fn default_claim_spec(spec: &mut Fields) {
    set_absent(spec, "volumeMode", "Filesystem");
}

fn default_mode(source: &mut Fields) {
    if is_absent(source, "defaultMode") {
        set(source, "defaultMode", DEFAULT_FILE_MODE);
    }
}

fn default_downward_items(source: &mut Fields) {
    each(source, "items", |item| within(item, "fieldRef", default_field_ref));
}

/// Defaults of a reference to a field of the pod.
pub fn default_field_ref(field: &mut Fields) {
    set_empty(field, "apiVersion", "v1");
}

/// Defaults of a persistent volume.
pub fn default_persistent_volume(volume: &mut serde_json::Value) {
    object(volume, |volume| {
        within(volume, "status", |status| set_empty(status, "phase", "Pending"));
        within(volume, "spec", |spec| {
            set_empty(spec, "persistentVolumeReclaimPolicy", "Retain");
            set_absent(spec, "volumeMode", "Filesystem");
            default_shared_sources(spec);
        });
    });
}

/// Defaults of a claim, also where it is an element of a stateful set.
pub fn default_claim(claim: &mut Fields) {
    within(claim, "status", |status| set_empty(status, "phase", "Pending"));
    within(claim, "spec", default_claim_spec);
}
