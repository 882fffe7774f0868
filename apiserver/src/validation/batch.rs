//! Jobs and cron jobs.
//!
//! Upstream: `pkg/apis/batch/v1/defaults.go`, `pkg/apis/batch/validation/validation.go`.

use serde_json::Value;

use super::edit::{Fields, each, is_absent, object, set_absent, set_empty, within};
use super::field::{BadValue, Error, Errors};
use super::node::Node;
use super::{container, formats, go_struct, meta, pod, schedule};
use crate::go_syntax::go_quote;

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

const MAX_INDEXED_PARALLELISM: i64 = 100_000;
const COMPLETIONS_SOFT_LIMIT: i64 = 100_000;
const HIGH_COMPLETIONS_LIMIT: i64 = 10_000;
const MANAGED_BY_MAX_BYTES: usize = 63;
const SUCCEEDED_INDEXES_MAX_BYTES: usize = 64 * 1024;

/// Judges a new job, whose selector and labels have been generated.
pub fn create_job(job: &Node<'_>, errors: &mut Errors) {
    let (metadata, spec) = (job.at("metadata"), job.at("spec"));
    meta::validate_kube(&metadata, true, formats::subdomain_name, errors);
    generated_selector(&metadata, &spec, errors);
    job_with_selector(&spec, errors);
    let completions = spec.number("completions").unwrap_or_default();
    if spec.text("completionMode") == "Indexed" && completions > 0 {
        let name = metadata.at("name");
        let hostname = format!("{}-{}", name.str(), completions - 1);
        if !formats::dns_label(&hostname).is_empty() {
            errors.push(name.invalid_text(format!("will not able to create pod with invalid DNS label: {hostname}")));
        }
    }
}

const CONTROLLER_UID: &str = "controller-uid";
const JOB_NAME: &str = "job-name";

fn generated_selector(metadata: &Node<'_>, spec: &Node<'_>, errors: &mut Errors) {
    let selector = spec.at("selector");
    if spec.flag("manualSelector") || !selector.present() {
        return;
    }
    let uid = metadata.at("uid");
    if uid.is_empty() {
        errors.push(uid.required(""));
    }
    let labels = spec.at("template").at("metadata").at("labels");
    let mut expected = serde_json::Map::new();
    for prefix in ["", "batch.kubernetes.io/"] {
        for (key, value) in [(CONTROLLER_UID, uid.str()), (JOB_NAME, metadata.text("name"))] {
            let key = format!("{prefix}{key}");
            let path = labels.path.key(&key);
            if !labels.has(&key) {
                errors.push(Error::required(&path, format!("must be '{value}'")));
            } else if labels.text(&key) != value {
                errors.push(Error::invalid(&path, labels.value, format!("must be '{value}'")));
            }
            expected.insert(key, value.into());
        }
    }
    if !meta::selects(&selector, &Value::Object(expected)) {
        errors.push(Error::invalid(
            &selector.path,
            meta::selector_text(selector.value),
            "`selector` not auto-generated",
        ));
    }
}

fn job_with_selector(spec: &Node<'_>, errors: &mut Errors) {
    job_spec(spec, errors);
    let selector = spec.at("selector");
    if !selector.present() {
        errors.push(selector.required(""));
    }
    let before = errors.len();
    meta::label_selector(&selector, errors);
    let labels = spec.at("template").at("metadata").at("labels");
    let matches = selector.present() && meta::selects(&selector, labels.value);
    if errors.len() == before && !matches {
        errors.push(labels.invalid("`selector` does not match template `labels`"));
    }
}

fn job_spec(spec: &Node<'_>, errors: &mut Errors) {
    let number = |name: &str| spec.number(name);
    let counts = [
        "parallelism",
        "completions",
        "activeDeadlineSeconds",
        "backoffLimit",
        "ttlSecondsAfterFinished",
        "backoffLimitPerIndex",
        "maxFailedIndexes",
    ];
    for name in counts {
        spec.at(name).nonnegative(errors);
    }
    let (per_index, max_failed) = (spec.at("backoffLimitPerIndex"), spec.at("maxFailedIndexes"));
    if max_failed.present() && !per_index.present() {
        errors.push(per_index.required("when maxFailedIndexes is specified"));
    }
    let manager = spec.at("managedBy");
    if manager.present() {
        formats::domain_prefixed_path(&manager, errors);
        if manager.len() > MANAGED_BY_MAX_BYTES {
            errors.push(Error::too_long(&manager.path, MANAGED_BY_MAX_BYTES));
        }
    }
    let mode = spec.at("completionMode");
    if mode.present() {
        mode.one_of(&["NonIndexed", "Indexed"], errors);
    }
    if mode.str() == "Indexed" {
        indexed_job(spec, errors);
    }
    if matches!(mode.str(), "" | "NonIndexed") {
        for field in [&per_index, &max_failed] {
            if field.present() {
                errors.push(field.invalid_int("requires indexed completion mode"));
            }
        }
    }
    if let Some(policy) = spec.at("podFailurePolicy").some() {
        failure_policy(spec, &policy, errors);
    }
    if let Some(policy) = spec.at("successPolicy").some() {
        if mode.str() == "Indexed" {
            success_policy(&policy, number("completions").unwrap_or_default(), errors);
        } else {
            let shown = go_struct::value("io.k8s.api.batch.v1.SuccessPolicy", policy.value);
            errors.push(Error::invalid(&policy.path, shown, "requires indexed completion mode"));
        }
    }
    let replacement = spec.at("podReplacementPolicy");
    if replacement.present() {
        if spec.has("podFailurePolicy") {
            replacement.one_of(&["Failed"], errors);
        } else {
            replacement.one_of(&["Failed", "TerminatingOrFailed"], errors);
        }
    }
    let template = spec.at("template");
    pod::validate_template(&template, errors);
    let restart = template.at("spec").at("restartPolicy");
    match restart.str() {
        "Always" | "" => errors.push(restart.required("valid values: \"OnFailure\", \"Never\"")),
        "OnFailure" if spec.has("podFailurePolicy") => {
            errors.push(restart.invalid_text("only \"Never\" is supported when podFailurePolicy is specified"));
        }
        "OnFailure" | "Never" => {}
        _ => errors.push(restart.not_supported(&["OnFailure", "Never"])),
    }
}

fn indexed_job(spec: &Node<'_>, errors: &mut Errors) {
    let (completions, parallelism) = (spec.at("completions"), spec.at("parallelism"));
    let max_failed = spec.at("maxFailedIndexes");
    if !completions.present() {
        errors.push(completions.required("when completion mode is Indexed"));
    }
    if parallelism.int() > MAX_INDEXED_PARALLELISM {
        let message =
            format!("must be less than or equal to {MAX_INDEXED_PARALLELISM} when completion mode is Indexed");
        errors.push(parallelism.invalid_int(message));
    }
    if completions.present() && max_failed.present() && max_failed.int() > completions.int() {
        errors.push(max_failed.invalid_int("must be less than or equal to completions"));
    }
    if max_failed.int() > MAX_INDEXED_PARALLELISM {
        errors.push(max_failed.invalid_int(format!("must be less than or equal to {MAX_INDEXED_PARALLELISM}")));
    }
    if completions.int() > COMPLETIONS_SOFT_LIMIT && spec.has("backoffLimitPerIndex") {
        if !max_failed.present() {
            let message = format!("must be specified when completions is above {COMPLETIONS_SOFT_LIMIT}");
            errors.push(max_failed.required(message));
        }
        for field in [parallelism, max_failed] {
            if field.int() > HIGH_COMPLETIONS_LIMIT {
                errors.push(field.invalid_int(format!("must be less than or equal to {HIGH_COMPLETIONS_LIMIT} when completions are above {COMPLETIONS_SOFT_LIMIT} and used with backoff limit per index")));
            }
        }
    }
}

const ACTIONS: [&str; 4] = ["Count", "FailIndex", "FailJob", "Ignore"];

fn valid_values(values: &[&str]) -> String {
    let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
    format!("valid values: [{}]", quoted.join(" "))
}

fn required_value(node: &Node<'_>, values: &[&str], errors: &mut Errors) {
    if node.is_empty() {
        errors.push(node.required(valid_values(values)));
    } else {
        node.one_of(values, errors);
    }
}

fn failure_policy(spec: &Node<'_>, policy: &Node<'_>, errors: &mut Errors) {
    let rules = policy.at("rules");
    if rules.len() > 20 {
        errors.push(Error::too_many(&rules.path, rules.len(), 20));
    }
    let pod = spec.at("template").at("spec");
    let names: Vec<&str> = ["containers", "initContainers"]
        .into_iter()
        .flat_map(|list| pod.at(list).items().map(|container| container.text("name")).collect::<Vec<_>>())
        .collect();
    for rule in rules.items() {
        let action = rule.at("action");
        if action.str() == "FailIndex" {
            if !spec.has("backoffLimitPerIndex") {
                errors.push(action.invalid_text("requires the backoffLimitPerIndex to be set"));
            }
        } else {
            required_value(&action, &ACTIONS, errors);
        }
        let (codes, conditions) = (rule.at("onExitCodes"), rule.at("onPodConditions"));
        if codes.present() {
            exit_codes(&codes, &names, errors);
        }
        if conditions.len() > 20 {
            errors.push(Error::too_many(&conditions.path, conditions.len(), 20));
        }
        for pattern in conditions.items() {
            meta::label_key(&pattern.at("type"), errors);
            required_value(&pattern.at("status"), &["False", "True", "Unknown"], errors);
        }
        let mut invalid = |message: &str| errors.push(Error::invalid(&rule.path, BadValue::Omitted, message));
        match (codes.present(), conditions.is_empty()) {
            (true, false) => invalid("specifying both OnExitCodes and OnPodConditions is not supported"),
            (false, true) => invalid("specifying one of OnExitCodes and OnPodConditions is required"),
            _ => {}
        }
    }
}

fn exit_codes(codes: &Node<'_>, names: &[&str], errors: &mut Errors) {
    let operator = codes.at("operator");
    required_value(&operator, &["In", "NotIn"], errors);
    let container = codes.at("containerName");
    if container.present() && !names.contains(&container.str()) {
        let message = "must be one of the container or initContainer names in the pod template";
        errors.push(container.invalid_text(message));
    }
    let values = codes.at("values");
    if values.is_empty() {
        errors.push(values.invalid("at least one value is required"));
    } else if values.len() > 255 {
        errors.push(Error::too_many(&values.path, values.len(), 255));
    }
    let (mut seen, mut ordered): (Vec<i64>, bool) = (Vec::new(), true);
    let mut previous = i64::MIN;
    for value in values.items() {
        let code = value.int();
        if operator.str() == "In" && code == 0 {
            errors.push(value.invalid_int("must not be 0 for the In operator"));
        }
        if seen.contains(&code) {
            errors.push(value.duplicate());
        }
        seen.push(code);
        ordered &= previous <= code;
        previous = code;
    }
    if !ordered {
        errors.push(values.invalid("must be ordered"));
    }
}

fn success_policy(policy: &Node<'_>, completions: i64, errors: &mut Errors) {
    let rules = policy.at("rules");
    if rules.is_empty() {
        errors.push(rules.required("at least one rules must be specified when the successPolicy is specified"));
    }
    if rules.len() > 20 {
        errors.push(Error::too_many(&rules.path, rules.len(), 20));
    }
    for rule in rules.items() {
        let (count, indexes) = (rule.at("succeededCount"), rule.at("succeededIndexes"));
        if !count.present() && !indexes.present() {
            errors.push(rule.required("at least one of succeededCount or succeededIndexes must be specified"));
        }
        let mut total = 0;
        if indexes.present() {
            if indexes.len() > SUCCEEDED_INDEXES_MAX_BYTES {
                errors.push(Error::too_long(&indexes.path, SUCCEEDED_INDEXES_MAX_BYTES));
            }
            match count_indexes(indexes.str(), completions) {
                Ok(counted) => total = counted,
                Err(reason) => {
                    errors.push(indexes.invalid_text(format!("error parsing succeededIndexes: {reason}")));
                }
            }
        }
        if count.present() {
            count.nonnegative(errors);
            let mut at_most = |limit: i64, what: &str| {
                if count.int() > limit {
                    errors.push(count.invalid_int(format!("must be less than or equal to {limit} ({what})")));
                }
            };
            at_most(completions, "the number of specified completions");
            if indexes.present() {
                at_most(total, "the number of indexes in the specified succeededIndexes field");
            }
        }
    }
}

/// Counts the indexes in `1,3-5`.
fn count_indexes(text: &str, completions: i64) -> Result<i64, String> {
    if text.is_empty() {
        return Ok(0);
    }
    let mut last: Option<i64> = None;
    let mut total = 0;
    for interval in text.split(',') {
        let parts: Vec<&str> = interval.split('-').collect();
        let number = |text: &str| {
            let number: i64 =
                text.parse().map_err(|_| format!("cannot convert string to integer for index: {}", go_quote(text)))?;
            if number >= completions { Err(format!("too large index: {}", go_quote(text))) } else { Ok(number) }
        };
        let (low, high) = match parts.as_slice() {
            [low] => (number(low)?, number(low)?),
            [low, high] => {
                let (low, high) = (number(low)?, number(high)?);
                if low >= high {
                    return Err(format!("non-increasing order, previous: {low}, current: {high}"));
                }
                (low, high)
            }
            _ => {
                return Err(format!(
                    "the fragment {} violates the requirement that an index interval can have at most two parts separated by '-'",
                    go_quote(interval)
                ));
            }
        };
        if let Some(last) = last.filter(|last| *last >= low) {
            return Err(format!("non-increasing order, previous: {last}, current: {low}"));
        }
        total += high - low + 1;
        last = Some(high);
    }
    Ok(total)
}

/// Judges a changed job.
pub fn update_job(job: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    // Upstream judges it as if it were new, and then once more.
    create_job(job, errors);
    meta::validate_kube_update(&job.at("metadata"), &old.at("metadata"), errors);
    let (spec, old_spec) = (job.at("spec"), old.at("spec"));
    job_with_selector(&spec, errors);
    let completions = spec.at("completions");
    if completions.value != old_spec.get("completions") {
        if spec.text("completionMode") != "Indexed" {
            errors.push(completions.invalid("field is immutable"));
        } else if completions.present() && completions.int() != spec.number("parallelism").unwrap_or_default() {
            errors.push(completions.invalid("can only be modified in tandem with spec.parallelism"));
        }
    }
    let selector = spec.at("selector");
    if selector.value != old_spec.get("selector") {
        errors.push(Error::invalid(&selector.path, meta::selector_text(selector.value), "field is immutable"));
    }
    update_template(&spec, &old_spec, errors);
    spec.at("completionMode").immutable(old_spec.get("completionMode"), errors);
    let immutable = |name: &'static str, ty: &str, errors: &mut Errors| {
        let field = spec.at(name);
        if field.value != old_spec.get(name) {
            let shown = if field.present() { go_struct::value(ty, field.value) } else { BadValue::Value(Value::Null) };
            errors.push(Error::invalid(&field.path, shown, "field is immutable"));
        }
    };
    immutable("podFailurePolicy", "io.k8s.api.batch.v1.PodFailurePolicy", errors);
    spec.at("backoffLimitPerIndex").immutable(old_spec.get("backoffLimitPerIndex"), errors);
    spec.at("managedBy").immutable(old_spec.get("managedBy"), errors);
    immutable("successPolicy", "io.k8s.api.batch.v1.SuccessPolicy", errors);
}

fn update_template(spec: &Node<'_>, old_spec: &Node<'_>, errors: &mut Errors) {
    let template = spec.at("template");
    if template.value == old_spec.get("template") {
        return;
    }
    let shown = go_struct::value("io.k8s.api.core.v1.PodTemplateSpec", template.value);
    errors.push(Error::invalid(&template.path, shown, "field is immutable"));
}

/// Judges a new cron job.
pub fn create_cron_job(cron_job: &Node<'_>, errors: &mut Errors) {
    let metadata = cron_job.at("metadata");
    meta::validate_kube(&metadata, true, formats::subdomain_name, errors);
    cron_job_spec(&cron_job.at("spec"), None, errors);
    let name = metadata.at("name");
    if name.len() > 52 {
        errors.push(name.invalid_text("must be no more than 52 characters"));
    }
}

/// Judges a changed cron job.
pub fn update_cron_job(cron_job: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&cron_job.at("metadata"), &old.at("metadata"), errors);
    cron_job_spec(&cron_job.at("spec"), Some(&old.at("spec")), errors);
}

fn cron_job_spec(spec: &Node<'_>, old: Option<&Node<'_>>, errors: &mut Errors) {
    let (text, zone) = (spec.at("schedule"), spec.at("timeZone"));
    if text.is_empty() {
        errors.push(text.required(""));
    } else {
        if let Err(reason) = schedule::parse(text.str()) {
            errors.push(text.invalid_text(reason));
        }
        let zone_allowed = old.is_some_and(|old| old.text("schedule").contains("TZ"));
        if text.str().contains("TZ") {
            if !zone_allowed {
                errors.push(text.invalid_text("cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
            } else if zone.present() {
                errors.push(text.invalid_text("cannot use both timeZone field and TZ or CRON_TZ in schedule"));
            }
        }
    }
    spec.at("startingDeadlineSeconds").nonnegative(errors);
    if zone.present() && old.is_none_or(|old| old.get("timeZone") != zone.value) {
        time_zone(&zone, errors);
    }
    container::required_one_of(&spec.at("concurrencyPolicy"), &["Allow", "Forbid", "Replace"], errors);
    let job = spec.at("jobTemplate").at("spec");
    job_spec(&job, errors);
    let selector = job.at("selector");
    if selector.present() {
        errors.push(Error::invalid(
            &selector.path,
            meta::selector_text(selector.value),
            "`selector` will be auto-generated",
        ));
    }
    let manual = job.at("manualSelector");
    if manual.bool() {
        errors.push(Error::not_supported(&manual.path, manual.value, &["nil", "false"]));
    }
    spec.at("successfulJobsHistoryLimit").nonnegative(errors);
    spec.at("failedJobsHistoryLimit").nonnegative(errors);
}

fn time_zone(zone: &Node<'_>, errors: &mut Errors) {
    let text = zone.str();
    if text.is_empty() {
        errors.push(zone.invalid_text("timeZone must be nil or non-empty string"));
        return;
    }
    let is_part = |part: &str| {
        !matches!(part, "." | "..")
            && !part.starts_with('-')
            && (1..=14).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_+".contains(&b))
    };
    let unknown = || format!("unknown time zone {text}");
    if !text.split('/').all(is_part) {
        errors.push(zone.invalid_text(unknown()));
        return;
    }
    if text.eq_ignore_ascii_case("local") {
        let message = "timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones";
        errors.push(zone.invalid_text(message));
    }
    if text != "Local" && !is_zone_name(text) {
        errors.push(zone.invalid_text(unknown()));
    }
}

/// Whether a name has the form of the zone database's: an area and a place, or one of the names without an area.
fn is_zone_name(name: &str) -> bool {
    const AREAS: [&str; 16] = [
        "Africa",
        "America",
        "Antarctica",
        "Arctic",
        "Asia",
        "Atlantic",
        "Australia",
        "Brazil",
        "Canada",
        "Chile",
        "Etc",
        "Europe",
        "Indian",
        "Mexico",
        "Pacific",
        "US",
    ];
    const PLAIN: [&str; 43] = [
        "CET",
        "CST6CDT",
        "Cuba",
        "EET",
        "EST",
        "EST5EDT",
        "Egypt",
        "Eire",
        "Factory",
        "GB",
        "GB-Eire",
        "GMT",
        "GMT+0",
        "GMT-0",
        "GMT0",
        "Greenwich",
        "HST",
        "Hongkong",
        "Iceland",
        "Iran",
        "Israel",
        "Jamaica",
        "Japan",
        "Kwajalein",
        "Libya",
        "MET",
        "MST",
        "MST7MDT",
        "NZ",
        "NZ-CHAT",
        "Navajo",
        "PRC",
        "PST8PDT",
        "Poland",
        "Portugal",
        "ROC",
        "ROK",
        "Singapore",
        "Turkey",
        "UCT",
        "UTC",
        "Universal",
        "W-SU",
    ];
    match name.split_once('/') {
        Some((area, _)) => AREAS.contains(&area),
        None => PLAIN.contains(&name) || matches!(name, "WET" | "Zulu"),
    }
}

/// Judges a job's changed status: counts are not negative, and finished jobs stay so.
pub fn status_job(job: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&job.at("metadata"), &old.at("metadata"), errors);
    let status = job.at("status");
    for name in ["active", "succeeded", "failed", "ready", "terminating"] {
        status.at(name).nonnegative(errors);
    }
}
