//! The service's errors: a name in `x-amzn-errortype`, a message in the body; inside streams an exception.
//!
//! Owns statuses, names and wording. Source: the errors of the service's model and its guide to error codes.

use bytes::Bytes;
use http::StatusCode;
use serde_json::json;

use super::super::{Inbound, Output, Refusal};
use super::message;

pub(super) fn output(refusal: &Refusal, inbound: &Inbound) -> Output {
    let (status, name, text) = wording(refusal, inbound);
    // The service writes a URL behind the name.
    let kind = format!("{name}:http://internal.amazon.com/coral/com.amazon.bedrock/");
    let output = Output::json(status, &json!({"message": text}), 0).with_header("x-amzn-errortype", &kind);
    match refusal {
        Refusal::RateLimited { retry_after: Some(wait), .. } => {
            output.with_header("retry-after", &wait.as_secs_f64().ceil().to_string())
        }
        _ => output,
    }
}

/// The status and the words of an error, as records of a batch have them.
pub(super) fn told(refusal: &Refusal, inbound: &Inbound) -> (StatusCode, String) {
    let (status, _, text) = wording(refusal, inbound);
    (status, text)
}

/// An exception message for a stream that is open already; streams know five of them.
pub(super) fn exception(refusal: &Refusal) -> Bytes {
    let (name, text) = match refusal {
        Refusal::RateLimited { .. } | Refusal::QuotaExhausted => {
            ("throttlingException", "Too many requests, please wait before trying again.")
        }
        Refusal::Overloaded | Refusal::Unavailable => {
            ("serviceUnavailableException", "Bedrock is unable to process your request.")
        }
        Refusal::Invalid(_) | Refusal::ContextTooLong { .. } => {
            ("validationException", "Input is too long for requested model.")
        }
        _ => (
            "internalServerException",
            "The system encountered an unexpected error during processing. Try your request again.",
        ),
    };
    message::exception(name, json!({"message": text}).to_string().as_bytes())
}

fn wording(refusal: &Refusal, inbound: &Inbound) -> (StatusCode, &'static str, String) {
    let say = |status, name, message: &str| (status, name, message.to_owned());
    let invalid = |message: String| (StatusCode::BAD_REQUEST, "ValidationException", message);
    match refusal {
        Refusal::Invalid(wrong) => match wrong.code {
            Some(name @ "SerializationException") => (StatusCode::BAD_REQUEST, name, wrong.message.clone()),
            Some(name @ "ResourceNotFoundException") => (StatusCode::NOT_FOUND, name, wrong.message.clone()),
            Some(name @ "ConflictException") => (StatusCode::CONFLICT, name, wrong.message.clone()),
            Some(name) => (StatusCode::FORBIDDEN, name, wrong.message.clone()),
            None => invalid(wrong.message.clone()),
        },
        Refusal::MissingKey => {
            say(StatusCode::FORBIDDEN, "MissingAuthenticationTokenException", "Missing Authentication Token")
        }
        Refusal::WrongKey(_) => say(
            StatusCode::FORBIDDEN,
            "UnrecognizedClientException",
            "The security token included in the request is invalid.",
        ),
        Refusal::Forbidden => say(
            StatusCode::FORBIDDEN,
            "AccessDeniedException",
            "You don't have access to the model with the specified model ID.",
        ),
        Refusal::UnknownModel(_) => invalid("The provided model identifier is invalid.".to_owned()),
        Refusal::UnknownPath => say(
            StatusCode::NOT_FOUND,
            "UnknownOperationException",
            "The requested operation is not recognized.",
        ),
        Refusal::WrongMethod => {
            let message = format!("Method {} is not allowed for this resource.", inbound.method);
            (StatusCode::METHOD_NOT_ALLOWED, "UnknownOperationException", message)
        }
        Refusal::RequestTimeout => say(
            StatusCode::REQUEST_TIMEOUT,
            "ModelTimeoutException",
            "Model has timed out in processing the request. Try your request again.",
        ),
        Refusal::TooLarge => say(
            StatusCode::PAYLOAD_TOO_LARGE,
            "RequestEntityTooLargeException",
            "Request exceeds the maximum size",
        ),
        Refusal::RateLimited { .. } => say(
            StatusCode::TOO_MANY_REQUESTS,
            "ThrottlingException",
            "Too many requests, please wait before trying again.",
        ),
        Refusal::QuotaExhausted => say(
            StatusCode::TOO_MANY_REQUESTS,
            "ThrottlingException",
            "Too many tokens per day, please wait before trying again.",
        ),
        Refusal::Internal | Refusal::BadGateway => say(
            StatusCode::INTERNAL_SERVER_ERROR,
            "InternalServerException",
            "The system encountered an unexpected error during processing. Try your request again.",
        ),
        Refusal::Unavailable => say(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailableException",
            "Bedrock is unable to process your request.",
        ),
        Refusal::Overloaded => say(
            StatusCode::TOO_MANY_REQUESTS,
            "ModelNotReadyException",
            "Model is not ready for inference. Wait and try your request again.",
        ),
        Refusal::ContextTooLong { .. } => invalid("Input is too long for requested model.".to_owned()),
        Refusal::ContentFiltered => invalid(
            "The model returned the following errors: Output blocked by content filtering policy".to_owned(),
        ),
    }
}
