//! etcd v3 messages and services, and the protobuf envelope of Kubernetes objects.
