//! The cache against a store that does as told, and against what a naive reading of the store's history says.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use tokio::time::{Instant, timeout};

use crate::storage::{
    Collection, Error, EventKind, ListOptions, ListResult, ResourceVersionMatch, Scope, Select, Storage, WatchEvent,
    WatchOptions, Watcher,
    backend::Backend,
    continue_token::ContinueToken,
    testing::{Memory, NODE, Selector, object, pods},
};

const DEADLINE: Duration = Duration::from_secs(20);

struct Setup {
    memory: Arc<Memory>,
    pods: Arc<Collection>,
    _storage: Arc<Storage>,
}

fn setup() -> Setup {
    let memory = Memory::new();
    let storage = Storage::new(Arc::clone(&memory) as Arc<dyn Backend>, "/registry");
    Setup { memory, pods: storage.collection(&pods()), _storage: storage }
}

fn key(name: &str) -> String {
    format!("/registry/pods/{name}")
}

fn in_namespace(namespace: &str) -> Scope {
    Scope { namespace: Some(namespace.to_owned()), name: None }
}

async fn next(watcher: &mut Watcher) -> Option<WatchEvent> {
    timeout(DEADLINE, watcher.next()).await.expect("the watch is silent")
}

/// The next event, in short: `+a/x@5` added, `~` modified, `-` deleted, `|5` bookmark, `|5!` the end of initial events, `410`.
async fn short(watcher: &mut Watcher) -> String {
    match next(watcher).await {
        Some(WatchEvent::Object { kind, entry, .. }) => {
            let sign = match kind {
                EventKind::Added => '+',
                EventKind::Modified => '~',
                EventKind::Deleted => '-',
            };
            let name = std::str::from_utf8(&entry.key).unwrap().strip_prefix("/registry/pods/").unwrap();
            format!("{sign}{name}@{}", entry.revision)
        }
        Some(WatchEvent::Bookmark { revision, initial_events_end }) => {
            format!("|{revision}{}", if initial_events_end { "!" } else { "" })
        }
        Some(WatchEvent::Error(error)) => error.to_string(),
        None => "end".to_owned(),
    }
}

async fn shorts<const N: usize>(watcher: &mut Watcher) -> [String; N] {
    let mut events = [const { String::new() }; N];
    for event in &mut events {
        *event = short(watcher).await;
    }
    events
}

fn names(list: &ListResult) -> Vec<String> {
    list.items.iter().map(|entry| std::str::from_utf8(&entry.key).unwrap().replace("/registry/pods/", "")).collect()
}

#[tokio::test]
async fn a_consistent_list_sees_every_write_before_it() {
    let Setup { memory, pods, .. } = setup();
    memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    let list = pods.list(&ListOptions::default()).await.unwrap();
    assert_eq!((names(&list), list.revision), (vec!["a/x".to_owned()], 2));

    // Somebody else's write moves the revision, though nothing here changes.
    memory.write(&[("/registry/secrets/a/s", Some(object("", "")))]);
    let list = pods.list(&ListOptions::default()).await.unwrap();
    assert_eq!((names(&list), list.revision), (vec!["a/x".to_owned()], 3));
}

#[tokio::test]
async fn lists_are_narrowed_by_scope_and_selector() {
    let Setup { memory, pods, .. } = setup();
    memory.write(&[
        (&key("a/x"), Some(object("web", "n1"))),
        (&key("a/y"), Some(object("db", "n2"))),
        (&key("ab/x"), Some(object("web", "n2"))),
    ]);
    let list = async |scope: Scope, selector: Selector| {
        let options = ListOptions { scope, selector: Arc::new(selector), ..ListOptions::default() };
        names(&pods.list(&options).await.unwrap()).join(" ")
    };
    assert_eq!(list(Scope::default(), Selector::default()).await, "a/x a/y ab/x");
    assert_eq!(list(in_namespace("a"), Selector::default()).await, "a/x a/y");
    assert_eq!(list(Scope::default(), Selector { app: Some("web"), field: None }).await, "a/x ab/x");
    assert_eq!(list(Scope::default(), Selector { app: None, field: Some((NODE, "n2")) }).await, "a/y ab/x");
    assert_eq!(list(in_namespace("a"), Selector { app: Some("db"), field: Some((NODE, "n2")) }).await, "a/y");
    assert_eq!(list(in_namespace("a"), Selector { app: None, field: Some(("metadata.name", "x")) }).await, "a/x");
    assert_eq!(list(Scope::default(), Selector { app: None, field: Some(("metadata.namespace", "ab")) }).await, "ab/x");
}

#[tokio::test]
async fn pages_are_of_one_revision_whatever_is_written_meanwhile() {
    let Setup { memory, pods, .. } = setup();
    let objects: Vec<_> = (0..10).map(|i| (key(&format!("a/{i}")), Some(object("web", "")))).collect();
    let objects: Vec<_> = objects.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
    let revision = memory.write(&objects);
    let mut options = ListOptions { scope: in_namespace("a"), limit: 4, ..ListOptions::default() };
    let mut seen = Vec::new();
    for remaining in [Some(6), Some(2), None] {
        let page = pods.list(&options).await.unwrap();
        assert_eq!((page.revision, page.remaining), (revision, remaining));
        assert_eq!(page.continue_token.is_some(), remaining.is_some());
        seen.extend(names(&page));
        options.continue_token = page.continue_token.unwrap_or_default();
        memory.write(&[(&key("a/0"), None), (&key("a/55"), Some(object("", ""))), (&key("a/9"), None)]);
    }
    assert_eq!(seen, (0..10).map(|i| format!("a/{i}")).collect::<Vec<_>>());

    let token = ContinueToken { revision, start: "3\0".to_owned() }.encode();
    let page = pods.list(&ListOptions { continue_token: token, ..options.clone() }).await.unwrap();
    assert_eq!(names(&page), ["a/4", "a/5", "a/6", "a/7"]);
    let exact = ListOptions {
        resource_version: revision.to_string(),
        resource_version_match: ResourceVersionMatch::Exact,
        limit: 0,
        continue_token: String::new(),
        ..options
    };
    assert_eq!(pods.list(&exact).await.unwrap().items.len(), 10);
}

#[tokio::test]
async fn a_selector_leaves_the_remaining_count_open() {
    let Setup { memory, pods, .. } = setup();
    memory.write(&[
        (&key("a/1"), Some(object("db", ""))),
        (&key("a/2"), Some(object("web", ""))),
        (&key("a/3"), Some(object("db", ""))),
        (&key("a/4"), Some(object("web", ""))),
    ]);
    let selector: Arc<dyn Select> = Arc::new(Selector { app: Some("web"), field: None });
    let options = ListOptions { selector, limit: 1, ..ListOptions::default() };
    let page = pods.list(&options).await.unwrap();
    assert_eq!((names(&page), page.remaining), (vec!["a/2".to_owned()], None));
    let options = ListOptions { continue_token: page.continue_token.unwrap(), ..options };
    let page = pods.list(&options).await.unwrap();
    assert_eq!((names(&page), page.continue_token), (vec!["a/4".to_owned()], None));
}

#[tokio::test]
async fn the_past_beyond_the_cache_is_read_from_the_store() {
    let Setup { memory, pods, .. } = setup();
    for name in ["a/1", "a/2", "a/3", "a/4"] {
        memory.write(&[(&key(name), Some(object("web", "")))]);
    }
    memory.write(&[(&key("a/1"), None)]);
    // The cache begins at revision 6.
    let exact = |revision: i64| ListOptions {
        resource_version: revision.to_string(),
        resource_version_match: ResourceVersionMatch::Exact,
        ..ListOptions::default()
    };
    assert_eq!(names(&pods.list(&exact(3)).await.unwrap()), ["a/1", "a/2"]);
    let page = pods.list(&ListOptions { limit: 2, ..exact(5) }).await.unwrap();
    assert_eq!((names(&page).join(" "), page.remaining), ("a/1 a/2".to_owned(), Some(2)));
    let going_on = ListOptions { limit: 2, continue_token: page.continue_token.unwrap(), ..ListOptions::default() };
    let last = pods.list(&going_on).await.unwrap();
    assert_eq!((names(&last).join(" "), last.continue_token), ("a/3 a/4".to_owned(), None));
    let selector: Arc<dyn Select> = Arc::new(Selector { app: Some("none"), field: None });
    assert!(pods.list(&ListOptions { selector, limit: 1, ..exact(5) }).await.unwrap().items.is_empty());

    memory.compact(6).await.unwrap();
    match pods.list(&exact(3)).await {
        Err(Error::Expired { message, continue_token: None }) => {
            assert_eq!(message, "The resourceVersion for the provided list is too old.");
        }
        other => panic!("{other:?}"),
    }
    let Err(Error::Expired { message, continue_token: Some(token) }) = pods.list(&going_on).await else {
        panic!("the token should be too old");
    };
    assert!(
        message.starts_with("The provided continue parameter is too old to display a consistent list result. You can")
    );
    assert!(message.ends_with("between the time the first chunk was returned and now may show up in the list."));
    let inconsistent = pods.list(&ListOptions { continue_token: token, ..going_on }).await.unwrap();
    assert_eq!((names(&inconsistent).join(" "), inconsistent.revision), ("a/3 a/4".to_owned(), 6));
}

#[tokio::test]
async fn a_revision_that_never_comes_is_too_large() {
    let Setup { pods, .. } = setup();
    let begin = Instant::now();
    let options = ListOptions { resource_version: "100".to_owned(), ..ListOptions::default() };
    match pods.list(&options).await {
        Err(error @ Error::TooLargeResourceVersion { retry_after_seconds: 1, .. }) => {
            assert_eq!(error.to_string(), "Too large resource version: 100, current: 1");
        }
        other => panic!("{other:?}"),
    }
    assert!(begin.elapsed() >= Duration::from_secs(3));
}

#[tokio::test]
async fn a_get_is_as_fresh_as_asked() {
    let Setup { memory, pods, .. } = setup();
    memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    let newest = pods.get("a", "x", "").await.unwrap().unwrap();
    assert_eq!(newest.revision, 2);
    assert!(pods.get("a", "x", "2").await.unwrap().is_some());
    memory.write(&[(&key("a/x"), None)]);
    assert!(pods.get("a", "x", "3").await.unwrap().is_none());
    assert!(matches!(pods.get("a", "x", "x").await, Err(Error::InvalidResourceVersion(_))));
    assert!(matches!(pods.get("a", "..", "").await, Err(Error::InvalidKey(_))));
}

#[tokio::test]
async fn writes_are_conditional() {
    let Setup { pods, .. } = setup();
    let stored = || Bytes::from(object("web", "").to_string());
    let created = pods.create("a", "x", stored(), None).await.unwrap();
    assert!(matches!(pods.create("a", "x", stored(), None).await, Err(Error::AlreadyExists)));
    let updated = pods.update("a", "x", stored(), created.revision, None).await.unwrap();
    match pods.update("a", "x", stored(), created.revision, None).await {
        Err(Error::Conflict(Some(current))) => assert_eq!(current.revision, updated.revision),
        other => panic!("{other:?}"),
    }
    assert_eq!(pods.delete("a", "x", updated.revision).await.unwrap(), updated.revision + 1);
    assert!(matches!(pods.delete("a", "x", updated.revision).await, Err(Error::Conflict(None))));
}

#[tokio::test]
async fn a_watch_from_anywhere_begins_with_the_state() {
    let Setup { memory, pods, .. } = setup();
    memory.write(&[(&key("a/x"), Some(object("web", ""))), (&key("b/y"), Some(object("web", "")))]);
    for resource_version in ["", "0"] {
        let options = WatchOptions { resource_version: resource_version.to_owned(), ..WatchOptions::default() };
        let mut watcher = pods.watch(options).await.unwrap();
        assert_eq!(shorts(&mut watcher).await, ["+a/x@2", "+b/y@2"]);
    }
    let mut watcher =
        pods.watch(WatchOptions { resource_version: "2".to_owned(), ..WatchOptions::default() }).await.unwrap();
    let revision = memory.write(&[(&key("a/x"), None)]);
    assert_eq!(short(&mut watcher).await, format!("-a/x@{revision}"));
}

#[tokio::test]
async fn a_cache_that_starts_late_knows_what_happened_since_the_server_started() {
    let Setup { memory, pods, _storage: storage } = setup();
    memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    storage.begin().await.unwrap();
    memory.write(&[(&key("a/x"), Some(object("db", "")))]);
    memory.write(&[(&key("a/y"), Some(object("web", "")))]);
    let since = |revision: i64| WatchOptions { resource_version: revision.to_string(), ..WatchOptions::default() };
    let mut watcher = pods.watch(since(2)).await.unwrap();
    assert_eq!(shorts(&mut watcher).await, ["~a/x@3", "+a/y@4"]);
    let mut early = pods.watch(since(1)).await.unwrap();
    assert_eq!(short(&mut early).await, "too old resource version: 1 (2)");
}

#[tokio::test]
async fn a_cache_is_not_seen_on_its_way_from_the_past() {
    let Setup { memory, pods, _storage: storage } = setup();
    storage.begin().await.unwrap();
    let revision = memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    memory.write(&[("/registry/secrets/a/s", Some(object("", "")))]);
    assert!(pods.get("a", "x", "0").await.unwrap().is_some());
    assert_eq!(
        pods.list(&ListOptions { resource_version: "0".to_owned(), ..ListOptions::default() }).await.unwrap().revision,
        revision + 1
    );

    // What the store has forgotten cannot be caught up with.
    let Setup { memory, pods, _storage: storage } = setup();
    storage.begin().await.unwrap();
    let revision = memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    memory.compact(revision).await.unwrap();
    assert_eq!(names(&pods.list(&ListOptions::default()).await.unwrap()), ["a/x"]);
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let Setup { memory, pods, .. } = setup();
    memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    pods.list(&ListOptions::default()).await.unwrap();
    memory.write(&[("/registry/secrets/a/s", Some(object("", "")))]);
    let options = WatchOptions { send_initial_events: Some(true), allow_bookmarks: true, ..WatchOptions::default() };
    let mut watcher = pods.watch(options.clone()).await.unwrap();
    assert_eq!(shorts(&mut watcher).await, ["+a/x@2", "|3!"]);
    memory.write(&[(&key("a/x"), Some(object("db", "")))]);
    assert_eq!(short(&mut watcher).await, "~a/x@4");

    let mut none = pods.watch(WatchOptions { send_initial_events: Some(false), ..options.clone() }).await.unwrap();
    memory.write(&[(&key("a/x"), Some(object("db", "")))]);
    assert_eq!(short(&mut none).await, "~a/x@5");

    let mut future = pods.watch(WatchOptions { resource_version: "99".to_owned(), ..options }).await.unwrap();
    assert_eq!(shorts(&mut future).await, ["Too large resource version: 99, current: 5", "end"]);
}

#[tokio::test]
async fn who_ceases_to_match_is_deleted() {
    let Setup { memory, pods, .. } = setup();
    let watch = async |selector: Selector| {
        let selector: Arc<dyn Select> = Arc::new(selector);
        pods.watch(WatchOptions { selector, resource_version: "1".to_owned(), ..WatchOptions::default() })
            .await
            .unwrap()
    };
    pods.list(&ListOptions::default()).await.unwrap();
    let mut web = watch(Selector { app: Some("web"), field: None }).await;
    let mut node = watch(Selector { app: None, field: Some((NODE, "n1")) }).await;
    for value in [object("web", ""), object("web", "n1"), object("db", "n1"), object("db", "n2"), object("web", "n2")] {
        memory.write(&[(&key("a/x"), Some(value))]);
    }
    memory.write(&[(&key("a/x"), None)]);
    assert_eq!(shorts(&mut web).await, ["+a/x@2", "~a/x@3", "-a/x@4", "+a/x@6", "-a/x@7"]);
    assert_eq!(shorts(&mut node).await, ["+a/x@3", "~a/x@4", "-a/x@5"]);

    // What is shown as deleted is the last state in view, at the revision of the change.
    let mut web = watch(Selector { app: Some("web"), field: None }).await;
    for _ in 0..2 {
        next(&mut web).await;
    }
    match next(&mut web).await {
        Some(WatchEvent::Object { kind: EventKind::Deleted, entry, .. }) => {
            assert_eq!((entry.revision, entry.attributes.label("app")), (4, Some("web")));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn watchers_that_see_the_same_share_frames() {
    let Setup { memory, pods, .. } = setup();
    pods.list(&ListOptions::default()).await.unwrap();
    let options = WatchOptions { resource_version: "1".to_owned(), ..WatchOptions::default() };
    let mut watchers = [pods.watch(options.clone()).await.unwrap(), pods.watch(options).await.unwrap()];
    memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    let mut made = 0;
    for watcher in &mut watchers {
        let event = next(watcher).await.unwrap();
        let frame = event.frame(crate::storage::WireForm(0), |_| {
            made += 1;
            Ok::<_, ()>(Bytes::from_static(b"frame"))
        });
        assert_eq!(frame.unwrap(), "frame");
    }
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_slow_watcher_misses_nothing() {
    let Setup { memory, pods, .. } = setup();
    pods.list(&ListOptions::default()).await.unwrap();
    let options = WatchOptions { resource_version: "1".to_owned(), ..WatchOptions::default() };
    let mut slow = pods.watch(options.clone()).await.unwrap();
    let mut quick = pods.watch(options).await.unwrap();
    let mut seen = Vec::new();
    for i in 0..2000 {
        memory.write(&[(&key("a/x"), Some(object("web", &i.to_string())))]);
        seen.push(short(&mut quick).await);
    }
    for expected in seen {
        assert_eq!(short(&mut slow).await, expected);
    }
}

#[tokio::test]
async fn a_broken_watch_goes_unnoticed() {
    let Setup { memory, pods, .. } = setup();
    pods.list(&ListOptions::default()).await.unwrap();
    let mut watcher =
        pods.watch(WatchOptions { resource_version: "1".to_owned(), ..WatchOptions::default() }).await.unwrap();
    memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    assert_eq!(short(&mut watcher).await, "+a/x@2");
    memory.break_watches(true);
    memory.write(&[(&key("a/y"), Some(object("web", "")))]);
    memory.break_watches(false);
    memory.write(&[(&key("a/x"), None)]);
    assert_eq!(shorts(&mut watcher).await, ["+a/y@3", "-a/x@4"]);
    assert_eq!(names(&pods.list(&ListOptions::default()).await.unwrap()), ["a/y"]);
}

#[tokio::test]
async fn whoever_missed_compacted_history_is_told_to_list_again() {
    let Setup { memory, pods, .. } = setup();
    pods.list(&ListOptions::default()).await.unwrap();
    let mut watcher =
        pods.watch(WatchOptions { resource_version: "1".to_owned(), ..WatchOptions::default() }).await.unwrap();
    memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    assert_eq!(short(&mut watcher).await, "+a/x@2");
    memory.break_watches(true);
    memory.write(&[(&key("a/x"), None)]);
    memory.write(&[(&key("a/y"), Some(object("web", "")))]);
    memory.compact(4).await.unwrap();
    memory.break_watches(false);
    assert_eq!(shorts(&mut watcher).await, ["too old resource version: 2 (4)", "end"]);
    assert_eq!(names(&pods.list(&ListOptions::default()).await.unwrap()), ["a/y"]);

    let mut late =
        pods.watch(WatchOptions { resource_version: "3".to_owned(), ..WatchOptions::default() }).await.unwrap();
    assert_eq!(shorts(&mut late).await, ["too old resource version: 3 (4)", "end"]);
}

#[tokio::test]
async fn a_bookmark_comes_before_the_request_ends() {
    let Setup { memory, pods, .. } = setup();
    let options = WatchOptions {
        allow_bookmarks: true,
        resource_version: "1".to_owned(),
        deadline: Some(Instant::now() + Duration::from_millis(2300)),
        ..WatchOptions::default()
    };
    let mut watcher = pods.watch(options).await.unwrap();
    memory.write(&[(&key("a/x"), Some(object("web", "")))]);
    assert_eq!(shorts(&mut watcher).await, ["+a/x@2", "|2"]);
}

#[tokio::test]
async fn a_forgotten_collection_ends_its_watches() {
    let Setup { pods, _storage: storage, .. } = setup();
    let mut watcher = pods.watch(WatchOptions::default()).await.unwrap();
    storage.forget("/registry/pods");
    assert_eq!(short(&mut watcher).await, "end");
}

/// What a watcher knows: the revision of each object in view.
type View = BTreeMap<Bytes, i64>;

/// The objects that a selector takes of the store's state at a revision.
fn view(memory: &Memory, revision: i64, scope: &str, selector: &Selector) -> View {
    let attributes = |stored: &Bytes| pods().describe.describe(stored).unwrap();
    memory
        .at(&format!("/registry/pods/{scope}"), revision)
        .into_iter()
        .filter(|(_, kv)| selector.matches(&attributes(&kv.value)))
        .map(|(key, kv)| (key, kv.mod_revision))
        .collect()
}

#[derive(Debug, Clone)]
enum Step {
    Write(Vec<(u8, Option<(bool, u8)>)>),
    /// A write below another prefix.
    Elsewhere,
    Break,
    /// Lets watchers catch up.
    Read,
}

fn step() -> impl Strategy<Value = Step> {
    let change = proptest::option::weighted(0.75, (any::<bool>(), 0..2u8));
    let write =
        proptest::collection::btree_map(0..6u8, change, 1..3).prop_map(|map| Step::Write(map.into_iter().collect()));
    prop_oneof![6 => write, 1 => Just(Step::Elsewhere), 1 => Just(Step::Break), 2 => Just(Step::Read)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A list at some revision with the events after it gives the state at any later one: nothing is lost, nothing comes twice.
    #[test]
    fn a_list_and_its_events_are_the_state(steps in proptest::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let Setup { memory, pods, .. } = setup();
            let cases = [
                ("", Selector::default()),
                ("a/", Selector::default()),
                ("", Selector { app: Some("web"), field: None }),
                ("", Selector { app: None, field: Some((NODE, "n1")) }),
                ("a/", Selector { app: Some("web"), field: Some((NODE, "n0")) }),
            ];
            let mut watchers: Vec<(usize, Watcher, View, i64)> = Vec::new();
            pods.list(&ListOptions::default()).await.unwrap();
            for (number, step) in steps.into_iter().enumerate() {
                let case = number % cases.len();
                let (scope, selector) = &cases[case];
                let list = ListOptions {
                    scope: Scope { namespace: scope.strip_suffix('/').map(str::to_owned), name: None },
                    selector: Arc::new(selector.clone()),
                    ..ListOptions::default()
                };
                let listed = pods.list(&list).await.unwrap();
                let known: View = listed.items.iter().map(|entry| (entry.key.clone(), entry.revision)).collect();
                assert_eq!(known, view(&memory, listed.revision, scope, selector));
                let watch = WatchOptions {
                    scope: list.scope,
                    selector: list.selector,
                    resource_version: listed.revision.to_string(),
                    ..WatchOptions::default()
                };
                watchers.push((case, pods.watch(watch).await.unwrap(), known, listed.revision));

                match step {
                    Step::Write(changes) => {
                        let changes: Vec<_> = changes
                            .into_iter()
                            .map(|(at, change)| {
                                let key = key(&format!("{}/{at}", if at % 2 == 0 { "a" } else { "b" }));
                                let value = change.map(|(web, node)| object(if web { "web" } else { "db" }, &format!("n{node}")));
                                (key, value)
                            })
                            .collect();
                        let changes: Vec<_> = changes.iter().map(|(key, value)| (key.as_str(), value.clone())).collect();
                        memory.write(&changes);
                    }
                    Step::Elsewhere => drop(memory.write(&[("/registry/podtemplates/a/x", Some(object("web", "n1")))])),
                    Step::Break => memory.break_watches(false),
                    Step::Read => {
                        pods.list(&ListOptions::default()).await.unwrap();
                        for (_, watcher, known, seen) in &mut watchers {
                            while let Some(event) = watcher.try_next() {
                                follow(known, seen, &event);
                            }
                        }
                    }
                }
            }
            let end = pods.list(&ListOptions::default()).await.unwrap().revision;
            for (case, mut watcher, mut known, mut seen) in watchers {
                while let Some(event) = watcher.try_next() {
                    follow(&mut known, &mut seen, &event);
                }
                let (scope, selector) = &cases[case];
                assert_eq!(known, view(&memory, end, scope, selector));
            }
        });
    }
}

/// Applies an event to what a watcher knows, and checks that it makes sense there.
fn follow(known: &mut View, seen: &mut i64, event: &WatchEvent) {
    let WatchEvent::Object { kind, entry, .. } = event else { panic!("{event:?}") };
    assert!(entry.revision >= *seen, "back in time");
    *seen = entry.revision;
    let before = match kind {
        EventKind::Added | EventKind::Modified => known.insert(entry.key.clone(), entry.revision),
        EventKind::Deleted => known.remove(&entry.key),
    };
    assert_eq!(before.is_some(), *kind != EventKind::Added, "{event:?}");
    assert!(before.is_none_or(|before| before < entry.revision), "twice: {event:?}");
}
