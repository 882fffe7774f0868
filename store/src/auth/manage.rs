//! Changing users, roles and permissions. What a change may be, and in which order it is looked at, is etcd's
//! (`server/auth/store.go`); whether its author may make it is asked before.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use pintle_proto::{authpb, etcdserverpb as pb};

use super::rules::{ROOT, Rules, User};
use crate::error::{Result, StoreError};
use crate::mvcc::pdqsort;

impl Rules {
    /// Turns authentication on.
    pub fn enable(&mut self) -> Result<()> {
        if self.enabled {
            return Ok(());
        }
        let root = self.users.get(ROOT).ok_or(StoreError::RootUserNotExist)?;
        if !root.has_role(ROOT) {
            return Err(StoreError::RootRoleNotExist);
        }
        self.enabled = true;
        Ok(())
    }

    /// Turns authentication off.
    pub fn disable(&mut self) {
        if self.enabled {
            self.enabled = false;
            self.revision += 1;
        }
    }

    /// Makes a user. Of the password only the hash is looked at.
    pub fn user_add(&mut self, request: &pb::AuthUserAddRequest) -> Result<()> {
        if request.name.is_empty() {
            return Err(StoreError::UserEmpty);
        }
        if self.users.contains_key(&request.name) {
            return Err(StoreError::UserAlreadyExists);
        }
        let options = request.options.unwrap_or_default();
        let password = if options.no_password { Bytes::new() } else { decode_hash(&request.hashed_password)? };
        let name = Bytes::from(request.name.clone());
        self.put_user(authpb::User { name, password, roles: Vec::new(), options: Some(options) });
        self.revision += 1;
        Ok(())
    }

    /// Deletes a user.
    pub fn user_delete(&mut self, request: &pb::AuthUserDeleteRequest) -> Result<()> {
        if self.enabled && request.name == ROOT {
            return Err(StoreError::InvalidAuthManagement);
        }
        self.users.remove(&request.name).ok_or(StoreError::UserNotFound)?;
        self.revision += 1;
        Ok(())
    }

    /// Gives a user another password. One that has none keeps none.
    pub fn user_change_password(&mut self, request: &pb::AuthUserChangePasswordRequest) -> Result<()> {
        let mut user = self.user(&request.name).ok_or(StoreError::UserNotFound)?.clone();
        let no_password = user.options.is_some_and(|options| options.no_password);
        user.password = if no_password { Bytes::new() } else { decode_hash(&request.hashed_password)? };
        self.put_user(user);
        self.revision += 1;
        Ok(())
    }

    /// Gives a user a role; root's need not exist. One that it has already changes nothing.
    pub fn user_grant_role(&mut self, request: &pb::AuthUserGrantRoleRequest) -> Result<()> {
        let mut user = self.user(&request.user).ok_or(StoreError::UserNotFound)?.clone();
        if request.role != ROOT && !self.roles.contains_key(&request.role) {
            return Err(StoreError::RoleNotFound);
        }
        if user.roles.contains(&request.role) {
            return Ok(());
        }
        user.roles.push(request.role.clone());
        user.roles.sort_unstable();
        self.put_user(user);
        self.revision += 1;
        Ok(())
    }

    /// Takes a role from a user.
    pub fn user_revoke_role(&mut self, request: &pb::AuthUserRevokeRoleRequest) -> Result<()> {
        if self.enabled && request.name == ROOT && request.role == ROOT {
            return Err(StoreError::InvalidAuthManagement);
        }
        let user = self.users.get(&request.name).ok_or(StoreError::UserNotFound)?;
        if !user.has_role(&request.role) {
            return Err(StoreError::RoleNotGranted);
        }
        let mut user = user.record.clone();
        user.roles.retain(|role| *role != request.role);
        self.put_user(user);
        self.revision += 1;
        Ok(())
    }

    /// Makes a role, which may do nothing yet.
    pub fn role_add(&mut self, request: &pb::AuthRoleAddRequest) -> Result<()> {
        if request.name.is_empty() {
            return Err(StoreError::RoleEmpty);
        }
        if self.roles.contains_key(&request.name) {
            return Err(StoreError::RoleAlreadyExists);
        }
        let role = authpb::Role { name: request.name.clone().into(), key_permission: Vec::new() };
        self.roles.insert(request.name.clone(), Arc::new(role));
        self.revision += 1;
        Ok(())
    }

    /// Deletes a role, and takes it from whoever has it.
    pub fn role_delete(&mut self, request: &pb::AuthRoleDeleteRequest) -> Result<()> {
        if self.enabled && request.role == ROOT {
            return Err(StoreError::InvalidAuthManagement);
        }
        self.roles.remove(&request.role).ok_or(StoreError::RoleNotFound)?;
        for mut user in self.users_with(&request.role) {
            user.roles.retain(|role| *role != request.role);
            self.put_user(user);
        }
        self.revision += 1;
        Ok(())
    }

    /// Lets a role do something with a range of keys.
    pub fn role_grant_permission(&mut self, request: &pb::AuthRoleGrantPermissionRequest) -> Result<()> {
        let granted = request.perm.as_ref().ok_or(StoreError::PermissionNotGiven)?;
        if !is_range(&granted.key, &granted.range_end) {
            return Err(StoreError::InvalidAuthManagement);
        }
        let mut role = self.role(&request.name).ok_or(StoreError::RoleNotFound)?.clone();
        let permissions = &mut role.key_permission;
        // Only the first range that begins there is compared, and the order of those that begin alike is the sort's:
        // clients see both.
        let first = permissions.partition_point(|permission| permission.key < granted.key);
        match permissions.get_mut(first) {
            Some(present) if present.key == granted.key && present.range_end == granted.range_end => {
                present.perm_type = granted.perm_type;
            }
            _ => {
                permissions.push(granted.clone());
                pdqsort::sort(permissions, |a, b| a.key < b.key);
            }
        }
        self.put_role(&request.name, role);
        self.revision += 1;
        Ok(())
    }

    /// Takes a range of keys, exactly as it was granted, from a role.
    pub fn role_revoke_permission(&mut self, request: &pb::AuthRoleRevokePermissionRequest) -> Result<()> {
        let mut role = self.role(&request.role).ok_or(StoreError::RoleNotFound)?.clone();
        let before = role.key_permission.len();
        role.key_permission
            .retain(|permission| permission.key != request.key || permission.range_end != request.range_end);
        if role.key_permission.len() == before {
            return Err(StoreError::PermissionNotGranted);
        }
        self.put_role(&request.role, role);
        self.revision += 1;
        Ok(())
    }

    /// Whether a token may be given to a user, whose password was checked before the token was proposed.
    pub fn may_have_token(&self, user: &str) -> Result<()> {
        if !self.enabled {
            return Err(StoreError::AuthNotEnabled);
        }
        let user = self.user(user).ok_or(StoreError::AuthFailed)?;
        if user.options.is_some_and(|options| options.no_password) {
            return Err(StoreError::AuthFailed);
        }
        Ok(())
    }

    fn put_user(&mut self, record: authpb::User) {
        let name = String::from_utf8_lossy(&record.name).into_owned();
        self.users.insert(name, Arc::new(User::new(record)));
    }

    fn put_role(&mut self, name: &str, role: authpb::Role) {
        self.roles.insert(name.to_owned(), Arc::new(role));
        // What the role's users may do is put together anew.
        for user in self.users_with(name) {
            self.put_user(user);
        }
    }

    fn users_with(&self, role: &str) -> Vec<authpb::User> {
        self.users.values().filter(|user| user.has_role(role)).map(|user| user.record.clone()).collect()
    }
}

/// What etcd's clients and members call a hashed password: base64 of what bcrypt gave.
fn decode_hash(hashed_password: &str) -> Result<Bytes> {
    STANDARD.decode(hashed_password).map(Bytes::from).map_err(|_| StoreError::NoPasswordUser)
}

/// Whether a permission names one key, or a range that can hold one.
fn is_range(key: &[u8], range_end: &[u8]) -> bool {
    !key.is_empty() && (range_end.is_empty() || range_end == b"\0" || key < range_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Access, Credentials};

    fn grant(name: &str, kind: authpb::permission::Type, key: &str, end: &str) -> pb::AuthRoleGrantPermissionRequest {
        let perm =
            authpb::Permission { perm_type: kind.into(), key: key.to_owned().into(), range_end: end.to_owned().into() };
        pb::AuthRoleGrantPermissionRequest { name: name.to_owned(), perm: Some(perm) }
    }

    /// ann, who has the role r, and root, with authentication on.
    fn rules() -> Rules {
        let mut rules = Rules::default();
        for name in ["root", "ann"] {
            rules.user_add(&pb::AuthUserAddRequest { name: name.to_owned(), ..Default::default() }).unwrap();
        }
        rules.role_add(&pb::AuthRoleAddRequest { name: "r".to_owned() }).unwrap();
        for (user, role) in [("root", "root"), ("ann", "r")] {
            let request = pb::AuthUserGrantRoleRequest { user: user.to_owned(), role: role.to_owned() };
            rules.user_grant_role(&request).unwrap();
        }
        rules.enable().unwrap();
        rules
    }

    fn may(rules: &Rules, access: Access, key: &str, end: &str) -> bool {
        let who = Credentials { user: "ann".to_owned(), revision: rules.revision() };
        rules.permit(&who, access, key.as_bytes(), end.as_bytes()).is_ok()
    }

    #[test]
    fn what_a_role_gains_and_loses_its_users_do() {
        use authpb::permission::Type;
        let mut rules = rules();
        assert!(!may(&rules, Access::Read, "a", ""));
        rules.role_grant_permission(&grant("r", Type::Read, "a", "c")).unwrap();
        assert!(may(&rules, Access::Read, "a", "c") && !may(&rules, Access::Write, "a", ""));
        rules.role_grant_permission(&grant("r", Type::Write, "c", "d")).unwrap();
        rules.role_grant_permission(&grant("r", Type::Readwrite, "a", "c")).unwrap();
        assert!(may(&rules, Access::Write, "a", "d") && !may(&rules, Access::Read, "a", "d"));
        let revoke = pb::AuthRoleRevokePermissionRequest { role: "r".into(), key: "a".into(), range_end: "c".into() };
        rules.role_revoke_permission(&revoke).unwrap();
        assert!(!may(&rules, Access::Read, "a", ""));
        rules.role_delete(&pb::AuthRoleDeleteRequest { role: "r".to_owned() }).unwrap();
        assert!(!may(&rules, Access::Write, "c", ""));
        assert!(rules.user("ann").unwrap().roles.is_empty());
    }

    #[test]
    fn a_grant_of_one_key_ends_before_the_next() {
        use authpb::permission::Type;
        let mut rules = rules();
        rules.role_grant_permission(&grant("r", Type::Read, "a", "")).unwrap();
        assert!(may(&rules, Access::Read, "a", "") && may(&rules, Access::Read, "a", "a\0"));
        for end in ["\0", "b", "a\0\0"] {
            assert!(!may(&rules, Access::Read, "a", end), "{end:?}");
        }
    }

    #[test]
    fn old_and_absent_credentials_are_told_apart() {
        let rules = rules();
        let permit = |user: &str, revision| {
            let who = Credentials { user: user.to_owned(), revision };
            rules.permit(&who, Access::Read, b"a", b"").map_err(|error| error.to_string())
        };
        assert_eq!(permit("root", rules.revision()), Ok(()));
        assert_eq!(permit("root", rules.revision() - 1), Err(StoreError::AuthOldRevision.to_string()));
        assert_eq!(permit("", 0), Err(StoreError::UserEmpty.to_string()));
        assert_eq!(permit("ghost", rules.revision()), Err(StoreError::PermissionDenied.to_string()));
    }

    #[test]
    fn root_cannot_be_lost_while_authentication_is_on() {
        let mut rules = rules();
        let is_refused = |result: Result<()>| matches!(result, Err(StoreError::InvalidAuthManagement));
        assert!(is_refused(rules.user_delete(&pb::AuthUserDeleteRequest { name: "root".to_owned() })));
        assert!(is_refused(rules.role_delete(&pb::AuthRoleDeleteRequest { role: "root".to_owned() })));
        let revoke = pb::AuthUserRevokeRoleRequest { name: "root".to_owned(), role: "root".to_owned() };
        assert!(is_refused(rules.user_revoke_role(&revoke)));
        rules.disable();
        rules.user_revoke_role(&revoke).unwrap();
        rules.user_delete(&pb::AuthUserDeleteRequest { name: "root".to_owned() }).unwrap();
    }

    #[test]
    fn a_range_that_can_hold_no_key_is_not_granted() {
        use authpb::permission::Type;
        let mut rules = rules();
        for (key, end) in [("", ""), ("", "z"), ("b", "a"), ("b", "b")] {
            let refused = rules.role_grant_permission(&grant("r", Type::Read, key, end));
            assert!(matches!(refused, Err(StoreError::InvalidAuthManagement)), "{key} {end}");
        }
        rules.role_grant_permission(&grant("r", Type::Read, "b", "\0")).unwrap();
    }
}
