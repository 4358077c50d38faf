//! Files of the Gemini dialect: uploads in one request or in steps, the object, generated files to fetch.
//!
//! Owns the paths below `/files` and `/upload`. Must not know what is in a file. Source: the vendor's API reference
//! (<https://ai.google.dev/api/files>) and what its SDK 3.4.0 sends and reads.

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::super::{Context, Inbound, Output, Refusal};
use super::member;
use crate::batch_book::{KeptFile, page};
use crate::chance::{ALPHANUMERIC, Chance};
use crate::timestamp::rfc3339;

/// What a client uploaded, and may not fetch.
const UPLOADED: &str = "UPLOADED";
/// What the service made.
pub(super) const GENERATED: &str = "GENERATED";
/// What is not uploaded to its end.
const PENDING: &str = "PENDING";

/// Whether a path is one of these: `/upload/v1beta/files` or `/v1beta/files...`.
pub(super) fn is_ours(path: &str) -> bool {
    rest(path).is_some()
}

/// What stands behind `/files`.
fn rest(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/upload").unwrap_or(path);
    let (version, rest) = path.strip_prefix('/')?.split_once("/files")?;
    let fits = matches!(version, "v1" | "v1beta" | "v1alpha") && (rest.is_empty() || rest.starts_with('/'));
    fits.then(|| rest.trim_start_matches('/'))
}

/// The key of the client that began an upload: the address of its steps, handed out then, speaks for it.
pub(super) fn credential(inbound: &Inbound) -> Option<&str> {
    let (key, _) = inbound.parameter("upload_id")?.rsplit_once('.')?;
    Some(key)
}

/// Answers a request about files.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let rest = rest(&inbound.path).unwrap_or_default();
    if inbound.path.starts_with("/upload/") {
        if inbound.method != Method::POST || !rest.is_empty() {
            return Err(Refusal::UnknownPath);
        }
        return upload(inbound, context);
    }
    let (id, verb) = rest.split_once(':').unwrap_or((rest, ""));
    let find = || context.batches.file(id).filter(|file| file.purpose != PENDING).ok_or(Refusal::Forbidden);
    let object = match (&inbound.method, id, verb) {
        (&Method::GET, "", "") => {
            let all: Vec<KeptFile> =
                context.batches.files().into_iter().filter(|file| file.purpose != PENDING).collect();
            let limit = inbound.parameter("pageSize").and_then(|size| size.parse().ok()).unwrap_or(10);
            let after = inbound.parameter("pageToken");
            let (files, has_more) = page(all, |file| file.id.as_str(), after, limit);
            let next = files.last().filter(|_| has_more).map(|file| file.id.clone());
            let files: Vec<Value> = files.iter().map(|file| object(file, inbound, context)).collect();
            // What is empty is left out.
            let mut list = if files.is_empty() { json!({}) } else { json!({"files": files}) };
            if let Some(next) = next {
                list["nextPageToken"] = json!(next);
            }
            list
        }
        (&Method::GET, _, "") => object(&find()?, inbound, context),
        (&Method::DELETE, _, "") => {
            find()?;
            context.batches.forget_file(id);
            json!({})
        }
        (&Method::GET, _, "download") => {
            let file = find()?;
            if file.purpose != GENERATED {
                return Err(Refusal::invalid("Only generated files can be downloaded."));
            }
            if inbound.parameter("alt") != Some("media") {
                return Err(Refusal::UnknownPath);
            }
            return Ok(Output::whole(StatusCode::OK, "application/jsonl", file.content, 0));
        }
        _ => return Err(Refusal::UnknownPath),
    };
    Ok(Output::json(StatusCode::OK, &object, 0))
}

fn upload(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    let command = inbound.header("x-goog-upload-command").unwrap_or_default();
    match (inbound.header("x-goog-upload-protocol"), command) {
        (Some("multipart"), _) => {
            let (head, content) =
                halves(inbound).ok_or_else(|| Refusal::invalid("Malformed multipart body."))?;
            let head: Value = serde_json::from_slice(&head)
                .map_err(|error| Refusal::invalid(format!("Invalid JSON payload received. {error}")))?;
            Ok(finished(&keep(&head, content, context), inbound, context))
        }
        (Some("resumable"), "start") => {
            let head = inbound.json().map_err(Refusal::invalid)?;
            let key = inbound.header("x-goog-api-key").unwrap_or_default();
            let id = Chance::new(context.stamp.seed).identifier("up", ALPHANUMERIC, 20);
            let name = display_name(head);
            let pending =
                KeptFile { id: id.clone(), name, purpose: PENDING.to_owned(), content: Bytes::new() };
            context.batches.keep_file(pending);
            let host = inbound.header("host").unwrap_or("localhost");
            let path = &inbound.path;
            let url = format!("http://{host}{path}?upload_id={key}.{id}&upload_protocol=resumable");
            Ok(Output::whole(StatusCode::OK, "text/plain; charset=utf-8", Bytes::new(), 0)
                .with_header("x-goog-upload-status", "active")
                .with_header("x-goog-upload-url", &url))
        }
        // The header of the first step may be said again.
        (None | Some("resumable"), _) if command.starts_with("upload") => {
            let id = inbound.parameter("upload_id").and_then(|name| Some(name.rsplit_once('.')?.1));
            let pending = id.and_then(|id| context.batches.file(id)).ok_or(Refusal::UnknownPath)?;
            context.batches.forget_file(&pending.id);
            let content = Bytes::from([&pending.content[..], &inbound.body[..]].concat());
            if !command.contains("finalize") {
                context.batches.keep_file(KeptFile { content, ..pending });
                return Ok(Output::whole(StatusCode::OK, "text/plain; charset=utf-8", Bytes::new(), 0)
                    .with_header("x-goog-upload-status", "active"));
            }
            let head = json!({"file": {"displayName": pending.name}});
            Ok(finished(&keep(&head, content, context), inbound, context))
        }
        _ => Err(Refusal::invalid("Invalid upload protocol.")),
    }
}

fn keep(head: &Value, content: Bytes, context: &Context<'_>) -> KeptFile {
    let id = Chance::new(context.stamp.seed).identifier("", b"0123456789abcdefghijklmnopqrstuvwxyz", 12);
    let file = KeptFile { id, name: display_name(head), purpose: UPLOADED.to_owned(), content };
    context.batches.keep_file(file.clone());
    file
}

fn finished(file: &KeptFile, inbound: &Inbound, context: &Context<'_>) -> Output {
    let body = json!({"file": object(file, inbound, context)});
    Output::json(StatusCode::OK, &body, 0).with_header("x-goog-upload-status", "final")
}

fn display_name(head: &Value) -> String {
    let name = member(head, "file").and_then(|file| member(file, "displayName")).and_then(Value::as_str);
    name.unwrap_or_default().to_owned()
}

/// The two parts of a `multipart/related` body (RFC 2387): what the file is, and the file.
pub(super) fn halves(inbound: &Inbound) -> Option<(Bytes, Bytes)> {
    let content_type =
        inbound.header("content-type").filter(|value| value.starts_with("multipart/related"))?;
    let boundary = content_type.split("boundary=").nth(1)?.trim_matches('"');
    let delimiter = format!("--{boundary}");
    let starts: Vec<usize> = memchr::memmem::find_iter(&inbound.body, delimiter.as_bytes()).collect();
    let &[first, second, last] = &starts[..] else { return None };
    let part = |from: usize, to: usize| {
        let part = inbound.body.slice(from + delimiter.len()..to);
        let blank = memchr::memmem::find(&part, b"\r\n\r\n")?;
        Some(part.slice(blank + 4..part.len().saturating_sub(2).max(blank + 4)))
    };
    Some((part(first, second)?, part(second, last)?))
}

fn object(file: &KeptFile, inbound: &Inbound, context: &Context<'_>) -> Value {
    let host = inbound.header("host").unwrap_or("localhost");
    let uri = format!("http://{host}/v1beta/files/{}", file.id);
    let now = rfc3339(context.stamp.now);
    let mut object = json!({
        "name": format!("files/{}", file.id), "mimeType": "application/jsonl", "sizeBytes": file.content.len().to_string(),
        "createTime": now, "updateTime": now, "uri": uri, "state": "ACTIVE", "source": file.purpose,
    });
    if !file.name.is_empty() {
        object["displayName"] = json!(file.name);
    }
    if file.purpose == GENERATED {
        object["downloadUri"] = json!(format!("{uri}:download?alt=media"));
    }
    object
}
