//! Compiles `etcd/*.proto` and `grpc/*.proto` without protoc.

use std::error::Error;

const FILES: [&str; 6] = [
    "etcd/kv.proto",
    "etcd/auth.proto",
    "etcd/rpc.proto",
    "etcd/lock.proto",
    "etcd/election.proto",
    "grpc/health.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=etcd");
    println!("cargo::rerun-if-changed=grpc");
    let descriptors = protox::compile(FILES, ["."])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
