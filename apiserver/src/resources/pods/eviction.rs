//! Eviction: a deletion that asks the pod's disruption budget first.
//!
//! Upstream: `pkg/registry/core/pod/storage/eviction.go`.

use serde_json::{Value, json};

use super::conditions;
use crate::error::{Cause, Qualified, Status};
use crate::object::meta;
use crate::object::selector::LabelSelector;
use crate::storage::{ListOptions, Scope};
use crate::verbs::act::{Order, Outcome};
use crate::verbs::options::DeleteOptions;
use crate::verbs::resource::Resource;
use crate::verbs::{Request, delete, write};

/// More pods than this are not on their way out of one budget at once.
const DISRUPTED_PODS_MAX: usize = 2000;
const REFUSED: &str = "Cannot evict pod as it would violate the pod's disruption budget.";

/// Deletes the pod of the request, if its disruption budget lets it go.
pub async fn evict(order: Order<'_, '_>) -> Result<Outcome, Status> {
    let (request, eviction) = (order.request, order.object);
    let name = request.info.name.as_str();
    if meta::name(&eviction) != name {
        return Err(Status::bad_request("name in URL does not match name in Eviction object"));
    }
    let mut options = DeleteOptions::from_object(&eviction["deleteOptions"])?;
    options.dry_run |= order.options.dry_run;
    let pods = request.resource()?;
    let found = pods.collection.get(request.namespace(), name, "").await;
    let found = found.map_err(|e| write::storage_status(request, e))?;
    let entry = found.ok_or_else(|| Status::not_found(request.qualified(), name))?;
    let pod = pods.object(&entry)?;
    if is_undisturbed(&pod) {
        remove(request, pods, options).await?;
        return Ok(Outcome::Done);
    }
    let budgets = budgets_of(request, &pod).await?;
    match budgets.as_slice() {
        [] => {}
        [budget] if is_unhealthy_and_free(&pod, budget) => {
            // It must not have become healthy in the meantime.
            let ours = options.resource_version.is_none();
            if ours {
                options.resource_version = Some(meta::resource_version(&pod).to_owned());
            }
            let removed = remove(request, pods, options).await;
            return match removed {
                Err(status) if status.code == 409 && ours => Err(still_processed(meta::name(budget))),
                other => other.map(|()| Outcome::Done),
            };
        }
        [budget] => spend(request, meta::name(budget), name, options.dry_run).await?,
        _ => {
            return Err(Status::plain(
                "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
            ));
        }
    }
    remove(request, pods, options).await?;
    Ok(Outcome::Done)
}

/// Whether no budget counts the pod: it does not run yet, or no more.
fn is_undisturbed(pod: &Value) -> bool {
    let phase = pod["status"]["phase"].as_str().unwrap_or_default();
    matches!(phase, "Succeeded" | "Failed" | "Pending") || meta::deletion_timestamp(pod).is_some()
}

/// Whether the pod is not ready, and its budget lets such pods go.
fn is_unhealthy_and_free(pod: &Value, budget: &Value) -> bool {
    let count = |field: &str| budget["status"][field].as_i64().unwrap_or_default();
    let desired = count("desiredHealthy");
    let free = budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
        || (count("currentHealthy") >= desired && desired > 0);
    !conditions::is_true(pod, "Ready") && free
}

/// The budgets that select the pod.
async fn budgets_of(request: &Request<'_>, pod: &Value) -> Result<Vec<Value>, Status> {
    let resource = budget_resource(request)?;
    let namespace = Some(request.namespace().to_owned());
    let options = ListOptions { scope: Scope { namespace, name: None }, ..ListOptions::default() };
    let listed = resource.collection.list(&options).await.map_err(|e| write::storage_status(request, e))?;
    let mut budgets = Vec::new();
    for entry in &listed.items {
        let budget = resource.object(entry)?;
        let selector = LabelSelector::from_object(budget["spec"].get("selector"));
        if selector.is_ok_and(|selector| selector.matches(&meta::labels(pod))) {
            budgets.push(budget);
        }
    }
    Ok(budgets)
}

fn budget_resource<'a>(request: &'a Request<'_>) -> Result<&'a Resource, Status> {
    let found = request.api.resource("policy", "v1", "poddisruptionbudgets");
    found.map(AsRef::as_ref).ok_or_else(Status::no_such_resource)
}

/// Takes one disruption off the budget.
async fn spend(request: &Request<'_>, budget: &str, pod: &str, dry_run: bool) -> Result<(), Status> {
    let now = meta::rfc3339(request.now);
    let resource = budget_resource(request)?;
    write::amend(request, resource, budget, dry_run, |budget| spent(budget, pod, &now)).await.map(|_| ())
}

/// The budget with one disruption less, or why it has none to give.
fn spent(budget: &Value, pod: &str, now: &str) -> Result<Value, Status> {
    let name = meta::name(budget);
    let status = &budget["status"];
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let kind = Qualified { group: "policy", name: "poddisruptionbudget" };
    if count("observedGeneration") < meta::generation(budget) {
        return Err(still_processed(name));
    }
    let allowed = count("disruptionsAllowed");
    if allowed < 0 {
        return Err(Status::forbidden(kind, name, "pdb disruptions allowed is negative"));
    }
    if status["disruptedPods"].as_object().is_some_and(|pods| pods.len() > DISRUPTED_PODS_MAX) {
        let why = "DisruptedPods map too big - too many evictions not confirmed by PDB controller";
        return Err(Status::forbidden(kind, name, why));
    }
    if allowed == 0 {
        return Err(refused(0, &why_none(name, status)));
    }
    let mut budget = budget.clone();
    budget["status"]["disruptionsAllowed"] = (allowed - 1).into();
    if allowed == 1 {
        exhaust(&mut budget, now);
    }
    budget["status"]["disruptedPods"][pod] = now.into();
    Ok(budget)
}

fn why_none(name: &str, status: &Value) -> String {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let refusing = conditions.into_iter().find(|c| c["type"] == "DisruptionAllowed" && c["status"] == "False");
    let told = refusing.and_then(|c| Some((c["reason"].as_str()?, c["message"].as_str()?)));
    let told = told.filter(|(_, message)| !message.is_empty());
    let count = |field: &str| status[field].as_i64().unwrap_or_default();
    let (current, desired) = (count("currentHealthy"), count("desiredHealthy"));
    match told {
        Some(("SyncFailed", why)) => {
            format!("The disruption budget {name} does not allow evicting pods currently because it failed sync: {why}")
        }
        _ if current <= desired => {
            format!("The disruption budget {name} needs {desired} healthy pods and has {current} currently")
        }
        Some((reason, why)) => {
            format!("The disruption budget {name} does not allow evicting pods currently ({reason}): {why}")
        }
        None => format!("The disruption budget {name} does not allow evicting pods currently"),
    }
}

/// Notes that the budget's last disruption has been given.
fn exhaust(budget: &mut Value, now: &str) {
    let mut conditions = budget["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let known = conditions.iter().position(|c| c["type"] == "DisruptionAllowed");
    let since = known.and_then(|at| conditions.get(at)).filter(|c| c["status"] == "False");
    let since = since.map_or_else(|| now.into(), |c| c["lastTransitionTime"].clone());
    let mut condition = json!({
        "type": "DisruptionAllowed",
        "status": "False",
        "lastTransitionTime": since,
        "reason": "InsufficientPods",
        "message": "",
    });
    if let Some(generation) = budget["status"].get("observedGeneration") {
        condition["observedGeneration"] = generation.clone();
    }
    match known.and_then(|at| conditions.get_mut(at)) {
        Some(known) => *known = condition,
        None => conditions.push(condition),
    }
    budget["status"]["conditions"] = conditions.into();
}

fn still_processed(budget: &str) -> Status {
    refused(10, &format!("The disruption budget {budget} is still being processed by the server."))
}

fn refused(retry_after_seconds: u32, why: &str) -> Status {
    let mut status = Status::too_many_requests(REFUSED, retry_after_seconds);
    if let Some(details) = &mut status.details {
        let cause = Cause { reason: "DisruptionBudget".to_owned(), message: why.to_owned(), field: String::new() };
        details.causes.push(cause);
    }
    status
}

/// Notes on the pod why it goes, and deletes it.
async fn remove(request: &Request<'_>, pods: &Resource, mut options: DeleteOptions) -> Result<(), Status> {
    let name = request.info.name.as_str();
    if !options.dry_run {
        let now = meta::rfc3339(request.now);
        let noted = write::amend(request, pods, name, false, |pod| {
            delete::require_preconditions(request, pod, &options)?;
            let mut pod = pod.clone();
            let (reason, message) = ("EvictionByEvictionAPI", "Eviction API: evicting");
            conditions::set_true(&mut pod, "DisruptionTarget", reason, message, &now);
            Ok(pod)
        });
        let noted = noted.await?;
        if options.resource_version.is_some() {
            options.resource_version = Some(meta::resource_version(&noted).to_owned());
        }
    }
    delete::delete(request, pods, name, &options).await.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(status: &Value) -> Value {
        json!({"metadata": {"name": "b", "generation": 2}, "status": status})
    }

    fn cause(status: &Value) -> String {
        let refusal = spent(&budget(status), "p", "now").unwrap_err();
        assert_eq!(refusal.code, 429);
        refusal.details.unwrap().causes[0].message.clone()
    }

    #[test]
    fn a_budget_gives_what_it_has() {
        let left = spent(&budget(&json!({"observedGeneration": 2, "disruptionsAllowed": 1})), "p", "now").unwrap();
        assert_eq!(left["status"]["disruptionsAllowed"], 0);
        assert_eq!(left["status"]["disruptedPods"], json!({"p": "now"}));
        assert_eq!(left["status"]["conditions"][0]["reason"], "InsufficientPods");
    }

    #[test]
    fn a_refusal_says_why() {
        assert!(cause(&json!({"observedGeneration": 1})).ends_with("is still being processed by the server."));
        let status = json!({"observedGeneration": 2, "desiredHealthy": 3, "currentHealthy": 2});
        assert_eq!(cause(&status), "The disruption budget b needs 3 healthy pods and has 2 currently");
    }

    #[test]
    fn unready_pods_go_where_the_budget_says_so() {
        let unready = json!({});
        let ready = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
        let generous = json!({"spec": {"unhealthyPodEvictionPolicy": "AlwaysAllow"}});
        assert!(is_unhealthy_and_free(&unready, &generous) && !is_unhealthy_and_free(&ready, &generous));
        let healthy = json!({"status": {"desiredHealthy": 1, "currentHealthy": 1}});
        assert!(is_unhealthy_and_free(&unready, &healthy) && !is_unhealthy_and_free(&unready, &json!({})));
    }
}
