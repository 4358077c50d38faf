//! Buckets that the cloud's batches read from and write to: a part of Cloud Storage's JSON API.
//!
//! Owns putting, fetching, deleting and listing objects, and the store's form of errors. A bucket is there when its name does not begin
//! with `no-such-`. Source: <https://cloud.google.com/storage/docs/json_api/v1/objects> and what the official client 3.4.0 sends.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::{Context, Inbound, Output, Refusal, decode};
use super::{error, files};
use crate::batch_book::{BatchBook, KeptFile, page};
use crate::timestamp::rfc3339;

/// What the book calls objects.
const OBJECT: &str = "object";
/// What stands before the version in addresses of content.
const UPLOAD: &str = "/upload";
const DOWNLOAD: &str = "/download";

/// Whether a path is one of these.
pub(super) fn is_ours(path: &str) -> bool {
    place(path).is_some()
}

/// The bucket in a path, and the encoded name of an object in it, where there is one.
fn place(path: &str) -> Option<(&str, Option<&str>)> {
    let path = path.strip_prefix(UPLOAD).or_else(|| path.strip_prefix(DOWNLOAD)).unwrap_or(path);
    let (bucket, rest) = path.strip_prefix("/storage/v1/b/")?.split_once("/o")?;
    match rest {
        "" => Some((bucket, None)),
        rest => Some((bucket, Some(rest.strip_prefix('/')?))),
    }
}

/// Answers a request to the store.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let (bucket, name) = place(&inbound.path).ok_or(Refusal::UnknownPath)?;
    if bucket.starts_with("no-such-") {
        return Err(Refusal::UnknownPath);
    }
    let name = name.map(decode);
    let told = |object: &Value| Ok(Output::json(StatusCode::OK, object, 0));
    match (&inbound.method, name) {
        (&Method::POST, None) if inbound.path.starts_with(UPLOAD) => {
            let (name, content) = uploaded(inbound)?;
            put(context.batches, bucket, &name, content.clone());
            told(&resource(bucket, &name, &content, context))
        }
        (&Method::GET, None) => told(&list(bucket, inbound, context)),
        (&Method::GET, Some(name)) => {
            let content = object(context.batches, bucket, &name).ok_or(Refusal::UnknownPath)?;
            if inbound.parameter("alt") == Some("media") {
                return Ok(Output::whole(StatusCode::OK, "application/octet-stream", content, 0));
            }
            told(&resource(bucket, &name, &content, context))
        }
        (&Method::DELETE, Some(name)) => {
            if !context.batches.forget_file(&id(bucket, &name)) {
                return Err(Refusal::UnknownPath);
            }
            Ok(Output::whole(StatusCode::NO_CONTENT, "application/json", Bytes::new(), 0))
        }
        _ => Err(Refusal::WrongMethod),
    }
}

/// The name and the content of an upload in one request.
fn uploaded(inbound: &Inbound) -> Result<(String, Bytes), Refusal> {
    let required = || Refusal::invalid("Required parameter: name");
    match inbound.parameter("uploadType") {
        Some("media") => {
            let name = inbound.parameter("name").map(decode).filter(|name| !name.is_empty());
            Ok((name.ok_or_else(required)?, inbound.body.clone()))
        }
        Some("multipart") => {
            let (head, content) =
                files::halves(inbound).ok_or_else(|| Refusal::invalid("Malformed multipart body."))?;
            let head: Value = serde_json::from_slice(&head).unwrap_or_default();
            Ok((head["name"].as_str().ok_or_else(required)?.to_owned(), content))
        }
        _ => Err(Refusal::invalid("This simulator takes uploads of the types media and multipart.")),
    }
}

fn id(bucket: &str, name: &str) -> String {
    format!("gs/{bucket}/{name}")
}

/// Writes an object, over the one of its name.
pub(super) fn put(book: &BatchBook, bucket: &str, name: &str, content: Bytes) {
    let id = id(bucket, name);
    book.forget_file(&id);
    book.keep_file(KeptFile { id, name: String::new(), purpose: OBJECT.to_owned(), content });
}

/// The content of an object.
pub(super) fn object(book: &BatchBook, bucket: &str, name: &str) -> Option<Bytes> {
    book.file(&id(bucket, name)).filter(|file| file.purpose == OBJECT).map(|file| file.content)
}

fn list(bucket: &str, inbound: &Inbound, context: &Context<'_>) -> Value {
    let prefix = id(bucket, &inbound.parameter("prefix").map(decode).unwrap_or_default());
    let most = inbound.parameter("maxResults").and_then(|most| most.parse().ok()).unwrap_or(1_000).min(1_000);
    let after = inbound.parameter("pageToken").map(decode);
    let all = context.batches.files().into_iter();
    let mut all: Vec<KeptFile> =
        all.filter(|file| file.purpose == OBJECT && file.id.starts_with(&prefix)).collect();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let (found, has_more) = page(all, |file| file.id.as_str(), after.as_deref(), most);
    let within = id(bucket, "");
    let items: Vec<Value> = found
        .iter()
        .map(|file| {
            resource(bucket, file.id.strip_prefix(&within).unwrap_or_default(), &file.content, context)
        })
        .collect();
    let mut list = json!({"kind": "storage#objects"});
    // What is empty is left out.
    if !items.is_empty() {
        list["items"] = json!(items);
    }
    if let Some(last) = found.last().filter(|_| has_more) {
        list["nextPageToken"] = json!(last.id);
    }
    list
}

fn resource(bucket: &str, name: &str, content: &[u8], context: &Context<'_>) -> Value {
    let now = rfc3339(context.stamp.now);
    json!({
        "kind": "storage#object", "id": format!("{bucket}/{name}/1"), "name": name, "bucket": bucket, "generation": "1",
        "contentType": "application/jsonl", "size": content.len().to_string(), "timeCreated": now, "updated": now,
    })
}

/// An error in the store's form.
pub(super) fn refuse(refusal: &Refusal, inbound: &Inbound) -> Output {
    let (status, body) = error::object(refusal, inbound);
    let message = match (refusal, place(&inbound.path)) {
        (Refusal::UnknownPath, Some((bucket, Some(name)))) if !bucket.starts_with("no-such-") => {
            json!(format!("No such object: {bucket}/{}", decode(name)))
        }
        (Refusal::UnknownPath, _) => json!("The specified bucket does not exist."),
        _ => body["error"]["message"].clone(),
    };
    let reason = if status == StatusCode::NOT_FOUND { "notFound" } else { "invalid" };
    let errors = json!([{"message": message, "domain": "global", "reason": reason}]);
    Output::json(
        status,
        &json!({"error": {"code": status.as_u16(), "message": message, "errors": errors}}),
        0,
    )
}
