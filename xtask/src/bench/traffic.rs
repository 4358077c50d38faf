//! The requests that are sent and the answers that come back, as bytes made once.
//!
//! Owns their content: chat completions of a given size in the form the official clients send, and answers and streams
//! of the OpenAI and Anthropic dialects as their specifications say. It must not use the project's codecs: what is
//! measured must not have written its own exam.

use bytes::Bytes;
use serde_json::json;

use super::answer::MARK;

/// The model that the upstream serves.
pub(super) const MODEL: &str = "bench-model";

/// A chat completion request of `size` bytes, headers not counted, ready to be written to a connection.
pub(super) fn request(host: &str, key: &str, model: &str, size: usize, stream: bool) -> Vec<u8> {
    let body = request_body(model, size, stream);
    let mut bytes = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\nuser-agent: trunkline-bench\r\naccept: application/json\r\n\
         authorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    bytes.extend_from_slice(body.as_bytes());
    bytes
}

/// The body alone. Its filler has line breaks and quotes, as prompts do: a proxy that looks for escapes meets them.
pub(super) fn request_body(model: &str, size: usize, stream: bool) -> String {
    let options = if stream { ",\"stream\":true,\"stream_options\":{\"include_usage\":true}" } else { "" };
    let before = format!(
        "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"system\",\"content\":\"Answer in one sentence.\"}},\
         {{\"role\":\"user\",\"content\":\""
    );
    let after = format!("\"}}],\"temperature\":0.7,\"max_tokens\":256{options}}}");
    let filler = filler(size.saturating_sub(before.len() + after.len()));
    format!("{before}{filler}{after}")
}

/// Text of that many bytes, as it stands inside of a JSON string.
pub(super) fn filler(room: usize) -> String {
    const FILLER: &str =
        "The line that carries a call is chosen for each call, and \\\"why\\\" is written down.\\n";
    let mut filler = FILLER.repeat(room / FILLER.len());
    // The rest in plain letters, so that no escape is cut in two.
    filler.push_str(&"x".repeat(room - filler.len()));
    filler
}

/// A chat completion request with one picture, given inline: `size` bytes of base64.
pub(super) fn picture_request(host: &str, key: &str, model: &str, size: usize) -> Vec<u8> {
    let before = format!(
        "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"text\",\"text\":\"What is it?\"}},\
         {{\"type\":\"image_url\",\"image_url\":{{\"url\":\"data:image/png;base64,"
    );
    let after = "\"}}]}],\"max_tokens\":256}";
    let mut bytes = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: {host}\r\naccept: application/json\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        before.len() + size + after.len()
    )
    .into_bytes();
    bytes.extend_from_slice(before.as_bytes());
    bytes.extend(b"iVBORw0KGgoAAAANSUhEUgAA".iter().cycle().take(size));
    bytes.extend_from_slice(after.as_bytes());
    bytes
}

/// A complete answer in the OpenAI dialect.
pub(super) fn openai_answer() -> Bytes {
    let answer = json!({
        "id": "chatcmpl-BenchAnswer000000000000000001",
        "object": "chat.completion",
        "created": 1_760_000_000,
        "model": MODEL,
        "choices": [{
            "index": 0,
            "message": { "role": "assistant", "content": sentence(), "refusal": null, "annotations": [] },
            "logprobs": null,
            "finish_reason": "stop",
        }],
        "usage": {
            "prompt_tokens": 120, "completion_tokens": 42, "total_tokens": 162,
            "prompt_tokens_details": { "cached_tokens": 0, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 0, "audio_tokens": 0 },
        },
        "service_tier": "default",
        "system_fingerprint": "fp_bench",
    });
    Bytes::from(answer.to_string())
}

/// A complete answer in the Anthropic dialect.
pub(super) fn anthropic_answer() -> Bytes {
    let answer = json!({
        "id": "msg_01BenchAnswer0000000000001",
        "type": "message",
        "role": "assistant",
        "model": MODEL,
        "content": [{ "type": "text", "text": sentence() }],
        "stop_reason": "end_turn",
        "stop_sequence": null,
        "usage": {
            "input_tokens": 120, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 42,
            "service_tier": "standard",
        },
    });
    Bytes::from(answer.to_string())
}

/// The events of a stream, each one write. Those before `content` come at once, as does the first content event.
#[derive(Debug, Clone)]
pub(super) struct Script {
    /// Every event in order.
    pub(super) events: Vec<Bytes>,
    /// Index of the first event that carries content.
    pub(super) content: usize,
    /// How many carry content.
    pub(super) chunks: usize,
}

/// A stream of `chunks` content events in the OpenAI dialect.
pub(super) fn openai_stream(chunks: usize) -> Script {
    let event = |delta: serde_json::Value, finish: Option<&str>| {
        let chunk = json!({
            "id": "chatcmpl-BenchStream000000000000000001",
            "object": "chat.completion.chunk",
            "created": 1_760_000_000,
            "model": MODEL,
            "service_tier": "default",
            "system_fingerprint": "fp_bench",
            "choices": [{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish }],
            "usage": null,
        });
        Bytes::from(format!("data: {chunk}\n\n"))
    };
    let usage = json!({
        "id": "chatcmpl-BenchStream000000000000000001",
        "object": "chat.completion.chunk",
        "created": 1_760_000_000,
        "model": MODEL,
        "choices": [],
        "usage": { "prompt_tokens": 120, "completion_tokens": chunks, "total_tokens": 120 + chunks },
    });
    let mut events = vec![event(json!({ "role": "assistant", "content": "", "refusal": null }), None)];
    events.extend((0..chunks).map(|_| event(json!({ "content": token() }), None)));
    events.push(event(json!({}), Some("stop")));
    events.push(Bytes::from(format!("data: {usage}\n\n")));
    events.push(Bytes::from_static(b"data: [DONE]\n\n"));
    Script { events, content: 1, chunks }
}

/// A stream of `chunks` content events in the Anthropic dialect.
pub(super) fn anthropic_stream(chunks: usize) -> Script {
    let event = |name: &str, mut data: serde_json::Value| {
        data["type"] = name.into();
        Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
    };
    let usage = json!({
        "input_tokens": 120, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0, "output_tokens": 1,
    });
    let message = json!({
        "id": "msg_01BenchStream0000000000001", "type": "message", "role": "assistant", "model": MODEL, "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": usage,
    });
    let mut events = vec![
        event("message_start", json!({ "message": message })),
        event("content_block_start", json!({ "index": 0, "content_block": { "type": "text", "text": "" } })),
        event("ping", json!({})),
    ];
    let content = events.len();
    let delta = json!({ "index": 0, "delta": { "type": "text_delta", "text": token() } });
    events.extend((0..chunks).map(|_| event("content_block_delta", delta.clone())));
    events.push(event("content_block_stop", json!({ "index": 0 })));
    let end = json!({
        "delta": { "stop_reason": "end_turn", "stop_sequence": null }, "usage": { "output_tokens": chunks },
    });
    events.push(event("message_delta", end));
    events.push(event("message_stop", json!({})));
    Script { events, content, chunks }
}

/// A piece of a streamed answer.
pub(super) fn token() -> String {
    format!("{}token ", char::from(MARK))
}

/// A whole answer.
pub(super) fn sentence() -> String {
    let mark = char::from(MARK);
    let more = "It said so in a sentence of its own. ".repeat(4);
    format!(
        "{mark}The call was answered by the deployment that was free, cheap and allowed to answer it. {more}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(bytes: &[u8]) -> usize {
        bytes.iter().filter(|byte| **byte == MARK).count()
    }

    #[test]
    fn request_bodies_have_the_size_asked_for_and_are_json() {
        for size in [512, 10 * 1024, 100 * 1024] {
            for stream in [false, true] {
                let body = request_body("up-openai/bench-model", size, stream);
                assert_eq!(body.len(), size);
                let value: serde_json::Value = serde_json::from_str(&body).unwrap();
                assert_eq!(value["stream"].as_bool().unwrap_or(false), stream);
                assert_eq!(marks(body.as_bytes()), 0);
            }
        }
    }

    #[test]
    fn a_picture_is_sent_inline_and_whole() {
        let request = picture_request("h", "k", "m", 240);
        let at = memchr::memmem::find(&request, b"\r\n\r\n").unwrap() + 4;
        let head = std::str::from_utf8(&request[..at]).unwrap();
        assert!(head.contains(&format!("content-length: {}\r\n", request.len() - at)));
        let value: serde_json::Value = serde_json::from_slice(&request[at..]).unwrap();
        let url = value["messages"][0]["content"][1]["image_url"]["url"].as_str().unwrap();
        assert_eq!(url.len(), "data:image/png;base64,".len() + 240);
    }

    #[test]
    fn answers_hold_one_mark_and_streams_one_per_content_event() {
        assert_eq!(marks(&openai_answer()), 1);
        assert_eq!(marks(&anthropic_answer()), 1);
        for script in [openai_stream(100), anthropic_stream(100)] {
            assert_eq!(script.events.iter().map(|event| marks(event)).sum::<usize>(), 100);
            assert_eq!(script.events[..script.content].iter().map(|event| marks(event)).sum::<usize>(), 0);
            assert_eq!(marks(&script.events[script.content]), 1);
        }
    }

    #[test]
    fn every_event_is_whole_and_its_data_is_json_or_the_end_mark() {
        for script in [openai_stream(2), anthropic_stream(2)] {
            for event in &script.events {
                let text = std::str::from_utf8(event).unwrap();
                assert!(text.ends_with("\n\n"));
                let data = text.trim().rsplit_once("data: ").unwrap().1;
                assert!(
                    data == "[DONE]" || serde_json::from_str::<serde_json::Value>(data).is_ok(),
                    "{data}"
                );
            }
        }
    }
}
