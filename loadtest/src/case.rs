//! The cases, by name.

use clap::ValueEnum;

/// The kind of server that a case needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An etcd.
    Store,
    /// A kube-apiserver.
    Apiserver,
}

/// One row of a table. The first case of each kind fills the server and is always run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "`title` says what each does")]
pub enum Case {
    Put,
    PutOne,
    Get,
    GetSerializable,
    Txn,
    Page,
    Count,
    Watch,
    Restart,
    CreatePod,
    GetPod,
    PatchStatus,
    ListJson,
    ListProtobuf,
    ListNamespace,
    ListNode,
    WatchNamespace,
    Storm,
}

impl Case {
    /// What it does, in the words of the table.
    pub fn title(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::PutOne => "one client, one put at a time",
            Self::Get => "get, linearizable",
            Self::GetSerializable => "get, serializable",
            Self::Txn => "get + txn (optimistic update)",
            Self::Page => "page of 500 keys",
            Self::Count => "count of all keys",
            Self::Watch => "watch event, all watchers on one prefix",
            Self::Restart => "restart to first read",
            Self::CreatePod => "create pod",
            Self::GetPod => "get pod",
            Self::PatchStatus => "status patch (strategic merge)",
            Self::ListJson => "LIST all pods, JSON, 8 at a time",
            Self::ListProtobuf => "LIST all pods, protobuf, 8 at a time",
            Self::ListNamespace => "LIST a namespace, JSON",
            Self::ListNode => "LIST a node's pods, protobuf",
            Self::WatchNamespace => "watch event, all watchers on one namespace",
            Self::Storm => "storm: every kubelet and 64 full LISTs at once",
        }
    }

    /// Which server it is for.
    pub fn kind(self) -> Kind {
        match self {
            Self::Put
            | Self::PutOne
            | Self::Get
            | Self::GetSerializable
            | Self::Txn
            | Self::Page
            | Self::Count
            | Self::Watch
            | Self::Restart => Kind::Store,
            Self::CreatePod
            | Self::GetPod
            | Self::PatchStatus
            | Self::ListJson
            | Self::ListProtobuf
            | Self::ListNamespace
            | Self::ListNode
            | Self::WatchNamespace
            | Self::Storm => Kind::Apiserver,
        }
    }

    /// The cases of one kind to run, in their order: all, or those in `only` and the one that fills the server. None if `only` names
    /// none of that kind.
    pub fn selected(kind: Kind, only: &[Self]) -> Vec<Self> {
        let all: Vec<Self> = Self::value_variants().iter().copied().filter(|case| case.kind() == kind).collect();
        if only.is_empty() {
            return all;
        }
        if !only.iter().any(|case| case.kind() == kind) {
            return Vec::new();
        }
        all.into_iter().enumerate().filter(|(at, case)| *at == 0 || only.contains(case)).map(|(_, case)| case).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_selected() {
        assert_eq!(Case::selected(Kind::Store, &[]).len() + Case::selected(Kind::Apiserver, &[]).len(), 18);
        assert_eq!(Case::selected(Kind::Store, &[Case::Count, Case::Get]), [Case::Put, Case::Get, Case::Count]);
        assert_eq!(Case::selected(Kind::Apiserver, &[Case::Count]), []);
        assert_eq!(Case::selected(Kind::Apiserver, &[Case::CreatePod]), [Case::CreatePod]);
    }
}
