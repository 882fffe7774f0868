//! What `kubectl get` shows of each kind: the columns, and the cells of one object.
//!
//! Printers read the served form of an object. Kinds without a printer show their name and when they were created.

mod access;
mod admission;
mod batch;
mod column;
mod config;
mod duration;
mod events;
mod flowcontrol;
mod format;
mod network;
mod nodes;
mod pods;
mod policy;
mod read;
mod scale;
mod storage;
mod workloads;

use jiff::Timestamp;
use serde_json::{Value, json};

pub use column::{Column, Doc};
pub use duration::human_duration;

use read::text;

/// What the rows of a list are ordered by.
pub type Rank = fn(&Value) -> (i64, &str);

/// How objects of one kind are shown.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    /// The columns in order.
    pub columns: &'static [Column],
    /// The cells of an object at a time.
    pub cells: fn(&Value, Timestamp) -> Vec<Value>,
    /// What else a row says, as a row's `conditions`.
    pub conditions: fn(&Value) -> Option<Value>,
    /// How the rows of a list are ordered, if not as the list is.
    pub rank: Option<Rank>,
}

impl Printer {
    const fn new(columns: &'static [Column], cells: fn(&Value, Timestamp) -> Vec<Value>) -> Self {
        Self { columns, cells, conditions: |_| None, rank: None }
    }
}

/// The printer of a kind; several versions of a group share one.
pub fn of(group: &str, kind: &str) -> &'static Printer {
    let found = match group {
        "" => config::printer(kind)
            .or_else(|| pods::printer(kind))
            .or_else(|| nodes::printer(kind))
            .or_else(|| network::core_printer(kind))
            .or_else(|| storage::core_printer(kind))
            .or_else(|| workloads::core_printer(kind))
            .or_else(|| events::printer(kind)),
        "admissionregistration.k8s.io" | "apiregistration.k8s.io" => admission::printer(kind),
        "apps" => workloads::printer(kind),
        "autoscaling" => scale::printer(kind),
        "batch" => batch::printer(kind),
        "certificates.k8s.io" | "rbac.authorization.k8s.io" => access::printer(kind),
        "coordination.k8s.io" | "node.k8s.io" | "policy" | "resource.k8s.io" | "scheduling.k8s.io" => {
            policy::printer(kind)
        }
        "discovery.k8s.io" | "networking.k8s.io" => network::printer(kind),
        "events.k8s.io" => events::printer(kind),
        "flowcontrol.apiserver.k8s.io" => flowcontrol::printer(kind),
        "storage.k8s.io" => storage::printer(kind),
        _ => None,
    };
    found.unwrap_or(&DEFAULT)
}

/// Name and creation time, which every object has.
static DEFAULT: Printer = Printer::new(&[column::NAME, column::CREATED_AT], |object, _| {
    let created = text(object, "metadata.creationTimestamp");
    // The zero time, as Go writes it.
    json_cells([text(object, "metadata.name"), if created.is_empty() { "0001-01-01T00:00:00Z" } else { created }])
});

fn json_cells<const N: usize>(cells: [&str; N]) -> Vec<Value> {
    cells.into_iter().map(|cell| json!(cell)).collect()
}

/// The cells of a row, each made a JSON value.
macro_rules! cells {
    ($($cell:expr),* $(,)?) => { vec![$(serde_json::json!($cell)),*] };
}
use cells;
