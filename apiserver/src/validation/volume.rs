//! Volumes of pods, persistent volumes and claims.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go`, `pkg/apis/core/validation/validation.go`.

use super::edit::{Fields, each, is_absent, is_empty, object, set, set_absent, set_empty, text, within};
use super::field::{BadValue, Error, Errors, Path};
use super::node::Node;
use super::quantity::Quantity;
use super::{affinity, certificates, container, formats, go_struct, image, meta, paths};
use crate::go_syntax::go_quote;

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
                set_absent(token, "expirationSeconds", PROJECTED_TOKEN_SECONDS);
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

/// Requires the text in a field.
fn require(node: &Node<'_>, name: &'static str, errors: &mut Errors) {
    let field = node.at(name);
    if field.is_empty() {
        errors.push(field.required(""));
    }
}

fn require_all(node: &Node<'_>, names: &[&'static str], errors: &mut Errors) {
    for name in names {
        require(node, name, errors);
    }
}

const TOO_MANY_TYPES: &str = "may not specify more than 1 volume type";

/// Judges the volumes of a pod or pod template. Returns those that containers may mount.
pub fn validate_volumes<'a>(volumes: &Node<'a>, pod_name: &str, errors: &mut Errors) -> Vec<(&'a str, Node<'a>)> {
    let claims: Vec<String> = volumes
        .items()
        .filter(|volume| !pod_name.is_empty() && volume.has("ephemeral"))
        .map(|volume| format!("{pod_name}-{}", volume.text("name")))
        .collect();
    let mut valid: Vec<(&str, Node<'_>)> = Vec::new();
    for volume in volumes.items() {
        let mut found = Errors::new();
        validate_source(&volume, pod_name, &mut found);
        let name = volume.at("name");
        if name.is_empty() {
            found.push(name.required(""));
        } else {
            name.format(formats::dns_label(name.str()), &mut found);
        }
        if valid.iter().any(|(other, _)| *other == name.str()) {
            found.push(Error::duplicate(&name.path, name.str()));
        }
        if found.is_empty() {
            valid.push((name.str(), volume.clone()));
        }
        errors.append(&mut found);
        let claim = volume.at("persistentVolumeClaim").at("claimName");
        if claims.iter().any(|created| created == claim.str()) {
            errors.push(claim.invalid_text("must not reference a PVC that gets created for an ephemeral volume"));
        }
    }
    valid
}

/// The sources of a pod's volume in the order in which they are judged, with the names under which upstream reports a second
/// one and what is wrong inside, where these differ from the field's.
const SOURCES: [(&str, &str, &str, Judge); 30] = [
    ("emptyDir", "emptyDir", "emptyDir", empty_dir),
    ("hostPath", "hostPath", "hostPath", host_path),
    ("gitRepo", "gitRepo", "gitRepo", git_repo),
    ("gcePersistentDisk", "gcePersistentDisk", "persistentDisk", gce_disk),
    ("awsElasticBlockStore", "awsElasticBlockStore", "awsElasticBlockStore", aws_disk),
    ("secret", "secret", "secret", secret),
    ("nfs", "nfs", "nfs", nfs),
    ("iscsi", "iscsi", "iscsi", iscsi),
    ("glusterfs", "glusterfs", "glusterfs", glusterfs),
    ("flocker", "flocker", "flocker", flocker),
    ("persistentVolumeClaim", "persistentVolumeClaim", "persistentVolumeClaim", claim_reference),
    ("rbd", "rbd", "rbd", rbd),
    ("cinder", "cinder", "cinder", cinder),
    ("cephfs", "cephFS", "cephfs", cephfs),
    ("quobyte", "quobyte", "quobyte", quobyte),
    ("downwardAPI", "downwarAPI", "downwardAPI", downward_api),
    ("fc", "fc", "fc", fibre_channel),
    ("flexVolume", "flexVolume", "flexVolume", flex_volume),
    ("configMap", "configMap", "configMap", config_map),
    ("azureFile", "azureFile", "azureFile", azure_file),
    ("vsphereVolume", "vsphereVolume", "vsphereVolume", vsphere),
    ("photonPersistentDisk", "photonPersistentDisk", "photonPersistentDisk", photon),
    ("portworxVolume", "portworxVolume", "portworxVolume", portworx),
    ("azureDisk", "azureDisk", "azureDisk", azure_disk),
    ("storageos", "storageos", "storageos", storage_os),
    ("projected", "projected", "projected", projected),
    ("scaleIO", "scaleIO", "scaleIO", scale_io),
    ("csi", "csi", "csi", csi),
    ("ephemeral", "ephemeral", "ephemeral", ephemeral),
    ("image", "image", "image", image_source),
];

type Judge = fn(&Node<'_>, &mut Errors);

fn validate_source(volume: &Node<'_>, pod_name: &str, errors: &mut Errors) {
    let mut found = false;
    let name = volume.at("name");
    for (field, second, inside, judge) in SOURCES {
        let source = Node { value: volume.get(field), path: volume.path.child(inside) };
        if !source.present() {
            continue;
        }
        if found {
            errors.push(Error::forbidden(&volume.path.child(second), TOO_MANY_TYPES));
        } else {
            judge(&source, errors);
            if field == "ephemeral" && !pod_name.is_empty() && !name.is_empty() {
                let claim = format!("{pod_name}-{}", name.str());
                for message in formats::dns_subdomain(&claim) {
                    errors.push(name.invalid_text(format!("PVC name {}: {message}", go_quote(&claim))));
                }
            }
        }
        if field == "iscsi" && source.has("initiatorName") {
            portal_length(&source, &name, name.str(), errors);
        }
        found = true;
    }
    if !found {
        errors.push(volume.required("must specify a volume type"));
    }
}

fn portal_length(source: &Node<'_>, reported: &Node<'_>, volume_name: &str, errors: &mut Errors) {
    if volume_name.len() + 1 + source.text("targetPortal").len() > 64 {
        errors.push(reported.invalid_text(
            "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.",
        ));
    }
}

fn empty_dir(source: &Node<'_>, errors: &mut Errors) {
    let limit = source.at("sizeLimit");
    if Quantity::of(limit.value).is_negative() {
        errors.push(limit.forbidden("SizeLimit field must be a valid resource quantity"));
    }
}

/// Judges a path on the host.
pub fn host_path(source: &Node<'_>, errors: &mut Errors) {
    let path = source.at("path");
    if path.is_empty() {
        errors.push(path.required(""));
        return;
    }
    paths::no_backsteps(&path, errors);
    let kind = source.at("type");
    if kind.present() {
        kind.one_of(
            &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"],
            errors,
        );
    }
}

fn git_repo(source: &Node<'_>, errors: &mut Errors) {
    require(source, "repository", errors);
    paths::descending(&source.at("directory"), errors);
}

fn partition(source: &Node<'_>, errors: &mut Errors) {
    let partition = source.at("partition");
    if !(0..=255).contains(&partition.int()) {
        errors.push(partition.invalid_int(formats::range_error(1, 255)));
    }
}

/// Judges a Google disk.
pub fn gce_disk(source: &Node<'_>, errors: &mut Errors) {
    require(source, "pdName", errors);
    partition(source, errors);
}

/// Judges an Amazon disk.
pub fn aws_disk(source: &Node<'_>, errors: &mut Errors) {
    require(source, "volumeID", errors);
    partition(source, errors);
}

fn keys_to_paths(source: &Node<'_>, errors: &mut Errors) {
    for item in source.at("items").items() {
        key_to_path(&item, errors);
    }
}

fn key_to_path(item: &Node<'_>, errors: &mut Errors) {
    require_all(item, &["key", "path"], errors);
    paths::local(&item.at("path"), errors);
    paths::mode(&item.at("mode"), errors);
}

fn secret(source: &Node<'_>, errors: &mut Errors) {
    require(source, "secretName", errors);
    paths::mode(&source.at("defaultMode"), errors);
    keys_to_paths(source, errors);
}

fn config_map(source: &Node<'_>, errors: &mut Errors) {
    require(source, "name", errors);
    paths::mode(&source.at("defaultMode"), errors);
    keys_to_paths(source, errors);
}

/// Judges an NFS export.
pub fn nfs(source: &Node<'_>, errors: &mut Errors) {
    require_all(source, &["server", "path"], errors);
    let path = source.at("path");
    if !path.str().starts_with('/') {
        errors.push(path.invalid_text("must be an absolute path"));
    }
}

/// How strictly upstream words a name of an unknown format, which differs between pods and persistent volumes.
const ISCSI_START: &str = "must be valid format starting with iqn, eui, or naa";
const ISCSI_FORMAT: &str = "must be valid format";

fn iscsi(source: &Node<'_>, errors: &mut Errors) {
    require(source, "targetPortal", errors);
    iscsi_common(source, ISCSI_START, errors);
}

fn iscsi_common(source: &Node<'_>, unknown: &str, errors: &mut Errors) {
    let name = source.at("iqn");
    if name.is_empty() {
        errors.push(name.required(""));
    } else {
        iscsi_name(&name, unknown, errors);
    }
    let lun = source.at("lun");
    lun_range(&lun, errors);
    let secret = source.at("secretRef");
    if (source.flag("chapAuthDiscovery") || source.flag("chapAuthSession")) && !secret.present() {
        errors.push(secret.required(""));
    }
    if unknown == ISCSI_FORMAT && secret.present() {
        require(&secret, "name", errors);
    }
    if source.has("initiatorName") {
        let initiator = Node { value: source.get("initiatorName"), path: source.path.child("initiatorname") };
        iscsi_name(&initiator, unknown, errors);
    }
}

fn lun_range(lun: &Node<'_>, errors: &mut Errors) {
    if !(0..=255).contains(&lun.int()) {
        errors.push(lun.invalid_int(formats::range_error(0, 255)));
    }
}

fn iscsi_name(name: &Node<'_>, unknown: &str, errors: &mut Errors) {
    let text = name.str();
    let fixed = |length: usize| {
        let rest: Option<&str> = text.char_indices().nth(4).and_then(|(at, _)| text.get(at..));
        rest.is_some_and(|rest| rest.len() == length && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
    };
    if text.starts_with("iqn") {
        if !is_iqn(text) {
            errors.push(name.invalid_text(ISCSI_FORMAT));
        }
    } else if text.starts_with("eui") {
        if !fixed(16) {
            errors.push(name.invalid_text(ISCSI_FORMAT));
        }
    } else if text.starts_with("naa") {
        if !fixed(32) {
            errors.push(name.invalid_text(ISCSI_FORMAT));
        }
    } else {
        errors.push(name.invalid_text(unknown));
    }
}

/// `iqn.2001-04.com.example:storage`
fn is_iqn(text: &str) -> bool {
    let Some((date, rest)) = text.strip_prefix("iqn.").and_then(|rest| rest.split_once('.')) else { return false };
    let is_digits = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_digit());
    let dated = date.split_once('-').is_some_and(|(year, month)| is_digits(year, 4) && is_digits(month, 2));
    dated
        && rest.split_once(':').is_some_and(|(authority, target)| {
            !authority.is_empty()
                && authority.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
                && !target.is_empty()
                && !target.contains(|c: char| ",;*&$|".contains(c) || c.is_ascii_whitespace())
        })
}

fn glusterfs(source: &Node<'_>, errors: &mut Errors) {
    require_all(source, &["endpoints", "path"], errors);
}

/// Judges a Flocker dataset.
pub fn flocker(source: &Node<'_>, errors: &mut Errors) {
    let (name, uuid) = (source.at("datasetName"), source.at("datasetUUID"));
    if name.is_empty() && uuid.is_empty() {
        errors.push(source.required("one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        errors.push(Error::invalid(
            &source.path,
            "resource",
            "datasetName and datasetUUID can not be specified simultaneously",
        ));
    }
    if name.str().contains('/') {
        errors.push(name.invalid_text("must not contain '/'"));
    }
}

fn claim_reference(source: &Node<'_>, errors: &mut Errors) {
    require(source, "claimName", errors);
}

/// Judges a Ceph block device.
pub fn rbd(source: &Node<'_>, errors: &mut Errors) {
    require_all(source, &["monitors", "image"], errors);
}

fn cinder(source: &Node<'_>, errors: &mut Errors) {
    require(source, "volumeID", errors);
    optional_secret(source, &["name"], errors);
}

fn optional_secret(source: &Node<'_>, names: &[&'static str], errors: &mut Errors) {
    if let Some(secret) = source.at("secretRef").some() {
        require_all(&secret, names, errors);
    }
}

/// Judges a Ceph file system.
pub fn cephfs(source: &Node<'_>, errors: &mut Errors) {
    require(source, "monitors", errors);
}

/// Judges a Quobyte volume.
pub fn quobyte(source: &Node<'_>, errors: &mut Errors) {
    const PAIRS: &str = "must be a host:port pair or multiple pairs separated by commas";
    let registry = source.at("registry");
    if registry.is_empty() {
        errors.push(registry.required(PAIRS));
    } else if source.text("tenant").len() >= 65 {
        let tenant = source.at("tenant");
        errors.push(tenant.required("must be a UUID and may not exceed a length of 64 characters"));
    } else {
        for pair in registry.str().split(',') {
            if !is_host_port(pair) {
                errors.push(registry.invalid_text(PAIRS));
            }
        }
    }
    require(source, "volume", errors);
}

fn is_host_port(pair: &str) -> bool {
    match pair.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").is_some_and(|(_, port)| !port.contains([':', '[', ']'])),
        None => pair.split_once(':').is_some_and(|(host, port)| !port.contains(':') && !host.contains(['[', ']'])),
    }
}

const VOLUME_FIELDS: [&str; 5] =
    ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];

fn downward_api(source: &Node<'_>, errors: &mut Errors) {
    paths::mode(&source.at("defaultMode"), errors);
    for item in source.at("items").items() {
        // Upstream reports an item under its list's owner.
        downward_file(&Node { value: item.value, path: source.path.clone() }, errors);
    }
}

fn downward_file(file: &Node<'_>, errors: &mut Errors) {
    require(file, "path", errors);
    paths::local(&file.at("path"), errors);
    if let Some(field) = file.at("fieldRef").some() {
        container::field_selector(&field, &VOLUME_FIELDS, errors);
        if file.has("resourceFieldRef") {
            let message = "fieldRef and resourceFieldRef can not be specified simultaneously";
            errors.push(Error::invalid(&file.path, "resource", message));
        }
    } else if let Some(resource) = file.at("resourceFieldRef").some() {
        container::resource_selector(&resource, true, errors);
    } else {
        errors.push(file.required("one of fieldRef and resourceFieldRef is required"));
    }
    paths::mode(&file.at("mode"), errors);
}

/// Judges a fibre channel volume.
pub fn fibre_channel(source: &Node<'_>, errors: &mut Errors) {
    let (names, ids) = (source.at("targetWWNs"), source.at("wwids"));
    if names.is_empty() && ids.is_empty() {
        errors.push(names.required("must specify either targetWWNs or wwids, but not both"));
    }
    if names.is_empty() {
        return;
    }
    if !ids.is_empty() {
        errors.push(names.invalid("targetWWNs and wwids can not be specified simultaneously"));
    }
    let lun = source.at("lun");
    if lun.present() {
        lun_range(&lun, errors);
    } else {
        errors.push(lun.required("lun is required if targetWWNs is specified"));
    }
}

/// Judges a flex volume.
pub fn flex_volume(source: &Node<'_>, errors: &mut Errors) {
    require(source, "driver", errors);
    for (key, option) in source.at("options").entries() {
        let namespace = key.split_once('/').map_or(key, |(namespace, _)| namespace);
        let normalized = format!(".{}", namespace.to_lowercase());
        if normalized.ends_with(".kubernetes.io") || normalized.ends_with(".k8s.io") {
            errors.push(Error::invalid(&option.path, key, "kubernetes.io and k8s.io namespaces are reserved"));
        }
    }
}

fn azure_file(source: &Node<'_>, errors: &mut Errors) {
    require_all(source, &["secretName", "shareName"], errors);
}

/// Judges an Azure disk.
pub fn azure_disk(source: &Node<'_>, errors: &mut Errors) {
    require_all(source, &["diskName", "diskURI"], errors);
    let (caching, kind, uri) = (source.at("cachingMode"), source.at("kind"), source.at("diskURI"));
    if caching.present() {
        caching.one_of(&["None", "ReadOnly", "ReadWrite"], errors);
    }
    if kind.present() {
        kind.one_of(&["Dedicated", "Managed", "Shared"], errors);
        if kind.str() == "Managed" && !uri.str().starts_with("/subscriptions/") {
            errors.push(uri.not_supported(&[
                "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
            ]));
        }
        if kind.str() != "Managed" && !uri.str().starts_with("https://") {
            errors.push(
                uri.not_supported(&["https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"]),
            );
        }
    }
}

/// Judges a vSphere volume.
pub fn vsphere(source: &Node<'_>, errors: &mut Errors) {
    require(source, "volumePath", errors);
}

/// Judges a Photon disk.
pub fn photon(source: &Node<'_>, errors: &mut Errors) {
    require(source, "pdID", errors);
}

/// Judges a Portworx volume.
pub fn portworx(source: &Node<'_>, errors: &mut Errors) {
    require(source, "volumeID", errors);
}

fn storage_os(source: &Node<'_>, errors: &mut Errors) {
    storage_os_names(source, errors);
    optional_secret(source, &["name"], errors);
}

fn storage_os_names(source: &Node<'_>, errors: &mut Errors) {
    let (name, namespace) = (source.at("volumeName"), source.at("volumeNamespace"));
    if name.is_empty() {
        errors.push(name.required(""));
    } else {
        name.format(formats::dns_label(name.str()), errors);
    }
    if !namespace.is_empty() {
        namespace.format(formats::dns_label(namespace.str()), errors);
    }
}

/// Judges a `ScaleIO` volume.
pub fn scale_io(source: &Node<'_>, errors: &mut Errors) {
    require_all(source, &["gateway", "system", "volumeName"], errors);
}

/// Judges the name of a CSI driver.
pub fn csi_driver_name(name: &Node<'_>, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(name.required(""));
        return;
    }
    if name.len() > 63 {
        errors.push(Error::too_long(&name.path, 63));
    }
    name.format(formats::dns_subdomain(&name.str().to_lowercase()), errors);
}

fn csi(source: &Node<'_>, errors: &mut Errors) {
    csi_driver_name(&source.at("driver"), errors);
    if let Some(secret) = source.at("nodePublishSecretRef").some() {
        let name = secret.at("name");
        if name.is_empty() {
            errors.push(name.required(""));
        } else {
            let reported = Node { value: name.value, path: source.path.child("name") };
            reported.format(formats::dns_subdomain(name.str()), errors);
        }
    }
}

fn ephemeral(source: &Node<'_>, errors: &mut Errors) {
    let template = source.at("volumeClaimTemplate");
    if !template.present() {
        errors.push(template.required(""));
        return;
    }
    template_metadata(&template.at("metadata"), errors);
    validate_claim_spec(&template.at("spec"), errors);
}

/// Judges the metadata of a template, which can only have labels and annotations.
pub fn template_metadata(metadata: &Node<'_>, errors: &mut Errors) {
    meta::annotations(&metadata.at("annotations"), errors);
    meta::labels(&metadata.at("labels"), errors);
    for name in [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
        "generation",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "ownerReferences",
        "finalizers",
        "managedFields",
    ] {
        if let Some(field) = metadata.at(name).some() {
            let path = metadata.path.child(if name == "uid" { "uID" } else { name });
            errors.push(Error::forbidden(&path, "cannot be set"));
            drop(field);
        }
    }
}

fn image_source(source: &Node<'_>, errors: &mut Errors) {
    require(source, "reference", errors);
    let policy = source.at("pullPolicy");
    container::pull_policy(&policy, errors);
}

/// Remembers a path of a projected volume, and reports one that was there before.
fn claim_path<'a>(owner: &Node<'_>, path: &'a str, reported: &str, seen: &mut Vec<&'a str>, errors: &mut Errors) {
    if seen.contains(&path) {
        errors.push(Error::invalid(&owner.path, reported, "conflicting duplicate paths"));
    } else {
        seen.push(path);
    }
}

fn projected(source: &Node<'_>, errors: &mut Errors) {
    paths::mode(&source.at("defaultMode"), errors);
    let mut seen: Vec<&str> = Vec::new();
    for projection in source.at("sources").items() {
        let mut kinds = 0;
        for kind in ["secret", "configMap"] {
            let Some(inner) = projection.at(kind).some() else { continue };
            kinds += 1;
            require(&inner, "name", errors);
            for item in inner.at("items").items() {
                key_to_path(&item, errors);
                let path = item.text("path");
                if !path.is_empty() {
                    claim_path(source, path, inner.text("name"), &mut seen, errors);
                }
            }
        }
        if let Some(inner) = projection.at("downwardAPI").some() {
            kinds += 1;
            for item in inner.at("items").items() {
                downward_file(&Node { value: item.value, path: inner.path.clone() }, errors);
                let path = item.text("path");
                if !path.is_empty() {
                    claim_path(source, path, path, &mut seen, errors);
                }
            }
        }
        if let Some(inner) = projection.at("serviceAccountToken").some() {
            kinds += 1;
            service_account_token(source, &inner, errors);
        }
        if let Some(inner) = projection.at("clusterTrustBundle").some() {
            kinds += 1;
            trust_bundle(&inner, errors);
            let path = inner.text("path");
            claim_path(source, path, path, &mut seen, errors);
        }
        if let Some(inner) = projection.at("podCertificate").some() {
            kinds += 1;
            pod_certificate(source, &inner, &mut seen, errors);
        }
        if kinds > 1 {
            errors.push(projection.forbidden("may not specify more than 1 volume type per source"));
        }
    }
}

fn service_account_token(owner: &Node<'_>, token: &Node<'_>, errors: &mut Errors) {
    let seconds = token.at("expirationSeconds");
    if seconds.int() < 10 * 60 {
        errors.push(seconds.invalid_int("may not specify a duration less than 10 minutes"));
    }
    if seconds.int() > 1 << 32 {
        errors.push(seconds.invalid_int("may not specify a duration larger than 2^32 seconds"));
    }
    let path = Node { value: token.get("path"), path: owner.path.child("path") };
    if path.is_empty() {
        errors.push(path.required(""));
    } else {
        paths::local(&path, errors);
    }
}

fn trust_bundle(bundle: &Node<'_>, errors: &mut Errors) {
    let (name, signer) = (bundle.at("name"), bundle.at("signerName"));
    match (name.present(), signer.present()) {
        (true, true) => errors.push(bundle.invalid("only one of name and signerName may be used")),
        (true, false) => {
            if name.is_empty() {
                errors.push(name.required("must be a valid object name"));
            }
            for message in certificates::trust_bundle_name(name.str()) {
                errors.push(name.invalid_text(format!("not a valid clustertrustbundlename: {message}")));
            }
            if let Some(selector) = bundle.at("labelSelector").some() {
                errors.push(selector.invalid("labelSelector must be unset if name is specified"));
            }
        }
        (false, true) => {
            if signer.is_empty() {
                errors.push(signer.required("must be a valid signer name"));
            }
            certificates::signer_name(&signer, errors);
            meta::label_selector(&bundle.at("labelSelector"), errors);
        }
        (false, false) => errors.push(bundle.required("either name or signerName must be specified")),
    }
    require(bundle, "path", errors);
    paths::local(&bundle.at("path"), errors);
}

const KEY_TYPES: [&str; 6] = ["RSA3072", "RSA4096", "ECDSAP256", "ECDSAP384", "ECDSAP521", "ED25519"];

fn pod_certificate<'a>(owner: &Node<'_>, source: &Node<'a>, seen: &mut Vec<&'a str>, errors: &mut Errors) {
    let signer = source.at("signerName");
    certificates::signer_name(&signer, errors);
    source.at("keyType").one_of(&KEY_TYPES, errors);
    if let Some(seconds) = source.at("maxExpirationSeconds").some() {
        if seconds.int() < 3600 {
            errors.push(seconds.invalid_int("if provided, maxExpirationSeconds must be >= 3600"));
        }
        let domain = signer.str().split('/').next().unwrap_or_default();
        let is_kubernetes = domain == "kubernetes.io" || domain.ends_with(".kubernetes.io");
        let max = if is_kubernetes { 24 * 60 * 60 } else { 91 * 24 * 60 * 60 };
        if seconds.int() > max {
            errors.push(seconds.invalid_int(format!("if provided, maxExpirationSeconds must be <= {max}")));
        }
    }
    let mut paths_given = 0;
    for name in ["credentialBundlePath", "keyPath", "certificateChainPath"] {
        let path = source.at(name);
        if !path.is_empty() {
            paths_given += 1;
            paths::local(&path, errors);
            claim_path(owner, path.str(), path.str(), seen, errors);
        }
    }
    if paths_given == 0 {
        errors.push(source.required("specify at least one of credentialBundlePath, keyPath, and certificateChainPath"));
    }
}

const ACCESS_MODES: [&str; 4] = ["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

fn access_modes(modes: &Node<'_>, errors: &mut Errors) {
    for mode in modes.strings() {
        if !ACCESS_MODES.contains(&mode) {
            errors.push(Error::not_supported(&modes.path, mode, &ACCESS_MODES));
        }
    }
    let exclusive = modes.strings().any(|mode| mode == "ReadWriteOncePod");
    if exclusive && modes.strings().any(|mode| mode != "ReadWriteOncePod" && ACCESS_MODES.contains(&mode)) {
        errors.push(modes.forbidden("may not use ReadWriteOncePod with other access modes"));
    }
}

/// Requires a quantity above zero.
pub fn positive_quantity(quantity: &Node<'_>, errors: &mut Errors) {
    let value = Quantity::of(quantity.value);
    if value.is_negative() || value.is_zero() {
        errors.push(quantity.invalid_text("must be greater than zero"));
    }
}

/// Judges a claim's spec, also where it is a template.
pub fn validate_claim_spec(spec: &Node<'_>, errors: &mut Errors) {
    let modes = spec.at("accessModes");
    if modes.is_empty() {
        errors.push(modes.required("at least 1 access mode is required"));
    }
    meta::label_selector(&spec.at("selector"), errors);
    access_modes(&modes, errors);
    let storage = Node {
        value: spec.at("resources").at("requests").get("storage"),
        path: spec.path.child("resources").key("storage"),
    };
    if storage.present() {
        positive_quantity(&storage, errors);
    } else {
        errors.push(storage.required(""));
    }
    class_name(&spec.at("storageClassName"), errors);
    volume_mode(&spec.at("volumeMode"), errors);
    let (source, reference) = (spec.at("dataSource"), spec.at("dataSourceRef"));
    data_source(&source, errors);
    data_source(&reference, errors);
    let namespace = reference.at("namespace");
    if !namespace.is_empty() {
        namespace.format(formats::dns_label(namespace.str()), errors);
    }
    if source.present() && reference.present() {
        let same = ["apiGroup", "kind", "name"].into_iter().all(|name| source.get(name) == reference.get(name));
        // Upstream shows the path's own (private, hence empty) fields as the value.
        let shown = || BadValue::Text("{}".to_owned());
        if !namespace.is_empty() {
            errors.push(Error::invalid(
                &spec.path,
                shown(),
                "may not be specified when dataSourceRef.namespace is specified",
            ));
        } else if !same {
            errors.push(Error::invalid(&spec.path, shown(), "must match dataSourceRef"));
        }
    }
    class_name(&spec.at("volumeAttributesClassName"), errors);
}

fn class_name(name: &Node<'_>, errors: &mut Errors) {
    if !name.is_empty() {
        name.format(formats::dns_subdomain(name.str()), errors);
    }
}

fn volume_mode(mode: &Node<'_>, errors: &mut Errors) {
    if mode.present() {
        mode.one_of(&["Block", "Filesystem"], errors);
    }
}

fn data_source(source: &Node<'_>, errors: &mut Errors) {
    if !source.present() {
        return;
    }
    require_all(source, &["name", "kind"], errors);
    let group = source.at("apiGroup");
    if group.is_empty() {
        if source.text("kind") != "PersistentVolumeClaim" {
            let message = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(Error::invalid(&source.path, source.text("kind"), message));
        }
    } else {
        group.format(formats::dns_subdomain(group.str()), errors);
    }
}

/// Judges a new claim.
pub fn create_claim(claim: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&claim.at("metadata"), true, formats::subdomain_name, errors);
    validate_claim_spec(&claim.at("spec"), errors);
}

/// The sources of a persistent volume in the order in which they are judged, named as in [`SOURCES`].
const PERSISTENT_SOURCES: [(&str, &str, &str, Judge); 22] = [
    ("hostPath", "hostPath", "hostPath", host_path),
    ("gcePersistentDisk", "gcePersistentDisk", "persistentDisk", gce_disk),
    ("awsElasticBlockStore", "awsElasticBlockStore", "awsElasticBlockStore", aws_disk),
    ("glusterfs", "glusterfs", "glusterfs", persistent_glusterfs),
    ("flocker", "flocker", "flocker", flocker),
    ("nfs", "nfs", "nfs", nfs),
    ("rbd", "rbd", "rbd", rbd),
    ("quobyte", "quobyte", "quobyte", quobyte),
    ("cephfs", "cephFS", "cephfs", cephfs),
    ("iscsi", "iscsi", "iscsi", persistent_iscsi),
    ("cinder", "cinder", "cinder", persistent_cinder),
    ("fc", "fc", "fc", fibre_channel),
    ("flexVolume", "", "flexVolume", flex_volume),
    ("azureFile", "azureFile", "azureFile", persistent_azure_file),
    ("vsphereVolume", "vsphereVolume", "vsphereVolume", vsphere),
    ("photonPersistentDisk", "photonPersistentDisk", "photonPersistentDisk", photon),
    ("portworxVolume", "portworxVolume", "portworxVolume", portworx),
    ("azureDisk", "azureDisk", "azureDisk", azure_disk),
    ("scaleIO", "scaleIO", "scaleIO", scale_io),
    ("local", "local", "local", local),
    ("storageos", "storageos", "storageos", persistent_storage_os),
    ("csi", "csi", "csi", persistent_csi),
];

fn persistent_glusterfs(source: &Node<'_>, errors: &mut Errors) {
    glusterfs(source, errors);
    let namespace = source.at("endpointsNamespace");
    if namespace.present() {
        if namespace.is_empty() {
            errors.push(namespace.invalid_text("if the endpointnamespace is set, it must be a valid namespace name"));
        } else {
            namespace.format(formats::dns_label(namespace.str()), errors);
        }
    }
}

fn persistent_iscsi(source: &Node<'_>, errors: &mut Errors) {
    require(source, "targetPortal", errors);
    iscsi_common(source, ISCSI_FORMAT, errors);
}

fn persistent_cinder(source: &Node<'_>, errors: &mut Errors) {
    require(source, "volumeID", errors);
    optional_secret(source, &["name", "namespace"], errors);
}

fn persistent_azure_file(source: &Node<'_>, errors: &mut Errors) {
    azure_file(source, errors);
    let namespace = source.at("secretNamespace");
    if namespace.present() && namespace.is_empty() {
        errors.push(namespace.required(""));
    }
}

fn persistent_storage_os(source: &Node<'_>, errors: &mut Errors) {
    storage_os_names(source, errors);
    optional_secret(source, &["name", "namespace"], errors);
}

fn local(source: &Node<'_>, errors: &mut Errors) {
    let path = source.at("path");
    if path.is_empty() {
        errors.push(path.required(""));
    } else {
        paths::no_backsteps(&path, errors);
    }
}

fn persistent_csi(source: &Node<'_>, errors: &mut Errors) {
    csi_driver_name(&source.at("driver"), errors);
    require(source, "volumeHandle", errors);
    for name in
        ["controllerPublishSecretRef", "controllerExpandSecretRef", "nodePublishSecretRef", "nodeExpandSecretRef"]
    {
        let Some(secret) = source.at(name).some() else { continue };
        let formats: [(&str, formats::Rule); 2] = [("name", formats::dns_subdomain), ("namespace", formats::dns_label)];
        for (name, format) in formats {
            let text = secret.at(name);
            if text.is_empty() {
                errors.push(text.required(""));
            } else {
                text.format(format(text.str()), errors);
            }
        }
    }
}

const INLINE: &str = "may not be specified in the context of inline volumes";

/// Judges a persistent volume's spec. `inline` is where an attachment carries it in place of a volume.
pub fn validate_persistent_spec(spec: &Node<'_>, volume_name: &str, inline: bool, errors: &mut Errors) {
    let (capacity, modes) = (spec.at("capacity"), spec.at("accessModes"));
    if inline {
        if spec.has("claimRef") {
            errors.push(spec.at("claimRef").forbidden(INLINE));
        }
        if !capacity.is_empty() {
            errors.push(capacity.forbidden(INLINE));
        }
        if !spec.has("csi") {
            errors.push(spec.at("csi").required("has to be specified in the context of inline volumes"));
        }
    }
    if modes.is_empty() {
        errors.push(modes.required(""));
    }
    access_modes(&modes, errors);
    if !inline {
        persistent_capacity(&capacity, errors);
    }
    let policy = spec.at("persistentVolumeReclaimPolicy");
    if inline {
        if !policy.is_empty() && policy.str() != "Retain" {
            errors.push(policy.forbidden("may only be Retain in the context of inline volumes"));
        }
    } else if !policy.is_empty() {
        policy.one_of(&["Delete", "Recycle", "Retain"], errors);
    }
    let affinity = spec.at("nodeAffinity");
    if affinity.present() {
        if inline {
            errors.push(affinity.forbidden(INLINE));
        } else if let Some(required) = affinity.at("required").some() {
            affinity::node_selector(&required, errors);
        } else {
            errors.push(affinity.at("required").required("must specify required node constraints"));
        }
    }
    persistent_sources(spec, volume_name, affinity.present() && !inline, errors);
    let host_path = spec.at("hostPath");
    let is_root = host_path.present() && {
        let path = host_path.text("path");
        path.starts_with('/') && path.split('/').all(|part| matches!(part, "" | "." | ".."))
    };
    if is_root && policy.str() == "Recycle" {
        errors.push(policy.forbidden("may not be 'recycle' for a hostPath mount of '/'"));
    }
    let class = spec.at("storageClassName");
    if inline && !class.is_empty() {
        errors.push(class.forbidden(INLINE));
    } else {
        class_name(&class, errors);
    }
    let mode = spec.at("volumeMode");
    if !inline {
        volume_mode(&mode, errors);
    } else if mode.present() && mode.str() != "Filesystem" {
        errors
            .push(mode.forbidden("may not specify volumeMode other than Filesystem in the context of inline volumes"));
    }
    let attributes = spec.at("volumeAttributesClassName");
    if attributes.present() && !inline {
        if attributes.is_empty() {
            errors.push(attributes.required("an empty string is disallowed"));
        } else {
            class_name(&attributes, errors);
        }
        if !spec.has("csi") {
            errors.push(spec.at("csi").required("has to be specified when using volumeAttributesClassName"));
        }
    }
}

fn persistent_capacity(capacity: &Node<'_>, errors: &mut Errors) {
    if capacity.is_empty() {
        errors.push(capacity.required(""));
    }
    if !capacity.has("storage") || capacity.len() > 1 {
        errors.push(Error::not_supported(&capacity.path, capacity.value, &["storage"]));
    }
    for (_, amount) in capacity.entries() {
        let value = Quantity::of(amount.value);
        if value.is_negative() && value.rounded() < 0 {
            errors.push(Error::invalid(&amount.path, value.rounded(), "must be a valid resource quantity"));
        }
        positive_quantity(&amount, errors);
    }
}

fn persistent_sources(spec: &Node<'_>, volume_name: &str, has_affinity: bool, errors: &mut Errors) {
    let mut found = false;
    for (field, second, inside, judge) in PERSISTENT_SOURCES {
        let source = Node { value: spec.get(field), path: spec.path.child(inside) };
        if !source.present() {
            continue;
        }
        // Upstream lets a flex volume stand beside others.
        if found && !second.is_empty() {
            errors.push(Error::forbidden(&spec.path.child(second), TOO_MANY_TYPES));
            continue;
        }
        if field == "iscsi" {
            persistent_iscsi_named(&source, volume_name, errors);
        } else {
            judge(&source, errors);
        }
        if field == "local" && !has_affinity {
            errors.push(spec.at("nodeAffinity").required("Local volume requires node affinity"));
        }
        found = true;
    }
    if !found {
        errors.push(spec.required("must specify a volume type"));
    }
}

fn persistent_iscsi_named(source: &Node<'_>, volume_name: &str, errors: &mut Errors) {
    require(source, "targetPortal", errors);
    if source.has("initiatorName") {
        let portal = Node { value: source.get("targetPortal"), path: source.path.child("targetportal") };
        portal_length(source, &portal, volume_name, errors);
    }
    iscsi_common(source, ISCSI_FORMAT, errors);
}

/// Judges a new persistent volume.
pub fn create_persistent_volume(volume: &Node<'_>, errors: &mut Errors) {
    let metadata = volume.at("metadata");
    meta::validate_kube(&metadata, false, formats::subdomain_name, errors);
    validate_persistent_spec(&volume.at("spec"), metadata.text("name"), false, errors);
}

/// Judges a changed persistent volume.
pub fn update_persistent_volume(volume: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    // Upstream judges it as if it were new, twice.
    create_persistent_volume(volume, errors);
    create_persistent_volume(volume, errors);
    let (spec, old) = (volume.at("spec"), old.at("spec"));
    let changed = PERSISTENT_SOURCES.iter().any(|(name, ..)| {
        let (new, old) = (spec.get(name), old.get(name));
        if *name == "csi" && old.get("controllerExpandSecretRef").is_none() {
            let mut new = new.clone();
            object(&mut new, |csi| drop(csi.remove("controllerExpandSecretRef")));
            return &new != old;
        }
        new != old
    });
    if changed {
        let path = spec.path.child("persistentvolumesource");
        errors.push(Error::forbidden(&path, "spec.persistentvolumesource is immutable after creation\n"));
    }
    let mode = Node { value: spec.get("volumeMode"), path: Path::new("volumeMode") };
    mode.immutable(old.get("volumeMode"), errors);
    let affinity = Node { value: spec.get("nodeAffinity"), path: Path::new("nodeAffinity") };
    if old.has("nodeAffinity") && affinity.value != old.get("nodeAffinity") {
        let shown = if affinity.present() {
            go_struct::value("io.k8s.api.core.v1.VolumeNodeAffinity", affinity.value)
        } else {
            BadValue::from(affinity.value)
        };
        errors.push(Error::invalid(
            &affinity.path,
            shown,
            "field is immutable, except for updating from beta label to GA",
        ));
    }
    let attributes = spec.at("volumeAttributesClassName");
    if old.has("volumeAttributesClassName") && !attributes.present() {
        errors.push(attributes.forbidden("update from non-nil value to nil is forbidden"));
    }
}

/// Judges a persistent volume's changed status.
pub fn status_persistent_volume(volume: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&volume.at("metadata"), &old.at("metadata"), errors);
}

/// Judges a changed claim.
pub fn update_claim(claim: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&claim.at("metadata"), &old.at("metadata"), errors);
    create_claim(claim, errors);
    let (spec, old_spec) = (claim.at("spec"), old.at("spec"));
    let bound = claim.at("status").text("phase") == "Bound";
    let mut munged = spec.value.clone();
    let mut before = old_spec.value.clone();
    if old_spec.text("volumeName").is_empty() {
        object(&mut before, |before| drop(before.remove("volumeName")));
        object(&mut munged, |munged| drop(munged.remove("volumeName")));
    }
    if bound {
        for spec in [&mut munged, &mut before] {
            object(spec, |spec| {
                spec.remove("volumeAttributesClassName");
                within(spec, "resources", |resources| {
                    within(resources, "requests", |requests| drop(requests.remove("storage")));
                });
            });
        }
    }
    if !old_spec.has("storageClassName") && spec.has("storageClassName") {
        object(&mut munged, |munged| drop(munged.remove("storageClassName")));
    }
    if munged != before {
        errors.push(spec.forbidden(
            "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims\n",
        ));
    }
    let storage = |node: &Node<'_>| Quantity::of(node.at("resources").at("requests").get("storage"));
    let held = Quantity::of(old.at("status").at("capacity").get("storage"));
    if storage(&spec) < storage(&old_spec) && storage(&spec) <= held {
        let path = spec.path.child("resources").child("requests").child("storage");
        errors.push(Error::forbidden(&path, "field can not be less than status.capacity"));
    }
    let mode = Node { value: spec.get("volumeMode"), path: Path::new("volumeMode") };
    mode.immutable(old_spec.get("volumeMode"), errors);
}

/// Judges a claim's changed status.
pub fn status_claim(claim: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&claim.at("metadata"), &old.at("metadata"), errors);
    let capacity = claim.at("status").at("capacity");
    for (_, amount) in capacity.entries() {
        let value = Quantity::of(amount.value);
        if value.rounded() < 0 {
            errors.push(Error::invalid(&amount.path, value.rounded(), "must be a valid resource quantity"));
        }
    }
}
