//! Events, which both of their groups show alike.

use serde_json::Value;

use super::column::{Doc, NAME, string};
use super::duration::since;
use super::read::{int, text};
use super::{Printer, cells};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    (kind == "Event").then_some(&EVENT)
}

static EVENT: Printer = {
    const EVENT: &str = "io.k8s.api.core.v1.Event";
    const REFERENCE: &str = "io.k8s.api.core.v1.ObjectReference";
    Printer::new(
        &[
            string("Last Seen", Doc::Field(EVENT, "lastTimestamp")),
            string("Type", Doc::Field(EVENT, "type")),
            string("Reason", Doc::Field(EVENT, "reason")),
            string("Object", Doc::Field(EVENT, "involvedObject")),
            string("Subobject", Doc::Field(REFERENCE, "fieldPath")).wide(),
            string("Source", Doc::Field(EVENT, "source")).wide(),
            string("Message", Doc::Field(EVENT, "message")),
            string("First Seen", Doc::Field(EVENT, "firstTimestamp")).wide(),
            string("Count", Doc::Field(EVENT, "count")).wide(),
            NAME.wide(),
        ],
        |event, now| {
            let first = match either(event, "firstTimestamp", "deprecatedFirstTimestamp") {
                "" => since(text(event, "eventTime"), now),
                time => since(time, now),
            };
            let series = event.get("series").filter(|series| !series.is_null());
            let last = match (series, either(event, "lastTimestamp", "deprecatedLastTimestamp")) {
                (Some(series), _) => since(text(series, "lastObservedTime"), now),
                (None, "") => first.clone(),
                (None, time) => since(time, now),
            };
            let counted = int(event, "count").max(int(event, "deprecatedCount"));
            // One event of the newer form counts nothing.
            let count = series.map_or(if counted == 0 { 1 } else { counted }, |series| int(series, "count"));
            cells![
                last,
                text(event, "type"),
                text(event, "reason"),
                target(event),
                either(event, "involvedObject.fieldPath", "regarding.fieldPath"),
                source(event),
                either(event, "message", "note").trim(),
                first,
                count,
                text(event, "metadata.name"),
            ]
        },
    )
};

/// The text under its older or its newer name.
fn either<'a>(event: &'a Value, old: &str, new: &str) -> &'a str {
    Some(text(event, old)).filter(|text| !text.is_empty()).unwrap_or_else(|| text(event, new))
}

/// What the event is about, as `kind/name`.
fn target(event: &Value) -> String {
    let kind = either(event, "involvedObject.kind", "regarding.kind").to_lowercase();
    match either(event, "involvedObject.name", "regarding.name") {
        "" => kind,
        name => format!("{kind}/{name}"),
    }
}

/// Who reports it: a component, and where it runs.
fn source(event: &Value) -> String {
    let component = match either(event, "source.component", "deprecatedSource.component") {
        "" => either(event, "reportingComponent", "reportingController"),
        component => component,
    };
    let instance = match either(event, "source.host", "deprecatedSource.host") {
        "" => text(event, "reportingInstance"),
        host => host,
    };
    if instance.is_empty() { component.to_owned() } else { format!("{component}, {instance}") }
}
