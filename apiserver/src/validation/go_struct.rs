//! Values as upstream shows them in errors where it prints an internal type: as JSON with every field, absent ones included,
//! under its Go name.

use serde_json::Value;

use super::field::BadValue;
use crate::go_syntax::go_json;
use crate::schema::{Field, Form, Type, ValueType, builtin};

/// Shows a value of the named type.
pub fn value(type_name: &str, value: &Value) -> BadValue {
    match builtin::registry().type_named(type_name) {
        Some(ty) => BadValue::Text(write_type(&ty, value)),
        None => BadValue::Value(value.clone()),
    }
}

/// Shows a list of values of the named type.
pub fn list(type_name: &str, values: &Value) -> BadValue {
    let Some(ty) = builtin::registry().type_named(type_name) else { return BadValue::Value(values.clone()) };
    match values {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(|item| write_type(&ty, item)).collect();
            BadValue::Text(format!("[{}]", items.join(",")))
        }
        _ => BadValue::Text("null".to_owned()),
    }
}

/// Types of meta/v1 are the same inside and outside, JSON names and all.
fn is_external(ty: &Type) -> bool {
    ty.name.starts_with("io.k8s.apimachinery.")
}

fn write_type(ty: &Type, value: &Value) -> String {
    if !matches!(ty.form, Form::Struct) || !value.is_object() {
        return if value.is_null() { absent_form(&ty.form).to_owned() } else { go_json(value) };
    }
    let external = is_external(ty);
    let inside = inside_form(&ty.name, value);
    let value = inside.as_ref().unwrap_or(value);
    let mut parts = Vec::new();
    if ty.name == SECURITY_CONTEXT {
        parts.extend(["hostNetwork", "hostPID", "hostIPC"].map(|name| {
            let set = value.get(name).and_then(Value::as_bool).unwrap_or_default();
            format!("\"{}\":{set}", go_name(name))
        }));
        parts.extend(
            ["shareProcessNamespace", "hostUsers"]
                .map(|name| format!("\"{}\":{}", go_name(name), value.get(name).unwrap_or(&Value::Null))),
        );
    }
    for field in inside_order(ty) {
        let inner = value.get(&field.name).unwrap_or(&Value::Null);
        if external && inner.is_null() && field.omit_empty {
            continue;
        }
        let written = write_field(field, inner);
        if !external && field.name == "metadata" {
            let inline = written.strip_prefix('{').and_then(|it| it.strip_suffix('}')).unwrap_or_default();
            if !inline.is_empty() {
                parts.push(inline.to_owned());
            }
            continue;
        }
        let name = if external { field.name.clone() } else { go_name(&field.name) };
        parts.push(format!("\"{name}\":{written}"));
    }
    format!("{{{}}}", parts.join(","))
}

const POD_SPEC: &str = "io.k8s.api.core.v1.PodSpec";
const SECURITY_CONTEXT: &str = "io.k8s.api.core.v1.PodSecurityContext";
/// What a pod has of its own, and inside in its security context.
const HOST_FIELDS: &[&str] = &["hostNetwork", "hostPID", "hostIPC", "shareProcessNamespace", "hostUsers"];

/// What a value of the type becomes inside, if it differs: a pod's use of its host moves to its security context.
fn inside_form(type_name: &str, value: &Value) -> Option<Value> {
    if type_name != POD_SPEC {
        return None;
    }
    let mut inside = value.clone();
    let context = inside.as_object_mut()?.entry("securityContext").or_insert(Value::Null);
    if context.is_null() {
        *context = Value::Object(serde_json::Map::new());
    }
    for name in HOST_FIELDS {
        if let Some(field) = value.get(name) {
            context.as_object_mut()?.insert((*name).to_owned(), field.clone());
        }
    }
    Some(inside)
}

/// A type's fields as they are ordered inside.
fn inside_order(ty: &Type) -> Vec<&Field> {
    let mut fields: Vec<&Field> = ty.fields.iter().collect();
    let mut after = |name: &str, previous: &str| {
        let Some(from) = fields.iter().position(|field| field.name == name) else { return };
        let field = fields.remove(from);
        let to = fields.iter().position(|field| field.name == previous).map_or(from, |at| at + 1);
        fields.insert(to, field);
    };
    match ty.name.as_str() {
        POD_SPEC => {
            after("setHostnameAsFQDN", "subdomain");
            after("preemptionPolicy", "priority");
            after("overhead", "runtimeClassName");
            fields.retain(|field| field.name != "serviceAccount" && !HOST_FIELDS.contains(&field.name.as_str()));
        }
        SECURITY_CONTEXT => after("fsGroupChangePolicy", "fsGroup"),
        "io.k8s.api.core.v1.Volume" => after("quobyte", "rbd"),
        _ => {}
    }
    fields
}

fn absent_form(form: &Form) -> &'static str {
    match form {
        Form::Quantity => "\"0\"",
        Form::IntOrString => "0",
        _ => "null",
    }
}

fn write_field(field: &Field, value: &Value) -> String {
    if value.is_null() {
        return if field.pointer { "null".to_owned() } else { absent(&field.value) };
    }
    write_value(&field.value, value)
}

fn absent(ty: &ValueType) -> String {
    match ty {
        ValueType::String => "\"\"".to_owned(),
        ValueType::Bool => "false".to_owned(),
        ValueType::Int32 | ValueType::Int64 | ValueType::Float64 => "0".to_owned(),
        ValueType::Message(ty) if matches!(ty.form, Form::Struct) => {
            write_type(ty, &Value::Object(serde_json::Map::new()))
        }
        ValueType::Message(ty) => absent_form(&ty.form).to_owned(),
        _ => "null".to_owned(),
    }
}

fn write_value(ty: &ValueType, value: &Value) -> String {
    match (ty, value) {
        (ValueType::Message(ty), _) => write_type(ty, value),
        (ValueType::List(inner), Value::Array(items)) => {
            let items: Vec<String> = items.iter().map(|item| write_value(inner, item)).collect();
            format!("[{}]", items.join(","))
        }
        (ValueType::Map(inner), Value::Object(entries)) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{}:{}", go_json(&Value::from(key.as_str())), write_value(inner, value)))
                .collect();
            format!("{{{}}}", entries.join(","))
        }
        _ => go_json(value),
    }
}

/// A field's name in Go: in upper camel case, initialisms in capitals.
fn go_name(name: &str) -> String {
    let odd = [
        ("awsElasticBlockStore", "AWSElasticBlockStore"),
        ("cephfs", "CephFS"),
        ("chapAuthDiscovery", "DiscoveryCHAPAuth"),
        ("chapAuthSession", "SessionCHAPAuth"),
        ("diskURI", "DataDiskURI"),
        ("gcePersistentDisk", "GCEPersistentDisk"),
        ("iscsiInterface", "ISCSIInterface"),
        ("jsonPatch", "JSONPatch"),
        ("pdName", "PDName"),
        ("sslEnabled", "SSLEnabled"),
        ("storageos", "StorageOS"),
        ("ttlSecondsAfterFinished", "TTLSecondsAfterFinished"),
    ];
    if let Some((_, go)) = odd.into_iter().find(|(json, _)| *json == name) {
        return go.to_owned();
    }
    for (json, go) in [
        ("api", "API"),
        ("ip", "IP"),
        ("tcp", "TCP"),
        ("http", "HTTP"),
        ("uid", "UID"),
        ("tls", "TLS"),
        ("ca", "CA"),
        ("url", "URL"),
        ("id", "ID"),
        ("os", "OS"),
        ("dns", "DNS"),
        ("nfs", "NFS"),
        ("csi", "CSI"),
        ("fs", "FS"),
        ("gmsa", "GMSA"),
        ("cpu", "CPU"),
        ("tty", "TTY"),
        ("grpc", "GRPC"),
        ("fc", "FC"),
        ("se", "SE"),
        ("cel", "CEL"),
        ("cidr", "CIDR"),
        ("cidrs", "CIDRs"),
        ("gid", "GID"),
        ("ips", "IPs"),
        ("iqn", "IQN"),
        ("iscsi", "ISCSI"),
        ("rbd", "RBD"),
        ("wwids", "WWIDs"),
    ] {
        if let Some(rest) = name.strip_prefix(json)
            && (rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_uppercase()))
        {
            return format!("{go}{rest}");
        }
    }
    let mut chars = name.chars();
    match chars.next() {
        Some(first) => first.to_ascii_uppercase().to_string() + chars.as_str(),
        None => String::new(),
    }
}
