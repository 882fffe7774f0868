//! Flow schemas and priority levels.

use serde_json::{Value, json};

use super::column::{AGE, Doc, NAME, string};
use super::duration::age;
use super::read::{at, condition, int, text, text_or};
use super::{Printer, cells};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "FlowSchema" => Some(&FLOW_SCHEMA),
        "PriorityLevelConfiguration" => Some(&PRIORITY_LEVEL),
        _ => None,
    }
}

static FLOW_SCHEMA: Printer = {
    const SPEC: &str = "io.k8s.api.flowcontrol.v1.FlowSchemaSpec";
    const REFERENCE: &str = "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationReference";
    Printer {
        // The order in which requests are matched.
        rank: Some(|schema| (int(schema, "spec.matchingPrecedence"), text(schema, "metadata.name"))),
        ..Printer::new(
            &[
                NAME,
                string("PriorityLevel", Doc::Field(REFERENCE, "name")),
                string("MatchingPrecedence", Doc::Field(SPEC, "matchingPrecedence")),
                string("DistinguisherMethod", Doc::Field(SPEC, "distinguisherMethod")),
                AGE,
                string("MissingPL", Doc::Text("references a broken or non-existent PriorityLevelConfiguration")),
            ],
            |schema, now| {
                cells![
                    text(schema, "metadata.name"),
                    text(schema, "spec.priorityLevelConfiguration.name"),
                    int(schema, "spec.matchingPrecedence"),
                    text_or(schema, "spec.distinguisherMethod.type", "<none>"),
                    age(schema, now),
                    condition(schema, "Dangling").map_or("?", |condition| text(condition, "status")),
                ]
            },
        )
    }
};

static PRIORITY_LEVEL: Printer = {
    const SPEC: &str = "io.k8s.api.flowcontrol.v1.PriorityLevelConfigurationSpec";
    const LIMITED: &str = "io.k8s.api.flowcontrol.v1.LimitedPriorityLevelConfiguration";
    const QUEUING: &str = "io.k8s.api.flowcontrol.v1.QueuingConfiguration";
    Printer::new(
        &[
            NAME,
            string("Type", Doc::Field(SPEC, "type")),
            string("NominalConcurrencyShares", Doc::Field(LIMITED, "nominalConcurrencyShares")),
            string("Queues", Doc::Field(QUEUING, "queues")),
            string("HandSize", Doc::Field(QUEUING, "handSize")),
            string("QueueLengthLimit", Doc::Field(QUEUING, "queueLengthLimit")),
            AGE,
        ],
        |level, now| {
            let limited = at(level, "spec.limited");
            let queuing = at(level, "spec.limited.limitResponse.queuing");
            // A number where the level is limited, a text where it is not.
            let number =
                |object: Option<&Value>, field| object.map_or(json!("<none>"), |object| json!(int(object, field)));
            cells![
                text(level, "metadata.name"),
                text(level, "spec.type"),
                limited.map_or(json!("<none>"), |limited| json!(limited.get("nominalConcurrencyShares"))),
                number(queuing, "queues"),
                number(queuing, "handSize"),
                number(queuing, "queueLengthLimit"),
                age(level, now),
            ]
        },
    )
};
