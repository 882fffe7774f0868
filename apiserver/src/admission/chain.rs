//! The chain: every plugin may change an object, then every plugin may refuse it.

use async_trait::async_trait;
use serde_json::Value;

use crate::error::Status;
use crate::verbs::Request;

/// What is done to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// It is new.
    Create,
    /// It is changed.
    Update,
    /// It is deleted; there is no new object.
    Delete,
    /// Something other than storing is asked of it, such as exec.
    Connect,
}

/// The circumstances of a write.
#[derive(Clone, Copy)]
pub struct Attributes<'a> {
    /// The request.
    pub request: &'a Request<'a>,
    /// What is done.
    pub operation: Operation,
    /// The object's name; empty where it is yet to be generated.
    pub name: &'a str,
    /// The subresource; may be empty.
    pub subresource: &'a str,
    /// The object as it was; absent for a new one.
    pub old: Option<&'a Value>,
    /// Whether nothing will be stored.
    pub dry_run: bool,
}

impl Attributes<'_> {
    /// Whether the write is about objects, or a subresource of them, of this group and resource.
    pub fn is(&self, group: &str, resource: &str) -> bool {
        self.request.spec.group == group && self.request.spec.plural == resource
    }
}

/// One admission plugin, called by kube-apiserver's name for it.
#[async_trait]
pub trait Plugin: Send + Sync {
    /// The name by which `--enable-admission-plugins` knows it.
    fn name(&self) -> &'static str;

    /// Changes an object before its kind's rules judge it, or refuses it.
    async fn admit(&self, _attributes: &Attributes<'_>, _object: &mut Value) -> Result<(), Status> {
        Ok(())
    }

    /// Refuses an object after its kind's rules have passed it. A deletion's object is null.
    async fn validate(&self, _attributes: &Attributes<'_>, _object: &Value) -> Result<(), Status> {
        Ok(())
    }
}

/// The plugins, in order.
#[derive(Default)]
pub struct Chain {
    plugins: Vec<Box<dyn Plugin>>,
}

impl Chain {
    /// A chain of these plugins.
    pub fn new(plugins: Vec<Box<dyn Plugin>>) -> Self {
        Self { plugins }
    }

    /// Lets every plugin change the object.
    pub async fn admit(&self, attributes: &Attributes<'_>, object: &mut Value) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.admit(attributes, object).await?;
        }
        Ok(())
    }

    /// Lets every plugin refuse the object.
    pub async fn validate(&self, attributes: &Attributes<'_>, object: &Value) -> Result<(), Status> {
        for plugin in &self.plugins {
            plugin.validate(attributes, object).await?;
        }
        Ok(())
    }
}
