//! Files and batches as those have them who copied the vendor's and changed something.
//!
//! Owns what each changed, and refuses what its documentation does not have; what is the same is [`super::batches`]. Sources: Together's
//! OpenAPI document of 2026-04-28 and <https://docs.together.ai/docs/inference/batch/tutorial>,
//! <https://novita.ai/docs/guides/llm-batch-api>, <https://docs.bigmodel.cn/cn/guide/tools/batch>.

use std::time::{Duration, UNIX_EPOCH};

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::form::{FormPart, text};
use crate::dialect::Refusal;
use crate::script::BatchManner;
use crate::timestamp::rfc3339;

impl BatchManner {
    /// Whether files are uploaded at a path behind `/files`.
    pub(super) fn uploads_at(self, method: &Method, id: &str) -> bool {
        let expected = if self == Self::Together { "upload" } else { "" };
        *method == Method::POST && id == expected
    }

    /// What is wrong with an upload.
    pub(super) fn checked_upload(self, parts: &[FormPart]) -> Result<(), Refusal> {
        let purpose = text(parts, "purpose").unwrap_or_default();
        let expected = match self {
            // The other one asks for no purpose.
            Self::OpenAi | Self::Xai | Self::OpenRouter => return Ok(()),
            Self::Together => "batch-api",
            Self::Novita | Self::Zhipu => "batch",
        };
        if purpose != expected {
            return Err(Refusal::invalid(format!("The purpose of a file of requests is '{expected}'.")));
        }
        if self == Self::Together && text(parts, "file_name").is_none_or(|name| name.is_empty()) {
            return Err(Refusal::parameter("file_name", None, "'file_name' is a required property"));
        }
        Ok(())
    }

    /// What is wrong with an order, and the endpoint of it as the vendor would name it.
    pub(super) fn checked_order(self, order: &Value) -> Result<String, Refusal> {
        let endpoint = order["endpoint"].as_str().unwrap_or_default();
        let window = order["completion_window"].as_str();
        let wrong =
            |what: &str| Err(Refusal::invalid(format!("The order's {what} is none that is known here.")));
        match self {
            Self::Together | Self::Novita if order.get("metadata").is_some() => wrong("metadata"),
            Self::Together if endpoint != "/v1/chat/completions" => wrong("endpoint"),
            Self::Novita if window.is_some_and(|window| window != "48h") => wrong("completion_window"),
            Self::Zhipu if endpoint != "/v4/chat/completions" => wrong("endpoint"),
            Self::Zhipu => Ok(endpoint.replacen("/v4", "/v1", 1)),
            _ => Ok(endpoint.to_owned()),
        }
    }

    /// Whether a line asks for what its batch is about.
    pub(super) fn is_line(self, line: &Value, ordered: &str) -> bool {
        let url = line["url"].as_str();
        match self {
            // A method is for sound alone there, and an address is not documented.
            Self::Together => url.is_none() && line.get("method").is_none(),
            Self::OpenRouter => url.is_none(),
            Self::Novita => url.is_none_or(|url| url == ordered),
            Self::OpenAi | Self::Zhipu | Self::Xai => url == Some(ordered),
        }
    }

    /// A batch as it is told here.
    pub(super) fn told(self, batch: Value) -> Value {
        let mut batch = batch;
        match self {
            Self::OpenAi | Self::Zhipu | Self::Xai | Self::OpenRouter => {}
            Self::Together => {
                let created = dated(&batch["created_at"]);
                let status = match batch["status"].as_str().unwrap_or_default() {
                    "finalizing" | "cancelling" => "IN_PROGRESS".to_owned(),
                    other => other.to_ascii_uppercase(),
                };
                let error = batch.pointer_mut("/errors/data/0/message").map(Value::take);
                let kept = ["id", "endpoint", "input_file_id", "output_file_id", "error_file_id"];
                let mut told: Map<String, Value> = kept
                    .iter()
                    .filter_map(|name| Some(((*name).to_owned(), batch.get_mut(*name)?.take())))
                    .filter(|(_, value)| !value.is_null())
                    .collect();
                told.insert("status".to_owned(), json!(status));
                told.insert("created_at".to_owned(), created);
                told.extend(error.map(|error| ("error".to_owned(), error)));
                batch = Value::Object(told);
            }
            Self::Novita => {
                let created = dated(&batch["created_at"]);
                let status = match batch["status"].as_str().unwrap_or_default() {
                    // The guide's own example of a new batch has it in small letters.
                    "validating" => "validating".to_owned(),
                    "in_progress" | "finalizing" => "PROGRESS".to_owned(),
                    other => other.to_ascii_uppercase(),
                };
                batch["status"] = json!(status);
                batch["created_at"] = created;
                batch["completion_window"] = json!("48h");
                batch["metadata"] = Value::Null;
                batch["errors"] = json!(
                    batch.pointer("/errors/data/0/message").and_then(Value::as_str).unwrap_or_default()
                );
                for file in ["output_file_id", "error_file_id"] {
                    if batch[file].is_null() {
                        batch[file] = json!("");
                    }
                }
            }
        }
        batch
    }

    /// The answer to an order.
    pub(super) fn made(self, batch: Value) -> (StatusCode, Value) {
        match self {
            Self::Together => (StatusCode::CREATED, json!({"job": batch, "warning": ""})),
            _ => (StatusCode::OK, batch),
        }
    }

    /// A list of batches.
    pub(super) fn listed(self, list: Value) -> Value {
        let mut list = list;
        if self == Self::Together { list["data"].take() } else { list }
    }

    /// A line of results, or of what failed.
    pub(super) fn result(self, line: &Value) -> Value {
        match self {
            Self::OpenAi | Self::Novita | Self::Xai | Self::OpenRouter => line.clone(),
            Self::Together => {
                let status = line["response"]["status_code"].as_u64();
                if status == Some(200) {
                    json!({"custom_id": line["custom_id"], "response": {"status_code": 200, "body": line["response"]["body"]}})
                } else {
                    let told = &line["response"]["body"]["error"]["message"];
                    let message = if told.is_string() { told } else { &line["error"]["message"] };
                    json!({"custom_id": line["custom_id"], "error": {"message": message, "code": "failed"}})
                }
            }
            Self::Zhipu => {
                let mut line = line.clone();
                if let Some(members) = line.as_object_mut() {
                    members.retain(|_, value| !value.is_null());
                }
                line
            }
        }
    }
}

/// Unix seconds as text.
fn dated(created: &Value) -> Value {
    let moment = UNIX_EPOCH + Duration::from_secs(created.as_u64().unwrap_or_default());
    json!(rfc3339(moment))
}
