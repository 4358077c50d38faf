//! The protocols that clients and the upstream speak: requests of a given size, answers and streams, as bytes made once.
//!
//! Owns what of them the pairs of translation need beside chat completions: the responses API, Anthropic's messages and Gemini's
//! contents. Like `traffic`, it must not use the project's codecs.

use bytes::Bytes;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::traffic::{self, MODEL, Script};

/// What a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prompt {
    /// Bytes of the body.
    pub(super) size: usize,
    /// Turns of the conversation; an odd number, since the user speaks first and last.
    pub(super) turns: usize,
}

impl Prompt {
    /// A conversation of a hundred turns and a last question.
    pub(super) const MANY_TURNS: Self = Self { size: 100 * 1024, turns: 101 };

    /// One text.
    pub(super) const fn of(size: usize) -> Self {
        Self { size, turns: 1 }
    }
}

/// A protocol of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, ValueEnum)]
pub(super) enum Protocol {
    /// OpenAI's chat completions.
    #[default]
    Chat,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Messages,
    /// Gemini's contents.
    Contents,
}

impl Protocol {
    /// Every protocol.
    pub(super) const ALL: [Self; 4] = [Self::Chat, Self::Responses, Self::Messages, Self::Contents];

    /// The name in figures.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::Contents => "contents",
        }
    }

    /// How often each piece of content stands in a whole stream: the responses API repeats the text at the end of its content, of
    /// its part, of its item and of the response.
    pub(super) const fn marks_per_chunk(self) -> u64 {
        if matches!(self, Self::Responses) { 5 } else { 1 }
    }

    fn path(self, model: &str, stream: bool) -> String {
        match self {
            Self::Chat => "/v1/chat/completions".to_owned(),
            Self::Responses => "/v1/responses".to_owned(),
            Self::Messages => "/v1/messages".to_owned(),
            Self::Contents => {
                let method = if stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
                format!("/v1beta/models/{}:{method}", model.replace('/', "%2F"))
            }
        }
    }

    fn credentials(self, key: &str) -> String {
        match self {
            Self::Chat | Self::Responses => format!("authorization: Bearer {key}\r\n"),
            Self::Messages => format!("x-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n"),
            Self::Contents => format!("x-goog-api-key: {key}\r\n"),
        }
    }

    /// A body of that size. Nothing is asked to be stored: what is compared is translation.
    pub(super) fn body(self, model: &str, prompt: Prompt, stream: bool) -> String {
        const ORDER: &str = "Answer in one sentence.";
        if self == Self::Chat && prompt.turns == 1 {
            return traffic::request_body(model, prompt.size, stream);
        }
        // The user speaks first and last.
        let turns: Vec<Value> = (0..prompt.turns).map(|index| self.turn(index % 2 == 0)).collect();
        let mut body = match self {
            Self::Chat => json!({ "model": model, "messages": turns, "temperature": 0.7, "max_tokens": 256 }),
            Self::Responses => json!({
                "model": model, "instructions": ORDER, "store": false, "temperature": 0.7, "max_output_tokens": 256,
                "input": turns,
            }),
            Self::Messages => json!({
                "model": model, "max_tokens": 256, "system": ORDER, "temperature": 0.7, "messages": turns,
            }),
            Self::Contents => json!({
                "systemInstruction": { "parts": [{ "text": ORDER }] },
                "contents": turns,
                "generationConfig": { "temperature": 0.7, "maxOutputTokens": 256 },
            }),
        };
        if stream && self != Self::Contents {
            body["stream"] = true.into();
        }
        fill(&body.to_string(), prompt)
    }

    /// What one side says, with a hole for the words.
    fn turn(self, is_user: bool) -> Value {
        let role = if is_user { "user" } else { "assistant" };
        match self {
            Self::Chat | Self::Messages => json!({ "role": role, "content": HOLE }),
            Self::Responses => {
                let kind = if is_user { "input_text" } else { "output_text" };
                json!({ "role": role, "content": [{ "type": kind, "text": HOLE }] })
            }
            Self::Contents => {
                json!({ "role": if is_user { "user" } else { "model" }, "parts": [{ "text": HOLE }] })
            }
        }
    }

    /// A request whose body says `prompt`, ready to be written to a connection.
    pub(super) fn request(self, host: &str, key: &str, model: &str, prompt: Prompt, stream: bool) -> Vec<u8> {
        let body = self.body(model, prompt, stream);
        let head = format!(
            "POST {} HTTP/1.1\r\nhost: {host}\r\nuser-agent: trunkline-bench\r\naccept: application/json\r\n{}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n",
            self.path(model, stream),
            self.credentials(key),
            body.len()
        );
        [head.as_bytes(), body.as_bytes()].concat()
    }

    /// The protocol and delivery that a path of the upstream asks for; `None` where the body says which delivery.
    pub(super) fn of(path: &str) -> Option<(Self, Option<bool>)> {
        Some(match path {
            "/v1/chat/completions" => (Self::Chat, None),
            "/v1/responses" => (Self::Responses, None),
            "/v1/messages" => (Self::Messages, None),
            _ => match path.strip_prefix("/v1beta/models/")?.rsplit_once(':')?.1 {
                "generateContent" => (Self::Contents, Some(false)),
                "streamGenerateContent" => (Self::Contents, Some(true)),
                _ => return None,
            },
        })
    }

    /// A complete answer.
    pub(super) fn answer(self) -> Bytes {
        match self {
            Self::Chat => traffic::openai_answer(),
            Self::Messages => traffic::anthropic_answer(),
            Self::Responses => Bytes::from(response(&traffic::sentence(), "completed", 42).to_string()),
            Self::Contents => Bytes::from(contents(&traffic::sentence(), Some("STOP"), 42).to_string()),
        }
    }

    /// A stream of `chunks` content events.
    pub(super) fn stream(self, chunks: usize) -> Script {
        match self {
            Self::Chat => traffic::openai_stream(chunks),
            Self::Messages => traffic::anthropic_stream(chunks),
            Self::Responses => response_stream(chunks),
            Self::Contents => {
                let event = |value: Value| Bytes::from(format!("data: {value}\r\n\r\n"));
                let piece = event(contents(&traffic::token(), None, 1));
                let mut events = vec![piece; chunks];
                events.push(event(contents("", Some("STOP"), chunks)));
                Script { events, content: 0, chunks }
            }
        }
    }
}

/// Where words are put.
const HOLE: &str = "@";

/// The body with its holes filled, so that it has the size.
fn fill(body: &str, prompt: Prompt) -> String {
    let room = prompt.size.saturating_sub(body.len() - prompt.turns * HOLE.len());
    let mut filled = String::with_capacity(prompt.size);
    let mut pieces = body.split(HOLE);
    filled.push_str(pieces.next().unwrap_or_default());
    for (index, piece) in pieces.enumerate() {
        // What does not divide is said at the beginning.
        let rest = if index == 0 { room % prompt.turns } else { 0 };
        filled.push_str(&traffic::filler(room / prompt.turns + rest));
        filled.push_str(piece);
    }
    filled
}

fn contents(text: &str, finish: Option<&str>, tokens: usize) -> Value {
    let mut candidate = json!({ "content": { "parts": [{ "text": text }], "role": "model" }, "index": 0 });
    if let Some(finish) = finish {
        candidate["finishReason"] = finish.into();
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": {
            "promptTokenCount": 120, "candidatesTokenCount": tokens, "totalTokenCount": 120 + tokens,
            "promptTokensDetails": [{ "modality": "TEXT", "tokenCount": 120 }],
        },
        "modelVersion": MODEL,
        "responseId": "BenchAnswer0000000000001",
    })
}

fn message(text: &str, status: &str) -> Value {
    json!({
        "id": "msg_BenchAnswer0000000000001", "type": "message", "status": status, "role": "assistant",
        "content": [{ "type": "output_text", "text": text, "annotations": [], "logprobs": [] }],
    })
}

fn response(text: &str, status: &str, tokens: usize) -> Value {
    let is_done = status == "completed";
    json!({
        "id": "resp_BenchAnswer0000000000001", "object": "response", "created_at": 1_760_000_000, "status": status,
        "background": false, "error": null, "incomplete_details": null, "instructions": "Answer in one sentence.",
        "max_output_tokens": 256, "metadata": {}, "model": MODEL, "parallel_tool_calls": true, "previous_response_id": null,
        "reasoning": { "effort": null, "summary": null }, "service_tier": "default", "store": false, "temperature": 0.7,
        "text": { "format": { "type": "text" } }, "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled",
        "output": if is_done { json!([message(text, status)]) } else { json!([]) },
        "usage": if is_done {
            json!({
                "input_tokens": 120, "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": tokens, "output_tokens_details": { "reasoning_tokens": 0 }, "total_tokens": 120 + tokens,
            })
        } else {
            Value::Null
        },
    })
}

fn response_stream(chunks: usize) -> Script {
    let text = traffic::token().repeat(chunks);
    let mut events: Vec<Bytes> = Vec::with_capacity(chunks + 8);
    let mut push = |name: &str, mut data: Value| {
        data["type"] = name.into();
        data["sequence_number"] = events.len().into();
        events.push(Bytes::from(format!("event: {name}\ndata: {data}\n\n")));
    };
    let place = |more: Value| {
        let mut data =
            json!({ "item_id": "msg_BenchAnswer0000000000001", "output_index": 0, "content_index": 0 });
        if let (Some(data), Value::Object(more)) = (data.as_object_mut(), more) {
            data.extend(more);
        }
        data
    };
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": [] });
    push("response.created", json!({ "response": response("", "in_progress", 0) }));
    push("response.in_progress", json!({ "response": response("", "in_progress", 0) }));
    let mut begun = message("", "in_progress");
    begun["content"] = json!([]);
    push("response.output_item.added", json!({ "output_index": 0, "item": begun }));
    push("response.content_part.added", place(json!({ "part": part("") })));
    for _ in 0..chunks {
        let more = json!({ "delta": traffic::token(), "logprobs": [], "obfuscation": "" });
        push("response.output_text.delta", place(more));
    }
    push("response.output_text.done", place(json!({ "text": text, "logprobs": [] })));
    push("response.content_part.done", place(json!({ "part": part(&text) })));
    push("response.output_item.done", json!({ "output_index": 0, "item": message(&text, "completed") }));
    push("response.completed", json!({ "response": response(&text, "completed", chunks) }));
    Script { events, content: 4, chunks }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::answer::MARK;

    fn marks(bytes: &[u8]) -> u64 {
        bytes.iter().filter(|byte| **byte == MARK).count() as u64
    }

    #[test]
    fn requests_have_the_size_asked_for_and_are_json() {
        for protocol in Protocol::ALL {
            for (stream, prompt) in
                [(false, Prompt::of(10_240)), (true, Prompt::of(10_240)), (false, Prompt::MANY_TURNS)]
            {
                let body = protocol.body("up-gemini/bench-model", prompt, stream);
                assert_eq!((body.len(), marks(body.as_bytes())), (prompt.size, 0));
                assert!(serde_json::from_str::<Value>(&body).unwrap().is_object());
                assert_eq!(body.matches("\"user\"").count(), prompt.turns.div_ceil(2));
                let request = protocol.request("h", "k", "up-gemini/bench-model", prompt, stream);
                let line = String::from_utf8_lossy(&request).lines().next().unwrap().to_owned();
                assert!(line.ends_with(" HTTP/1.1") && !line.contains("up-gemini/"), "{line}");
            }
        }
    }

    #[test]
    fn answers_hold_one_mark_and_streams_as_many_as_is_said() {
        for protocol in Protocol::ALL {
            assert_eq!(marks(&protocol.answer()), 1);
            let script = protocol.stream(100);
            let found: u64 = script.events.iter().map(|event| marks(event)).sum();
            assert_eq!(found, 100 * protocol.marks_per_chunk());
            assert_eq!(script.events[..script.content].iter().map(|event| marks(event)).sum::<u64>(), 0);
            assert_eq!(marks(&script.events[script.content]), 1);
        }
    }

    #[test]
    fn the_upstream_knows_every_path_that_is_asked() {
        for protocol in Protocol::ALL {
            for stream in [false, true] {
                let path = protocol.path(MODEL, stream);
                let path = path.split('?').next().unwrap();
                let (found, delivery) = Protocol::of(path).unwrap();
                assert_eq!(found, protocol);
                assert!(delivery.is_none_or(|delivery| delivery == stream));
            }
        }
        assert_eq!(Protocol::of("/v1/other"), None);
        assert_eq!(Protocol::of("/v1beta/models/m:countTokens"), None);
    }
}
