//! Who exists and what they may do: the replicated state of authentication, and the questions asked of it.

use std::sync::{Arc, OnceLock};

use imbl::OrdMap;
use pintle_proto::authpb;
use pintle_proto::authpb::permission::Type;

use super::author::Credentials;
use super::coverage::Coverage;
use crate::engine::Span;
use crate::error::{Result, StoreError};

/// The user who cannot be deleted while authentication is on, and the role that may do everything.
pub const ROOT: &str = "root";

/// What is done with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading them, or comparing.
    Read,
    /// Changing or deleting them.
    Write,
}

/// A user, and what its roles come to.
#[derive(Debug, Clone, Default)]
pub(super) struct User {
    pub(super) record: authpb::User,
    /// Made when it is first asked for. A user whose roles change is replaced by a new one.
    reach: OnceLock<Reach>,
}

impl User {
    pub(super) fn new(record: authpb::User) -> Self {
        Self { record, reach: OnceLock::new() }
    }

    pub(super) fn has_role(&self, role: &str) -> bool {
        self.record.roles.iter().any(|granted| granted == role)
    }
}

/// The keys that a user may read and write.
#[derive(Debug, Clone, Default)]
struct Reach {
    read: Coverage,
    write: Coverage,
}

/// Users, roles, and whether they count. A clone shares everything until one of the two is changed.
#[derive(Debug, Clone)]
pub struct Rules {
    pub(super) enabled: bool,
    pub(super) revision: u64,
    pub(super) users: OrdMap<String, Arc<User>>,
    pub(super) roles: OrdMap<String, Arc<authpb::Role>>,
}

impl Default for Rules {
    /// Those of a fresh store: nobody, and authentication off. The revision is what a fresh etcd has.
    fn default() -> Self {
        Self { enabled: false, revision: 1, users: OrdMap::new(), roles: OrdMap::new() }
    }
}

impl Rules {
    /// Whether authentication is on.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Grows with every change of users, roles and permissions.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A user.
    pub fn user(&self, name: &str) -> Option<&authpb::User> {
        self.users.get(name).map(|user| &user.record)
    }

    /// A role.
    pub fn role(&self, name: &str) -> Option<&authpb::Role> {
        self.roles.get(name).map(|role| &**role)
    }

    /// The names of all users, in order.
    pub fn user_names(&self) -> impl Iterator<Item = &String> {
        self.users.keys()
    }

    /// The names of all roles, in order.
    pub fn role_names(&self) -> impl Iterator<Item = &String> {
        self.roles.keys()
    }

    /// Whether a user exists and has a role.
    pub fn has_role(&self, user: &str, role: &str) -> bool {
        self.users.get(user).is_some_and(|user| user.has_role(role))
    }

    /// Whether someone may do something with the keys from `key` on, as a request names them; no `range_end` is the
    /// one key.
    ///
    /// # Errors
    /// [`StoreError::UserEmpty`], [`StoreError::AuthOldRevision`] or [`StoreError::PermissionDenied`].
    pub fn permit(&self, who: &Credentials, access: Access, key: &[u8], range_end: &[u8]) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        if who.revision == 0 {
            return Err(StoreError::UserEmpty);
        }
        if who.revision < self.revision {
            return Err(StoreError::AuthOldRevision);
        }
        let user = self.users.get(&who.user).ok_or(StoreError::PermissionDenied)?;
        if user.has_role(ROOT) {
            return Ok(());
        }
        let reach = user.reach.get_or_init(|| self.reach(&user.record));
        let coverage = match access {
            Access::Read => &reach.read,
            Access::Write => &reach.write,
        };
        let span = Span::of_request(key.to_vec(), range_end.to_vec());
        if coverage.covers(&span) { Ok(()) } else { Err(StoreError::PermissionDenied) }
    }

    /// Whether someone may administer the store.
    ///
    /// # Errors
    /// [`StoreError::UserEmpty`], [`StoreError::UserNotFound`] or [`StoreError::PermissionDenied`].
    pub fn permit_admin(&self, who: &Credentials) -> Result<()> {
        if !self.enabled {
            return Ok(());
        }
        if who.user.is_empty() {
            return Err(StoreError::UserEmpty);
        }
        let user = self.users.get(&who.user).ok_or(StoreError::UserNotFound)?;
        if user.has_role(ROOT) { Ok(()) } else { Err(StoreError::PermissionDenied) }
    }

    fn reach(&self, user: &authpb::User) -> Reach {
        let permissions = || user.roles.iter().filter_map(|name| self.roles.get(name)).flat_map(|r| &r.key_permission);
        let covered = |access: Type| -> Coverage {
            permissions()
                .filter(|permission| [access as i32, Type::Readwrite as i32].contains(&permission.perm_type))
                .map(|permission| Span::of_request(permission.key.clone(), permission.range_end.clone()))
                .collect()
        };
        Reach { read: covered(Type::Read), write: covered(Type::Write) }
    }
}
