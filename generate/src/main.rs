//! Generates the built-in tables from recorded facts. Its output is committed; nothing else runs it.

mod resources;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
use flate2::read::GzDecoder;
use serde_json::{Map, Value};

#[derive(Parser)]
struct Options {
    /// Directory of recorded facts: `openapi/v3.json.gz`, `protobuf.json`, `types.json.gz`.
    #[arg(long)]
    facts: PathBuf,
    #[command(subcommand)]
    output: Output,
}

#[derive(Subcommand)]
enum Output {
    /// The table of resources, for `apiserver/src/resources/table.rs`.
    Resources {
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
        Output::Resources { file } => {
            let openapi: Map<String, Value> = unzipped(&options.facts.join("openapi/v3.json.gz"))?;
            let recorded: Value = serde_json::from_reader(File::open(options.facts.join("protobuf.json"))?)?;
            let others = recorded.get("others").and_then(Value::as_array).ok_or(Error::Missing("others"))?;
            let groups = others.iter().find(|answer| answer.get("path").and_then(Value::as_str) == Some("/apis"));
            let groups = groups.and_then(|answer| answer.get("json")).ok_or(Error::Missing("the answer to /apis"))?;
            fs::write(file, resources::table(&openapi, groups)?)?;
        }
    }
    Ok(())
}

/// A gzipped JSON document.
fn unzipped<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    Ok(serde_json::from_reader(GzDecoder::new(File::open(path)?))?)
}
