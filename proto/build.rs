//! Compiles `etcd/*.proto` and `grpc/*.proto` without protoc.

use std::error::Error;

use protox::prost::Message;
use tonic_prost_build::FileDescriptorSet;

const FILES: [&str; 7] = [
    "etcd/kv.proto",
    "etcd/auth.proto",
    "etcd/rpc.proto",
    "etcd/lock.proto",
    "etcd/election.proto",
    "grpc/health.proto",
    "peer/peer.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=etcd");
    println!("cargo::rerun-if-changed=grpc");
    println!("cargo::rerun-if-changed=peer");
    let descriptors = protox::compile(FILES, ["."])?;
    write_descriptors(&descriptors)?;
    tonic_prost_build::configure().bytes(".").codec_path("crate::codec::Codec").compile_fds(descriptors)?;
    Ok(())
}

/// What the files declare, for those who need it at run time: the JSON gateway and server reflection. Comments stay out.
fn write_descriptors(descriptors: &FileDescriptorSet) -> Result<(), Box<dyn Error>> {
    let mut descriptors = descriptors.clone();
    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    let directory = std::env::var("OUT_DIR")?;
    std::fs::write(std::path::Path::new(&directory).join("descriptors.bin"), descriptors.encode_to_vec())?;
    Ok(())
}
