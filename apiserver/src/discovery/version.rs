//! The `/version` document.

use serde_json::{Value, json};

/// The version of Kubernetes that the server presents.
pub const GIT_VERSION: &str = "v1.36.2";

/// The body of `/version`, which is JSON only.
pub fn document() -> Value {
    let (architecture, system) = (std::env::consts::ARCH, std::env::consts::OS);
    // Go's names of the processor architectures.
    let architecture = match architecture {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    json!({
        "major": "1",
        "minor": "36",
        "emulationMajor": "1",
        "emulationMinor": "36",
        "minCompatibilityMajor": "1",
        "minCompatibilityMinor": "35",
        "gitVersion": GIT_VERSION,
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "rustc",
        "platform": format!("{system}/{architecture}"),
    })
}
