//! Generates the built-in tables from recorded facts. Its output is committed; nothing else runs it. The same facts
//! give the same bytes.

mod docs;
mod resources;
mod schema;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};

use crate::schema::Facts;

#[derive(Parser)]
struct Options {
    /// Directory of recorded facts: `openapi/v2.json.gz`, `openapi/v3.json.gz`, `protobuf.json`, `types.json.gz`.
    #[arg(long)]
    facts: PathBuf,
    #[command(subcommand)]
    output: Output,
}

#[derive(Subcommand)]
enum Output {
    /// The list of documented types, for `apiserver/src/schema/documented.rs`.
    Docs {
        /// File to write.
        file: PathBuf,
    },
    /// The table of resources, for `apiserver/src/resources/table.rs`.
    Resources {
        /// File to write.
        file: PathBuf,
    },
    /// The table of types, for `apiserver/src/schema/builtin/types.json`.
    Schema {
        /// A Kubernetes source tree: the Go names of named scalars and maps, which decoding errors spell.
        #[arg(long)]
        kubernetes_source: PathBuf,
        /// File to write.
        file: PathBuf,
    },
}

/// Why nothing was generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A fact that the table needs is not there.
    #[error("{0} is missing from the recorded facts")]
    Missing(&'static str),
    /// Two facts do not fit together: something would be lost silently.
    #[error("{0}")]
    Inconsistent(String),
    /// A file cannot be read or written.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file is not the JSON that was expected.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// Text cannot be formatted.
    #[error(transparent)]
    Format(#[from] std::fmt::Error),
}

fn main() -> Result<(), Error> {
    let options = Options::parse();
    match options.output {
        Output::Docs { file } => {
            let openapi: Value = unzipped(&options.facts.join("openapi/v2.json.gz"))?;
            let definitions =
                openapi.get("definitions").and_then(Value::as_object).ok_or(Error::Missing("definitions"))?;
            fs::write(file, docs::list(definitions)?)?;
        }
        Output::Resources { file } => {
            let openapi: Map<String, Value> = unzipped(&options.facts.join("openapi/v3.json.gz"))?;
            let recorded: Value = serde_json::from_reader(File::open(options.facts.join("protobuf.json"))?)?;
            let others = recorded.get("others").and_then(Value::as_array).ok_or(Error::Missing("others"))?;
            let groups = others.iter().find(|answer| answer.get("path").and_then(Value::as_str) == Some("/apis"));
            let groups = groups.and_then(|answer| answer.get("json")).ok_or(Error::Missing("the answer to /apis"))?;
            fs::write(file, resources::table(&openapi, groups)?)?;
        }
        Output::Schema { kubernetes_source, file } => {
            let openapi_v2 = unzipped(&options.facts.join("openapi/v2.json.gz"))?;
            let openapi_v3 = unzipped(&options.facts.join("openapi/v3.json.gz"))?;
            let facts = Facts::new(unzipped(&options.facts.join("types.json.gz"))?, openapi_v2, openapi_v3);
            fs::write(file, schema::table(&facts, &kubernetes_source)?)?;
        }
    }
    Ok(())
}

/// A gzipped JSON document.
fn unzipped<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    Ok(serde_json::from_reader(GzDecoder::new(File::open(path)?))?)
}
