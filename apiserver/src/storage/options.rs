//! What a list or watch asks for, as parsed from its query and not yet judged.

use std::{fmt, sync::Arc};

use super::entry::Attributes;

/// Label and field selectors, compiled.
pub trait Select: fmt::Debug + Send + Sync {
    /// Whether an object with these attributes is selected.
    fn matches(&self, attributes: &Attributes) -> bool;

    /// Whether every object is selected.
    fn is_everything(&self) -> bool;

    /// The value that a field must have for an object to be selected, if the selector demands a single one.
    fn exact_field(&self, field: &str) -> Option<&str>;
}

/// Selects every object.
#[derive(Debug, Clone, Copy, Default)]
pub struct Everything;

impl Select for Everything {
    fn matches(&self, _: &Attributes) -> bool {
        true
    }

    fn is_everything(&self) -> bool {
        true
    }

    fn exact_field(&self, _: &str) -> Option<&str> {
        None
    }
}

/// How `resourceVersion` is meant. Absent is `Unset`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ResourceVersionMatch {
    /// The parameter was not given: the legacy rules.
    #[default]
    Unset,
    /// That revision and no other.
    Exact,
    /// That revision or any later one.
    NotOlderThan,
}

/// Which objects of a collection: all, those of a namespace, or one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Only this namespace. Ignored for cluster-scoped resources.
    pub namespace: Option<String>,
    /// Only this name.
    pub name: Option<String>,
}

/// A LIST. Query parameters are taken as they came; the storage layer judges what concerns it, and the verbs validate the rest
/// (combinations of `resourceVersionMatch`) first.
#[derive(Debug, Clone)]
pub struct ListOptions {
    /// Which objects.
    pub scope: Scope,
    /// Which of those.
    pub selector: Arc<dyn Select>,
    /// `resourceVersion`; empty if not given.
    pub resource_version: String,
    /// `resourceVersionMatch`.
    pub resource_version_match: ResourceVersionMatch,
    /// `limit`; 0 is no limit.
    pub limit: i64,
    /// `continue`; empty if not given.
    pub continue_token: String,
}

impl Default for ListOptions {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            selector: Arc::new(Everything),
            resource_version: String::new(),
            resource_version_match: ResourceVersionMatch::Unset,
            limit: 0,
            continue_token: String::new(),
        }
    }
}

/// A WATCH.
#[derive(Debug, Clone)]
pub struct WatchOptions {
    /// Which objects.
    pub scope: Scope,
    /// Which of those.
    pub selector: Arc<dyn Select>,
    /// `resourceVersion`; empty if not given.
    pub resource_version: String,
    /// `sendInitialEvents`.
    pub send_initial_events: Option<bool>,
    /// `allowWatchBookmarks`.
    pub allow_bookmarks: bool,
    /// When the request will be ended; a last bookmark is sent shortly before.
    pub deadline: Option<tokio::time::Instant>,
}

impl Default for WatchOptions {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            selector: Arc::new(Everything),
            resource_version: String::new(),
            send_initial_events: None,
            allow_bookmarks: false,
            deadline: None,
        }
    }
}
