//! One request as a client without any SDK sends it, and what came of it.
//!
//! Owns the plain HTTP exchange and the client's judgement: an answer counts only when it is whole by the rules of its own
//! protocol. Must not know the gateway from inside: the judgement would be worth nothing.

use super::prompts::{Kind, Prompt};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, Response};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use trunkline_model::id::RequestId;

/// Longer than the gateway takes to give up.
const PATIENCE: Duration = Duration::from_secs(40);
/// Far more than any answer of the simulators.
const LARGEST_ANSWER: usize = 4 << 20;
/// What marks the demo's own requests in the gateway's record.
pub(super) const TAG: (&str, &str) = ("source", "demo");

/// What a client saw.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The id in the response's header.
    pub(super) id: Option<RequestId>,
    /// Nothing, or what was wrong with the answer.
    pub(super) result: Result<(), String>,
}

/// Sends a request and reads its answer to the end.
pub(super) async fn ask(address: SocketAddr, prompt: Prompt) -> Answer {
    let mut id = None;
    let result = match tokio::time::timeout(PATIENCE, exchange(address, prompt, &mut id)).await {
        Ok(result) => result,
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    };
    Answer { id, result }
}

async fn exchange(address: SocketAddr, prompt: Prompt, id: &mut Option<RequestId>) -> Result<(), String> {
    let kind = prompt.kind;
    let response = send(address, prompt).await?;
    *id = response
        .headers()
        .get("x-trunkline-request-id")
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.parse().ok());
    let status = response.status();
    let collected = Limited::new(response.into_body(), LARGEST_ANSWER).collect().await;
    let body = collected.map_err(|error| format!("the answer broke off: {error}"))?.to_bytes();
    if !status.is_success() {
        let text: String = String::from_utf8_lossy(&body).chars().take(300).collect();
        return Err(format!("{status}: {text}"));
    }
    judge(kind, &body)
}

async fn send(address: SocketAddr, prompt: Prompt) -> Result<Response<Incoming>, String> {
    let failed = |error: hyper::Error| format!("the request failed: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| format!("no connection: {error}"))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Its errors come out of the exchange as well.
    tokio::spawn(connection);
    let request = Request::post(prompt.path)
        .header(HOST, address.to_string())
        .header(CONTENT_TYPE, "application/json")
        .header("x-trunkline-tags", format!("{}={}", TAG.0, TAG.1))
        .body(Full::new(Bytes::from(prompt.body)))
        .map_err(|error| format!("no request: {error}"))?;
    sender.send_request(request).await.map_err(failed)
}

/// Whether an answer is whole.
fn judge(kind: Kind, body: &[u8]) -> Result<(), String> {
    if kind.is_stream() {
        return judge_stream(kind, body);
    }
    let answer: Value =
        serde_json::from_slice(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
    let content = match kind {
        Kind::Embeddings => &answer["data"][0]["embedding"],
        _ if kind.is_anthropic() => &answer["content"],
        _ => &answer["choices"][0]["message"],
    };
    let empty = match content {
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        _ => true,
    };
    if empty { Err("the answer has no content".to_owned()) } else { Ok(()) }
}

/// Every event must be JSON and no error, some must carry content, and the protocol's own end must come.
fn judge_stream(kind: Kind, body: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(body).map_err(|error| format!("the stream is not text: {error}"))?;
    let (mut content, mut ended) = (false, false);
    for data in text.lines().filter_map(|line| line.strip_prefix("data:")) {
        if data.trim() == "[DONE]" {
            ended |= !kind.is_anthropic();
            continue;
        }
        let event: Value = serde_json::from_str(data)
            .map_err(|error| format!("an event of the stream is not JSON: {error}"))?;
        if !event["error"].is_null() {
            return Err(format!(
                "the stream broke off: {}",
                event["error"]["message"].as_str().unwrap_or("no reason")
            ));
        }
        if kind.is_anthropic() {
            content |= event["type"] == "content_block_delta";
            ended |= event["type"] == "message_stop";
        } else {
            let delta = &event["choices"][0]["delta"];
            content |= !delta["content"].is_null() || !delta["tool_calls"].is_null();
        }
    }
    match (content, ended) {
        (true, true) => Ok(()),
        (false, _) => Err("the stream has no content".to_owned()),
        (true, false) => Err("the stream ended without its end".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_counts_only_with_content_and_its_own_end() {
        let chunk = "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n";
        let verdict = |text: &str| judge(Kind::OpenAiStream, text.as_bytes());
        assert_eq!(verdict(&format!("{chunk}data: [DONE]\n\n")), Ok(()));
        insta::assert_snapshot!(verdict(chunk).unwrap_err(), @"the stream ended without its end");
        insta::assert_snapshot!(verdict("data: [DONE]\n\n").unwrap_err(), @"the stream has no content");
        let error = "data: {\"error\":{\"message\":\"cut\"}}\n\ndata: [DONE]\n\n";
        insta::assert_snapshot!(verdict(&format!("{chunk}{error}")).unwrap_err(), @"the stream broke off: cut");
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\"}\n\n";
        let other = judge(Kind::AnthropicStream, format!("{delta}data: [DONE]\n\n").as_bytes());
        assert!(other.is_err(), "another protocol's end is none");
    }

    #[test]
    fn a_plain_answer_counts_only_with_content() {
        assert_eq!(judge(Kind::OpenAiPlain, br#"{"choices":[{"message":{"content":"Hi"}}]}"#), Ok(()));
        assert_eq!(judge(Kind::AnthropicPlain, br#"{"content":[{"type":"text"}]}"#), Ok(()));
        assert_eq!(judge(Kind::Embeddings, br#"{"data":[{"embedding":[0.5]}]}"#), Ok(()));
        insta::assert_snapshot!(judge(Kind::Embeddings, b"{}").unwrap_err(), @"the answer has no content");
        assert!(judge(Kind::OpenAiPlain, b"<html>").is_err());
    }
}
