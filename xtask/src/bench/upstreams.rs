//! The protocols that the upstream speaks: those of the clients, and two that no client does.
//!
//! Owns Amazon's Converse with its binary stream and Cohere's chat as their specifications say, and which path asks for what. Like
//! `traffic`, it must not use the project's codecs.

use bytes::{BufMut as _, Bytes, BytesMut};
use serde_json::{Value, json};

use super::protocols::Protocol;
use super::traffic::{self, Script};

/// A protocol of the upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Spoken {
    /// One that clients speak too.
    Client(Protocol),
    /// Amazon's Converse.
    Converse,
    /// Cohere's chat.
    Cohere,
}

impl Spoken {
    /// Every protocol.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        Protocol::ALL.into_iter().map(Self::Client).chain([Self::Converse, Self::Cohere])
    }

    /// The protocol and delivery that a path asks for; `None` where the body says which delivery.
    pub(super) fn of(path: &str) -> Option<(Self, Option<bool>)> {
        if path == "/v2/chat" {
            return Some((Self::Cohere, None));
        }
        if let Some((_, method)) = path.strip_prefix("/model/").and_then(|rest| rest.rsplit_once('/')) {
            return match method {
                "converse" => Some((Self::Converse, Some(false))),
                "converse-stream" => Some((Self::Converse, Some(true))),
                _ => None,
            };
        }
        Protocol::of(path).map(|(protocol, delivery)| (Self::Client(protocol), delivery))
    }

    /// The type of its streams.
    pub(super) const fn stream_type(self) -> &'static str {
        match self {
            Self::Converse => "application/vnd.amazon.eventstream",
            Self::Client(_) | Self::Cohere => "text/event-stream; charset=utf-8",
        }
    }

    /// A complete answer.
    pub(super) fn answer(self) -> Bytes {
        let text = traffic::sentence();
        let answer = match self {
            Self::Client(protocol) => return protocol.answer(),
            Self::Converse => json!({
                "output": { "message": { "role": "assistant", "content": [{ "text": text }] } },
                "stopReason": "end_turn",
                "usage": converse_usage(42),
                "metrics": { "latencyMs": 300 },
            }),
            Self::Cohere => json!({
                "id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4",
                "finish_reason": "COMPLETE",
                "message": { "role": "assistant", "content": [{ "type": "text", "text": text }] },
                "usage": cohere_usage(42),
            }),
        };
        Bytes::from(answer.to_string())
    }

    /// A stream of `chunks` content events.
    pub(super) fn stream(self, chunks: usize) -> Script {
        match self {
            Self::Client(protocol) => protocol.stream(chunks),
            Self::Converse => {
                let delta = json!({ "contentBlockIndex": 0, "delta": { "text": traffic::token() }, "p": "abcdefghijk" });
                let mut events = vec![message("messageStart", &json!({ "role": "assistant", "p": "abc" }))];
                events.extend(vec![message("contentBlockDelta", &delta); chunks]);
                let metadata =
                    json!({ "usage": converse_usage(chunks), "metrics": { "latencyMs": 300 }, "p": "ab" });
                events.push(message("contentBlockStop", &json!({ "contentBlockIndex": 0, "p": "abcdef" })));
                events.push(message("messageStop", &json!({ "stopReason": "end_turn", "p": "abcd" })));
                events.push(message("metadata", &metadata));
                Script { events, content: 1, chunks }
            }
            Self::Cohere => {
                let event = |value: Value| {
                    let name = value["type"].as_str().unwrap_or_default();
                    Bytes::from(format!("event: {name}\ndata: {value}\n\n"))
                };
                let content = |content: Value| json!({ "message": { "content": content } });
                let begun = json!({ "message": { "role": "assistant", "content": [], "tool_plan": "", "tool_calls": [],
                    "citations": [] } });
                let mut events = vec![
                    event(
                        json!({ "id": "c14c80c3-18eb-4519-9460-6c92edd8cfb4", "type": "message-start", "delta": begun }),
                    ),
                    event(
                        json!({ "type": "content-start", "index": 0, "delta": content(json!({ "type": "text", "text": "" })) }),
                    ),
                ];
                let delta = content(json!({ "text": traffic::token() }));
                let piece = event(json!({ "type": "content-delta", "index": 0, "delta": delta }));
                events.extend(vec![piece; chunks]);
                events.push(event(json!({ "type": "content-end", "index": 0 })));
                let delta = json!({ "finish_reason": "COMPLETE", "usage": cohere_usage(chunks) });
                events.push(event(json!({ "type": "message-end", "delta": delta })));
                Script { events, content: 2, chunks }
            }
        }
    }
}

fn converse_usage(tokens: usize) -> Value {
    json!({ "inputTokens": 120, "outputTokens": tokens, "totalTokens": 120 + tokens })
}

fn cohere_usage(tokens: usize) -> Value {
    json!({
        "billed_units": { "input_tokens": 60, "output_tokens": tokens },
        "tokens": { "input_tokens": 120, "output_tokens": tokens },
        "cached_tokens": 0,
    })
}

/// A binary message: lengths of the whole and of the headers, their checksum, headers, payload, checksum of all before
/// (<https://docs.aws.amazon.com/transcribe/latest/dg/event-stream.html>).
fn message(event: &str, payload: &Value) -> Bytes {
    const TEXT: u8 = 7;
    let mut headers = BytesMut::new();
    let named = [(":event-type", event), (":content-type", "application/json"), (":message-type", "event")];
    for (name, value) in named {
        headers.put_u8(u8::try_from(name.len()).expect("the names are short"));
        headers.put_slice(name.as_bytes());
        headers.put_u8(TEXT);
        headers.put_u16(u16::try_from(value.len()).expect("the values are short"));
        headers.put_slice(value.as_bytes());
    }
    let payload = payload.to_string();
    let length = |bytes: usize| u32::try_from(bytes).expect("a message is small");
    let mut message = BytesMut::new();
    message.put_u32(length(12 + headers.len() + payload.len() + 4));
    message.put_u32(length(headers.len()));
    message.put_u32(crc32fast::hash(&message));
    message.put_slice(&headers);
    message.put_slice(payload.as_bytes());
    message.put_u32(crc32fast::hash(&message));
    message.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::answer::MARK;

    fn marks(bytes: &[u8]) -> usize {
        bytes.iter().filter(|byte| **byte == MARK).count()
    }

    /// What is said in an event, without its frame.
    fn payload(event: &[u8]) -> &[u8] {
        let start = event.iter().position(|byte| *byte == b'{').unwrap();
        let end = event.iter().rposition(|byte| *byte == b'}').unwrap();
        &event[start..=end]
    }

    #[test]
    fn answers_hold_one_mark_and_streams_one_per_content_event() {
        for spoken in [Spoken::Converse, Spoken::Cohere] {
            assert_eq!(marks(&spoken.answer()), 1);
            let script = spoken.stream(100);
            let found: Vec<usize> = script.events.iter().map(|event| marks(payload(event))).collect();
            assert_eq!(found.iter().sum::<usize>(), 100);
            assert!(found[script.content..script.content + script.chunks].iter().all(|marks| *marks == 1));
            for event in &script.events {
                assert!(serde_json::from_slice::<Value>(payload(event)).unwrap().is_object());
            }
        }
    }

    #[test]
    fn binary_messages_announce_their_lengths_and_have_both_checksums() {
        for event in &Spoken::Converse.stream(2).events {
            let number = |at: usize| u32::from_be_bytes(event[at..at + 4].try_into().unwrap());
            assert_eq!(number(0) as usize, event.len());
            assert_eq!(event[12 + number(4) as usize], b'{');
            assert_eq!(number(8), crc32fast::hash(&event[..8]));
            assert_eq!(number(event.len() - 4), crc32fast::hash(&event[..event.len() - 4]));
        }
    }

    #[test]
    fn paths_tell_the_protocol_and_where_they_can_the_delivery() {
        let found = [
            "/v2/chat",
            "/model/bench-model/converse",
            "/model/bench-model/converse-stream",
            "/v1/messages",
            "/model/bench-model/invoke",
        ]
        .map(Spoken::of);
        let expected = [
            Some((Spoken::Cohere, None)),
            Some((Spoken::Converse, Some(false))),
            Some((Spoken::Converse, Some(true))),
            Some((Spoken::Client(Protocol::Messages), None)),
            None,
        ];
        assert_eq!(found, expected);
        assert_eq!(Spoken::all().count(), Protocol::ALL.len() + 2);
    }
}
