//! One chat request over HTTP, and the answer with what it cost.
//!
//! Owns the exchange with the gateway of this process. Must not know the gateway from inside: costs come from its headers.

use bytes::Bytes;
use http::Request;
use http::header::{CONTENT_TYPE, HOST};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use trunkline_model::event::Finish;
use trunkline_route::cascade::{Answer, ToolCall};

/// What marks these requests in a gateway's record.
const TAG: &str = "source=eval";
/// Far more than any answer.
const LARGEST_ANSWER: usize = 64 << 20;

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
    let failed = |error: hyper::Error| format!("the request failed: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its errors come out of the exchange as well.
    tokio::spawn(connection);
    let request = Request::post("/v1/chat/completions")
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .header("x-trunkline-tags", TAG)
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| format!("no request: {error}"))?;
    let response = sender.send_request(request).await.map_err(failed)?;
    let (head, body) = response.into_parts();
    let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
    *deployment = header("x-trunkline-provider")
        .zip(header("x-trunkline-model"))
        .map(|(provider, model)| format!("{provider}/{model}"));
    let confidence = header("x-trunkline-cost-confidence");
    let stated = header("x-trunkline-cost-usd").and_then(|text| text.parse().ok());
    *cost = stated.filter(|_| confidence != Some("unknown"));
    let collected = Limited::new(body, LARGEST_ANSWER).collect().await;
    let bytes = collected.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
    let value: Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("the answer is not JSON: {error}"))?;
    if !head.status.is_success() {
        let error = &value["error"];
        let code = error["code"].as_str().unwrap_or("error");
        return Err(format!(
            "{} {code}: {}",
            head.status.as_u16(),
            error["message"].as_str().unwrap_or_default()
        ));
    }
    read(&value)
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
