//! Jobs and cron jobs.

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::column::{AGE, CONTAINERS, Doc, IMAGES, NAME, boolean, integer, string};
use super::duration::{age, human_duration, since};
use super::read::{at, condition, flag, int, is_deleting, list, text, text_or};
use super::{Printer, cells, format};

pub fn printer(kind: &str) -> Option<&'static Printer> {
    match kind {
        "CronJob" => Some(&CRON_JOB),
        "Job" => Some(&JOB),
        _ => None,
    }
}

const JOB_SPEC: &str = "io.k8s.api.batch.v1.JobSpec";

static JOB: Printer = Printer::new(
    &[
        NAME,
        string("Status", Doc::Text("Status of the job.")),
        string("Completions", Doc::Field("io.k8s.api.batch.v1.JobStatus", "succeeded")),
        string("Duration", Doc::Text("Time required to complete the job.")),
        AGE,
        CONTAINERS.wide(),
        IMAGES.wide(),
        string("Selector", Doc::Field(JOB_SPEC, "selector")).wide(),
    ],
    |object, now| {
        let (names, images) = format::containers(at(object, "spec.template.spec"));
        cells![
            text(object, "metadata.name"),
            status(object),
            completions(object),
            duration(object, now).map(human_duration).unwrap_or_default(),
            age(object, now),
            names,
            images,
            format::label_selector(at(object, "spec.selector")),
        ]
    },
);

fn status(job: &Value) -> &'static str {
    let has = |type_| condition(job, type_).is_some_and(|condition| text(condition, "status") == "True");
    match () {
        () if has("Complete") => "Complete",
        () if has("Failed") => "Failed",
        () if is_deleting(job) => "Terminating",
        () if has("Suspended") => "Suspended",
        () if has("FailureTarget") => "FailureTarget",
        () if has("SuccessCriteriaMet") => "SuccessCriteriaMet",
        () => "Running",
    }
}

fn completions(job: &Value) -> String {
    let succeeded = int(job, "status.succeeded");
    if let Some(wanted) = at(job, "spec.completions") {
        return format!("{succeeded}/{wanted}");
    }
    match int(job, "spec.parallelism") {
        parallelism @ 2.. => format!("{succeeded}/1 of {parallelism}"),
        _ => format!("{succeeded}/1"),
    }
}

/// How long a job took, or has taken so far.
fn duration(job: &Value, now: Timestamp) -> Option<SignedDuration> {
    let start: Timestamp = text(job, "status.startTime").parse().ok()?;
    let end = text(job, "status.completionTime").parse().unwrap_or(now);
    Some(end.duration_since(start))
}

static CRON_JOB: Printer = {
    const SPEC: &str = "io.k8s.api.batch.v1.CronJobSpec";
    const STATUS: &str = "io.k8s.api.batch.v1.CronJobStatus";
    Printer::new(
        &[
            NAME,
            string("Schedule", Doc::Field(SPEC, "schedule")),
            string("Timezone", Doc::Field(SPEC, "timeZone")),
            boolean("Suspend", Doc::Field(SPEC, "suspend")),
            integer("Active", Doc::Field(STATUS, "active")),
            string("Last Schedule", Doc::Field(STATUS, "lastScheduleTime")),
            AGE,
            CONTAINERS.wide(),
            IMAGES.wide(),
            string("Selector", Doc::Field(JOB_SPEC, "selector")).wide(),
        ],
        |object, now| {
            let (names, images) = format::containers(at(object, "spec.jobTemplate.spec.template.spec"));
            let suspended = match flag(object, "spec.suspend") {
                Some(true) => "True",
                Some(false) => "False",
                None => "<unset>",
            };
            let last = at(object, "status.lastScheduleTime").and_then(Value::as_str);
            cells![
                text(object, "metadata.name"),
                text(object, "spec.schedule"),
                text_or(object, "spec.timeZone", "<none>"),
                suspended,
                list(object, "status.active").len(),
                last.map_or_else(|| "<none>".to_owned(), |time| since(time, now)),
                age(object, now),
                names,
                images,
                format::label_selector(at(object, "spec.jobTemplate.spec.selector")),
            ]
        },
    )
};
