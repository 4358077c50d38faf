//! The two client protocols, as far as tests look at them.
//!
//! Owns how a chat request is written and where an answer, an error and an end are found. Must not use the product's own
//! codecs: it would hide their mistakes.

use super::Answer;
use serde_json::{Value, json};

/// A client protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    OpenAi,
    Anthropic,
}

impl Face {
    pub(crate) const BOTH: [Self; 2] = [Self::OpenAi, Self::Anthropic];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
        }
    }

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
        }
    }

    /// A chat request with one message.
    pub(crate) fn body(self, model: &str, text: &str, streamed: bool) -> String {
        self.value(model, text, streamed).to_string()
    }

    /// The same as a value to be changed.
    pub(crate) fn value(self, model: &str, text: &str, streamed: bool) -> Value {
        let mut body = json!({"model": model, "messages": [{"role": "user", "content": text}]});
        if streamed {
            body["stream"] = json!(true);
        }
        if self == Self::Anthropic {
            body["max_tokens"] = json!(1000);
        }
        body
    }

    /// All text of an answer, plain or streamed.
    pub(crate) fn text(self, answer: &Answer) -> String {
        if !is_stream(answer) {
            let body = answer.json();
            let place = if self == Self::OpenAi { "/choices/0/message/content" } else { "/content/0/text" };
            return body.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
        }
        let place = if self == Self::OpenAi { "/choices/0/delta/content" } else { "/delta/text" };
        let events = answer.events();
        let values = events.iter().filter_map(|(_, data)| serde_json::from_str::<Value>(data).ok());
        values.filter_map(|value| Some(value.pointer(place)?.as_str()?.to_owned())).collect()
    }

    /// Whether a stream says that it is complete, in any of the ways that a client would believe.
    pub(crate) fn looks_finished(self, answer: &Answer) -> bool {
        let events = answer.events();
        let mut values = events.iter().filter_map(|(_, data)| serde_json::from_str::<Value>(data).ok());
        match self {
            Self::OpenAi => {
                let finished =
                    |value: &Value| value.pointer("/choices/0/finish_reason").is_some_and(Value::is_string);
                events.iter().any(|(_, data)| *data == "[DONE]") || values.any(|value| finished(&value))
            }
            Self::Anthropic => values.any(|value| value["type"] == "message_stop"),
        }
    }

    /// The error object of a stream's last event.
    pub(crate) fn error_event(self, answer: &Answer) -> Option<Value> {
        let events = answer.events();
        let (name, data) = events.last()?;
        let value: Value = serde_json::from_str(data).ok()?;
        let named = match self {
            Self::OpenAi => name.is_none(),
            Self::Anthropic => *name == Some("error") && value["type"] == "error",
        };
        value.get("error").filter(|error| named && error.is_object()).cloned()
    }
}

fn is_stream(answer: &Answer) -> bool {
    answer.headers.get("content-type").is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}
