//! Jobs and cron jobs: defaults.
//!
//! Upstream: `pkg/apis/batch/v1/defaults.go`.

use serde_json::Value;

use super::edit::{Fields, each, is_absent, object, set_absent, set_empty, within};
use super::pod;

/// Defaults of a job: its labels are its template's.
pub fn default_job(job: &mut Value) {
    let labels = job.pointer("/spec/template/metadata/labels").filter(|labels| labels.is_object()).cloned();
    object(job, |job| {
        within(job, "spec", |spec| {
            if is_absent(spec, "parallelism") {
                set_absent(spec, "completions", 1);
            }
            let completions_alone = is_absent(spec, "parallelism");
            if completions_alone {
                set_absent(spec, "parallelism", 1);
            }
            let limit = if is_absent(spec, "backoffLimitPerIndex") { 6 } else { i32::MAX };
            set_absent(spec, "backoffLimit", limit);
            set_absent(spec, "completionMode", "NonIndexed");
            set_absent(spec, "suspend", false);
            let replacement = if is_absent(spec, "podFailurePolicy") { "TerminatingOrFailed" } else { "Failed" };
            set_absent(spec, "podReplacementPolicy", replacement);
            set_absent(spec, "manualSelector", false);
            default_job_spec(spec);
        });
        if let Some(labels) = labels {
            within(job, "metadata", |meta| set_empty(meta, "labels", labels));
        }
    });
}

/// What a job and a cron job's template have in common.
fn default_job_spec(spec: &mut Fields) {
    within(spec, "podFailurePolicy", |policy| {
        each(policy, "rules", |rule| {
            each(rule, "onPodConditions", |pattern| set_empty(pattern, "status", "True"));
        });
    });
    within(spec, "template", pod::default_template);
}

/// Defaults of a cron job.
pub fn default_cron_job(cron_job: &mut Value) {
    object(cron_job, |cron_job| {
        within(cron_job, "spec", |spec| {
            set_empty(spec, "concurrencyPolicy", "Allow");
            set_absent(spec, "suspend", false);
            set_absent(spec, "successfulJobsHistoryLimit", 3);
            set_absent(spec, "failedJobsHistoryLimit", 1);
            within(spec, "jobTemplate", |template| within(template, "spec", default_job_spec));
        });
    });
}
