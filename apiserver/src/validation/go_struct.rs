//! Values as upstream shows them in errors where it prints an internal type: as JSON with every field, absent ones included,
//! under its Go name.

use serde_json::Value;

use super::field::{BadValue, go_json};
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
    let mut parts = Vec::new();
    for field in &ty.fields {
        let inner = value.get(&field.name).unwrap_or(&Value::Null);
        if external && inner.is_null() && field.omit_empty {
            continue;
        }
        let name = if external { field.name.clone() } else { go_name(&field.name) };
        parts.push(format!("\"{name}\":{}", write_field(field, inner)));
    }
    format!("{{{}}}", parts.join(","))
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
