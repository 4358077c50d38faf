//! Google's error object, both ways.
//!
//! Owns the map from RPC statuses and their details to failure classes, and from our codes to statuses. Must not decide what
//! follows from a failure. Statuses are coarse here: a wrong key is an invalid argument, a used-up day and a busy minute are
//! one status, so details and wording decide. Messages may name the key they reject: it is cut out.

use crate::anthropic::error::{class_of_status, contains_ignoring_case};
use crate::json_text::JsonText;
use crate::sealed;
use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use std::time::Duration;
use trunkline_model::error::ClientError;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;

const ERROR_INFO: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";
const REQUEST_INFO: &str = "type.googleapis.com/google.rpc.RequestInfo";

#[derive(Deserialize)]
struct ErrorBody {
    error: ErrorObject,
}

/// The error object itself (`google.rpc.Status` with the name of its code).
#[derive(Deserialize)]
pub(super) struct ErrorObject {
    #[serde(default)]
    code: Option<u16>,
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    details: Option<Vec<Detail>>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(rename = "@type", default)]
    kind: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(rename = "retryDelay", default)]
    retry_delay: Option<String>,
    #[serde(default)]
    violations: Option<Vec<Violation>>,
    #[serde(rename = "fieldViolations", default)]
    field_violations: Option<Vec<FieldViolation>>,
}

#[derive(Deserialize)]
struct Violation {
    #[serde(rename = "quotaId", default)]
    quota_id: String,
}

#[derive(Deserialize)]
struct FieldViolation {
    #[serde(default)]
    field: String,
}

impl ErrorObject {
    /// The failure it stands for; `status` is the HTTP status, missing inside streams.
    pub(super) fn into_failure(self, status: Option<u16>) -> Failure {
        let details = self.details.unwrap_or_default();
        let reason = details.iter().find_map(|detail| detail.reason.clone()).unwrap_or_default();
        let message = redacted(self.message.as_deref().unwrap_or_default());
        let per_day = details
            .iter()
            .flat_map(|detail| detail.violations.iter().flatten())
            .any(|violation| contains_ignoring_case(&violation.quota_id, "perday"));
        let status = status.filter(|status| *status >= 400).or(self.code).or(status);
        let name = self.status.unwrap_or_default();
        let class = classify(&name, &reason, &message, per_day, status);
        let said = if message.is_empty() {
            "the provider gave an error without a message".to_owned()
        } else {
            message
        };
        let wait = details.iter().filter(|detail| detail.kind.ends_with("RetryInfo"));
        let wait = wait.filter_map(|detail| detail.retry_delay.as_deref()).find_map(seconds);
        let mut failure = Failure::new(class, said).with_retry_after(wait);
        failure.status = status;
        failure.code = [reason, name].into_iter().find(|code| !code.is_empty());
        failure.parameter = details
            .into_iter()
            .flat_map(|detail| detail.field_violations.into_iter().flatten())
            .map(|violation| violation.field)
            .find(|field| !field.is_empty());
        failure
    }
}

/// A duration as protobuf's JSON form writes it: `33s`, `0.5s`.
fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.strip_suffix('s')?.parse().ok()?).ok()
}

/// What an HTTP error of the provider means; the status alone decides when the body is not an error object.
#[must_use]
pub fn decode_error(status: u16, body: &[u8]) -> Failure {
    // Streams without server-sent events answer errors as an array of one.
    let object = serde_json::from_slice::<ErrorBody>(body).ok().or_else(|| {
        let list: Vec<ErrorBody> = serde_json::from_slice(body).ok()?;
        list.into_iter().next()
    });
    match object {
        Some(body) => body.error.into_failure(Some(status)),
        None => {
            let message = format!("the provider answered status {status} without an error object");
            Failure::new(class_of_status(status), message).with_status(status)
        }
    }
}

fn classify(name: &str, reason: &str, message: &str, per_day: bool, status: Option<u16>) -> FailureClass {
    let says = |words: &str| contains_ignoring_case(message, words);
    if reason.starts_with("API_KEY_") || says("api key not valid") || says("api key expired") {
        return FailureClass::Credentials;
    }
    match name {
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" if exceeds_context(message) => FailureClass::ContextTooLong,
        // Whoever made the state takes it.
        "INVALID_ARGUMENT" if sealed::is_refused(message) => FailureClass::Unsupported,
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" | "ALREADY_EXISTS" => FailureClass::BadRequest,
        // What this account may not do from here; another deployment may.
        "FAILED_PRECONDITION"
            if says("location") || says("billing") || says("free tier") || says("free quota") =>
        {
            FailureClass::Credentials
        }
        "FAILED_PRECONDITION" => FailureClass::BadRequest,
        "UNAUTHENTICATED" | "PERMISSION_DENIED" => FailureClass::Credentials,
        "NOT_FOUND" => FailureClass::NotFound,
        "RESOURCE_EXHAUSTED" => {
            let used_up = per_day
                || [
                    "per day",
                    "perday",
                    "daily",
                    "limit: 0,",
                    "prepayment credits",
                    "spending cap",
                    "spend cap",
                ]
                .into_iter()
                .any(says);
            if used_up { FailureClass::QuotaExhausted } else { FailureClass::RateLimited }
        }
        "UNAVAILABLE" => FailureClass::Overloaded,
        "UNIMPLEMENTED" => FailureClass::Unsupported,
        "INTERNAL" | "UNKNOWN" | "ABORTED" | "DATA_LOSS" | "DEADLINE_EXCEEDED" | "CANCELLED" => {
            FailureClass::Server
        }
        _ => status.map_or(FailureClass::Server, class_of_status),
    }
}

fn exceeds_context(message: &str) -> bool {
    let says = |words: &str| contains_ignoring_case(message, words);
    (says("token") && says("exceed") && (says("maximum") || says("limit"))) || says("context length")
}

/// The message without what looks like a key.
fn redacted(message: &str) -> String {
    let mut out = message.to_owned();
    for mark in ["api_key:", "key=", "AIza"] {
        let mut from = 0;
        while let Some(found) = out[from..].find(mark).map(|place| place + from) {
            let start = if mark == "AIza" { found } else { found + mark.len() };
            let rest = &out[start..];
            let length = rest
                .find(|character: char| {
                    !(character.is_ascii_alphanumeric() || matches!(character, '_' | '-' | '.'))
                })
                .unwrap_or(rest.len());
            // Nothing to cut, or cut already.
            if length == 0 {
                from = start.max(found + 1);
                continue;
            }
            out.replace_range(start..start + length, "[key]");
            from = start + "[key]".len();
        }
    }
    out
}

/// The whole body of an HTTP error for a client of this dialect.
#[must_use]
pub fn encode_error(error: &ClientError, request_id: RequestId) -> Bytes {
    let mut out = BytesMut::with_capacity(512);
    write_error(error, request_id, &mut out);
    out.freeze()
}

/// The event that ends a broken stream.
pub fn encode_error_frame(error: &ClientError, request_id: RequestId, out: &mut BytesMut) {
    out.extend_from_slice(b"data: ");
    write_error(error, request_id, out);
    out.extend_from_slice(b"\r\n\r\n");
}

fn write_error(error: &ClientError, request_id: RequestId, out: &mut BytesMut) {
    let id = request_id.encode();
    let id = std::str::from_utf8(&id).expect("the alphabet is ASCII");
    let status = error.http_status();
    out.open_object();
    out.key("error");
    out.open_object();
    out.field_unsigned("code", u64::from(status));
    out.field("message", &error.message);
    out.field("status", name_of_status(status));
    out.key("details");
    out.open_array();
    out.open_object();
    out.field("@type", ERROR_INFO);
    out.field("reason", &error.code.name().to_ascii_uppercase());
    out.field("domain", "trunkline");
    out.key("metadata");
    out.open_object();
    out.field("code", error.code.name());
    if let Some(parameter) = &error.parameter {
        out.field("param", parameter);
    }
    if !error.attempts.is_empty() {
        // Metadata holds texts only.
        out.field("attempts", &error.attempts.join("\n"));
    }
    out.close_object();
    out.close_object();
    out.open_object();
    out.field("@type", REQUEST_INFO);
    out.field("requestId", id);
    out.close_object();
    if let Some(wait) = error.retry_after {
        out.open_object();
        out.field("@type", RETRY_INFO);
        let mut text = wait.as_secs().to_string();
        if wait.subsec_millis() > 0 {
            text.push_str(&format!(".{:03}", wait.subsec_millis()));
        }
        text.push('s');
        out.field("retryDelay", &text);
        out.close_object();
    }
    out.close_array();
    out.close_object();
    out.close_object();
}

const fn name_of_status(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 => "FAILED_PRECONDITION",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        405 => "UNIMPLEMENTED",
        409 => "ABORTED",
        429 => "RESOURCE_EXHAUSTED",
        502 | 503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_model::error::ErrorCode;

    fn object(code: u16, status: &str, message: &str, details: &str) -> (u16, String) {
        let body = format!(
            r#"{{"error":{{"code":{code},"message":"{message}","status":"{status}","details":[{details}]}}}}"#
        );
        (code, body)
    }

    #[test]
    fn errors_have_the_right_class() {
        let info = |reason: &str| format!(r#"{{"@type":"{ERROR_INFO}","reason":"{reason}"}}"#);
        let quota = |id: &str| {
            format!(
                r#"{{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{{"quotaId":"{id}"}}]}}"#
            )
        };
        let retry = format!(r#"{{"@type":"{RETRY_INFO}","retryDelay":"33.5s"}}"#);
        let field = r#"{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"contents"}]}"#;
        let minute = format!("{},{retry}", quota("GenerateRequestsPerMinutePerProjectPerModel"));
        let cases = [
            object(400, "INVALID_ARGUMENT", "contents is not specified", field),
            object(
                400,
                "INVALID_ARGUMENT",
                "API key not valid. Please pass a valid API key.",
                &info("API_KEY_INVALID"),
            ),
            object(
                400,
                "INVALID_ARGUMENT",
                "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).",
                "",
            ),
            object(400, "FAILED_PRECONDITION", "User location is not supported for the API use.", ""),
            object(
                403,
                "PERMISSION_DENIED",
                "Consumer 'api_key:AIzaSyD-secret_1' has been suspended.",
                &info("CONSUMER_SUSPENDED"),
            ),
            object(404, "NOT_FOUND", "models/nope is not found for API version v1beta", ""),
            object(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota, please check your plan and billing details.",
                &minute,
            ),
            object(
                429,
                "RESOURCE_EXHAUSTED",
                "You exceeded your current quota",
                &quota("GenerateRequestsPerDayPerProjectPerModel-FreeTier"),
            ),
            object(429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted.", ""),
            object(500, "INTERNAL", "An internal error has occurred.", ""),
            object(503, "UNAVAILABLE", "The model is overloaded. Please try again later.", ""),
            object(504, "DEADLINE_EXCEEDED", "", ""),
            (429, r#"[{"error":{"code":429,"message":"x","status":"RESOURCE_EXHAUSTED"}}]"#.to_owned()),
            (418, r#"{"error":{"message":"x"}}"#.to_owned()),
            (502, "<html>Bad gateway</html>".to_owned()),
            (503, String::new()),
            (200, "{}".to_owned()),
        ];
        let lines: Vec<String> = cases
            .iter()
            .map(|(status, body)| {
                let failure = decode_error(*status, body.as_bytes());
                let mut line = format!("{status} {}: {}", failure.class.name(), failure.message);
                if let Some(wait) = failure.retry_after {
                    line.push_str(&format!(" [wait {wait:?}]"));
                }
                if let Some(parameter) = &failure.parameter {
                    line.push_str(&format!(" [parameter {parameter}]"));
                }
                line
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn clients_get_the_dialects_own_object() {
        let mut error = ClientError::new(ErrorCode::UpstreamRateLimited, "every attempt \"failed\"");
        error.attempts = vec!["one: 429".to_owned(), "two: 429".to_owned()];
        error.retry_after = Some(Duration::from_millis(1_500));
        let body = encode_error(&error, RequestId::from_bits(7));
        insta::assert_snapshot!(std::str::from_utf8(&body).unwrap(), @r#"{"error":{"code":429,"message":"every attempt \"failed\"","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"UPSTREAM_RATE_LIMITED","domain":"trunkline","metadata":{"code":"upstream_rate_limited","attempts":"one: 429\ntwo: 429"}},{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"00000000000000000000000007"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.500s"}]}}"#);
        let mut out = BytesMut::new();
        let error = ClientError::new(ErrorCode::InvalidRequest, "wrong").at("contents[0]");
        encode_error_frame(&error, RequestId::from_bits(7), &mut out);
        insta::assert_snapshot!(std::str::from_utf8(&out).unwrap().replace('\r', "<CR>"), @r#"
    data: {"error":{"code":400,"message":"wrong","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"INVALID_REQUEST","domain":"trunkline","metadata":{"code":"invalid_request","param":"contents[0]"}},{"@type":"type.googleapis.com/google.rpc.RequestInfo","requestId":"00000000000000000000000007"}]}}<CR>
    <CR>
    "#);
        assert_eq!(decode_error(429, &body).retry_after, Some(Duration::from_millis(1_500)));
    }
}
