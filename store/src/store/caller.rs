//! The store as one client may use it.
//!
//! The program around the store calls [`Store`] itself and is never asked who it is; what serves clients wraps it with
//! [`Store::as_caller`]. While authentication is off that costs looking at a flag.

use std::fmt;
use std::future::ready;
use std::sync::Arc;

use pintle_proto::etcdserverpb as pb;

use super::Store;
use crate::auth::{Author, Credentials, Judge, Rules};
use crate::error::StoreError;
use crate::mvcc::{check, txn};

/// Who calls.
#[derive(Clone, Debug)]
pub enum Caller {
    /// The program that the store is part of: may do everything.
    Server,
    /// A client, who may do what its user may once authentication is on.
    Client(Presented),
}

/// What a client shows of itself with a request.
#[derive(Clone, Default)]
pub struct Presented {
    /// The token in the metadata `token` or `authorization`, without `Bearer `.
    pub token: Option<Arc<str>>,
    /// The common name of the client's certificate, where clients are recognised by it (`--client-cert-auth`). Not of
    /// one that only passes on others' requests.
    pub common_name: Option<Arc<str>>,
}

/// A token is a secret.
impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Presented");
        shown.field("token", &self.token.is_some()).field("common_name", &self.common_name).finish()
    }
}

/// A store and who calls it. Clones are handles of the same store for the same caller.
#[derive(Clone)]
pub struct Client {
    pub(super) store: Store,
    caller: Caller,
}

/// A caller whose requests have to be judged: authentication is on.
pub(super) struct Subject {
    pub(super) rules: Arc<Rules>,
    pub(super) who: Credentials,
    /// Whether the caller has shown anything, be it the certificate of nobody.
    is_known: bool,
}

impl Subject {
    /// Refuses a caller who has shown nothing.
    fn require_known(&self) -> Result<(), StoreError> {
        if self.is_known { Ok(()) } else { Err(StoreError::UserEmpty) }
    }
}

impl Presented {
    /// Shows a token as it stands in a header, where it may follow `Bearer `.
    pub fn token(header: &str) -> Self {
        Self { token: Some(header.strip_prefix("Bearer ").unwrap_or(header).into()), common_name: None }
    }
}

impl Store {
    /// The store as `caller` may use it.
    pub fn as_caller(&self, caller: Caller) -> Client {
        Client { store: self.clone(), caller }
    }

    /// Whether clients have to show who they are.
    pub fn auth_enabled(&self) -> bool {
        self.0.mvcc.auth_enabled()
    }
}

impl Client {
    /// The store itself, for what every caller may do.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Whom the requests of this caller are judged as; `None` if they need not be judged.
    ///
    /// # Errors
    /// [`StoreError::InvalidAuthToken`].
    fn subject_now(&self) -> Result<Option<Subject>, StoreError> {
        let Caller::Client(presented) = &self.caller else { return Ok(None) };
        if !self.store.auth_enabled() {
            return Ok(None);
        }
        let rules = self.store.0.mvcc.rules();
        let shown = match (&presented.token, &presented.common_name) {
            (Some(token), _) => Some(self.store.0.tokens.verify(token, &rules).ok_or(StoreError::InvalidAuthToken)?),
            (None, Some(name)) => Some(Credentials { user: name.to_string(), revision: rules.revision() }),
            (None, None) => None,
        };
        Ok(Some(Subject { rules, is_known: shown.is_some(), who: shown.unwrap_or(Credentials::NOBODY) }))
    }

    /// As [`Self::subject_now`], but a token that another member has issued, of which this one may not have heard yet,
    /// is waited for.
    pub(super) async fn subject(&self) -> Result<Option<Subject>, StoreError> {
        match self.subject_now() {
            Err(StoreError::InvalidAuthToken) if self.may_learn_of_token() => {
                self.store.read_index().await?;
                self.subject_now()
            }
            subject => subject,
        }
    }

    fn may_learn_of_token(&self) -> bool {
        matches!(&self.caller, Caller::Client(Presented { token: Some(token), .. })
            if self.store.0.tokens.may_be_issued_elsewhere(token))
    }

    /// Whom the log is to name for a command of this caller.
    pub(super) async fn author(&self) -> Result<Author, StoreError> {
        match (&self.caller, self.subject().await?) {
            (Caller::Server, _) => Ok(Author::Server),
            (Caller::Client(_), None) => Ok(Author::Client(Credentials::NOBODY)),
            (Caller::Client(_), Some(subject)) => Ok(Author::Client(subject.who)),
        }
    }

    /// Refuses a caller who has not shown who it is, if that is needed.
    pub async fn require_user(&self) -> Result<(), StoreError> {
        self.subject().await?.map_or(Ok(()), |subject| subject.require_known())
    }

    /// Refuses a caller who may not administer the store.
    pub async fn require_admin(&self) -> Result<(), StoreError> {
        self.subject().await?.map_or(Ok(()), |subject| subject.rules.permit_admin(&subject.who))
    }

    /// Learns of the caller's token, if other members know it, so that [`Self::permit_watch`] need not wait.
    pub async fn settle(&self) {
        // Whether it counts is told with each request.
        let _ = self.subject().await;
    }

    /// Refuses a caller who may not read a range of keys.
    ///
    /// # Errors
    /// Also [`StoreError::InvalidAuthToken`].
    pub fn permit_watch(&self, key: &[u8], range_end: &[u8]) -> Result<(), StoreError> {
        let Some(subject) = self.subject_now()? else { return Ok(()) };
        subject.rules.permit(&subject.who, crate::auth::Access::Read, key, range_end)
    }

    /// Asks the rules, then does something that does not go through the log, then makes sure that the rules have not
    /// changed meanwhile.
    async fn judged<T>(
        &self,
        judge: impl FnOnce(&Judge<'_>) -> Result<(), StoreError>,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Some(subject) = self.subject().await? else { return work.await };
        let lease_keys = |id| self.store.0.mvcc.view()?.lease_keys(id);
        judge(&Judge { rules: &subject.rules, who: &subject.who, lease_keys: &lease_keys })?;
        let done = work.await;
        let seen = subject.who.revision;
        if seen != 0 && seen != self.store.0.mvcc.rules().revision() {
            return Err(StoreError::AuthOldRevision);
        }
        done
    }

    /// See [`Store::range`].
    pub async fn range(&self, mut request: pb::RangeRequest) -> Result<pb::RangeResponse, StoreError> {
        check::range(&request)?;
        if !request.serializable {
            // The rules must be as new as the data.
            self.store.read_index().await?;
            request.serializable = true;
        }
        let (key, range_end) = (request.key.clone(), request.range_end.clone());
        let asked = pb::RangeRequest { key, range_end, ..Default::default() };
        self.judged(|judge| judge.range(&asked), self.store.range(request)).await
    }

    /// See [`Store::txn`].
    pub async fn txn(&self, request: pb::TxnRequest) -> Result<pb::TxnResponse, StoreError> {
        check::txn(&request, self.store.config().max_txn_ops)?;
        if !txn::is_read_only(&request) {
            return self.store.write(self.author().await?, request).await;
        }
        if !txn::is_serializable(&request) {
            self.store.read_index().await?;
        }
        let request = Arc::new(request);
        self.judged(|judge| judge.txn(&request), self.store.read_txn(request.clone())).await
    }

    /// See [`Store::put`].
    pub async fn put(&self, request: pb::PutRequest) -> Result<pb::PutResponse, StoreError> {
        check::put(&request)?;
        self.store.write(self.author().await?, request).await
    }

    /// See [`Store::delete_range`].
    pub async fn delete_range(&self, request: pb::DeleteRangeRequest) -> Result<pb::DeleteRangeResponse, StoreError> {
        check::delete_range(&request)?;
        self.store.write(self.author().await?, request).await
    }

    /// See [`Store::compact`].
    pub async fn compact(&self, request: pb::CompactionRequest) -> Result<pb::CompactionResponse, StoreError> {
        self.require_admin().await?;
        self.store.compact(request).await
    }

    /// See [`Store::lease_grant`].
    pub async fn lease_grant(&self, request: pb::LeaseGrantRequest) -> Result<pb::LeaseGrantResponse, StoreError> {
        self.require_user().await?;
        self.store.lease_grant(request).await
    }

    /// See [`Store::lease_revoke`].
    pub async fn lease_revoke(&self, request: pb::LeaseRevokeRequest) -> Result<pb::LeaseRevokeResponse, StoreError> {
        self.require_user().await?;
        self.store.write(self.author().await?, request).await
    }

    /// See [`Store::lease_keep_alive`]. Takes whoever may write all keys of the lease.
    pub async fn lease_keep_alive(
        &self,
        request: pb::LeaseKeepAliveRequest,
    ) -> Result<pb::LeaseKeepAliveResponse, StoreError> {
        self.require_user().await?;
        self.judged(|judge| judge.write_lease(request.id), ready(Ok(()))).await?;
        self.store.lease_keep_alive(request).await
    }

    /// See [`Store::lease_time_to_live`].
    pub async fn lease_time_to_live(
        &self,
        request: pb::LeaseTimeToLiveRequest,
    ) -> Result<pb::LeaseTimeToLiveResponse, StoreError> {
        self.require_user().await?;
        let (id, with_keys) = (request.id, request.keys);
        let answer = self.store.lease_time_to_live(request);
        self.judged(|judge| if with_keys { judge.read_lease(id) } else { Ok(()) }, answer).await
    }

    /// See [`Store::lease_leases`].
    pub async fn lease_leases(&self) -> Result<pb::LeaseLeasesResponse, StoreError> {
        self.require_user().await?;
        let leases = self.store.lease_leases().await?;
        let ids = leases.leases.iter().map(|lease| lease.id);
        self.judged(|judge| ids.clone().try_for_each(|id| judge.read_lease(id)), ready(Ok(()))).await?;
        Ok(leases)
    }

    /// See [`Store::alarm`]. Listing alarms takes a user, changing them an administrator.
    pub async fn alarm(&self, request: pb::AlarmRequest) -> Result<pb::AlarmResponse, StoreError> {
        if request.action == i32::from(pb::alarm_request::AlarmAction::Get) {
            self.require_user().await?;
        } else {
            self.require_admin().await?;
        }
        self.store.alarm(request).await
    }
}
