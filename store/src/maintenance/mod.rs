//! Looking after a store: backups in etcd's own format and moving to and from etcd.

pub mod bbolt;
