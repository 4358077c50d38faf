//! One chat request over HTTP, and the answer with what it cost.
//!
//! Owns the exchange with the gateway of this process. Must not know the gateway from inside: costs come from its headers.

use crate::command::in_process;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use trunkline_model::event::Finish;
use trunkline_route::cascade::{Answer, ToolCall};

/// What marks these requests in a gateway's record.
const SOURCE: &str = "eval";

/// What came back.
pub(super) struct Reply {
    /// The answer, or why there is none.
    pub(super) answer: Result<Answer, String>,
    /// Dollars; `None` when unknown.
    pub(super) cost_usd: Option<f64>,
    /// Who answered.
    pub(super) deployment: Option<String>,
    /// To the end of the answer.
    pub(super) took: Duration,
}

/// Asks and reads to the end.
pub(super) async fn ask(address: SocketAddr, body: &Value) -> Reply {
    let started = Instant::now();
    let mut reply =
        Reply { answer: Err(String::new()), cost_usd: Some(0.0), deployment: None, took: Duration::ZERO };
    reply.answer = exchange(address, body, &mut reply.cost_usd, &mut reply.deployment).await;
    reply.took = started.elapsed();
    reply
}

async fn exchange(
    address: SocketAddr,
    body: &Value,
    cost: &mut Option<f64>,
    deployment: &mut Option<String>,
) -> Result<Answer, String> {
    let said = in_process::post(address, "/v1/chat/completions", SOURCE, body).await?;
    *deployment = said
        .header("x-trunkline-provider")
        .zip(said.header("x-trunkline-model"))
        .map(|(provider, model)| format!("{provider}/{model}"));
    *cost = said.cost_usd();
    read(&said.body?)
}

/// The first choice of an answer.
fn read(value: &Value) -> Result<Answer, String> {
    let choice = &value["choices"][0];
    let message = choice["message"].as_object().ok_or("the answer has no message")?;
    let mut answer = Answer::default();
    let text = |name: &str| message.get(name).and_then(Value::as_str);
    answer.text = text("content").or_else(|| text("refusal")).unwrap_or_default().to_owned();
    answer.finish = match choice["finish_reason"].as_str() {
        Some("stop") => Some(Finish::Stop),
        Some("length") => Some(Finish::Length),
        Some("tool_calls") => Some(Finish::ToolCalls),
        Some("content_filter") => Some(Finish::ContentFilter),
        _ => None,
    };
    answer.declined = text("refusal").is_some() || answer.finish == Some(Finish::ContentFilter);
    for call in message.get("tool_calls").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| call["function"][name].as_str().unwrap_or_default().to_owned();
        answer.calls.push(ToolCall { name: part("name"), arguments: part("arguments") });
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_answer_is_its_first_choice() {
        let answer = read(
            &json!({"choices": [{"finish_reason": "tool_calls", "message": {"content": null, "tool_calls": [
            {"function": {"name": "add", "arguments": "{}"}}]}}]}),
        )
        .expect("an answer");
        assert_eq!(
            (answer.finish, answer.calls.len(), answer.text.as_str()),
            (Some(Finish::ToolCalls), 1, "")
        );
        let refusal = read(&json!({"choices": [{"finish_reason": "stop", "message": {"refusal": "No."}}]}));
        assert!(refusal.expect("an answer").declined);
        assert_eq!(read(&json!({"choices": []})), Err("the answer has no message".to_owned()));
    }
}
