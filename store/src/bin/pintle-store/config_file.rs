//! `--config-file`: etcd's YAML, read as the flags that it stands for.

use std::path::{Path, PathBuf};

use serde_yaml_ng::{Mapping, Value};

/// Why a file cannot be used. Each text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigFileError {
    /// It cannot be read.
    #[error("cannot read the configuration file {}: {cause}; check --config-file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        cause: std::io::Error,
    },
    /// It is not YAML, or not of etcd's form.
    #[error("the configuration file {} cannot be understood: {cause}; it must be in etcd's YAML", path.display())]
    Form {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        cause: String,
    },
}

/// Settings whose numbers are nanoseconds, as Go's durations are.
const DURATIONS: &[&str] = &[
    "backend-batch-interval",
    "compact-hash-check-time",
    "compaction-sleep-interval",
    "corrupt-check-time",
    "downgrade-check-time",
    "grpc-keepalive-interval",
    "grpc-keepalive-min-time",
    "grpc-keepalive-timeout",
    "warning-apply-duration",
    "warning-unary-request-duration",
    "watch-progress-notify-interval",
];

/// The flags that a file stands for.
pub fn read(path: &Path) -> Result<Vec<String>, ConfigFileError> {
    let text = std::fs::read_to_string(path).map_err(|cause| ConfigFileError::Read { path: path.to_owned(), cause })?;
    arguments(&text).map_err(|cause| ConfigFileError::Form { path: path.to_owned(), cause })
}

fn arguments(text: &str) -> Result<Vec<String>, String> {
    let settings = match serde_yaml_ng::from_str(text).map_err(|error| error.to_string())? {
        Value::Mapping(settings) => settings,
        Value::Null => Mapping::new(),
        _ => return Err("it is not a list of settings".to_owned()),
    };
    let mut arguments = Vec::new();
    for (key, value) in &settings {
        let key = key.as_str().ok_or("a setting's name is not a text")?;
        match (key, value) {
            ("client-transport-security" | "peer-transport-security" | "socket-options", Value::Mapping(section)) => {
                for (inner, value) in section {
                    let inner = inner.as_str().ok_or("a setting's name is not a text")?;
                    push(&mut arguments, &flag_of(key, inner), value)?;
                }
            }
            ("client-transport-security" | "peer-transport-security" | "socket-options", Value::Null) => {}
            ("client-transport-security" | "peer-transport-security" | "socket-options", _) => {
                return Err(format!("invalid {key}"));
            }
            _ => push(&mut arguments, key, value)?,
        }
    }
    Ok(arguments)
}

/// The flag that a setting within a section stands for.
fn flag_of(section: &str, setting: &str) -> String {
    match (section, setting) {
        ("socket-options", setting) => format!("socket-{setting}"),
        ("client-transport-security", "allowed-cn") => "client-cert-allowed-cn".to_owned(),
        ("client-transport-security", "allowed-hostname") => "client-cert-allowed-hostname".to_owned(),
        ("peer-transport-security", "allowed-cn") => "peer-cert-allowed-cn".to_owned(),
        ("peer-transport-security", "allowed-hostname") => "peer-cert-allowed-hostname".to_owned(),
        ("peer-transport-security", setting) => format!("peer-{setting}"),
        (_, setting) => setting.to_owned(),
    }
}

fn push(arguments: &mut Vec<String>, flag: &str, value: &Value) -> Result<(), String> {
    let text = match value {
        // Not given.
        Value::Null => return Ok(()),
        Value::Number(nanoseconds) if DURATIONS.contains(&flag) => format!("{nanoseconds}ns"),
        Value::Sequence(items) => items.iter().map(|item| scalar(flag, item)).collect::<Result<Vec<_>, _>>()?.join(","),
        value => scalar(flag, value)?,
    };
    if !text.is_empty() {
        arguments.push(format!("--{flag}={text}"));
    }
    Ok(())
}

fn scalar(flag: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(value) => Ok(value.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("the value of {flag} is neither a text nor a number")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_flags() {
        let text = "
name: 'n1'
data-dir: /d
quota-backend-bytes: -1
listen-client-urls: https://127.0.0.1:1,http://127.0.0.1:2
initial-cluster:
pre-vote: true
watch-progress-notify-interval: 600000000000
client-transport-security:
  cert-file: c.pem
  client-cert-auth: true
  allowed-hostname: [a, b]
peer-transport-security:
  trusted-ca-file: ca.pem
  allowed-cn: [x]
log-outputs: [stderr]
";
        let expected = "--name=n1 --data-dir=/d --quota-backend-bytes=-1 \
                        --listen-client-urls=https://127.0.0.1:1,http://127.0.0.1:2 --pre-vote=true \
                        --watch-progress-notify-interval=600000000000ns --cert-file=c.pem --client-cert-auth=true \
                        --client-cert-allowed-hostname=a,b --peer-trusted-ca-file=ca.pem --peer-cert-allowed-cn=x \
                        --log-outputs=stderr";
        assert_eq!(arguments(text).unwrap().join(" "), expected);
        assert_eq!(arguments("").unwrap(), Vec::<String>::new());
    }

    #[test]
    fn what_is_not_of_etcds_form_is_refused() {
        assert!(arguments("- a").is_err());
        assert!(arguments("a: [").is_err());
        assert_eq!(arguments("peer-transport-security: 1").unwrap_err(), "invalid peer-transport-security");
        assert!(arguments("name: {a: b}").is_err());
    }
}
