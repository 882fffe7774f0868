//! Flow schemas and priority levels: defaults.
//!
//! Upstream: `pkg/apis/flowcontrol/v1/defaults.go`.

use serde_json::Value;

use super::edit::{object, set_absent, set_empty, within};

/// Defaults of a flow schema.
pub fn default_flow_schema(schema: &mut Value) {
    object(schema, |schema| within(schema, "spec", |spec| set_empty(spec, "matchingPrecedence", 1000)));
}

/// Defaults of a priority level.
pub fn default_priority_level(level: &mut Value) {
    object(level, |level| {
        within(level, "spec", |spec| {
            within(spec, "exempt", |exempt| {
                set_absent(exempt, "nominalConcurrencyShares", 0);
                set_absent(exempt, "lendablePercent", 0);
            });
            within(spec, "limited", |limited| {
                set_absent(limited, "nominalConcurrencyShares", 30);
                set_absent(limited, "lendablePercent", 0);
                within(limited, "limitResponse", |response| {
                    within(response, "queuing", |queuing| {
                        set_empty(queuing, "handSize", 8);
                        set_empty(queuing, "queues", 64);
                        set_empty(queuing, "queueLengthLimit", 50);
                    });
                });
            });
        });
    });
}
