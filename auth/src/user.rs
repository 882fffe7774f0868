//! The identity that authentication establishes and authorization judges.

use std::collections::BTreeMap;

/// Every authenticated caller is a member.
pub const ALL_AUTHENTICATED: &str = "system:authenticated";
/// Callers that presented no credentials at all are members.
pub const ALL_UNAUTHENTICATED: &str = "system:unauthenticated";
/// Name of a caller without credentials.
pub const ANONYMOUS: &str = "system:anonymous";
/// Members may do everything; no policy can take that from them.
pub const MASTERS: &str = "system:masters";

/// An identity, as Kubernetes' `authentication.k8s.io/v1` `UserInfo` describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// The name that uniquely identifies the caller among all active users.
    pub name: String,
    /// Distinguishes incarnations of one name; empty where the credential carries none.
    pub uid: String,
    /// The groups the caller belongs to.
    pub groups: Vec<String>,
    /// What else the authenticator knows, such as the credential's id.
    pub extra: BTreeMap<String, Vec<String>>,
}

impl User {
    /// The identity of a caller that presented no credentials.
    pub fn anonymous() -> Self {
        Self { name: ANONYMOUS.to_owned(), groups: vec![ALL_UNAUTHENTICATED.to_owned()], ..Self::default() }
    }

    /// Whether the caller is a member of `group`.
    pub fn is_member(&self, group: &str) -> bool {
        self.groups.iter().any(|g| g == group)
    }

    /// Adds the group of all authenticated callers, as every successful authentication does. The anonymous user and
    /// whoever is already in one of the two groups keep what they have.
    #[must_use]
    pub fn authenticated(mut self) -> Self {
        let placed = self.is_member(ALL_AUTHENTICATED) || self.is_member(ALL_UNAUTHENTICATED);
        if self.name != ANONYMOUS && !placed {
            self.groups.push(ALL_AUTHENTICATED.to_owned());
        }
        self
    }
}
