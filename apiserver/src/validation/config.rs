//! Config maps, secrets and service accounts.
//!
//! Upstream: `pkg/apis/core/v1/defaults.go` and `conversion.go`, `pkg/apis/core/validation/validation.go`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::edit::{object, set, set_empty, within_new};
use super::field::{Error, Errors, Path};
use super::node::Node;
use super::{formats, meta};

/// Defaults of a secret. `stringData` is a way to write `data`, and is never kept.
pub fn default_secret(secret: &mut Value) {
    object(secret, |secret| {
        set_empty(secret, "type", "Opaque");
        if let Some(Value::Object(texts)) = secret.remove("stringData")
            && !texts.is_empty()
        {
            within_new(secret, "data", |data| {
                for (key, text) in texts {
                    set(data, &key, STANDARD.encode(text.as_str().unwrap_or_default()));
                }
            });
        }
    });
}

/// All values of a config map or secret together.
const DATA_MAX_BYTES: usize = 1024 * 1024;

/// The bytes that base64 text stands for.
fn decoded(value: &Value) -> Vec<u8> {
    value.as_str().and_then(|text| STANDARD.decode(text).ok()).unwrap_or_default()
}

fn name(object: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&object.at("metadata"), true, formats::subdomain_name, errors);
}

/// Judges a new config map.
pub fn create_config_map(map: &Node<'_>, errors: &mut Errors) {
    name(map, errors);
    let (data, binary) = (map.at("data"), map.at("binaryData"));
    let mut bytes = 0;
    for (key, value) in data.entries() {
        errors
            .extend(formats::config_map_key(key).into_iter().map(|message| Error::invalid(&value.path, key, message)));
        if binary.has(key) {
            errors.push(Error::invalid(&value.path, key, "duplicate of key present in binaryData"));
        }
        bytes += value.len();
    }
    for (key, value) in binary.entries() {
        errors
            .extend(formats::config_map_key(key).into_iter().map(|message| Error::invalid(&value.path, key, message)));
        bytes += decoded(value.value).len();
    }
    if bytes > DATA_MAX_BYTES {
        errors.push(Error::too_long(&Path::root().key(""), DATA_MAX_BYTES));
    }
}

const IMMUTABLE: &str = "field is immutable when `immutable` is set";

fn immutable(object: &Node<'_>, old: &Node<'_>, names: &[&'static str], errors: &mut Errors) {
    if !old.flag("immutable") {
        return;
    }
    if !object.flag("immutable") {
        errors.push(object.at("immutable").forbidden(IMMUTABLE));
    }
    for name in names {
        if object.get(name) != old.get(name) {
            errors.push(object.at(name).forbidden(IMMUTABLE));
        }
    }
}

/// Judges a changed config map.
pub fn update_config_map(map: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&map.at("metadata"), &old.at("metadata"), errors);
    immutable(map, old, &["data", "binaryData"], errors);
    create_config_map(map, errors);
}

/// Judges a new secret.
pub fn create_secret(secret: &Node<'_>, errors: &mut Errors) {
    name(secret, errors);
    let data = secret.at("data");
    let mut bytes = 0;
    for (key, value) in data.entries() {
        errors
            .extend(formats::config_map_key(key).into_iter().map(|message| Error::invalid(&value.path, key, message)));
        bytes += decoded(value.value).len();
    }
    if bytes > DATA_MAX_BYTES {
        errors.push(Error::too_long(&data.path, DATA_MAX_BYTES));
    }
    let require = |key: &str, errors: &mut Errors| {
        if !data.has(key) {
            errors.push(Error::required(&data.path.key(key), ""));
        }
    };
    match secret.text("type") {
        "kubernetes.io/service-account-token" => {
            let annotations = secret.at("metadata").at("annotations");
            let key = "kubernetes.io/service-account.name";
            if annotations.text(key).is_empty() {
                errors.push(Error::required(&annotations.path.key(key), ""));
            }
        }
        "kubernetes.io/dockercfg" => docker_config(&data, ".dockercfg", errors),
        "kubernetes.io/dockerconfigjson" => docker_config(&data, ".dockerconfigjson", errors),
        "kubernetes.io/basic-auth" if !data.has("username") && !data.has("password") => {
            require("username", errors);
            require("password", errors);
        }
        "kubernetes.io/ssh-auth" if data.text("ssh-privatekey").is_empty() => {
            errors.push(Error::required(&data.path.key("ssh-privatekey"), ""));
        }
        "kubernetes.io/tls" => {
            require("tls.crt", errors);
            require("tls.key", errors);
        }
        _ => {}
    }
}

fn docker_config(data: &Node<'_>, key: &str, errors: &mut Errors) {
    let path = data.path.key(key);
    if !data.has(key) {
        errors.push(Error::required(&path, ""));
        return;
    }
    if let Err(message) = go_json_object(&decoded(data.get(key))) {
        errors.push(Error::invalid(&path, "<secret contents redacted>", message));
    }
}

/// Whether bytes are a JSON object; if not, why, as Go's parser says it.
fn go_json_object(bytes: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(_) | Value::Null) => Ok(()),
        Ok(other) => {
            let kind = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            Err(format!("json: cannot unmarshal {kind} into Go value of type map[string]interface {{}}"))
        }
        Err(error) if error.is_eof() => Err("unexpected end of JSON input".to_owned()),
        Err(_) => {
            let first = bytes.iter().find(|b| !b.is_ascii_whitespace()).copied().unwrap_or_default();
            Err(format!("invalid character '{}' looking for beginning of value", char::from(first)))
        }
    }
}

/// Judges a changed secret.
pub fn update_secret(secret: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&secret.at("metadata"), &old.at("metadata"), errors);
    let kind = secret.at("type");
    if kind.value != old.get("type") {
        errors.push(kind.invalid_text("field is immutable"));
    }
    immutable(secret, old, &["data"], errors);
    create_secret(secret, errors);
}

/// Judges a new service account.
pub fn create_service_account(account: &Node<'_>, errors: &mut Errors) {
    name(account, errors);
}

/// Judges a changed service account.
pub fn update_service_account(account: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&account.at("metadata"), &old.at("metadata"), errors);
    name(account, errors);
}
