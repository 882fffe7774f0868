//! DELETE of all objects that a list selects, one after the other.

use super::delete;
use super::options::{self, DeleteOptions};
use super::write::storage_status;
use super::{Reply, Request, present};
use crate::error::Status;
use crate::limits;
use crate::object::meta;

/// Deletes the objects of the request and answers with them as they were.
pub async fn run(request: &Request<'_>) -> Result<Reply, Status> {
    let resource = request.resource()?;
    let mut list = options::list_options(request)?;
    let options = DeleteOptions::parse(request)?;
    let wanted = list.limit;
    if list.limit == 0 {
        list.limit = limits::DELETE_COLLECTION_PAGE;
    }
    let mut entries = Vec::new();
    let mut revision;
    loop {
        let page = resource.collection.list(&list).await.map_err(|e| storage_status(request, e))?;
        revision = page.revision;
        for entry in page.items {
            let object = resource.object(&entry)?;
            match delete::delete(request, resource, meta::name(&object), &options).await {
                Ok(_) => {}
                // Somebody else was faster.
                Err(status) if status.code == 404 => {}
                Err(status) => return Err(status),
            }
            entries.push(entry);
        }
        match page.continue_token {
            Some(token) if wanted == 0 => {
                list.continue_token = token;
                list.resource_version.clear();
                list.resource_version_match = crate::storage::ResourceVersionMatch::Unset;
            }
            _ => break,
        }
    }
    let page = present::ListMeta { revision, continue_token: None, remaining: None };
    present::list(request, resource, &entries, &page)
}
