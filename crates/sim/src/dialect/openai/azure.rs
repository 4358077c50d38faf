//! What Azure does differently with the same dialect: its paths, its version parameter, its content filter, its error codes.
//!
//! Owns these differences; everything else is the vendor's. Sources: Azure's REST reference (2024-10-21 and v1) and what the
//! official Python client sends to it.

use bytes::Bytes;
use http::StatusCode;
use serde_json::{Map, Value, json};

use super::super::{Inbound, Output, Piece, Refusal};
use super::event;

/// A call by one of Azure's paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call<'a> {
    /// `/openai/deployments/NAME/...?api-version=`: the deployment stands in the path.
    Dated(&'a str),
    /// `/openai/v1/...`: the deployment is the model in the body.
    Undated,
}

impl<'a> Call<'a> {
    pub(super) fn of(inbound: &'a Inbound) -> Option<Self> {
        let (_, rest) = inbound.path.split_once("/openai/")?;
        if let Some(rest) = rest.strip_prefix("deployments/") {
            return Some(Self::Dated(rest.split('/').next().unwrap_or_default()));
        }
        rest.starts_with("v1/").then_some(Self::Undated)
    }

    /// Whether files or batches are asked for, which stand beside the deployments in either kind of path.
    pub(super) fn is_for_batches(inbound: &Inbound) -> bool {
        let rest =
            inbound.path.split_once("/openai/").map(|(_, rest)| rest.strip_prefix("v1/").unwrap_or(rest));
        rest.is_some_and(|rest| rest.starts_with("files") || rest.starts_with("batches"))
    }

    /// The body as the vendor would see it.
    pub(super) fn body(
        self,
        body: &Map<String, Value>,
        inbound: &Inbound,
    ) -> Result<Map<String, Value>, Refusal> {
        let mut body = body.clone();
        if let Self::Dated(deployment) = self {
            if inbound.parameter("api-version").is_none_or(str::is_empty) {
                return Err(Refusal::UnknownPath);
            }
            body.insert("model".to_owned(), json!(deployment));
        }
        // A deployment for batches, which its name tells here, answers nothing else.
        if body.get("model").and_then(Value::as_str).is_some_and(is_batch_deployment) {
            return Err(Refusal::invalid("The requested operation is unsupported."));
        }
        Ok(body)
    }
}

/// Whether a deployment is of the type `GlobalBatch` or `DataZoneBatch`.
pub(super) fn is_batch_deployment(name: &str) -> bool {
    name.ends_with("-batch")
}

fn harmless() -> Value {
    let safe = json!({"filtered": false, "severity": "safe"});
    json!({"hate": safe, "self_harm": safe, "sexual": safe, "violence": safe})
}

fn prompt_results() -> Value {
    json!([{"prompt_index": 0, "content_filter_results": harmless()}])
}

/// Adds what the content filter says to a chat answer.
pub(super) fn filtered(mut output: Output) -> Output {
    if output.streamed {
        // The first chunk is about the prompt alone and names neither id nor model.
        let first = json!({"choices": [], "created": 0, "id": "", "model": "", "object": "",
            "prompt_filter_results": prompt_results()});
        output.pieces.insert(0, Piece::frame(event(&first)));
        return output;
    }
    for piece in &mut output.pieces {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&piece.bytes) else { continue };
        for choice in answer["choices"].as_array_mut().into_iter().flatten() {
            choice["content_filter_results"] = harmless();
        }
        answer["prompt_filter_results"] = prompt_results();
        piece.bytes = Bytes::from(answer.to_string());
    }
    output
}

/// Azure's words for a refusal, where they are not the vendor's.
pub(super) fn error(refusal: &Refusal) -> Option<(StatusCode, Value)> {
    let say = |status: StatusCode, code: &str, message: String| {
        Some((status, json!({"error": {"code": code, "message": message}})))
    };
    match refusal {
        Refusal::MissingKey | Refusal::WrongKey(_) => {
            let message = "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for an active subscription and use a correct regional API endpoint for your resource.";
            say(StatusCode::UNAUTHORIZED, "401", message.to_owned())
        }
        Refusal::UnknownPath => say(StatusCode::NOT_FOUND, "404", "Resource not found".to_owned()),
        Refusal::UnknownModel(_) => {
            let message = "The API deployment for this resource does not exist. If you created the deployment within the last 5 minutes, please wait a moment and try again.";
            say(StatusCode::NOT_FOUND, "DeploymentNotFound", message.to_owned())
        }
        Refusal::RateLimited { retry_after, .. } => {
            let seconds = retry_after.map_or(60, |wait| wait.as_secs());
            let message = format!(
                "Requests to the ChatCompletions_Create Operation under Azure OpenAI API have exceeded call rate limit of your current pricing tier. Please retry after {seconds} seconds."
            );
            say(StatusCode::TOO_MANY_REQUESTS, "429", message)
        }
        Refusal::Forbidden => say(
            StatusCode::FORBIDDEN,
            "403",
            "Access denied due to Virtual Network/Firewall rules.".to_owned(),
        ),
        Refusal::ContentFiltered => {
            let message = "The response was filtered due to the prompt triggering Azure OpenAI's content management policy. Please modify your prompt and retry.";
            let mut results = harmless();
            results["violence"] = json!({"filtered": true, "severity": "medium"});
            let inner = json!({"code": "ResponsibleAIPolicyViolation", "content_filter_result": results});
            let error = json!({"message": message, "type": null, "param": "prompt", "code": "content_filter",
                "status": 400, "innererror": inner});
            Some((StatusCode::BAD_REQUEST, json!({"error": error})))
        }
        _ => None,
    }
}
