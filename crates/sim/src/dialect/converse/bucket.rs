//! Buckets that batches read from and write to: a part of S3, with its addresses in paths.
//!
//! Owns putting, fetching, deleting and listing objects, and the store's errors, which are XML. Told from the service's own requests by
//! the name they are signed for. A bucket is there when its name does not begin with `no-such-`. Source: the API reference of Amazon S3
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html>).

use bytes::Bytes;
use http::{Method, StatusCode};
use sha2::{Digest as _, Sha256};

use super::super::{Context, Inbound, Output, Refusal, decode};
use super::signature;
use crate::batch_book::{BatchBook, KeptFile, page};
use crate::timestamp::rfc3339;

/// What the book calls objects.
const OBJECT: &str = "object";
/// The name that requests to the store are signed for.
const SERVICE: &str = "s3";

/// Whether a request is one to the store.
pub(super) fn is_ours(inbound: &Inbound) -> bool {
    signature::service(inbound) == Some(SERVICE)
}

/// Answers a request to the store.
pub(super) fn answer(inbound: &Inbound, context: &Context<'_>) -> Result<Output, Refusal> {
    signature::verify(inbound, SERVICE, &context.config.keys, context.stamp.now)?;
    let path = inbound.path.strip_prefix('/').unwrap_or_default();
    let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() || bucket.starts_with("no-such-") {
        return Err(error("NoSuchBucket", "The specified bucket does not exist"));
    }
    let key = decode(key);
    let done = |status| Output::whole(status, "application/xml", Bytes::new(), 0);
    match (&inbound.method, &*key) {
        (&Method::GET, "") if inbound.parameter("list-type") == Some("2") => {
            Ok(list(bucket, inbound, context))
        }
        (_, "") => Err(Refusal::WrongMethod),
        (&Method::PUT, _) => {
            put(context.batches, bucket, &key, inbound.body.clone());
            Ok(done(StatusCode::OK).with_header("etag", &tag(&inbound.body)))
        }
        (&Method::GET, _) => {
            let content = object(context.batches, bucket, &key);
            let content = content.ok_or_else(|| error("NoSuchKey", "The specified key does not exist."))?;
            let tag = tag(&content);
            Ok(Output::whole(StatusCode::OK, "binary/octet-stream", content, 0).with_header("etag", &tag))
        }
        (&Method::DELETE, _) => {
            // What is not there is deleted, too.
            context.batches.forget_file(&id(bucket, &key));
            Ok(done(StatusCode::NO_CONTENT))
        }
        _ => Err(Refusal::WrongMethod),
    }
}

fn id(bucket: &str, key: &str) -> String {
    format!("{bucket}/{key}")
}

/// Writes an object, over the one of its name.
pub(super) fn put(book: &BatchBook, bucket: &str, key: &str, content: Bytes) {
    let id = id(bucket, key);
    book.forget_file(&id);
    book.keep_file(KeptFile { id, name: String::new(), purpose: OBJECT.to_owned(), content });
}

/// The content of an object.
pub(super) fn object(book: &BatchBook, bucket: &str, key: &str) -> Option<Bytes> {
    book.file(&id(bucket, key)).filter(|file| file.purpose == OBJECT).map(|file| file.content)
}

/// The names of a bucket's objects that begin like this, in their order.
pub(super) fn names(book: &BatchBook, bucket: &str, prefix: &str) -> Vec<(String, Bytes)> {
    let within = id(bucket, "");
    let all = book.files().into_iter().filter(|file| file.purpose == OBJECT);
    let mut found: Vec<(String, Bytes)> = all
        .filter_map(|file| Some((file.id.strip_prefix(&within)?.to_owned(), file.content)))
        .filter(|(key, _)| key.starts_with(prefix))
        .collect();
    found.sort();
    found
}

fn list(bucket: &str, inbound: &Inbound, context: &Context<'_>) -> Output {
    let prefix = decode(inbound.parameter("prefix").unwrap_or_default());
    let most = inbound.parameter("max-keys").and_then(|most| most.parse().ok()).unwrap_or(1_000).min(1_000);
    let after = inbound.parameter("continuation-token").map(decode);
    let all = names(context.batches, bucket, &prefix);
    let (found, has_more) = page(all, |(key, _)| key.as_str(), after.as_deref(), most);
    let now = rfc3339(context.stamp.now);
    let contents: String = found
        .iter()
        .map(|(key, content)| {
            format!(
                "<Contents><Key>{}</Key><LastModified>{now}</LastModified><ETag>{}</ETag><Size>{}</Size>\
                 <StorageClass>STANDARD</StorageClass></Contents>",
                escaped(key),
                escaped(&tag(content)),
                content.len()
            )
        })
        .collect();
    let next = found.last().filter(|_| has_more);
    let next =
        next.map(|(key, _)| format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(key)));
    let kind =
        inbound.parameter("encoding-type").map(|_| "<EncodingType>url</EncodingType>").unwrap_or_default();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <Name>{bucket}</Name><Prefix>{}</Prefix><KeyCount>{}</KeyCount><MaxKeys>{most}</MaxKeys>{kind}\
         <IsTruncated>{has_more}</IsTruncated>{}{contents}</ListBucketResult>",
        escaped(&prefix),
        found.len(),
        next.unwrap_or_default()
    );
    Output::whole(StatusCode::OK, "application/xml", body.into(), 0)
}

/// Quoted digits that change with the content.
fn tag(content: &[u8]) -> String {
    format!("\"{}\"", &hex::encode(Sha256::digest(content))[..32])
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn error(code: &'static str, message: &str) -> Refusal {
    Refusal::parameter("", Some(code), message)
}

/// An error in the store's form.
pub(super) fn refuse(refusal: &Refusal, inbound: &Inbound) -> Output {
    let (status, code, message) = wording(refusal);
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{}</Message><Resource>{}</Resource>\
         <RequestId>4442587FB7D0A2F9</RequestId></Error>",
        escaped(message),
        escaped(&inbound.path)
    );
    Output::whole(status, "application/xml", body.into(), 0)
}

fn wording(refusal: &Refusal) -> (StatusCode, &str, &str) {
    match refusal {
        Refusal::Invalid(wrong) => match wrong.code {
            Some(code @ ("NoSuchKey" | "NoSuchBucket")) => (StatusCode::NOT_FOUND, code, &wrong.message),
            Some("IncompleteSignatureException") => {
                (StatusCode::BAD_REQUEST, "AuthorizationHeaderMalformed", &wrong.message)
            }
            Some(_) => (StatusCode::FORBIDDEN, "SignatureDoesNotMatch", &wrong.message),
            None => (StatusCode::BAD_REQUEST, "InvalidRequest", &wrong.message),
        },
        Refusal::WrongKey(_) => (
            StatusCode::FORBIDDEN,
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
        ),
        Refusal::MissingKey | Refusal::Forbidden => (StatusCode::FORBIDDEN, "AccessDenied", "Access Denied"),
        Refusal::UnknownPath | Refusal::UnknownModel(_) => {
            (StatusCode::NOT_FOUND, "NoSuchBucket", "The specified bucket does not exist")
        }
        Refusal::WrongMethod => (
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "The specified method is not allowed against this resource.",
        ),
        Refusal::RequestTimeout => (
            StatusCode::BAD_REQUEST,
            "RequestTimeout",
            "Your socket connection to the server was not read from or written to within the timeout period.",
        ),
        Refusal::TooLarge => (
            StatusCode::BAD_REQUEST,
            "EntityTooLarge",
            "Your proposed upload exceeds the maximum allowed object size.",
        ),
        Refusal::RateLimited { .. } | Refusal::QuotaExhausted | Refusal::Overloaded => {
            (StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "Please reduce your request rate.")
        }
        Refusal::Unavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable", "Service is unable to handle request.")
        }
        Refusal::Internal
        | Refusal::BadGateway
        | Refusal::ContextTooLong { .. }
        | Refusal::ContentFiltered => (
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalError",
            "We encountered an internal error. Please try again.",
        ),
    }
}
