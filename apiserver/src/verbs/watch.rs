//! WATCH: the changes of objects as they happen, framed for the client.

use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use jiff::Timestamp;
use rand::Rng;
use serde_json::{Value, json as value};
use tokio::time::Instant;

use super::options::{self, integer};
use super::resource::{Place, Resource};
use super::write::storage_status;
use super::{Reply, ReplyBody, Request, present};
use crate::codec::negotiate::{Accepted, Encoding, Transform};
use crate::codec::table::{Table, TableOptions, partial_object_metadata};
use crate::codec::{json, protobuf};
use crate::error::Status;
use crate::limits;
use crate::schema::Registry;
use crate::storage::{Entry, EventKind, WatchEvent, WatchOptions, Watcher};

/// Streams the changes that the request selects.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    let resource = request.resource()?;
    let list = options::list_options(request)?;
    if request.accepted.encoding == Encoding::Yaml {
        return Err(Status::not_acceptable("application/json, application/vnd.kubernetes.protobuf"));
    }
    let deadline = Instant::now() + lifetime(request)?;
    let options = WatchOptions {
        scope: list.scope,
        selector: list.selector,
        resource_version: list.resource_version,
        send_initial_events: request.query.get("sendInitialEvents").map(|_| request.query.flag("sendInitialEvents")),
        allow_bookmarks: request.query.flag("allowWatchBookmarks"),
        deadline: Some(deadline),
    };
    let watcher = resource.collection.watch(options).await.map_err(|e| storage_status(request, e))?;
    let framer = Framer::new(request, resource)?;
    Ok(Reply { code: 200, body: ReplyBody::Watch(frames(watcher, framer, deadline)) })
}

/// How long the watch lasts: as long as the client asks, or a random time so that not all end at once.
fn lifetime(request: &Request<'_>) -> Result<Duration, Status> {
    let seconds = integer(request.query, "timeoutSeconds")?.and_then(|s| u64::try_from(s).ok()).filter(|s| *s > 0);
    Ok(match seconds {
        Some(seconds) => Duration::from_secs(seconds).min(limits::WATCH_LIFETIME_MAX),
        None => rand::rng().random_range(limits::WATCH_LIFETIME),
    })
}

/// The watcher's events as frames. What has queued up is sent in one piece.
fn frames(watcher: Watcher, framer: Framer, deadline: Instant) -> BoxStream<'static, Bytes> {
    let state = Some((watcher, framer));
    stream::unfold(state, move |state| async move {
        let (mut watcher, mut framer) = state?;
        let event = tokio::time::timeout_at(deadline, watcher.next()).await.ok()??;
        let mut last = matches!(event, WatchEvent::Error(_));
        let first = framer.frame(&event);
        let mut more = BytesMut::new();
        while !last && first.len() + more.len() < limits::CHUNK_BYTES {
            let Some(event) = watcher.try_next() else { break };
            last = matches!(event, WatchEvent::Error(_));
            more.extend_from_slice(&framer.frame(&event));
        }
        let chunk = if more.is_empty() { first } else { Bytes::from([first.as_ref(), more.as_ref()].concat()) };
        Some((chunk, (!last).then_some((watcher, framer))))
    })
    .boxed()
}

/// Makes frames of events in one client's encoding and form.
struct Framer {
    registry: &'static Registry,
    resource: Arc<Resource>,
    accepted: Accepted,
    /// How the client wants tables; the columns are sent once.
    table: Option<TableOptions>,
}

impl Framer {
    fn new(request: &Request<'_>, resource: &Arc<Resource>) -> Result<Self, Status> {
        let table = match request.accepted.transform {
            Some((Transform::Table, version)) => Some(present::table_options(request, version)?),
            _ => None,
        };
        let (registry, accepted) = (request.api.registry, request.accepted);
        Ok(Self { registry, resource: Arc::clone(resource), accepted, table })
    }

    fn frame(&mut self, event: &WatchEvent) -> Bytes {
        match self.try_frame(event) {
            Ok(frame) => frame,
            Err(status) => self.error(&status),
        }
    }

    fn try_frame(&mut self, event: &WatchEvent) -> Result<Bytes, Status> {
        match event {
            WatchEvent::Object { kind, entry, .. } if self.accepted.transform.is_none() => {
                let form = self.resource.frame_form(self.accepted.encoding, *kind);
                event.frame(form, |_| self.whole(*kind, entry))
            }
            WatchEvent::Object { kind, entry, .. } => {
                let object = self.resource.object(entry)?;
                self.shown(type_name(*kind), &object)
            }
            WatchEvent::Bookmark { revision, initial_events_end } => {
                let object = self.bookmark(*revision, *initial_events_end);
                self.shown("BOOKMARK", &object)
            }
            WatchEvent::Error(error) => Ok(self.error(&watch_error(error))),
        }
    }

    /// The frame of an unchanged object from its kept bytes.
    fn whole(&self, kind: EventKind, entry: &Entry) -> Result<Bytes, Status> {
        let object = match self.accepted.encoding {
            Encoding::Protobuf => self.resource.protobuf(entry)?,
            Encoding::Json | Encoding::Yaml => self.resource.json(entry, Place::Alone)?,
        };
        Ok(self.wrap(type_name(kind), &object))
    }

    /// The frame of an object in the form that the client asked for.
    fn shown(&mut self, event: &str, object: &Value) -> Result<Bytes, Status> {
        let encoded = match (&mut self.table, self.accepted.transform) {
            (Some(options), _) => {
                options.now = Timestamp::now();
                let table = Table::of_object(&self.resource.spec, object, *options);
                options.no_headers = true;
                let line = present::encode_table(self.registry, self.accepted, &table);
                line.slice_ref(line.trim_ascii_end())
            }
            (None, Some((_, version))) => self.encode(&partial_object_metadata(object, version))?,
            (None, None) => self.encode(object)?,
        };
        Ok(self.wrap(event, &encoded))
    }

    fn bookmark(&self, revision: i64, initial_events_end: bool) -> Value {
        let mut metadata = value!({ "resourceVersion": revision.to_string() });
        if initial_events_end {
            metadata["annotations"] = value!({ "k8s.io/initial-events-end": "true" });
        }
        let gvk = &self.resource.gvk;
        let mut object = value!({ "kind": gvk.kind, "apiVersion": gvk.api_version(), "metadata": metadata });
        crate::schema::complete(&mut object, &self.resource.ty);
        object
    }

    fn error(&self, status: &Status) -> Bytes {
        match self.encode(&status.to_value()) {
            Ok(bytes) => self.wrap("ERROR", &bytes),
            // The type of Status is always there.
            Err(_) => Bytes::new(),
        }
    }

    fn encode(&self, object: &Value) -> Result<Bytes, Status> {
        let gvk = present::kind_of(object);
        let ty = present::type_of(self.registry, &gvk);
        let ty = ty.ok_or_else(|| Status::internal(format_args!("no type for {gvk}")))?;
        Ok(match self.accepted.encoding {
            Encoding::Protobuf => protobuf::encode(object, &ty),
            Encoding::Json | Encoding::Yaml => json::encode(object, &ty).into(),
        })
    }

    fn wrap(&self, event: &str, object: &[u8]) -> Bytes {
        match self.accepted.encoding {
            Encoding::Protobuf => protobuf::framing::watch_frame(event, object),
            Encoding::Json | Encoding::Yaml => {
                let mut frame = BytesMut::with_capacity(object.len() + event.len() + 24);
                frame.extend_from_slice(b"{\"type\":\"");
                frame.extend_from_slice(event.as_bytes());
                frame.extend_from_slice(b"\",\"object\":");
                frame.extend_from_slice(object);
                frame.put_slice(b"}\n");
                frame.freeze()
            }
        }
    }
}

fn type_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Added => "ADDED",
        EventKind::Modified => "MODIFIED",
        EventKind::Deleted => "DELETED",
    }
}

fn watch_error(error: &crate::storage::Error) -> Status {
    match error {
        crate::storage::Error::Expired { message, .. } => Status::expired(message.clone()),
        other => Status::internal(other),
    }
}
