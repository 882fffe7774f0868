//! Users, roles and tokens, as clients of the services meet them: what etcd has been found to miss, and what must not
//! be possible.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderValue};
use pintle_proto::authpb::permission::Type;
use pintle_proto::etcdserverpb as pb;
use pintle_proto::etcdserverpb::request_op::Request;
use pintle_proto::etcdserverpb::watch_request::RequestUnion;
use pintle_proto::{authpb, mvccpb};
use pintle_store::auth::Jwt;
use pintle_store::grpc::{Failure, Services};
use pintle_store::http::ServerSettings;
use pintle_store::{Store, StoreConfig, TokenKind};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

/// gRPC's codes.
const INVALID_ARGUMENT: i32 = 3;
const PERMISSION_DENIED: i32 = 7;
const UNAUTHENTICATED: i32 = 16;

/// A store with services, the users root and ann, and the role r of ann's.
struct Guarded {
    services: Services,
    store: Store,
    root: String,
    _directory: TempDir,
}

impl Guarded {
    /// Authentication is on.
    async fn start() -> Self {
        Self::start_with(TokenKind::default()).await
    }

    async fn start_with(tokens: TokenKind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = StoreConfig::embedded(directory.path().join("store"));
        config.auth.bcrypt_cost = 4;
        config.auth.tokens = tokens;
        let store = Store::open(config).await.unwrap();
        let services = Services::new(store.clone(), ServerSettings::of(&store).watch);
        let mut guarded = Self { services, store, root: String::new(), _directory: directory };
        for name in ["root", "ann"] {
            let user = pb::AuthUserAddRequest { name: name.into(), password: name.into(), ..Default::default() };
            guarded.ask::<pb::AuthUserAddResponse>("", "Auth/UserAdd", &user).await.unwrap();
        }
        for name in ["root", "r"] {
            let role = pb::AuthRoleAddRequest { name: name.into() };
            guarded.ask::<pb::AuthRoleAddResponse>("", "Auth/RoleAdd", &role).await.unwrap();
        }
        for (user, role) in [("root", "root"), ("ann", "r")] {
            let grant = pb::AuthUserGrantRoleRequest { user: user.into(), role: role.into() };
            guarded.ask::<pb::AuthUserGrantRoleResponse>("", "Auth/UserGrantRole", &grant).await.unwrap();
        }
        guarded.ask::<pb::AuthEnableResponse>("", "Auth/AuthEnable", &pb::AuthEnableRequest {}).await.unwrap();
        guarded.root = guarded.token("root").await;
        guarded
    }

    async fn call(&self, token: &str, method: &str, request: Bytes) -> Result<Bytes, Failure> {
        let method = format!("/etcdserverpb.{method}").parse().unwrap();
        tokio::time::timeout(PATIENCE, self.services.unary(method, metadata(token), request)).await.expect("an answer")
    }

    async fn ask<T: Message + Default>(&self, token: &str, method: &str, request: &impl Message) -> Result<T, Failure> {
        let answer = self.call(token, method, request.encode_to_vec().into()).await?;
        Ok(T::decode(answer).unwrap())
    }

    /// What a request is refused with.
    async fn refusal(&self, token: &str, method: &str, request: &impl Message) -> (i32, String) {
        let failure = self.call(token, method, request.encode_to_vec().into()).await.expect_err(method);
        (failure.code, failure.message)
    }

    /// Logs in; a user's password is its name.
    async fn token(&self, user: &str) -> String {
        self.login(user, user).await.unwrap()
    }

    async fn login(&self, user: &str, password: &str) -> Result<String, Failure> {
        let request = pb::AuthenticateRequest { name: user.into(), password: password.into() };
        Ok(self.ask::<pb::AuthenticateResponse>("", "Auth/Authenticate", &request).await?.token)
    }

    async fn grant(&self, kind: Type, key: &str, range_end: &str) {
        let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
        let perm = Some(authpb::Permission { perm_type: kind.into(), key, range_end });
        let request = pb::AuthRoleGrantPermissionRequest { name: "r".into(), perm };
        let granted = self.ask::<pb::AuthRoleGrantPermissionResponse>(&self.root, "Auth/RoleGrantPermission", &request);
        granted.await.unwrap();
    }

    async fn put(&self, token: &str, key: &str, lease: i64) -> Result<pb::PutResponse, Failure> {
        self.ask(token, "KV/Put", &put(key, lease)).await
    }

    async fn get(&self, token: &str, key: &str) -> Result<Vec<mvccpb::KeyValue>, Failure> {
        Ok(self.ask::<pb::RangeResponse>(token, "KV/Range", &range(key, "")).await?.kvs)
    }

    /// Opens a watch and returns the responses to it.
    async fn watch(
        &self,
        token: &str,
        key: &str,
        range_end: &str,
    ) -> impl StreamExt<Item = pb::WatchResponse> + Unpin + use<> {
        let (key, range_end) = (key.to_owned().into(), range_end.to_owned().into());
        let create = pb::WatchCreateRequest { key, range_end, ..Default::default() };
        let request = pb::WatchRequest { request_union: Some(RequestUnion::CreateRequest(create)) };
        let requests = stream::iter([Bytes::from(request.encode_to_vec())]).chain(stream::pending());
        let method = "/etcdserverpb.Watch/Watch".parse().unwrap();
        let responses = self.services.streaming(method, metadata(token), requests).await.unwrap();
        responses.map(|response| pb::WatchResponse::decode(response.unwrap()).unwrap()).boxed()
    }
}

fn metadata(token: &str) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    if !token.is_empty() {
        metadata.insert("token", HeaderValue::from_str(token).unwrap());
    }
    metadata
}

fn put(key: &str, lease: i64) -> pb::PutRequest {
    pb::PutRequest { key: key.to_owned().into(), value: "v".into(), lease, ..Default::default() }
}

fn range(key: &str, range_end: &str) -> pb::RangeRequest {
    pb::RangeRequest { key: key.to_owned().into(), range_end: range_end.to_owned().into(), ..Default::default() }
}

fn operation(request: Request) -> pb::RequestOp {
    pb::RequestOp { request: Some(request) }
}

fn denied() -> (i32, String) {
    (PERMISSION_DENIED, "etcdserver: permission denied".to_owned())
}

fn nobody() -> (i32, String) {
    (INVALID_ARGUMENT, "etcdserver: user name is empty".to_owned())
}

fn invalid_token() -> (i32, String) {
    (UNAUTHENTICATED, "etcdserver: invalid auth token".to_owned())
}

/// A request that is served if its sender is not asked for: with keys, names and URLs where such are needed.
fn plausible(message: &MessageDescriptor) -> DynamicMessage {
    let mut request = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let value = match (field.name(), field.kind()) {
            ("key" | "name", Kind::Bytes) => Value::Bytes("k".into()),
            ("key" | "name", Kind::String) => Value::String("k".to_owned()),
            ("peerURLs", _) => Value::List(vec![Value::String("http://127.0.0.1:1".to_owned())]),
            ("leader", Kind::Message(leader)) => Value::Message(plausible(&leader)),
            // A transaction that does nothing is anyone's.
            ("compare", Kind::Message(compare)) => Value::List(vec![Value::Message(plausible(&compare))]),
            _ => continue,
        };
        request.set_field(&field, value);
    }
    request
}

/// Every method of the API, read off its definition: whoever shows nothing is served by none of those that tell or
/// change anything.
#[tokio::test(flavor = "multi_thread")]
async fn no_method_serves_a_stranger() {
    /// How many methods that tell or change something there are at least.
    const GUARDED: usize = 35;
    let guarded = Guarded::start().await;
    let pool = DescriptorPool::decode(pintle_proto::DESCRIPTORS).unwrap();
    let mut refused = 0;
    for service in pool
        .services()
        .filter(|service| !service.full_name().starts_with("grpc.") && !service.full_name().starts_with("peerpb"))
    {
        for method in service.methods() {
            let path = format!("/{}/{}", service.full_name(), method.name());
            if ["/etcdserverpb.Auth/Authenticate", "/etcdserverpb.Auth/AuthStatus"].contains(&path.as_str())
                // A watch is refused within its stream: see below.
                || path == "/etcdserverpb.Watch/Watch"
            {
                continue;
            }
            let request = Bytes::from(plausible(&method.input()).encode_to_vec());
            for (token, expected) in [("", nobody()), ("abc.1", invalid_token())] {
                let requests = stream::iter([request.clone()]);
                let answers = guarded.services.streaming(path.parse().unwrap(), metadata(token), requests);
                let answer = match tokio::time::timeout(PATIENCE, answers).await.expect(&path) {
                    Ok(mut answers) => match answers.next().await {
                        Some(answer) => answer,
                        // Observing an election just ends, as with etcd, when it cannot be read.
                        None => continue,
                    },
                    Err(failure) => Err(failure),
                };
                let failure = answer.expect_err(&path);
                // Not served at all is as good.
                if failure.code == i32::from(tonic::Code::Unimplemented) {
                    continue;
                }
                assert_eq!(failure.message, expected.1, "{path}");
                // Locks and elections report errors as clients of the others do, without their codes.
                assert!(failure.code == expected.0 || !path.starts_with("/etcdserverpb."), "{path}");
                refused += 1;
            }
        }
    }
    assert!(refused / 2 >= GUARDED, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_maintain() {
    let guarded = Guarded::start().await;
    guarded.grant(Type::Readwrite, "\0", "\0").await;
    let ann = guarded.token("ann").await;
    for method in ["Defragment", "Hash", "HashKV", "MoveLeader", "Downgrade"] {
        assert_eq!(guarded.refusal(&ann, &format!("Maintenance/{method}"), &pb::HashRequest {}).await, denied());
    }
    for method in ["MemberRemove", "MemberPromote"] {
        let request = pb::MemberRemoveRequest { id: 1 };
        assert_eq!(guarded.refusal(&ann, &format!("Cluster/{method}"), &request).await, denied());
    }
    assert_eq!(guarded.refusal(&ann, "KV/Compact", &pb::CompactionRequest::default()).await, denied());
    let alarm = pb::AlarmRequest { action: 1, alarm: 1, ..Default::default() };
    assert_eq!(guarded.refusal(&ann, "Maintenance/Alarm", &alarm).await, denied());
    let list = pb::AlarmRequest::default();
    guarded.ask::<pb::AlarmResponse>(&ann, "Maintenance/Alarm", &list).await.unwrap();
    guarded.ask::<pb::StatusResponse>(&ann, "Maintenance/Status", &pb::StatusRequest {}).await.unwrap();
    guarded.ask::<pb::MemberListResponse>(&ann, "Cluster/MemberList", &pb::MemberListRequest::default()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn permissions_reach_into_nested_transactions_and_both_branches() {
    let guarded = Guarded::start().await;
    guarded.grant(Type::Readwrite, "a", "b").await;
    let ann = guarded.token("ann").await;
    let forbidden = [
        Request::RequestPut(put("z", 0)),
        Request::RequestRange(range("z", "")),
        Request::RequestRange(range("a", "\0")),
        Request::RequestDeleteRange(pb::DeleteRangeRequest { key: "aa".into(), range_end: "c".into(), prev_kv: false }),
    ];
    let compare = pb::Compare { key: "z".into(), ..Default::default() };
    let mut requests = vec![pb::TxnRequest { compare: vec![compare], ..Default::default() }];
    for request in forbidden {
        let ops = || vec![operation(Request::RequestPut(put("a", 0))), operation(request.clone())];
        requests.push(pb::TxnRequest { success: ops(), ..Default::default() });
        requests.push(pb::TxnRequest { failure: ops(), ..Default::default() });
    }
    for request in requests {
        let mut nested = request.clone();
        for _ in 0..3 {
            assert_eq!(guarded.refusal(&ann, "KV/Txn", &nested).await, denied(), "{nested:?}");
            nested = pb::TxnRequest { failure: vec![operation(Request::RequestTxn(nested))], ..Default::default() };
        }
    }
    assert_eq!(guarded.get(&guarded.root, "a").await.unwrap(), [], "a refused transaction leaves no trace");
    let allowed = pb::TxnRequest { success: vec![operation(Request::RequestPut(put("a", 0)))], ..Default::default() };
    let nested = pb::TxnRequest { success: vec![operation(Request::RequestTxn(allowed))], ..Default::default() };
    guarded.ask::<pb::TxnResponse>(&ann, "KV/Txn", &nested).await.unwrap();
    assert_eq!(guarded.get(&ann, "a").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_before_is_shown_to_readers_only() {
    let guarded = Guarded::start().await;
    guarded.grant(Type::Write, "a", "").await;
    let ann = guarded.token("ann").await;
    guarded.put(&ann, "a", 0).await.unwrap();
    assert_eq!(guarded.refusal(&ann, "KV/Put", &pb::PutRequest { prev_kv: true, ..put("a", 0) }).await, denied());
    let delete = pb::DeleteRangeRequest { key: "a".into(), prev_kv: true, ..Default::default() };
    assert_eq!(guarded.refusal(&ann, "KV/DeleteRange", &delete).await, denied());
    assert_eq!(guarded.refusal(&ann, "KV/Range", &range("a", "")).await, denied());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_of_one_key_hears_of_no_other() {
    let guarded = Guarded::start().await;
    guarded.grant(Type::Read, "a", "").await;
    let ann = guarded.token("ann").await;
    for (key, end) in [("a", "\0"), ("a", "b"), ("a", "a\0\0"), ("b", ""), ("", "\0"), ("", "")] {
        let refused = guarded.watch(&ann, key, end).await.next().await.unwrap();
        assert!(refused.created && refused.canceled && refused.watch_id == -1, "{key:?} {end:?}");
        assert_eq!(refused.cancel_reason, "rpc error: code = PermissionDenied desc = etcdserver: permission denied");
    }
    let stranger = guarded.watch("", "a", "").await.next().await.unwrap();
    assert_eq!(stranger.cancel_reason, "rpc error: code = InvalidArgument desc = etcdserver: user name is empty");
    let forged = guarded.watch("abc.1", "a", "").await.next().await.unwrap();
    assert_eq!(forged.cancel_reason, "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token");

    let mut watch = guarded.watch(&ann, "a", "").await;
    assert!(!watch.next().await.unwrap().canceled);
    for key in ["a\0", "b", "a"] {
        guarded.put(&guarded.root, key, 0).await.unwrap();
    }
    let heard = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap().unwrap();
    let keys: Vec<&[u8]> = heard.events.iter().map(|event| &event.kv.as_ref().unwrap().key[..]).collect();
    assert_eq!(keys, [b"a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_is_its_keys_owners() {
    let guarded = Guarded::start().await;
    guarded.grant(Type::Readwrite, "a", "").await;
    let ann = guarded.token("ann").await;
    for id in [7, 8] {
        let lease = pb::LeaseGrantRequest { id, ttl: 1000 };
        guarded.ask::<pb::LeaseGrantResponse>(&ann, "Lease/LeaseGrant", &lease).await.unwrap();
    }
    guarded.put(&guarded.root, "z", 7).await.unwrap();
    guarded.put(&ann, "a", 8).await.unwrap();

    // Whoever could attach a key could have the others deleted.
    assert_eq!(guarded.refusal(&ann, "KV/Put", &put("a", 7)).await, denied());
    assert_eq!(guarded.refusal(&ann, "Lease/LeaseRevoke", &pb::LeaseRevokeRequest { id: 7 }).await, denied());
    assert_eq!(guarded.refusal(&ann, "Lease/LeaseLeases", &pb::LeaseLeasesRequest {}).await, denied());
    let keys = |id| pb::LeaseTimeToLiveRequest { id, keys: true };
    assert_eq!(guarded.refusal(&ann, "Lease/LeaseTimeToLive", &keys(7)).await, denied());
    let renewed = |id| {
        let request = Bytes::from(pb::LeaseKeepAliveRequest { id }.encode_to_vec());
        let method = "/etcdserverpb.Lease/LeaseKeepAlive".parse().unwrap();
        let answers = guarded.services.streaming(method, metadata(&ann), stream::iter([request]));
        async move { answers.await.unwrap().next().await.unwrap().map_err(|failure| (failure.code, failure.message)) }
    };
    assert_eq!(renewed(7).await, Err(denied()));

    assert!(renewed(8).await.is_ok());
    let told = guarded.ask::<pb::LeaseTimeToLiveResponse>(&ann, "Lease/LeaseTimeToLive", &keys(8)).await.unwrap();
    assert_eq!(told.keys, ["a"]);
    let revoke = pb::LeaseRevokeRequest { id: 8 };
    guarded.ask::<pb::LeaseRevokeResponse>(&ann, "Lease/LeaseRevoke", &revoke).await.unwrap();
    assert_eq!(guarded.get(&guarded.root, "a").await.unwrap(), []);
    assert_eq!(guarded.get(&guarded.root, "z").await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_time_its_password_and_its_user() {
    const TTL: Duration = Duration::from_millis(700);
    let guarded = Guarded::start_with(TokenKind::Simple { ttl: TTL }).await;
    let short = guarded.token("ann").await;
    let deadline = Instant::now() + PATIENCE;
    // Using it would renew it: each look waits for longer than it counts.
    while guarded.get(&short, "a").await.map_err(|failure| failure.code) != Err(UNAUTHENTICATED) {
        assert!(Instant::now() < deadline);
        tokio::time::sleep(TTL + Duration::from_millis(100)).await;
    }

    let guarded = Guarded::start().await;
    guarded.grant(Type::Read, "a", "").await;
    let ann = guarded.token("ann").await;
    assert_eq!(guarded.get(&ann, "a").await.unwrap(), []);
    let change = pb::AuthUserChangePasswordRequest { name: "ann".into(), password: "new".into(), ..Default::default() };
    let changed = guarded.ask::<pb::AuthUserChangePasswordResponse>(&guarded.root, "Auth/UserChangePassword", &change);
    changed.await.unwrap();
    assert_eq!(guarded.refusal(&ann, "KV/Range", &range("a", "")).await, invalid_token());
    assert_eq!(guarded.login("ann", "ann").await.unwrap_err().code, INVALID_ARGUMENT);
    let ann = guarded.login("ann", "new").await.unwrap();
    assert_eq!(guarded.get(&ann, "a").await.unwrap(), []);

    let delete = pb::AuthUserDeleteRequest { name: "ann".into() };
    guarded.ask::<pb::AuthUserDeleteResponse>(&guarded.root, "Auth/UserDelete", &delete).await.unwrap();
    assert_eq!(guarded.refusal(&ann, "KV/Range", &range("a", "")).await, invalid_token());

    guarded
        .ask::<pb::AuthDisableResponse>(&guarded.root, "Auth/AuthDisable", &pb::AuthDisableRequest {})
        .await
        .unwrap();
    assert_eq!(guarded.get(&guarded.root, "a").await.unwrap(), [], "nobody is asked any more");
    guarded.ask::<pb::AuthEnableResponse>("", "Auth/AuthEnable", &pb::AuthEnableRequest {}).await.unwrap();
    assert_eq!(guarded.refusal(&guarded.root, "KV/Range", &range("a", "")).await, invalid_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_token_counts_until_the_rules_change() {
    let jwt = || Jwt::new("HS256", Some(b"secret"), None, Duration::from_secs(300)).unwrap();
    let guarded = Guarded::start_with(TokenKind::Jwt(Arc::new(jwt()))).await;
    guarded.put(&guarded.root, "a", 0).await.unwrap();
    let old = guarded.root.clone();
    guarded.grant(Type::Read, "a", "").await;
    let refused = (INVALID_ARGUMENT, "etcdserver: revision of auth store is old".to_owned());
    for method in ["KV/Put", "KV/Range"] {
        assert_eq!(guarded.refusal(&old, method, &put("a", 0)).await, refused, "{method}");
    }
    let ann = guarded.token("ann").await;
    assert_eq!(guarded.get(&ann, "a").await.unwrap().len(), 1);
    let forged = Jwt::new("HS256", Some(b"other"), None, Duration::from_secs(300)).unwrap();
    let forged = forged.issue("root", 100, std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap()).unwrap();
    assert_eq!(guarded.refusal(&forged, "KV/Range", &range("a", "")).await, invalid_token());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rules_are_survives_a_restart() {
    let guarded = Guarded::start().await;
    guarded.grant(Type::Readwrite, "a", "b").await;
    let Guarded { store, services, _directory: directory, .. } = guarded;
    drop(services);
    let config = store.config().clone();
    store.shutdown().await.unwrap();
    let store = Store::open(config).await.unwrap();
    let services = Services::new(store.clone(), ServerSettings::of(&store).watch);
    let guarded = Guarded { services, store, root: String::new(), _directory: directory };
    assert_eq!(guarded.refusal("", "KV/Range", &range("a", "")).await, nobody());
    let ann = guarded.token("ann").await;
    guarded.put(&ann, "a", 0).await.unwrap();
    assert_eq!(guarded.refusal(&ann, "KV/Put", &put("b", 0)).await, denied());
    // The program around the store is not asked.
    guarded.store.put(put("b", 0)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_are_kept_as_hashes_only() {
    let guarded = Guarded::start().await;
    let secret = "correct horse battery staple";
    let user = pb::AuthUserAddRequest { name: "bob".into(), password: secret.into(), ..Default::default() };
    guarded.ask::<pb::AuthUserAddResponse>(&guarded.root, "Auth/UserAdd", &user).await.unwrap();
    guarded.login("bob", secret).await.unwrap();
    let long = pb::AuthUserAddRequest { name: "eve".into(), password: "x".repeat(73), ..Default::default() };
    let (_, message) = guarded.refusal(&guarded.root, "Auth/UserAdd", &long).await;
    assert_eq!(message, "bcrypt: password length exceeds 72 bytes");

    let Guarded { store, services, _directory: directory, .. } = guarded;
    drop(services);
    store.shutdown().await.unwrap();
    let mut pending = vec![directory.path().to_owned()];
    let mut looked_at = 0;
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", path.display());
            looked_at += bytes.len();
        }
    }
    assert!(looked_at > 0);
}
