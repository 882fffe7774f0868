//! Acting as somebody else: the `Impersonate-*` headers, and whether the caller may use them.

use std::collections::BTreeMap;

use http::HeaderMap;
use pintle_auth::User;
use pintle_auth::authorize::{Attributes, Authorizer, Decision};
use pintle_auth::user::{ALL_AUTHENTICATED, ALL_UNAUTHENTICATED, ANONYMOUS};

use super::authorize;
use super::query;
use super::request_info::RequestInfo;
use crate::error::Status;

const EXTRA: &str = "impersonate-extra-";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";

/// The identity that the request is carried out with: the one in its headers where the caller may act as that, the caller's own
/// where there are none.
pub fn impersonate(
    authorizer: &dyn Authorizer,
    caller: User,
    info: &RequestInfo,
    headers: &HeaderMap,
) -> Result<User, Status> {
    let Some(wanted) = requested(headers)? else { return Ok(caller) };
    if subjects(&wanted).iter().all(|subject| authorizer.authorize(&caller, subject) == Decision::Allow) {
        return Ok(complete(wanted));
    }
    Err(authorize::refused_as(&caller, info, &format!("impersonate-on:user-info:{}", info.verb)))
}

fn requested(headers: &HeaderMap) -> Result<Option<User>, Status> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    let texts = |name: &str| headers.get_all(name).iter().filter_map(|v| v.to_str().ok()).map(str::to_owned).collect();
    let mut extra: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in headers {
        let key = name.as_str().strip_prefix(EXTRA).and_then(query::decode_path);
        if let (Some(key), Ok(value)) = (key, value.to_str()) {
            extra.entry(key).or_default().push(value.to_owned());
        }
    }
    let user = User {
        name: text("impersonate-user"),
        uid: text("impersonate-uid"),
        groups: texts("impersonate-group"),
        extra,
    };
    if user.name.is_empty() && user == User::default() {
        return Ok(None);
    }
    if user.name.is_empty() {
        return Err(Status::bad_request(format!("requested {} without impersonating a user name", go_syntax(&user))));
    }
    Ok(Some(user))
}

/// The user as Go's `%#v` prints it, which is what clients see.
fn go_syntax(user: &User) -> String {
    let list = |items: &[String]| match items {
        [] => "[]string(nil)".to_owned(),
        items => {
            let quoted: Vec<String> = items.iter().map(|i| format!("{i:?}")).collect();
            format!("[]string{{{}}}", quoted.join(", "))
        }
    };
    let extra = if user.extra.is_empty() {
        "map[string][]string(nil)".to_owned()
    } else {
        let pairs: Vec<String> = user.extra.iter().map(|(k, v)| format!("{k:?}:{}", list(v))).collect();
        format!("map[string][]string{{{}}}", pairs.join(", "))
    };
    format!(
        "&user.DefaultInfo{{Name:{:?}, UID:{:?}, Groups:{}, Extra:{extra}}}",
        user.name,
        user.uid,
        list(&user.groups)
    )
}

/// Everything that the caller must be allowed to `impersonate`.
fn subjects(wanted: &User) -> Vec<Attributes<'_>> {
    let one = |group: &'static str, resource: &'static str, subresource, name, namespace| Attributes::Resource {
        verb: "impersonate",
        group,
        version: if group.is_empty() { "" } else { "v1" },
        resource,
        subresource,
        name,
        namespace,
    };
    let mut subjects = Vec::new();
    match wanted.name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':')) {
        Some((namespace, name)) => subjects.push(one("", "serviceaccounts", "", name, namespace)),
        None => subjects.push(one("", "users", "", wanted.name.as_str(), "")),
    }
    subjects.extend(wanted.groups.iter().map(|group| one("", "groups", "", group.as_str(), "")));
    for (key, values) in &wanted.extra {
        subjects
            .extend(values.iter().map(|v| one("authentication.k8s.io", "userextras", key.as_str(), v.as_str(), "")));
    }
    if !wanted.uid.is_empty() {
        subjects.push(one("authentication.k8s.io", "uids", "", wanted.uid.as_str(), ""));
    }
    subjects
}

/// Adds the groups that the identity would have had, had it authenticated itself.
fn complete(mut user: User) -> User {
    if user.groups.is_empty()
        && let Some((namespace, _)) = user.name.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'))
    {
        user.groups = vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")];
    }
    let group = if user.name == ANONYMOUS { ALL_UNAUTHENTICATED } else { ALL_AUTHENTICATED };
    if !user.is_member(ALL_AUTHENTICATED) && !user.is_member(ALL_UNAUTHENTICATED) {
        user.groups.push(group.to_owned());
    }
    user
}

#[cfg(test)]
mod tests {
    use pintle_auth::authorize::MastersOnly;

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, value.parse().unwrap());
        }
        map
    }

    fn act(caller: &str, groups: &[&str], pairs: &[(&'static str, &'static str)]) -> Result<User, Status> {
        let groups = groups.iter().map(|&g| g.to_owned()).collect();
        let caller = User { name: caller.to_owned(), groups, ..User::default() };
        let info = RequestInfo { verb: "get", path: "/x".to_owned(), ..RequestInfo::default() };
        impersonate(&MastersOnly::new([]), caller, &info, &headers(pairs))
    }

    #[test]
    fn a_master_acts_as_anyone() {
        let user =
            act("root", &["system:masters"], &[("impersonate-user", "zoe"), ("impersonate-group", "g")]).unwrap();
        assert_eq!((user.name.as_str(), user.groups), ("zoe", vec!["g".to_owned(), ALL_AUTHENTICATED.to_owned()]));
        let account = act("root", &["system:masters"], &[("impersonate-user", "system:serviceaccount:n:a")]).unwrap();
        assert_eq!(account.groups[1], "system:serviceaccounts:n");
    }

    #[test]
    fn others_are_refused_and_a_name_is_needed() {
        assert_eq!(act("ann", &[], &[("impersonate-user", "zoe")]).unwrap_err().code, 403);
        let nameless = act("root", &["system:masters"], &[("impersonate-group", "g1")]).unwrap_err();
        assert_eq!(
            nameless.message,
            "requested &user.DefaultInfo{Name:\"\", UID:\"\", Groups:[]string{\"g1\"}, \
             Extra:map[string][]string(nil)} without impersonating a user name"
        );
        assert_eq!(act("ann", &[], &[]).unwrap().name, "ann");
    }
}
