//! What a caller may do. A request is reduced to [`Attributes`]; an [`Authorizer`] judges them.

use crate::user::{MASTERS, User};

/// What a request wants to do, as Kubernetes' `SubjectAccessReview` puts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attributes<'a> {
    /// An operation on API objects.
    Resource {
        /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`, or a special verb.
        verb: &'a str,
        /// The API group; empty for the core group.
        group: &'a str,
        /// The API version.
        version: &'a str,
        /// The plural resource name.
        resource: &'a str,
        /// The subresource; empty for the object itself.
        subresource: &'a str,
        /// The object's name; empty where the request names none.
        name: &'a str,
        /// The namespace; empty for cluster-scoped requests and for all namespaces.
        namespace: &'a str,
    },
    /// A request to a path that is not an API object, such as `/healthz`.
    Path {
        /// The HTTP method in lower case.
        verb: &'a str,
        /// The path of the URL.
        path: &'a str,
    },
}

/// What an authorizer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The request may proceed.
    Allow,
    /// Nobody allowed it; the text, where not empty, says why and is shown to the caller.
    Deny(String),
}

/// Judges requests. Evaluation is pure: it sees the caller and the attributes, and policy that it holds in memory.
pub trait Authorizer: Send + Sync {
    /// Whether `user` may do what `attributes` say.
    fn authorize(&self, user: &User, attributes: &Attributes<'_>) -> Decision;
}

/// Allows members of `system:masters` everything, everybody the paths in `public`, and nothing else.
pub struct MastersOnly {
    public: Vec<String>,
}

impl MastersOnly {
    /// `public` lists the paths that anybody may read; one that ends in `/*` stands for all below it.
    pub fn new(public: impl IntoIterator<Item = String>) -> Self {
        Self { public: public.into_iter().collect() }
    }

    fn is_public(&self, path: &str) -> bool {
        self.public.iter().any(|p| match p.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == p,
        })
    }
}

impl Authorizer for MastersOnly {
    fn authorize(&self, user: &User, attributes: &Attributes<'_>) -> Decision {
        let public_read = matches!(attributes, Attributes::Path { verb: "get", path } if self.is_public(path));
        if user.is_member(MASTERS) || public_read { Decision::Allow } else { Decision::Deny(String::new()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masters_may_everything_and_others_only_public_paths() {
        let authorizer = MastersOnly::new(["/healthz".to_owned(), "/livez/*".to_owned()]);
        let master = User { groups: vec![MASTERS.to_owned()], ..User::default() };
        let get = |path| Attributes::Path { verb: "get", path };
        assert_eq!(authorizer.authorize(&master, &get("/metrics")), Decision::Allow);
        let anyone = User::anonymous();
        assert_eq!(authorizer.authorize(&anyone, &get("/healthz")), Decision::Allow);
        assert_eq!(authorizer.authorize(&anyone, &get("/livez/ping")), Decision::Allow);
        assert_eq!(authorizer.authorize(&anyone, &get("/healthz/")), Decision::Deny(String::new()));
        let post = Attributes::Path { verb: "post", path: "/healthz" };
        assert_eq!(authorizer.authorize(&anyone, &post), Decision::Deny(String::new()));
    }
}
