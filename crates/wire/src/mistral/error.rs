//! Mistral's error answers.
//!
//! Owns one thing the OpenAI dialect does not say: which field a 422 is about (`detail[].loc`, as FastAPI writes it). All else is
//! read as that dialect's errors are.

use crate::openai;
use crate::scan::tree::{self, Node, Value};
use trunkline_model::failure::Failure;

/// Reads a provider's error answer. `status` is the HTTP status.
#[must_use]
pub fn decode_error(status: u16, body: &[u8]) -> Failure {
    let mut failure = openai::decode_error(status, body);
    if failure.parameter.is_none()
        && let Ok(root) = tree::parse(body, &[])
    {
        failure.parameter = place(&root);
    }
    failure
}

/// The path of the first mistake: `["body", "messages", 0, "role"]` is `messages[0].role`.
fn place(root: &Node<'_>) -> Option<String> {
    let detail = root.field("detail").or_else(|| root.field("message")?.field("detail"))?;
    let Value::Array(details) = &detail.value else { return None };
    let Value::Array(steps) = &details.first()?.field("loc")?.value else { return None };
    let mut path = String::new();
    for (index, step) in steps.iter().take(16).enumerate() {
        match (&step.value, step.as_text()) {
            (_, Some("body")) if index == 0 => {}
            (_, Some(text)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.extend(text.chars().take(100));
            }
            (Value::Number, _) => path.push_str(&format!("[{}]", step.raw)),
            _ => {}
        }
    }
    (!path.is_empty()).then_some(path)
}
