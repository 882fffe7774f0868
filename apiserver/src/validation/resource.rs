//! Dynamic resource allocation. Expressions are not compiled.
//!
//! Upstream: `pkg/apis/resource/v1/defaults.go`, `pkg/apis/resource/validation/validation.go`.

use jiff::Timestamp;
use serde_json::Value;

use super::edit::{Fields, each, is_empty, object, set, set_absent, set_empty, text, within};
use super::field::{Error, Errors};
use super::formats::{self, DNS_SUBDOMAIN_MAX_BYTES};
use super::node::Node;
use super::volume::{csi_driver_name, template_metadata};
use super::{affinity, go_struct, meta, resources};

const MAX_REQUESTS: usize = 32;
const MAX_CONSTRAINTS: usize = 32;
const MAX_CONFIGS: usize = 32;
const MAX_SELECTORS: usize = 32;
const MAX_FIRST_AVAILABLE: usize = 8;
const MAX_EXPRESSION_BYTES: usize = 10 * 1024;
const MAX_PARAMETERS_BYTES: usize = 10 * 1024;
const MAX_DEVICES: usize = 128;
const MAX_ADVANCED_DEVICES: usize = 64;
const MAX_COUNTER_SETS: usize = 8;
const MAX_COUNTERS: usize = 32;
const MAX_CONSUMPTIONS: usize = 2;
const MAX_DEVICE_ATTRIBUTES: usize = 32;
const MAX_ID_BYTES: usize = 32;
const MAX_VALUE_BYTES: usize = 64;
const MAX_TAINTS: usize = 16;
const MAX_BINDING_CONDITIONS: usize = 4;
const MAX_RESERVATIONS: usize = 256;
const TAINT_EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "None"];
const REQUEST_REFERENCE: &str =
    "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/// Defaults of a resource claim.
pub fn default_claim(claim: &mut Value) {
    object(claim, |claim| {
        within(claim, "spec", default_claim_spec);
        within(claim, "status", |status| {
            within(status, "allocation", |allocation| {
                within(allocation, "devices", |devices| each(devices, "results", default_tolerations));
            });
        });
    });
}

/// Defaults of a template of resource claims.
pub fn default_claim_template(template: &mut Value) {
    object(template, |template| within(template, "spec", |outer| within(outer, "spec", default_claim_spec)));
}

fn default_claim_spec(spec: &mut Fields) {
    within(spec, "devices", |devices| {
        each(devices, "requests", |request| {
            within(request, "exactly", default_request);
            each(request, "firstAvailable", default_request);
        });
    });
}

fn default_request(request: &mut Fields) {
    set_empty(request, "allocationMode", "ExactCount");
    if text(request, "allocationMode") == "ExactCount" && is_empty(request, "count") {
        set(request, "count", 1);
    }
    default_tolerations(request);
}

fn default_tolerations(fields: &mut Fields) {
    each(fields, "tolerations", |toleration| set_empty(toleration, "operator", "Equal"));
}

/// Defaults of a resource slice: a taint was added now unless it says otherwise.
pub fn default_slice(slice: &mut Value, now: Timestamp) {
    let now = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    object(slice, |slice| {
        within(slice, "spec", |spec| {
            each(spec, "devices", |device| {
                each(device, "taints", |taint| set_absent(taint, "timeAdded", now.as_str()));
                within(device, "nodeAllocatableResourceMappings", |mappings| {
                    for mapping in mappings.values_mut() {
                        object(mapping, |mapping| set_absent(mapping, "allocationMultiplier", "1"));
                    }
                });
            });
        });
    });
}

/// Judges the items of a list that has at most `max`.
fn list(items: &Node<'_>, max: usize, errors: &mut Errors, mut judge: impl FnMut(&Node<'_>, &mut Errors)) {
    if items.len() > max {
        errors.push(Error::too_many(&items.path, items.len(), max));
        return;
    }
    for item in items.items() {
        judge(&item, errors);
    }
}

/// As [`list`], and each item has a key of its own.
fn set_of<'a>(
    items: &Node<'a>,
    max: usize,
    key: impl Fn(&Node<'a>) -> &'a str,
    errors: &mut Errors,
    judge: impl FnMut(&Node<'_>, &mut Errors),
) {
    list(items, max, errors, judge);
    if items.len() > max {
        return;
    }
    let mut seen = Vec::new();
    for item in items.items() {
        if seen.contains(&key(&item)) {
            errors.push(Error::duplicate(&item.path, key(&item)));
        }
        seen.push(key(&item));
    }
}

fn label(node: &Node<'_>, errors: &mut Errors) {
    node.format(formats::dns_label(node.str()), errors);
}

/// Judges a new device class.
pub fn create_class(class: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&class.at("metadata"), false, formats::subdomain_name, errors);
    class_spec(&class.at("spec"), errors);
}

/// Judges a changed device class.
pub fn update_class(class: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&class.at("metadata"), false, formats::subdomain_name, errors);
    meta::validate_kube_update(&class.at("metadata"), &old.at("metadata"), errors);
    class_spec(&class.at("spec"), errors);
}

fn class_spec(spec: &Node<'_>, errors: &mut Errors) {
    list(&spec.at("selectors"), MAX_SELECTORS, errors, selector);
    list(&spec.at("config"), MAX_CONFIGS, errors, configuration);
    let extended = spec.at("extendedResourceName");
    if extended.present() && !resources::is_extended(extended.str()) {
        errors.push(extended.invalid_text("must be a valid extended resource name"));
    }
}

fn selector(selector: &Node<'_>, errors: &mut Errors) {
    let cel = selector.at("cel");
    if !cel.present() {
        errors.push(cel.required(""));
    } else if cel.text("expression").len() > MAX_EXPRESSION_BYTES {
        errors.push(Error::too_long(&cel.at("expression").path, MAX_EXPRESSION_BYTES));
    }
}

fn configuration(config: &Node<'_>, errors: &mut Errors) {
    let opaque = config.at("opaque");
    if !opaque.present() {
        errors.push(opaque.required(""));
        return;
    }
    csi_driver_name(&opaque.at("driver"), errors);
    raw(&opaque.at("parameters"), errors);
}

/// Judges an object of any kind.
fn raw(node: &Node<'_>, errors: &mut Errors) {
    if !node.present() {
        errors.push(node.required(""));
    } else if node.value.to_string().len() > MAX_PARAMETERS_BYTES {
        errors.push(Error::too_long(&node.path, MAX_PARAMETERS_BYTES));
    } else if !node.value.is_object() {
        errors.push(Error::invalid(&node.path, "<value omitted>", "must be a valid JSON object"));
    }
}

/// Judges a new claim.
pub fn create_claim(claim: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&claim.at("metadata"), true, formats::subdomain_name, errors);
    claim_devices(&claim.at("spec").at("devices"), errors);
}

/// Judges a changed claim.
pub fn update_claim(claim: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&claim.at("metadata"), true, formats::subdomain_name, errors);
    meta::validate_kube_update(&claim.at("metadata"), &old.at("metadata"), errors);
    immutable_spec("io.k8s.api.resource.v1.ResourceClaimSpec", claim, old, errors);
}

fn immutable_spec(ty: &str, object: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    let spec = object.at("spec");
    if spec.value != old.get("spec") {
        errors.push(Error::invalid(&spec.path, go_struct::value(ty, spec.value), "field is immutable"));
    }
}

/// Judges a new template of claims.
pub fn create_template(template: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&template.at("metadata"), true, formats::subdomain_name, errors);
    let spec = template.at("spec");
    template_metadata(&spec.at("metadata"), errors);
    claim_devices(&spec.at("spec").at("devices"), errors);
}

/// Judges a changed template of claims.
pub fn update_template(template: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    create_template(template, errors);
    meta::validate_kube_update(&template.at("metadata"), &old.at("metadata"), errors);
    immutable_spec("io.k8s.api.resource.v1.ResourceClaimTemplateSpec", template, old, errors);
}

/// Whether a name is of a request, or of a request and one of its alternatives.
fn is_request(devices: &Node<'_>, name: &str) -> bool {
    let (request, alternative) = name.split_once('/').map_or((name, None), |(a, b)| (a, Some(b)));
    let found = devices.at("requests").items().rfind(|it| it.text("name") == request);
    found.is_some_and(|found| {
        alternative.is_none_or(|name| found.at("firstAvailable").items().any(|it| it.text("name") == name))
    })
}

fn request_reference(devices: &Node<'_>, name: &Node<'_>, errors: &mut Errors) {
    if name.str().split('/').count() > 2 {
        errors.push(name.invalid_text(REQUEST_REFERENCE));
        return;
    }
    for part in name.str().split('/') {
        errors.extend(formats::dns_label(part).into_iter().map(|message| Error::invalid(&name.path, part, message)));
    }
    if !is_request(devices, name.str()) {
        errors.push(name.invalid_text(REQUEST_REFERENCE));
    }
}

fn claim_devices(devices: &Node<'_>, errors: &mut Errors) {
    let references = |requests: &Node<'_>, errors: &mut Errors| {
        set_of(requests, MAX_REQUESTS, Node::str, errors, |name, errors| request_reference(devices, name, errors));
    };
    set_of(&devices.at("requests"), MAX_REQUESTS, |it| it.text("name"), errors, request);
    list(&devices.at("constraints"), MAX_CONSTRAINTS, errors, |constraint, errors| {
        references(&constraint.at("requests"), errors);
        let (matching, distinct) = (constraint.at("matchAttribute"), constraint.at("distinctAttribute"));
        if matching.present() {
            qualified_name(&matching, matching.str(), true, errors);
        } else if distinct.present() {
            qualified_name(&distinct, distinct.str(), true, errors);
        } else {
            let detail = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields \
                          are set";
            errors.push(constraint.required(detail));
        }
    });
    list(&devices.at("config"), MAX_CONFIGS, errors, |config, errors| {
        references(&config.at("requests"), errors);
        configuration(config, errors);
    });
}

fn request(request: &Node<'_>, errors: &mut Errors) {
    label(&request.at("name"), errors);
    let (exactly, first) = (request.at("exactly"), request.at("firstAvailable"));
    match (exactly.present(), !first.is_empty()) {
        (false, false) => errors.push(request.required("exactly one of `exactly` or `firstAvailable` is required")),
        (true, true) => {
            let detail = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.push(Error::invalid(&request.path, Value::Null, detail));
        }
        (true, false) => exact_request(&exactly, errors),
        (false, true) => set_of(
            &first,
            MAX_FIRST_AVAILABLE,
            |it| it.text("name"),
            errors,
            |request, errors| {
                label(&request.at("name"), errors);
                exact_request(request, errors);
            },
        ),
    }
}

fn exact_request(request: &Node<'_>, errors: &mut Errors) {
    let class = request.at("deviceClassName");
    if class.is_empty() {
        errors.push(class.required(""));
    } else {
        class.format(formats::dns_subdomain(class.str()), errors);
    }
    list(&request.at("selectors"), MAX_SELECTORS, errors, selector);
    let (mode, count) = (request.at("allocationMode"), request.at("count"));
    match mode.str() {
        "All" if count.int() != 0 => {
            errors.push(count.invalid_int("must not be specified when allocationMode is 'All'"));
        }
        "ExactCount" if count.int() <= 0 => errors.push(count.invalid_int("must be greater than zero")),
        "All" | "ExactCount" => {}
        _ => errors.push(mode.not_supported(&["All", "ExactCount"])),
    }
    for toleration in request.at("tolerations").items() {
        device_toleration(&toleration, errors);
    }
}

fn device_toleration(toleration: &Node<'_>, errors: &mut Errors) {
    let (key, value, operator) = (toleration.at("key"), toleration.at("value"), toleration.at("operator"));
    if !key.is_empty() {
        meta::label_key(&key, errors);
    }
    match operator.str() {
        "Exists" if !value.is_empty() => errors.push(value.invalid_text("must be empty for operator `Exists`")),
        "Exists" => {}
        "Equal" => value.format(formats::label_value(value.str()), errors),
        "" => errors.push(operator.required("")),
        _ => errors.push(operator.not_supported(&["Equal", "Exists"])),
    }
    let effect = toleration.at("effect");
    if !effect.is_empty() {
        effect.one_of(TAINT_EFFECTS, errors);
    }
}

/// Judges `domain/identifier`; without a domain unless `full`.
fn qualified_name(node: &Node<'_>, name: &str, full: bool, errors: &mut Errors) {
    let part = |text: &'_ str, errors: &mut Errors, what: &str| {
        if text.is_empty() {
            errors.push(Error::invalid(&node.path, "", format!("the {what} must not be empty")));
        }
        !text.is_empty()
    };
    let identifier = |text: &str, errors: &mut Errors| {
        if text.len() > MAX_ID_BYTES {
            errors.push(Error::too_long(&node.path, MAX_ID_BYTES));
        }
        errors.extend(formats::c_identifier(text).into_iter().map(|it| Error::invalid(&node.path, text, it)));
    };
    match name.split('/').collect::<Vec<_>>()[..] {
        [id] => identifier(id, errors),
        [domain, id] => {
            if part(domain, errors, "domain") {
                csi_driver_name(&Node { value: &Value::from(domain), path: node.path.clone() }, errors);
            }
            if part(id, errors, "name") {
                identifier(id, errors);
            }
        }
        _ => {}
    }
    if full && !name.contains('/') {
        let detail = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(Error::invalid(&node.path, name, detail));
    }
}

/// Judges a changed status of a claim.
pub fn status_claim(claim: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&claim.at("metadata"), &old.at("metadata"), errors);
    let (status, devices) = (claim.at("status"), claim.at("spec").at("devices"));
    let reserved = status.at("reservedFor");
    set_of(
        &reserved,
        MAX_RESERVATIONS,
        |it| it.text("uid"),
        errors,
        |consumer, errors| {
            for name in ["resource", "name", "uid"] {
                if consumer.at(name).is_empty() {
                    errors.push(consumer.at(name).required(""));
                }
            }
        },
    );
    let (allocation, before) = (status.at("allocation"), old.at("status").at("allocation"));
    let allocated = |device: &Node<'_>| {
        let key = |it: &Node<'_>| ["driver", "pool", "device", "shareID"].map(|name| it.text(name).to_owned());
        allocation.at("devices").at("results").items().any(|result| key(&result) == key(device))
    };
    for device in status.at("devices").items() {
        csi_driver_name(&device.at("driver"), errors);
        pool_name(&device.at("pool"), errors);
        label(&device.at("device"), errors);
        if !allocated(&device) {
            let shown = ["driver", "pool", "device"].map(|name| device.text(name)).join("/");
            errors.push(Error::invalid(&device.path, shown, "must be an allocated device in the claim"));
        }
        meta::conditions(&device.at("conditions"), errors);
        if let Some(data) = device.at("data").some() {
            raw(&data, errors);
        }
    }
    if !reserved.is_empty() && !allocation.present() {
        errors.push(reserved.forbidden("may not be specified when `allocated` is not set"));
    }
    if allocation.present() && before.present() {
        if allocation.value != before.value {
            let shown = go_struct::value("io.k8s.api.resource.v1.AllocationResult", allocation.value);
            errors.push(Error::invalid(&allocation.path, shown, "field is immutable"));
        }
    } else if allocation.present() {
        let results = allocation.at("devices");
        list(&results.at("results"), MAX_REQUESTS, errors, |result, errors| {
            request_reference(&devices, &result.at("request"), errors);
            csi_driver_name(&result.at("driver"), errors);
            pool_name(&result.at("pool"), errors);
            label(&result.at("device"), errors);
            binding(result, errors);
        });
        list(&results.at("config"), 2 * MAX_CONFIGS, errors, |config, errors| {
            let source = config.at("source");
            if source.is_empty() {
                errors.push(source.required(""));
            } else {
                source.one_of(&["FromClaim", "FromClass"], errors);
            }
            set_of(&config.at("requests"), MAX_REQUESTS, Node::str, errors, |name, errors| {
                request_reference(&devices, name, errors);
            });
            configuration(config, errors);
        });
        if let Some(selector) = allocation.at("nodeSelector").some() {
            affinity::node_selector(&selector, errors);
        }
    }
}

fn pool_name(name: &Node<'_>, errors: &mut Errors) {
    if name.is_empty() {
        errors.push(name.required(""));
        return;
    }
    if name.len() > DNS_SUBDOMAIN_MAX_BYTES {
        errors.push(Error::too_long(&name.path, DNS_SUBDOMAIN_MAX_BYTES));
    }
    for part in name.str().split('/') {
        errors.extend(formats::dns_subdomain(part).into_iter().map(|it| Error::invalid(&name.path, part, it)));
    }
}

/// Judges a new slice.
pub fn create_slice(slice: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube(&slice.at("metadata"), false, formats::subdomain_name, errors);
    slice_spec(&slice.at("spec"), None, errors);
}

/// Judges a changed slice.
pub fn update_slice(slice: &Node<'_>, old: &Node<'_>, errors: &mut Errors) {
    meta::validate_kube_update(&slice.at("metadata"), &old.at("metadata"), errors);
    slice_spec(&slice.at("spec"), Some(&old.at("spec")), errors);
}

fn slice_spec(spec: &Node<'_>, old: Option<&Node<'_>>, errors: &mut Errors) {
    let pool = spec.at("pool");
    csi_driver_name(&spec.at("driver"), errors);
    pool_name(&pool.at("name"), errors);
    let (count, generation) = (pool.at("resourceSliceCount"), pool.at("generation"));
    if count.int() <= 0 {
        errors.push(count.invalid_int("must be greater than zero"));
    }
    if generation.int() < 0 {
        errors.push(generation.invalid_int("must be greater than or equal to zero"));
    }
    if let Some(old) = old {
        for (new, old) in [
            (pool.at("name"), old.at("pool").at("name")),
            (spec.at("driver"), old.at("driver")),
            (spec.at("nodeName"), old.at("nodeName")),
        ] {
            new.immutable(old.value, errors);
        }
    }
    let per_device = spec.at("perDeviceNodeSelection");
    let mut chosen = Vec::new();
    let node_name = spec.at("nodeName");
    if node_name.present() && node_name.is_empty() {
        errors.push(node_name.invalid_text("must be either unset or set to a non-empty string"));
    } else if node_name.present() {
        chosen.push("`nodeName`");
        node_name.format(formats::dns_subdomain(node_name.str()), errors);
    }
    if let Some(selector) = spec.at("nodeSelector").some() {
        chosen.push("`nodeSelector`");
        affinity::node_selector(&selector, errors);
        let terms = selector.at("nodeSelectorTerms");
        if terms.len() != 1 {
            let shown = go_struct::list("io.k8s.api.core.v1.NodeSelectorTerm", terms.value);
            errors.push(Error::invalid(&terms.path, shown, "must have exactly one node selector term"));
        }
    }
    for (flag, shown) in [(spec.at("allNodes"), "`allNodes`"), (per_device.clone(), "`perDeviceNodeSelection`")] {
        if flag.bool() {
            chosen.push(shown);
        } else if flag.present() {
            errors.push(flag.invalid("must be either unset or set to true"));
        }
    }
    let required = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required";
    match chosen.len() {
        0 => errors.push(spec.required(required)),
        1 => {}
        _ => {
            let shown = format!("{{{}}}", chosen.join(", "));
            errors.push(Error::invalid(&spec.path, shown, format!("{required}, but multiple fields are set")));
        }
    }
    let (counters, devices) = (spec.at("sharedCounters"), spec.at("devices"));
    if counters.present() && devices.present() {
        errors.push(Error::invalid(&spec.path, "", "only one of `sharedCounters` or `devices` is allowed"));
    }
    let advanced = devices.items().any(|device| {
        let lists = |attribute: &Node<'_>| ["bools", "ints", "strings", "versions"].iter().any(|it| attribute.has(it));
        !device.at("taints").is_empty()
            || !device.at("consumesCounters").is_empty()
            || device.at("attributes").entries().any(|(_, attribute)| lists(&attribute))
    });
    let max = if advanced { MAX_ADVANCED_DEVICES } else { MAX_DEVICES };
    set_of(
        &devices,
        max,
        |it| it.text("name"),
        errors,
        |device, errors| {
            let before =
                old.and_then(|old| old.at("devices").items().find(|it| it.text("name") == device.text("name")));
            slice_device(device, before.as_ref(), per_device.bool(), errors);
        },
    );
    set_of(
        &counters,
        MAX_COUNTER_SETS,
        |it| it.text("name"),
        errors,
        |set, errors| {
            counter_set(set, "name", errors);
        },
    );
}

fn counter_set(set: &Node<'_>, name: &'static str, errors: &mut Errors) {
    let (name, counters) = (set.at(name), set.at("counters"));
    if name.is_empty() {
        errors.push(name.required(""));
    } else {
        label(&name, errors);
    }
    if counters.is_empty() {
        errors.push(counters.required(""));
    } else if counters.len() > MAX_COUNTERS {
        errors.push(Error::too_many(&counters.path, counters.len(), MAX_COUNTERS));
    } else {
        for (name, _) in counters.entries() {
            errors.extend(formats::dns_label(name).into_iter().map(|it| Error::invalid(&counters.path, name, it)));
        }
    }
}

fn slice_device(device: &Node<'_>, old: Option<&Node<'_>>, per_device: bool, errors: &mut Errors) {
    label(&device.at("name"), errors);
    let (attributes, capacity) = (device.at("attributes"), device.at("capacity"));
    if attributes.len() + capacity.len() > MAX_DEVICE_ATTRIBUTES {
        let detail = format!("the total number of attributes and capacities must not exceed {MAX_DEVICE_ATTRIBUTES}");
        let shown = Value::from(attributes.len() + capacity.len());
        errors.push(Error::invalid(&device.path, shown, detail));
    }
    for (name, attribute) in attributes.entries() {
        qualified_name(&attributes, name, false, errors);
        device_attribute(&attribute, errors);
    }
    for (name, amount) in capacity.entries() {
        qualified_name(&capacity, name, false, errors);
        if amount.has("requestPolicy") && !device.flag("allowMultipleAllocations") {
            errors.push(amount.at("requestPolicy").forbidden("allowMultipleAllocations must be true"));
        }
    }
    let taints = device.at("taints");
    if old.is_none_or(|old| old.get("taints") != taints.value) {
        list(&taints, MAX_TAINTS, errors, |taint, errors| {
            let (value, effect) = (taint.at("value"), taint.at("effect"));
            meta::label_key(&taint.at("key"), errors);
            if !value.is_empty() {
                value.format(formats::label_value(value.str()), errors);
            }
            if effect.is_empty() {
                errors.push(effect.required(""));
            } else {
                effect.one_of(TAINT_EFFECTS, errors);
            }
        });
    }
    set_of(
        &device.at("consumesCounters"),
        MAX_CONSUMPTIONS,
        |it| it.text("counterSet"),
        errors,
        |it, errors| {
            counter_set(it, "counterSet", errors);
        },
    );
    device_nodes(device, per_device, errors);
    binding(device, errors);
    for (name, mapping) in device.at("nodeAllocatableResourceMappings").entries() {
        if !resources::is_native(name) {
            errors.push(Error::invalid(&mapping.path, name, "must be a node allocatable resource name"));
        }
    }
}

fn device_attribute(attribute: &Node<'_>, errors: &mut Errors) {
    let mut values = 0;
    for name in ["bool", "int", "string", "version"] {
        let value = attribute.at(name);
        values += usize::from(value.present());
        if name == "version" && value.present() && !is_semantic_version(value.str()) {
            errors.push(value.invalid_text("must be a string compatible with semver.org spec 2.0.0"));
        }
        if value.len() > MAX_VALUE_BYTES {
            errors.push(Error::too_long(&value.path, MAX_VALUE_BYTES));
        }
    }
    for name in ["bools", "ints", "strings", "versions"] {
        let list = attribute.at(name);
        values += usize::from(list.present());
        if list.present() && list.is_empty() {
            errors.push(list.invalid("must not be empty if specified"));
        }
    }
    let detail = "exactly one value must be specified";
    match values {
        0 => errors.push(Error::invalid(&attribute.path, "", detail)),
        1 => {}
        _ => {
            let shown = go_struct::value("io.k8s.api.resource.v1.DeviceAttribute", attribute.value);
            errors.push(Error::invalid(&attribute.path, shown, detail));
        }
    }
}

fn is_semantic_version(text: &str) -> bool {
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (core, pre) = text.split_once('-').map_or((text, None), |(core, pre)| (core, Some(pre)));
    let number =
        |it: &str| !it.is_empty() && it.chars().all(|c| c.is_ascii_digit()) && (it == "0" || !it.starts_with('0'));
    let word = |it: &str| !it.is_empty() && it.chars().all(|c| c == '-' || c.is_ascii_alphanumeric());
    let digits = |it: &str| it.chars().all(|c| c.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(|it| word(it) && (!digits(it) || number(it))))
        && build.is_none_or(|build| build.split('.').all(word))
}

fn device_nodes(device: &Node<'_>, per_device: bool, errors: &mut Errors) {
    let (name, selector, all) = (device.at("nodeName"), device.at("nodeSelector"), device.at("allNodes"));
    if !per_device {
        if name.present() || selector.present() || all.present() {
            let detail = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to \
                          true in the ResourceSlice spec";
            errors.push(Error::invalid(&device.path, Value::Null, detail));
        }
        return;
    }
    let mut chosen = Vec::new();
    if name.present() && name.is_empty() {
        errors.push(name.invalid_text("must not be empty"));
    } else if name.present() {
        chosen.push("`nodeName`");
        name.format(formats::dns_subdomain(name.str()), errors);
    }
    if selector.present() {
        chosen.push("`nodeSelector`");
        affinity::node_selector(&selector, errors);
    }
    if all.bool() {
        chosen.push("`allNodes`");
    } else if all.present() {
        errors.push(all.invalid("must be either unset or set to true"));
    }
    let detail = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is \
                  set to true in the ResourceSlice spec";
    match chosen.len() {
        0 => errors.push(device.required(detail)),
        1 => {}
        _ => errors.push(Error::invalid(&device.path, format!("{{{}}}", chosen.join(", ")), detail)),
    }
}

fn binding(device: &Node<'_>, errors: &mut Errors) {
    let (good, bad) = (device.at("bindingConditions"), device.at("bindingFailureConditions"));
    for conditions in [&good, &bad] {
        list(conditions, MAX_BINDING_CONDITIONS, errors, meta::label_key);
    }
    for conditions in [&good, &bad] {
        for (i, condition) in conditions.items().enumerate() {
            if conditions.strings().take(i).any(|other| other == condition.str()) {
                errors.push(condition.duplicate());
            }
            if std::ptr::eq(conditions, &raw const bad) && good.strings().any(|other| other == condition.str()) {
                let detail = "bindingFailureConditions must not overlap with bindingConditions";
                errors.push(condition.invalid_text(detail));
            }
        }
    }
    if good.is_empty() && !bad.is_empty() {
        errors.push(good.invalid("bindingConditions are required to use bindingFailureConditions"));
    }
    if bad.is_empty() && !good.is_empty() {
        errors.push(bad.invalid("bindingFailureConditions are required to use bindingConditions"));
    }
}
