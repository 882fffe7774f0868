//! GET of many objects.

use super::options;
use super::present::{self, ListMeta};
use super::write::storage_status;
use super::{Reply, Request};
use crate::error::Status;

/// Answers with the objects that the request selects.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    let resource = request.resource()?;
    let options = options::list_options(request)?;
    let found = resource.collection.list(&options).await.map_err(|e| storage_status(request, e))?;
    let page = ListMeta { revision: found.revision, continue_token: found.continue_token, remaining: found.remaining };
    present::list(request, resource, &found.items, &page)
}
