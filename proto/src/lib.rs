//! Messages on the wire: etcd's v3 API and the health service, generated from `*/*.proto`, and the envelope around
//! Kubernetes' protobuf objects.
//!
//! Byte fields are [`bytes::Bytes`], so a decoded message shares the buffer that it came in.

/// What `tonic-prost-build` makes of `*/*.proto`, one module a package.
#[allow(missing_docs, unused_qualifications, clippy::all, clippy::pedantic)]
mod generated {
    /// Keys and events (`mvccpb`).
    pub mod mvccpb {
        tonic::include_proto!("mvccpb");
    }
    /// Users, roles, permissions (`authpb`).
    pub mod authpb {
        tonic::include_proto!("authpb");
    }
    /// Requests, responses and services (`etcdserverpb`).
    pub mod etcdserverpb {
        tonic::include_proto!("etcdserverpb");
    }
    /// The lock service (`v3lockpb`).
    pub mod v3lockpb {
        tonic::include_proto!("v3lockpb");
    }
    /// The election service (`v3electionpb`).
    pub mod v3electionpb {
        tonic::include_proto!("v3electionpb");
    }
    /// The health service (`grpc.health.v1`).
    pub mod health {
        tonic::include_proto!("grpc.health.v1");
    }
    /// What members say to each other (`peerpb`).
    pub mod peerpb {
        tonic::include_proto!("peerpb");
    }
}

mod codec;
pub mod k8s;

/// The descriptors of everything declared in `*/*.proto`: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

pub use generated::{authpb, etcdserverpb, health, mvccpb, peerpb, v3electionpb, v3lockpb};
