//! Error objects of the OpenAI dialect, read and written.
//!
//! Owns the map from what look-alikes say to a failure class. Must not decide what follows. The class comes from the code
//! first, from the wording second and from the status last, because look-alikes agree on statuses least: the same full
//! context window is a 400, a 413, a 422 and a 500.

use crate::scan::tree::{self, Node, Value};
use crate::write::{Object, array, string};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use trunkline_model::error::{ClientError, ErrorCode};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::id::RequestId;

/// The body of an HTTP error.
#[must_use]
pub fn encode_error(error: &ClientError, request_id: RequestId) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    write_error(error, request_id, &mut out);
    out.freeze()
}

/// The event that ends a broken stream: official SDKs raise on `data: {"error": …}`.
pub fn encode_error_frame(error: &ClientError, request_id: RequestId, out: &mut BytesMut) {
    out.extend_from_slice(b"data: ");
    write_error(error, request_id, out);
    out.extend_from_slice(b"\n\n");
}

fn write_error(error: &ClientError, request_id: RequestId, out: &mut BytesMut) {
    let mut body = Object::open(out);
    let mut object = Object::open(body.key("error"));
    object.text("message", &error.message);
    object.text("type", error_type(error));
    match &error.parameter {
        Some(parameter) => object.text("param", parameter),
        None => object.raw("param", "null"),
    }
    object.text("code", error.code.name());
    let id = request_id.encode();
    object.text("request_id", std::str::from_utf8(&id).unwrap_or_default());
    if !error.attempts.is_empty() {
        array(object.key("attempts"), &error.attempts, string);
    }
    object.close();
    body.close();
}

/// The `type` that SDKs and frameworks switch on; `code` says more.
pub(crate) fn error_type(error: &ClientError) -> &'static str {
    match error.code {
        ErrorCode::BudgetExceeded => "insufficient_quota",
        ErrorCode::UpstreamCredentialsRejected => "server_error",
        _ => match error.http_status() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            400..500 => "invalid_request_error",
            _ => "server_error",
        },
    }
}

/// Reads a provider's error answer. `status` is the HTTP status; an error object inside a stream has 200.
#[must_use]
pub fn decode_error(status: u16, body: &[u8]) -> Failure {
    let failure = match tree::parse(body, &[]) {
        Ok(root) => from_object(status, &root),
        Err(_) => Failure::new(class_of_status(status), describe_nonsense(status, body)),
    };
    if status == 200 { failure } else { failure.with_status(status) }
}

/// What an error object says.
pub(crate) fn from_object(status: u16, root: &Node<'_>) -> Failure {
    // Google's compatible endpoint wraps its error object in an array.
    let root = match &root.value {
        Value::Array(elements) => elements.first().unwrap_or(root),
        _ => root,
    };
    let error = root.field("error").unwrap_or(root);
    let message = message_of(root, error);
    let words = Words {
        code: word(error, "code").or_else(|| word(root, "code")),
        kind: word(error, "type").or_else(|| word(root, "error_type")).or_else(|| word(error, "status")),
        inner: error.field("innererror").and_then(|inner| word(inner, "code")),
        message: message.unwrap_or_default().to_ascii_lowercase(),
    };
    // A code that repeats the HTTP status is its only carrier inside a stream.
    let status = match words.code.as_deref().and_then(|code| code.parse::<u16>().ok()) {
        Some(code @ 400..=599) if status == 200 => code,
        _ => status,
    };
    let class = words.class(status);
    let message = match (class, message) {
        // Some providers repeat the key they were given.
        (FailureClass::Credentials, _) => "the provider rejected the gateway's credentials",
        (_, Some(message)) => message,
        (_, None) => {
            return Failure::new(class, format!("the provider answered HTTP {status} without a message"));
        }
    };
    let mut failure = Failure::new(class, message).with_retry_after(wait_in(&words.message));
    // A number says no more than the status does.
    let is_number = |code: &String| code.bytes().all(|byte| byte.is_ascii_digit());
    failure.code = words.code.filter(|code| !is_number(code)).or(words.kind);
    failure.parameter = error.field("param").and_then(Node::as_text).map(str::to_owned);
    if status != 200 {
        failure.status = Some(status);
    }
    failure
}

/// The message, wherever look-alikes put it: `error.message`, `error` itself, `message`, `detail` (FastAPI: a list).
fn message_of<'n>(root: &'n Node<'_>, error: &'n Node<'_>) -> Option<&'n str> {
    let detail = || {
        let detail = root.field("detail").or_else(|| error.field("message")?.field("detail"))?;
        match &detail.value {
            Value::Array(details) => details.first()?.field("msg")?.as_text(),
            _ => detail.as_text(),
        }
    };
    error
        .field("message")
        .and_then(Node::as_text)
        .or_else(|| error.as_text())
        .or_else(|| root.field("message").and_then(Node::as_text))
        .or_else(detail)
        .filter(|message| !message.is_empty())
}

/// A string or number as a word.
fn word(node: &Node<'_>, name: &str) -> Option<String> {
    let field = node.field(name)?;
    match field.value {
        Value::Text(_) => {
            field.as_text().filter(|text| !text.is_empty()).map(|text| text.chars().take(100).collect())
        }
        Value::Number => Some(field.raw.chars().take(100).collect()),
        _ => None,
    }
}

/// What an error object says of its kind.
struct Words {
    code: Option<String>,
    kind: Option<String>,
    inner: Option<String>,
    /// In lower case.
    message: String,
}

impl Words {
    fn class(&self, status: u16) -> FailureClass {
        let codes = [&self.inner, &self.code, &self.kind];
        codes
            .into_iter()
            .flatten()
            .find_map(|code| class_of_code(&code.to_ascii_lowercase()))
            .filter(|class| !self.is_vague(*class, status))
            .or_else(|| self.class_of_wording(status))
            .or_else(|| {
                codes.into_iter().flatten().find_map(|code| class_of_code(&code.to_ascii_lowercase()))
            })
            .unwrap_or_else(|| class_of_status(status))
    }

    /// Codes that say less than the message may.
    fn is_vague(&self, class: FailureClass, status: u16) -> bool {
        matches!(class, FailureClass::Server | FailureClass::RateLimited | FailureClass::Credentials)
            || (status == 200 && class == FailureClass::BadRequest)
    }

    fn class_of_wording(&self, status: u16) -> Option<FailureClass> {
        let says = |phrases: &[&str]| phrases.iter().any(|phrase| self.message.contains(phrase));
        // Google's endpoint words its limits per minute like an empty account.
        let is_limit = self.kind.as_deref() == Some("RESOURCE_EXHAUSTED");
        if matches!(status, 200 | 400 | 402 | 403 | 429) && !is_limit && says(QUOTA_WORDING) {
            return Some(FailureClass::QuotaExhausted);
        }
        if status != 429 && status != 401 && says(CONTEXT_WORDING) {
            return Some(FailureClass::ContextTooLong);
        }
        if matches!(status, 200 | 400 | 403 | 422) && says(CONTENT_WORDING) {
            return Some(FailureClass::ContentRefused);
        }
        if matches!(status, 200 | 400) && says(CREDENTIALS_WORDING) {
            return Some(FailureClass::Credentials);
        }
        if matches!(status, 200 | 400) && self.message.contains("model") && says(MODEL_WORDING) {
            return Some(FailureClass::NotFound);
        }
        if matches!(status, 200 | 500..=599) && says(&["overloaded", "at capacity", "over capacity"]) {
            return Some(FailureClass::Overloaded);
        }
        (status == 200 && says(&["rate limit"])).then_some(FailureClass::RateLimited)
    }
}

/// vLLM, SGLang, llama.cpp, TGI, Ollama, LM Studio, Together, Mistral, DeepSeek and OpenAI itself.
const CONTEXT_WORDING: &[&str] = &[
    "maximum context length",
    "model's context length",
    "context length exceeded",
    "context window",
    "context size",
    "context limit",
    "context_length_exceeded",
    "context length of only",
    "maximum input length",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input too long",
    "too many tokens",
    "too large for model",
    "reduce the length of the messages",
    "`inputs` tokens + `max_new_tokens`",
    "`inputs` must have less than",
    "exceeds the maximum number of tokens",
    "maximum prompt length",
];

const CONTENT_WORDING: &[&str] = &[
    "content management policy",
    "content filter",
    "content_filter",
    "content policy",
    "safety system",
    "flagged as potentially violating",
    "requires moderation",
    "flagged by moderation",
    "inappropriate content",
    "content exists risk",
];

const QUOTA_WORDING: &[&str] = &[
    "exceeded your current quota",
    "insufficient balance",
    "insufficient credits",
    "insufficient quota",
    "more credits",
    "credit balance is too low",
    "billing",
    "payment required",
    "used all available credits",
];

const CREDENTIALS_WORDING: &[&str] =
    &["api key not valid", "incorrect api key", "invalid api key", "invalid api_key", "invalid token"];

const MODEL_WORDING: &[&str] = &[
    "does not exist",
    "not found",
    "not a valid model",
    "unknown model",
    "model not exist",
    "has been decommissioned",
    "invalid model",
];

fn class_of_code(code: &str) -> Option<FailureClass> {
    use FailureClass as Class;
    Some(match code {
        "insufficient_quota"
        | "billing_hard_limit_reached"
        | "billing_not_active"
        | "insufficient_balance"
        | "payment_required"
        | "insufficient_user_quota"
        | "quota_exceeded"
        | "arrearage" => Class::QuotaExhausted,
        "context_length_exceeded"
        | "exceed_context_size_error"
        | "string_above_max_length"
        | "context_window_exceeded" => Class::ContextTooLong,
        // Whoever made the state takes it.
        "invalid_encrypted_content" => Class::Unsupported,
        "request_too_large" | "request_entity_too_large" | "payload_too_large" => Class::RequestTooLarge,
        "content_filter"
        | "content_policy_violation"
        | "responsibleaipolicyviolation"
        | "data_inspection_failed"
        | "moderation_blocked"
        | "content_filter_error" => Class::ContentRefused,
        "invalid_api_key"
        | "authentication_error"
        | "invalid_authentication"
        | "account_deactivated"
        | "permission_error"
        | "permission_denied"
        | "unauthorized"
        | "unauthenticated"
        | "access_terminated"
        | "invalid_authentication_error"
        | "mismatched_organization" => Class::Credentials,
        "model_not_found"
        | "deploymentnotfound"
        | "model_not_available"
        | "model_decommissioned"
        | "not_found_error"
        | "notfounderror"
        | "unsupported_model"
        | "not_found" => Class::NotFound,
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "too_many_requests"
        | "rate_limit_reached_error"
        | "resource_exhausted"
        | "ratelimiterror"
        | "rate_limited"
        | "requests"
        | "tokens" => Class::RateLimited,
        "overloaded"
        | "overloaded_error"
        | "engine_overloaded_error"
        | "engine_overloaded"
        | "service_unavailable"
        | "model_overloaded"
        | "slow_down"
        | "unavailable"
        | "serviceunavailableerror"
        | "503"
        | "529" => Class::Overloaded,
        "server_error"
        | "internal_server_error"
        | "internal_error"
        | "api_error"
        | "internalservererror"
        | "internal"
        | "generation" => Class::Server,
        "unsupported_parameter" | "unsupported_value" => Class::Unsupported,
        _ => return None,
    })
}

/// What a status says when nothing else speaks.
fn class_of_status(status: u16) -> FailureClass {
    use FailureClass as Class;
    match status {
        401 | 403 => Class::Credentials,
        402 => Class::QuotaExhausted,
        404 | 405 | 410 => Class::NotFound,
        // A limit on bodies, not on tokens: those who mean their context window say so in code or words.
        413 => Class::RequestTooLarge,
        408 | 409 | 424 | 425 => Class::Server,
        429 => Class::RateLimited,
        400..=499 => Class::BadRequest,
        503 | 529 => Class::Overloaded,
        200 | 500..=599 => Class::Server,
        // A redirect or another success is not an answer of this protocol.
        _ => Class::Malformed,
    }
}

/// What a body without an error object was, never what it held.
fn describe_nonsense(status: u16, body: &[u8]) -> String {
    let start = body.trim_ascii_start();
    if start.is_empty() {
        return format!("the provider answered HTTP {status} with an empty body");
    }
    if start.starts_with(b"<") {
        return format!("the provider answered HTTP {status} with an HTML page");
    }
    format!("the provider answered HTTP {status} with {} bytes that are not an error object", body.len())
}

/// The wait in "please try again in 1m2.5s" or "retry after 12 seconds"; at most a day.
fn wait_in(message: &str) -> Option<Duration> {
    let start = ["try again in ", "retry after ", "retry in "]
        .into_iter()
        .find_map(|phrase| message.find(phrase).map(|at| at + phrase.len()))?;
    let mut rest = &message[start..];
    let mut seconds = 0.0;
    let mut found = false;
    while let Some((number, unit, after)) = amount(rest) {
        seconds += number * unit;
        found = true;
        rest = after;
    }
    (found && seconds <= 86_400.0).then(|| Duration::from_secs_f64(seconds))
}

/// A number and its unit in seconds at the start of a text, and what follows.
fn amount(text: &str) -> Option<(f64, f64, &str)> {
    let digits = text.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let number: f64 = text[..digits].trim_end_matches('.').parse().ok()?;
    let unit = text[digits..].trim_start();
    let letters = unit.bytes().take_while(u8::is_ascii_alphabetic).count();
    let seconds = match &unit[..letters] {
        "ms" | "milliseconds" => 0.001,
        "s" | "second" | "seconds" => 1.0,
        "m" | "minute" | "minutes" => 60.0,
        "h" | "hour" | "hours" => 3_600.0,
        _ => return None,
    };
    Some((number, seconds, &unit[letters..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statuses and bodies as providers and servers send them.
    const CASES: &[(u16, &str)] = &[
        (
            429,
            r#"{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}"#,
        ),
        (
            429,
            r#"{"error":{"message":"Rate limit reached for gpt-4o in organization org-x on tokens per min (TPM). Please try again in 1m2.5s.","type":"tokens","param":null,"code":"rate_limit_exceeded"}}"#,
        ),
        (
            400,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}"#,
        ),
        (
            400,
            r#"{"object":"error","message":"This model's maximum context length is 4096 tokens. However, you requested 5000 tokens","type":"BadRequestError","param":null,"code":400}"#,
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error"}}"#,
        ),
        (
            422,
            r#"{"error":"Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096.","error_type":"validation"}"#,
        ),
        (
            413,
            r#"{"error":{"message":"This model's maximum context length is 8192 tokens","type":"invalid_request_error"}}"#,
        ),
        (413, r#"{"error":{"message":"Payload Too Large","type":"invalid_request_error","code":null}}"#),
        (413, "<html><h1>413 Request Entity Too Large</h1></html>"),
        (
            413,
            r#"{"error":{"message":"Request too large for model `x` on tokens per minute (TPM): Limit 6000","type":"tokens","code":"rate_limit_exceeded"}}"#,
        ),
        (
            400,
            r#"{"error":{"message":"The response was filtered","code":"content_filter","param":"prompt","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
        ),
        (
            400,
            r#"{"error":{"code":"data_inspection_failed","message":"Input data may contain inappropriate content."}}"#,
        ),
        (
            401,
            r#"{"error":{"message":"Incorrect API key provided: sk-secret","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
        ),
        (
            400,
            r#"[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT"}}]"#,
        ),
        (
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}"#,
        ),
        (
            403,
            r#"{"error":{"code":403,"message":"Your chosen model requires moderation and your input was flagged"}}"#,
        ),
        (
            404,
            r#"{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","param":null,"code":"model_not_found"}}"#,
        ),
        (400, r#"{"error":{"message":"foo/bar is not a valid model ID","code":400}}"#),
        (
            400,
            r#"{"error":{"message":"Unsupported value: 'temperature' does not support 0.2 with this model.","type":"invalid_request_error","param":"temperature","code":"unsupported_value"}}"#,
        ),
        (
            422,
            r#"{"detail":[{"type":"missing","loc":["body","messages"],"msg":"Field required","input":{}}]}"#,
        ),
        (
            422,
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error"}"#,
        ),
        (
            503,
            r#"{"error":{"message":"That model is currently overloaded","type":"server_error","param":null,"code":null}}"#,
        ),
        (
            500,
            r#"{"error":{"message":"The server had an error","type":"server_error","param":null,"code":null}}"#,
        ),
        (
            200,
            r#"{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}"#,
        ),
        (200, r#"{"error":{"message":"Provider returned error","code":502}}"#),
        (200, r#"{"error":{"message":"The server is overloaded","type":"server_error"}}"#),
        (
            429,
            r#"{"error":{"code":"429","message":"Requests have exceeded token rate limit. Please retry after 12 seconds."}}"#,
        ),
        (
            429,
            r#"[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details. Please retry in 33.5s.","status":"RESOURCE_EXHAUSTED"}}]"#,
        ),
        (502, "<html><body>Bad gateway</body></html>"),
        (500, ""),
        (418, "\u{1}\u{2}"),
        (400, "{}"),
        (302, ""),
    ];

    #[test]
    fn what_look_alikes_say_becomes_a_class() {
        let report: Vec<String> = CASES
            .iter()
            .map(|(status, body)| {
                let failure = decode_error(*status, body.as_bytes());
                format!(
                    "{status} -> {} status={:?} code={:?} param={:?} wait={:?}: {}",
                    failure.class.name(),
                    failure.status,
                    failure.code,
                    failure.parameter,
                    failure.retry_after,
                    failure.message
                )
            })
            .collect();
        insta::assert_snapshot!(report.join("\n"));
    }

    #[test]
    fn errors_are_written_with_all_four_keys() {
        let mut error = ClientError::new(ErrorCode::UpstreamFailed, "every attempt \"failed\"");
        error.attempts = vec!["openai: 503".to_owned(), "edge: connect".to_owned()];
        let id = RequestId::from_bits(7);
        insta::assert_snapshot!(String::from_utf8_lossy(&encode_error(&error, id)), @r#"{"error":{"message":"every attempt \"failed\"","type":"server_error","param":null,"code":"upstream_failed","request_id":"00000000000000000000000007","attempts":["openai: 503","edge: connect"]}}"#);
        let mut out = BytesMut::new();
        encode_error_frame(
            &ClientError::new(ErrorCode::InvalidRequest, "no").at("messages[0]"),
            id,
            &mut out,
        );
        insta::assert_snapshot!(String::from_utf8_lossy(&out), @r#"data: {"error":{"message":"no","type":"invalid_request_error","param":"messages[0]","code":"invalid_request","request_id":"00000000000000000000000007"}}"#);
    }
}
