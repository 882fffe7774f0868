//! Events: the conversion between core/v1, which is stored, and events.k8s.io/v1.
//!
//! Upstream: `pkg/apis/events/v1/conversion.go`.

use super::edit::Fields;

/// Names of the same fields in core/v1 and events.k8s.io/v1; all others are named alike.
const NAMES: [(&str, &str); 7] = [
    ("involvedObject", "regarding"),
    ("message", "note"),
    ("source", "deprecatedSource"),
    ("firstTimestamp", "deprecatedFirstTimestamp"),
    ("lastTimestamp", "deprecatedLastTimestamp"),
    ("count", "deprecatedCount"),
    ("reportingComponent", "reportingController"),
];

/// Rewrites the fields of an events.k8s.io/v1 event as those of core/v1.
pub fn to_core(event: &mut Fields) {
    for (core, events) in NAMES {
        if let Some(value) = event.remove(events) {
            event.insert(core.to_owned(), value);
        }
    }
}

/// Rewrites the fields of a core/v1 event as those of events.k8s.io/v1.
pub fn from_core(event: &mut Fields) {
    for (core, events) in NAMES {
        if let Some(value) = event.remove(core) {
            event.insert(events.to_owned(), value);
        }
    }
}
