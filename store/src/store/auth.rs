//! Users, roles and tokens, as clients manage them. Passwords are hashed here, before anything is proposed.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bcrypt::Version;
use bytes::Bytes;
use pintle_proto::authpb;
use pintle_proto::etcdserverpb as pb;
use rand::Rng;

use super::Store;
use super::caller::Client;
use super::tokens::TokenKind;
use crate::apply::{AuthChange, Command, IssuedToken};
use crate::auth::{Credentials, ROOT, Rules};
use crate::error::StoreError;
use crate::limits;

/// How clients are recognised.
#[derive(Clone, Debug)]
pub struct AuthConfig {
    /// What tokens they are given.
    pub tokens: TokenKind,
    /// The strength of hashed passwords, from 4 to 31 (`--bcrypt-cost`).
    pub bcrypt_cost: u32,
}

impl Default for AuthConfig {
    fn default() -> Self {
        Self { tokens: TokenKind::default(), bcrypt_cost: limits::BCRYPT_COST }
    }
}

/// Letters of a token before its dot, as etcd has them.
const TOKEN_LETTERS: usize = 16;

macro_rules! changes {
    ($($(#[$doc:meta])* $name:ident: $request:ty => $response:ty;)*) => {
        impl Client {
            $($(#[$doc])* pub async fn $name(&self, request: $request) -> Result<$response, StoreError> {
                self.store.write(self.author().await?, request).await
            })*
        }
    };
}

changes! {
    /// Turns authentication on.
    auth_enable: pb::AuthEnableRequest => pb::AuthEnableResponse;
    /// Turns authentication off.
    auth_disable: pb::AuthDisableRequest => pb::AuthDisableResponse;
    /// Deletes a user.
    user_delete: pb::AuthUserDeleteRequest => pb::AuthUserDeleteResponse;
    /// Gives a user a role.
    user_grant_role: pb::AuthUserGrantRoleRequest => pb::AuthUserGrantRoleResponse;
    /// Takes a role from a user.
    user_revoke_role: pb::AuthUserRevokeRoleRequest => pb::AuthUserRevokeRoleResponse;
    /// Makes a role.
    role_add: pb::AuthRoleAddRequest => pb::AuthRoleAddResponse;
    /// Deletes a role.
    role_delete: pb::AuthRoleDeleteRequest => pb::AuthRoleDeleteResponse;
    /// Lets a role do something with a range of keys.
    role_grant_permission: pb::AuthRoleGrantPermissionRequest => pb::AuthRoleGrantPermissionResponse;
    /// Takes a range of keys from a role.
    role_revoke_permission: pb::AuthRoleRevokePermissionRequest => pb::AuthRoleRevokePermissionResponse;
}

impl Client {
    /// Makes a user. One that has a password is given the hash of it, whatever hash the request brings.
    pub async fn user_add(&self, mut request: pb::AuthUserAddRequest) -> Result<pb::AuthUserAddResponse, StoreError> {
        let password = std::mem::take(&mut request.password);
        if !request.options.is_some_and(|options| options.no_password) {
            request.hashed_password = self.hash(password).await?;
        }
        self.store.write(self.author().await?, request).await
    }

    /// Gives a user another password. A request without one may bring its hash instead.
    pub async fn user_change_password(
        &self,
        mut request: pb::AuthUserChangePasswordRequest,
    ) -> Result<pb::AuthUserChangePasswordResponse, StoreError> {
        let password = std::mem::take(&mut request.password);
        if !password.is_empty() {
            request.hashed_password = self.hash(password).await?;
        }
        self.store.write(self.author().await?, request).await
    }

    /// Whether authentication is on. Anyone may know.
    pub async fn auth_status(&self, _request: pb::AuthStatusRequest) -> Result<pb::AuthStatusResponse, StoreError> {
        let (header, rules, _) = self.consult().await?;
        Ok(pb::AuthStatusResponse { header, enabled: rules.enabled(), auth_revision: rules.revision() })
    }

    /// The roles of a user. Users may know their own.
    pub async fn user_get(&self, request: pb::AuthUserGetRequest) -> Result<pb::AuthUserGetResponse, StoreError> {
        let (header, rules, who) = self.consult().await?;
        if let Some(who) = who
            && who.user != request.name
        {
            rules.permit_admin(&who)?;
        }
        let user = rules.user(&request.name).ok_or(StoreError::UserNotFound)?;
        Ok(pb::AuthUserGetResponse { header, roles: user.roles.clone() })
    }

    /// The names of all users.
    pub async fn user_list(&self, _request: pb::AuthUserListRequest) -> Result<pb::AuthUserListResponse, StoreError> {
        let (header, rules, who) = self.consult().await?;
        who.map_or(Ok(()), |who| rules.permit_admin(&who))?;
        Ok(pb::AuthUserListResponse { header, users: rules.user_names().cloned().collect() })
    }

    /// What a role may do. Users may know it of their own roles.
    pub async fn role_get(&self, request: pb::AuthRoleGetRequest) -> Result<pb::AuthRoleGetResponse, StoreError> {
        let (header, rules, who) = self.consult().await?;
        if let Some(who) = who
            && !rules.has_role(&who.user, &request.role)
        {
            rules.permit_admin(&who)?;
        }
        let role = rules.role(&request.role).ok_or(StoreError::RoleNotFound)?;
        let perm = if request.role == ROOT { vec![everything()] } else { role.key_permission.clone() };
        Ok(pb::AuthRoleGetResponse { header, perm })
    }

    /// The names of all roles.
    pub async fn role_list(&self, _request: pb::AuthRoleListRequest) -> Result<pb::AuthRoleListResponse, StoreError> {
        let (header, rules, who) = self.consult().await?;
        who.map_or(Ok(()), |who| rules.permit_admin(&who))?;
        Ok(pb::AuthRoleListResponse { header, roles: rules.role_names().cloned().collect() })
    }

    /// Gives a token for a password. Anyone may ask, whatever else they show.
    ///
    /// # Errors
    /// [`StoreError::AuthFailed`] does not tell whether the user or the password was wrong.
    pub async fn authenticate(&self, request: pb::AuthenticateRequest) -> Result<pb::AuthenticateResponse, StoreError> {
        self.store.authenticate(request).await
    }

    /// The rules as of now, a header, and whom they are to be shown to; `None` to anyone.
    async fn consult(&self) -> Result<(Option<pb::ResponseHeader>, Arc<Rules>, Option<Credentials>), StoreError> {
        self.store.read_index().await?;
        let header = Some(self.store.header(self.store.revision()?));
        Ok(match self.subject().await? {
            Some(subject) => (header, subject.rules.clone(), Some(subject.who)),
            None => (header, self.store.0.mvcc.rules(), None),
        })
    }

    /// Hashes a password, which takes a while, for those who may use it only.
    async fn hash(&self, password: String) -> Result<String, StoreError> {
        self.store.read_index().await?;
        self.require_admin().await?;
        if password.len() > limits::PASSWORD_BYTES {
            return Err(StoreError::PasswordTooLong);
        }
        let cost = self.store.config().auth.bcrypt_cost;
        let hash = move || {
            let parts = bcrypt::hash_with_result(password, cost).map_err(|_| StoreError::AuthFailed)?;
            // The version that etcd writes.
            Ok(STANDARD.encode(parts.format_for_version(Version::TwoA)))
        };
        self.store.with_password(hash).await
    }
}

impl Store {
    async fn authenticate(&self, request: pb::AuthenticateRequest) -> Result<pb::AuthenticateResponse, StoreError> {
        self.read_index().await?;
        loop {
            let rules = self.0.mvcc.rules();
            if !rules.enabled() {
                return Err(StoreError::AuthNotEnabled);
            }
            self.check_password(&rules, &request).await.inspect_err(|error| {
                let user: String = request.name.chars().take(limits::LOGGED_NAME_CHARS).collect();
                tracing::warn!(user, %error, "authentication refused");
            })?;
            let token = self.new_token(&request.name, &rules).await?;
            // What was checked may have changed before the token was issued; then it is checked again.
            if rules.revision() == self.0.mvcc.rules().revision() {
                return Ok(pb::AuthenticateResponse { header: Some(self.header(self.revision()?)), token });
            }
        }
    }

    async fn check_password(&self, rules: &Rules, request: &pb::AuthenticateRequest) -> Result<(), StoreError> {
        let user = rules.user(&request.name).ok_or(StoreError::AuthFailed)?;
        if user.options.is_some_and(|options| options.no_password) {
            return Err(StoreError::NoPasswordUser);
        }
        let (password, hash) = (request.password.clone(), user.password.clone());
        let verify = move || {
            let hash = std::str::from_utf8(&hash).map_err(|_| StoreError::AuthFailed)?;
            let matches = bcrypt::verify(password, hash).map_err(|_| StoreError::AuthFailed)?;
            if matches { Ok(()) } else { Err(StoreError::AuthFailed) }
        };
        self.with_password(verify).await
    }

    async fn new_token(&self, user: &str, rules: &Rules) -> Result<String, StoreError> {
        if let Some(signed) = self.0.tokens.sign(user, rules) {
            return signed;
        }
        // Every member has to know it.
        let letters: String =
            rand::rng().sample_iter(rand::distr::Alphabetic).take(TOKEN_LETTERS).map(char::from).collect();
        let token = format!("{letters}.{}", self.standing().applied_index);
        let issued = IssuedToken { user: user.to_owned(), token: token.clone() };
        self.propose(Command::from(AuthChange::Authenticate(issued))).await?;
        Ok(token)
    }

    /// Runs what takes a processor for long, few at a time.
    async fn with_password<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let _turn = self.0.passwords.acquire().await.map_err(|_| StoreError::Stopped)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Stopped)?
    }
}

/// What the role root may do.
fn everything() -> authpb::Permission {
    authpb::Permission {
        perm_type: authpb::permission::Type::Readwrite.into(),
        key: Bytes::new(),
        range_end: Bytes::from_static(b"\0"),
    }
}
