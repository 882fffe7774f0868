//! The Auth service.

use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::auth_server::Auth;
use tonic::{Request, Response, Status};

use super::caller::client;
use super::status::status;
use crate::store::Store;

/// Serves [`Auth`] from a store.
#[derive(Clone)]
pub struct AuthService {
    store: Store,
}

impl AuthService {
    /// Serves `store`.
    pub fn new(store: Store) -> Self {
        Self { store }
    }
}

macro_rules! methods {
    ($($method:ident => $call:ident: $request:ty => $response:ty;)*) => {
        #[tonic::async_trait]
        impl Auth for AuthService {
            $(async fn $method(&self, request: Request<$request>) -> Result<Response<$response>, Status> {
                let client = client(&self.store, &request);
                client.$call(request.into_inner()).await.map(Response::new).map_err(status)
            })*
        }
    };
}

methods! {
    auth_enable => auth_enable: pb::AuthEnableRequest => pb::AuthEnableResponse;
    auth_disable => auth_disable: pb::AuthDisableRequest => pb::AuthDisableResponse;
    auth_status => auth_status: pb::AuthStatusRequest => pb::AuthStatusResponse;
    authenticate => authenticate: pb::AuthenticateRequest => pb::AuthenticateResponse;
    user_add => user_add: pb::AuthUserAddRequest => pb::AuthUserAddResponse;
    user_get => user_get: pb::AuthUserGetRequest => pb::AuthUserGetResponse;
    user_list => user_list: pb::AuthUserListRequest => pb::AuthUserListResponse;
    user_delete => user_delete: pb::AuthUserDeleteRequest => pb::AuthUserDeleteResponse;
    user_change_password => user_change_password:
        pb::AuthUserChangePasswordRequest => pb::AuthUserChangePasswordResponse;
    user_grant_role => user_grant_role: pb::AuthUserGrantRoleRequest => pb::AuthUserGrantRoleResponse;
    user_revoke_role => user_revoke_role: pb::AuthUserRevokeRoleRequest => pb::AuthUserRevokeRoleResponse;
    role_add => role_add: pb::AuthRoleAddRequest => pb::AuthRoleAddResponse;
    role_get => role_get: pb::AuthRoleGetRequest => pb::AuthRoleGetResponse;
    role_list => role_list: pb::AuthRoleListRequest => pb::AuthRoleListResponse;
    role_delete => role_delete: pb::AuthRoleDeleteRequest => pb::AuthRoleDeleteResponse;
    role_grant_permission => role_grant_permission:
        pb::AuthRoleGrantPermissionRequest => pb::AuthRoleGrantPermissionResponse;
    role_revoke_permission => role_revoke_permission:
        pb::AuthRoleRevokePermissionRequest => pb::AuthRoleRevokePermissionResponse;
}
