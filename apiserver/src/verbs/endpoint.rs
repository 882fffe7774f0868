//! What an endpoint shows of a stored object and takes for it: the object itself, or through `/scale` its number of replicas.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::options::causes;
use super::{Request, strategy};
use crate::error::{Qualified, Status};
use crate::object::fields::FieldSet;
use crate::object::managed_fields::{self, Context};
use crate::object::meta;
use crate::object::selector::LabelSelector;
use crate::resources::spec::{Scale, ScaleSelector};
use crate::schema::{self, GroupVersionKind, TypeRef};
use crate::validation::field::{self, Path};

/// The endpoint of a request for one object.
pub struct Endpoint<'a> {
    /// The kind that is shown and taken.
    pub gvk: GroupVersionKind,
    /// Its type.
    pub ty: TypeRef,
    request: &'a Request<'a>,
    view: View<'a>,
}

enum View<'a> {
    /// The object as it is stored.
    Whole,
    /// Its number of replicas.
    Scale(&'a Scale),
}

impl<'a> Endpoint<'a> {
    /// The endpoint that the request names.
    pub fn of(request: &'a Request<'a>) -> Result<Self, Status> {
        let resource = request.resource()?;
        let scale = request.spec.scale.as_ref().filter(|_| request.subresource_name() == "scale");
        let (gvk, ty, view) = match scale {
            None => (resource.gvk.clone(), resource.ty.clone(), View::Whole),
            Some(scale) => {
                let gvk = GroupVersionKind::new("autoscaling", "v1", "Scale");
                let ty = request.api.registry.kind(&gvk).ok_or_else(|| Status::internal("no type for Scale"))?;
                (gvk, ty, View::Scale(scale))
            }
        };
        Ok(Self { gvk, ty, request, view })
    }

    /// What clients see of an object.
    pub fn show(&self, object: &Value) -> Value {
        match self.view {
            View::Whole => object.clone(),
            View::Scale(scale) => self.scale_of(scale, object),
        }
    }

    /// What a change starts from: what clients see, with its managers.
    pub fn live<'o>(&self, object: &'o Value) -> Cow<'o, Value> {
        match self.view {
            View::Whole => Cow::Borrowed(object),
            View::Scale(scale) => {
                let mut live = self.scale_of(scale, object);
                managed_fields::of_parent(object, &mut live, &scale.spec_replicas);
                Cow::Owned(live)
            }
        }
    }

    /// The object to store for what a client wants, made from the one that is there. `manager` comes to own what differs; it is
    /// absent where `wanted` says itself who owns what.
    pub fn absorb(&self, live: Option<&Value>, mut wanted: Value, manager: Option<&str>) -> Result<Value, Status> {
        if let Some(manager) = manager {
            let shown = live.map(|live| self.live(live));
            self.with_context(manager, |context| managed_fields::update(shown.as_deref(), &mut wanted, context));
        }
        match (&self.view, live) {
            (View::Whole, _) => Ok(wanted),
            (View::Scale(scale), Some(live)) => self.scaled(scale, live, &wanted),
            (View::Scale(_), None) => Err(Status::not_found(self.request.qualified(), &self.request.info.name)),
        }
    }

    /// Runs `act` with what is known of this write when fields are attributed to managers.
    pub fn with_context<T>(&self, manager: &str, act: impl FnOnce(&Context<'_>) -> T) -> T {
        let subresource = self.request.subresource_name();
        let reset = match self.view {
            View::Whole => strategy::reset_fields(self.request.spec, subresource),
            View::Scale(_) => FieldSet::default(),
        };
        act(&Context {
            ty: &self.ty,
            kind: &self.gvk,
            manager,
            subresource: Some(subresource).filter(|s| !s.is_empty()),
            now: &meta::rfc3339(self.request.now),
            reset: &reset,
        })
    }

    fn scale_of(&self, scale: &Scale, object: &Value) -> Value {
        let at = |path: &str| strategy::get_at(object, path).cloned();
        let mut metadata = serde_json::Map::new();
        for field in ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"] {
            if let Some(value) = object["metadata"].get(field) {
                metadata.insert(field.to_owned(), value.clone());
            }
        }
        let mut shown = json!({
            "kind": self.gvk.kind,
            "apiVersion": self.gvk.api_version(),
            "metadata": metadata,
            "spec": { "replicas": at(&scale.spec_replicas).unwrap_or(0.into()) },
            "status": { "replicas": at(&scale.status_replicas).unwrap_or(0.into()) },
        });
        if let Some(selector) = selector_text(&scale.selector, object) {
            shown["status"]["selector"] = selector.into();
        }
        schema::complete(&mut shown, &self.ty);
        shown
    }

    fn scaled(&self, scale: &Scale, live: &Value, wanted: &Value) -> Result<Value, Status> {
        let replicas = wanted["spec"]["replicas"].as_i64().unwrap_or(0);
        if replicas < 0 {
            let path = Path::new("spec").child("replicas");
            let error = field::Error::invalid(&path, replicas, "must be greater than or equal to 0");
            let kind = Qualified { group: "autoscaling", name: "Scale" };
            return Err(Status::invalid(kind, meta::name(wanted), causes(&[error])));
        }
        let mut object = live.clone();
        strategy::set_at(&mut object, &scale.spec_replicas, Some(replicas.into()));
        meta::set_text(&mut object, "resourceVersion", meta::resource_version(wanted));
        let api_version = self.request.spec.api_version();
        managed_fields::of_scale(wanted, &mut object, &scale.spec_replicas, &api_version);
        Ok(object)
    }
}

/// The selector of a scale's pods as text.
fn selector_text(selector: &ScaleSelector, object: &Value) -> Option<String> {
    match selector {
        ScaleSelector::None => None,
        ScaleSelector::LabelSelector(path) => {
            let selector = LabelSelector::from_object(strategy::get_at(object, path)).ok()?;
            Some(selector.to_string())
        }
        ScaleSelector::Labels(path) => {
            let labels = strategy::get_at(object, path).and_then(Value::as_object)?;
            Some(LabelSelector::from_labels(labels).to_string())
        }
        ScaleSelector::Text(path) => strategy::get_at(object, path).and_then(Value::as_str).map(str::to_owned),
    }
}
