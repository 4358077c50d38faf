//! Files, listed, shown, read and deleted.
//!
//! Owns the file object. Must not know what is in a file.

use super::{Visit, download, limit, look, parameter, shown};
use crate::body::AnswerBody;
use crate::respond;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_store::{FileQuery, StoredFile};

/// Most files of one page, and the usual.
const LONGEST_PAGE: usize = 10_000;

/// A file as its client sees it.
pub(super) fn object(file: &StoredFile) -> Value {
    json!({
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": file.created,
        "expires_at": file.expires,
        "filename": file.name,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": null,
    })
}

pub(super) async fn list(visit: &Visit) -> Result<Response<AnswerBody>, ClientError> {
    let query = FileQuery {
        purpose: parameter(visit.query(), "purpose").map(str::to_owned),
        after: parameter(visit.query(), "after").map(str::to_owned),
        ascending: parameter(visit.query(), "order") == Some("asc"),
        limit: limit(visit.query(), LONGEST_PAGE, LONGEST_PAGE)?,
    };
    let (store, owner) = (visit.store(), visit.owner.clone());
    let (files, has_more) = look(move || store.files(&owner, &query)).await?;
    let page = json!({
        "object": "list",
        "data": files.iter().map(object).collect::<Vec<_>>(),
        "first_id": files.first().map(|file| &file.id),
        "last_id": files.last().map(|file| &file.id),
        "has_more": has_more,
    });
    Ok(respond::json(StatusCode::OK, &page))
}

pub(super) async fn show(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    Ok(respond::json(StatusCode::OK, &object(&find(visit, id).await?)))
}

pub(super) async fn delete(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    let (store, owner, wanted) = (visit.store(), visit.owner.clone(), id.to_owned());
    if !look(move || store.delete_file(&owner, &wanted)).await? {
        return Err(unknown(id));
    }
    Ok(respond::json(StatusCode::OK, &json!({"id": id, "object": "file", "deleted": true})))
}

pub(super) async fn content(visit: &Visit, id: &str) -> Result<Response<AnswerBody>, ClientError> {
    let file = find(visit, id).await?;
    download::file(visit.store(), file, &visit.headers)
}

/// A file of the caller's.
///
/// # Errors
/// When there is none of that id.
pub(super) async fn find(visit: &Visit, id: &str) -> Result<StoredFile, ClientError> {
    let (store, owner, wanted) = (visit.store(), visit.owner.clone(), id.to_owned());
    look(move || store.file(&owner, &wanted)).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> ClientError {
    let message = format!("No such File object: {}", shown(id));
    ClientError::new(ErrorCode::NotFound, message).at("id")
}
