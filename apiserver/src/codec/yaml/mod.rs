//! YAML as `sigs.k8s.io/yaml` reads and writes it: YAML 1.1's scalars, converted to JSON and back.
//!
//! A body in YAML becomes JSON text and goes the way of any JSON body; an answer in YAML is its JSON, printed.

mod decode;
mod encode;
mod scalar;

pub use decode::{Converted, Error, decode, to_json};
pub use encode::encode;
