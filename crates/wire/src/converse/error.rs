//! The service's errors.
//!
//! Owns the map from exception names to failure classes. Must not decide what follows from a failure. The name decides before
//! the status; it comes in a header of a refused request (with a URL behind a colon at times), in `__type` of some bodies, and
//! as the type of an exception message in a stream.

use crate::anthropic::error::{class_of_status, contains_ignoring_case};
use crate::sealed;
use serde::Deserialize;
use trunkline_model::failure::{Failure, FailureClass};

/// The body of an error.
#[derive(Default, Deserialize)]
struct ErrorBody {
    #[serde(alias = "Message")]
    message: Option<String>,
    #[serde(rename = "__type")]
    kind: Option<String>,
}

/// What an HTTP error means, where no header named it.
#[must_use]
pub fn decode_error(status: u16, body: &[u8]) -> Failure {
    decode_named_error(status, "", body)
}

/// What an HTTP error means whose name stood in a header.
#[must_use]
pub fn decode_named_error(status: u16, name: &str, body: &[u8]) -> Failure {
    failure(Some(status), name, body)
}

/// What an exception inside a stream means.
pub(super) fn decode_exception(name: &str, body: &[u8]) -> Failure {
    failure(None, name, body)
}

fn failure(status: Option<u16>, name: &str, body: &[u8]) -> Failure {
    let body: ErrorBody = serde_json::from_slice(body).unwrap_or_default();
    let kind = body.kind.unwrap_or_default();
    let name = bare(if name.is_empty() { &kind } else { name });
    let message = body.message.filter(|message| !message.trim().is_empty());
    let class = classify(name, message.as_deref().unwrap_or_default(), status);
    let message = message.unwrap_or_else(|| match status {
        Some(status) => format!("the provider answered status {status} without a message"),
        None => "the provider reported an error without a message".to_owned(),
    });
    let mut failure = Failure::new(class, message);
    if !name.is_empty() {
        failure = failure.with_code(name.to_owned());
    }
    failure.status = status;
    failure
}

/// The name without namespace (`com.amazon...#Name`) and without what follows a colon.
fn bare(name: &str) -> &str {
    let name = name.rsplit_once('#').map_or(name, |(_, name)| name);
    name.split(':').next().unwrap_or_default().trim()
}

fn classify(name: &str, message: &str, status: Option<u16>) -> FailureClass {
    let says = |words: &str| contains_ignoring_case(message, words);
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    if is("ThrottlingException") || is("TooManyRequestsException") {
        // Daily quotas come under the same name as the limits of a minute.
        return if says("per day") { FailureClass::QuotaExhausted } else { FailureClass::RateLimited };
    }
    if is("ValidationException") {
        return validation(message, &says);
    }
    let table = [
        ("ServiceQuotaExceededException", FailureClass::QuotaExhausted),
        ("ModelNotReadyException", FailureClass::Overloaded),
        ("ServiceUnavailableException", FailureClass::Overloaded),
        ("InternalServerException", FailureClass::Server),
        ("InternalFailure", FailureClass::Server),
        ("ModelTimeoutException", FailureClass::Server),
        ("ModelErrorException", FailureClass::Server),
        ("ModelStreamErrorException", FailureClass::Server),
        ("ResourceNotFoundException", FailureClass::NotFound),
        ("UnknownOperationException", FailureClass::NotFound),
        ("AccessDeniedException", FailureClass::Credentials),
        ("UnrecognizedClientException", FailureClass::Credentials),
        ("ExpiredTokenException", FailureClass::Credentials),
        ("InvalidSignatureException", FailureClass::Credentials),
        ("IncompleteSignatureException", FailureClass::Credentials),
        ("MissingAuthenticationTokenException", FailureClass::Credentials),
    ];
    table.iter().find(|(known, _)| is(known)).map_or_else(
        || match status {
            // A failed dependency is the model's failure here, not the client's.
            Some(424) | None => FailureClass::Server,
            Some(status) => class_of_status(status),
        },
        |(_, class)| *class,
    )
}

/// One name for everything that is wrong with a request, also for what another deployment might take.
fn validation(message: &str, says: &dyn Fn(&str) -> bool) -> FailureClass {
    let too_long = [
        "input is too long",
        "prompt is too long",
        "exceed context limit",
        "maximum context length",
        "too many input tokens",
        "context window",
    ];
    if too_long.iter().any(|words| says(words)) {
        FailureClass::ContextTooLong
    } else if says("model identifier is invalid") || says("on-demand throughput") || says("end of its life") {
        FailureClass::NotFound
    } else if says("content filtering policy") {
        FailureClass::ContentRefused
    } else if sealed::is_refused(message) {
        // Whoever made the state takes it.
        FailureClass::Unsupported
    } else {
        FailureClass::BadRequest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_right_class() {
        let message = |text: &str| format!(r#"{{"message":"{text}"}}"#);
        let cases = [
            (400, "ValidationException", message("The text field in the ContentBlock object is blank.")),
            (
                400,
                "ValidationException:http://internal.amazon.com/",
                message("Input is too long for requested model."),
            ),
            (400, "ValidationException", message("The provided model identifier is invalid.")),
            (400, "ServiceQuotaExceededException", message("x")),
            (403, "AccessDeniedException", message("You don't have access to the model.")),
            (
                403,
                "UnrecognizedClientException",
                message("The security token included in the request is invalid."),
            ),
            (403, "", r#"{"Message":"Signature expired"}"#.to_owned()),
            (404, "ResourceNotFoundException", message("x")),
            (408, "ModelTimeoutException", message("x")),
            (424, "ModelErrorException", message("x")),
            (424, "", String::new()),
            (429, "ThrottlingException", message("Too many requests, please wait before trying again.")),
            (429, "ThrottlingException", message("Too many tokens per day, please wait.")),
            (429, "ModelNotReadyException", message("x")),
            (500, "InternalServerException", message("x")),
            (503, "ServiceUnavailableException", message("")),
            (
                400,
                "",
                r#"{"__type":"com.amazon.coral.service#ThrottlingException","message":"x"}"#.to_owned(),
            ),
            (502, "", "<html>Bad gateway</html>".to_owned()),
        ];
        let lines: Vec<String> = cases
            .iter()
            .map(|(status, name, body)| {
                let failure = decode_named_error(*status, name, body.as_bytes());
                let code = failure.code.as_deref().unwrap_or("-");
                format!("{status} {code} {}: {}", failure.class.name(), failure.message)
            })
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
