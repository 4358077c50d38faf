//! What an answer is to a client.
//!
//! Owns reading answers as the official SDKs read them, written for the drill alone: it must not use the gateway's own codecs,
//! whose mistakes it is there to find. An answer counts as complete only if every word of it came and its protocol says that
//! this was all.

use super::client::{ANSWER, End, Endpoint, Exchange};
use serde::Serialize;
use serde_json::Value;
use trunkline_model::dialect::{Delivery, Dialect};

/// What the client saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Seen {
    /// A complete answer.
    Answer,
    /// An error status with the protocol's error object.
    ErrorStatus {
        /// The HTTP status.
        status: u16,
        /// Whose fault.
        code: String,
        /// The words.
        message: String,
    },
    /// A part of an answer and then the protocol's error event.
    ErrorEvent {
        /// Whose fault.
        code: String,
        /// The words.
        message: String,
    },
    /// Something that ends like an answer and is none: what must never be.
    Silent {
        /// What is missing.
        what: String,
    },
    /// Something no SDK has a type for.
    Untyped {
        /// What it was.
        what: String,
    },
    /// Nothing, for too long.
    Hang,
}

/// Judges an exchange.
pub(super) fn judge(endpoint: Endpoint, delivery: Delivery, exchange: &Exchange) -> Seen {
    if exchange.end == End::GivenUp {
        return Seen::Hang;
    }
    let Some((status, _)) = &exchange.head else {
        return untyped(match &exchange.end {
            End::Broken(error) => format!("no response: {error}"),
            _ => "no response".to_owned(),
        });
    };
    if *status != 200 {
        return refusal(endpoint, *status, &exchange.body);
    }
    if delivery.is_stream() { stream(endpoint, exchange) } else { plain(endpoint, exchange) }
}

fn untyped(what: impl Into<String>) -> Seen {
    Seen::Untyped { what: what.into() }
}

fn silent(what: impl Into<String>) -> Seen {
    Seen::Silent { what: what.into() }
}

fn refusal(endpoint: Endpoint, status: u16, body: &[u8]) -> Seen {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        return untyped(format!("status {status} with a body that is not JSON"));
    };
    match error_object(endpoint, &value) {
        Some((code, message)) => Seen::ErrorStatus { status, code, message },
        None => untyped(format!("status {status} without the protocol's error object")),
    }
}

/// Code and message of the protocol's error object.
fn error_object(endpoint: Endpoint, value: &Value) -> Option<(String, String)> {
    let error = value.get("error")?;
    let word = |name: &str| error.get(name).and_then(Value::as_str).map(str::to_owned);
    if endpoint.dialect() == Dialect::Gemini {
        // The vendor's SDKs read a number, a status word and a message; ours says more in the details.
        error.get("code").filter(|code| code.is_u64())?;
        let reason = error.pointer("/details/0/reason").and_then(Value::as_str).map(str::to_owned);
        let status = word("status")?;
        return Some((reason.unwrap_or(status), word("message")?));
    }
    let (kind, message) = (word("type")?, word("message")?);
    if endpoint == Endpoint::Messages && value.get("type").and_then(Value::as_str) != Some("error") {
        return None;
    }
    Some((word("code").unwrap_or(kind), message))
}

fn plain(endpoint: Endpoint, exchange: &Exchange) -> Seen {
    if let End::Broken(error) = &exchange.end {
        return untyped(format!("the connection broke inside the answer: {error}"));
    }
    let Ok(value) = serde_json::from_slice::<Value>(&exchange.body) else {
        return untyped("status 200 with a body that is not JSON");
    };
    match endpoint {
        Endpoint::Embeddings => match value.pointer("/data/0/embedding") {
            Some(Value::Array(numbers)) if !numbers.is_empty() => Seen::Answer,
            _ => silent("there is no vector in the answer"),
        },
        Endpoint::EmbedContent => match value.pointer("/embedding/values") {
            Some(Value::Array(numbers)) if !numbers.is_empty() => Seen::Answer,
            _ => silent("there is no vector in the answer"),
        },
        Endpoint::GenerateContent | Endpoint::GenerateArray => complete(
            &candidate_text(&value),
            value.pointer("/candidates/0/finishReason").is_some_and(Value::is_string),
        ),
        Endpoint::ChatCompletions => {
            let text = value.pointer("/choices/0/message/content").and_then(Value::as_str);
            complete(
                text.unwrap_or_default(),
                value.pointer("/choices/0/finish_reason").is_some_and(Value::is_string),
            )
        }
        Endpoint::Messages => {
            let blocks = value.get("content").and_then(Value::as_array);
            let texts = blocks.into_iter().flatten().filter_map(|block| block.get("text")?.as_str());
            complete(&texts.collect::<String>(), value.get("stop_reason").is_some_and(Value::is_string))
        }
    }
}

/// The text of the first candidate, thoughts apart.
fn candidate_text(value: &Value) -> String {
    let parts = value.pointer("/candidates/0/content/parts").and_then(Value::as_array);
    let said = |part: &&Value| part.get("thought") != Some(&Value::Bool(true));
    parts.into_iter().flatten().filter(said).filter_map(|part| part.get("text")?.as_str()).collect()
}

fn complete(text: &str, finished: bool) -> Seen {
    if text.trim() != ANSWER {
        silent(format!("it looks complete but holds {} of {} characters", text.trim().len(), ANSWER.len()))
    } else if finished {
        Seen::Answer
    } else {
        silent("it does not say why it ended")
    }
}

/// What a stream has shown.
#[derive(Default)]
struct Stream {
    text: String,
    /// The protocol's reason for the end.
    finished: bool,
    /// The protocol's last event.
    closed: bool,
    error: Option<(String, String)>,
}

fn stream(endpoint: Endpoint, exchange: &Exchange) -> Seen {
    if endpoint == Endpoint::GenerateArray {
        return array(endpoint, exchange);
    }
    let mut seen = Stream::default();
    let text = String::from_utf8_lossy(&exchange.body).replace("\r\n", "\n");
    for event in text.split("\n\n") {
        let data: Vec<&str> =
            event.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim_start).collect();
        let data = data.join("\n");
        if data.is_empty() {
            continue;
        }
        if seen.error.is_some() {
            return untyped("the stream goes on behind its error event");
        }
        if data == "[DONE]" {
            seen.closed = true;
            continue;
        }
        let Ok(value) = serde_json::from_str::<Value>(&data) else {
            return untyped("an event that is not JSON");
        };
        seen.take(endpoint, &value);
    }
    seen.verdict(&exchange.end)
}

/// A stream as one JSON array, read element by element.
fn array(endpoint: Endpoint, exchange: &Exchange) -> Seen {
    let mut seen = Stream::default();
    let mut rest = exchange.body.trim_ascii();
    let Some(elements) = rest.strip_prefix(b"[") else {
        return untyped("status 200 with a body that is not an array");
    };
    rest = elements.trim_ascii_start();
    while !rest.is_empty() && !rest.starts_with(b"]") {
        if seen.error.is_some() {
            return untyped("the array goes on behind its error");
        }
        let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<Value>();
        match values.next() {
            Some(Ok(value)) => seen.take(endpoint, &value),
            _ => return untyped("an element that is not JSON"),
        }
        let read = values.byte_offset();
        rest = rest[read..].trim_ascii_start();
        rest = rest.strip_prefix(b",").unwrap_or(rest).trim_ascii_start();
    }
    // Only an answer that is whole may close its array.
    seen.closed = rest == b"]";
    seen.verdict(&exchange.end)
}

impl Stream {
    fn take(&mut self, endpoint: Endpoint, value: &Value) {
        if value.get("error").is_some_and(Value::is_object) {
            let nameless = || ("nameless".to_owned(), value.to_string());
            self.error = Some(error_object(endpoint, value).unwrap_or_else(nameless));
            return;
        }
        let word = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        if endpoint == Endpoint::Messages {
            self.text.push_str(word("/delta/text").unwrap_or_default());
            self.finished |= word("/delta/stop_reason").is_some();
            self.closed |= word("/type") == Some("message_stop");
        } else if endpoint.dialect() == Dialect::Gemini {
            self.text.push_str(&candidate_text(value));
            let finished = word("/candidates/0/finishReason").is_some();
            self.finished |= finished;
            // Events have no last one of their own: the finish reason is the end, and the array closes besides.
            self.closed |= finished && endpoint != Endpoint::GenerateArray;
        } else {
            self.text.push_str(word("/choices/0/delta/content").unwrap_or_default());
            self.finished |= word("/choices/0/finish_reason").is_some();
        }
    }

    fn verdict(self, end: &End) -> Seen {
        let text = self.text.trim();
        match (self.error, end) {
            (Some(_), _) if self.finished || self.closed => {
                untyped("an error event beside an end of the answer")
            }
            (Some(_), _) if !ANSWER.starts_with(text) => {
                untyped(format!("what came before the error event is no part of the answer: {text:?}"))
            }
            (Some((code, _)), _) if code == "nameless" => untyped("an error event without type or message"),
            (Some((code, message)), _) => Seen::ErrorEvent { code, message },
            (None, End::Broken(error)) => {
                untyped(format!("the connection broke without an error event: {error}"))
            }
            (None, _) if !self.closed => {
                silent(format!("the stream ended after {} characters without its last event", text.len()))
            }
            (None, _) => complete(text, self.finished),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use http::HeaderMap;
    use std::time::Duration;

    fn seen(endpoint: Endpoint, delivery: Delivery, status: u16, body: &str, end: End) -> String {
        let body = Bytes::from(body.replace("ALL", ANSWER));
        let exchange = Exchange { head: Some((status, HeaderMap::new())), body, end, took: Duration::ZERO };
        serde_json::to_string(&judge(endpoint, delivery, &exchange)).unwrap()
    }

    #[test]
    fn streams_are_judged_as_an_sdk_would() {
        let part = "data: {\"choices\":[{\"delta\":{\"content\":\"alpha br\"},\"finish_reason\":null}]}\n\n";
        let whole = "data: {\"choices\":[{\"delta\":{\"content\":\"ALL\"},\"finish_reason\":null}]}\n\n";
        let finish = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        let error = "data: {\"error\":{\"type\":\"upstream_error\",\"code\":\"upstream_failed\",\"message\":\"m\"}}\n\n";
        let done = "data: [DONE]\n\n";
        let cut = || End::Broken("cut".to_owned());
        let cases = [
            (format!("{whole}{finish}{done}"), End::Whole),
            (format!("{whole}{finish}"), End::Whole),
            (format!("{whole}{done}"), End::Whole),
            (format!("{part}{finish}{done}"), End::Whole),
            (part.to_owned(), End::Whole),
            (String::new(), End::Whole),
            (part.to_owned(), cut()),
            (format!("{part}{error}"), End::Whole),
            (format!("{part}{error}{done}"), End::Whole),
            (format!("{whole}{finish}{error}"), End::Whole),
            (format!("{part}data: {{\"cho\n\n"), End::Whole),
            (part.to_owned(), End::GivenUp),
        ];
        let lines: Vec<String> = cases
            .into_iter()
            .map(|(body, end)| seen(Endpoint::ChatCompletions, Delivery::Stream, 200, &body, end))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn anthropic_streams_have_their_own_end_and_error() {
        let delta = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"ALL\"}}\n\n";
        let stop = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n";
        let end = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}\n\n";
        let cases = [
            format!("{delta}{stop}{end}"),
            format!("{delta}{end}"),
            delta.to_owned(),
            format!("{delta}{error}"),
        ];
        let lines: Vec<String> = cases
            .into_iter()
            .map(|body| seen(Endpoint::Messages, Delivery::Stream, 200, &body, End::Whole))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn gemini_streams_end_with_a_reason_and_arrays_are_closed_besides() {
        let part = r#"{"candidates":[{"content":{"parts":[{"text":"alpha br"}]}}]}"#;
        let whole = r#"{"candidates":[{"content":{"parts":[{"text":"ALL"}]},"finishReason":"STOP"}]}"#;
        let error = r#"{"error":{"code":502,"status":"UNAVAILABLE","message":"m"}}"#;
        let arrays = [
            format!("[{whole}]"),
            format!("[{whole}"),
            format!("[{part},\r\n{error}"),
            format!("[{part},\r\n{error}]"),
            format!("[{part}"),
            format!("[{part}]"),
            format!("[{part},{{\"cand"),
            "[]".to_owned(),
            error.to_owned(),
        ];
        let events = [
            format!("data: {whole}\r\n\r\n"),
            format!("data: {part}\r\n\r\n"),
            format!("data: {part}\r\n\r\ndata: {error}\r\n\r\n"),
        ];
        let arrays =
            arrays.iter().map(|body| seen(Endpoint::GenerateArray, Delivery::Stream, 200, body, End::Whole));
        let events = events
            .iter()
            .map(|body| seen(Endpoint::GenerateContent, Delivery::Stream, 200, body, End::Whole));
        let lines: Vec<String> = arrays.chain(events).collect();
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn plain_answers_and_refusals_are_judged_by_their_protocol() {
        let openai = r#"{"choices":[{"message":{"content":"ALL"},"finish_reason":"stop"}]}"#;
        let half = r#"{"choices":[{"message":{"content":"alpha"},"finish_reason":"stop"}]}"#;
        let object = r#"{"error":{"type":"rate_limit_error","message":"slow down"}}"#;
        let cases = [
            seen(Endpoint::ChatCompletions, Delivery::Plain, 200, openai, End::Whole),
            seen(Endpoint::ChatCompletions, Delivery::Plain, 200, half, End::Whole),
            seen(
                Endpoint::Messages,
                Delivery::Plain,
                200,
                r#"{"content":[{"text":"ALL"}],"stop_reason":null}"#,
                End::Whole,
            ),
            seen(Endpoint::Embeddings, Delivery::Plain, 200, r#"{"data":[{"embedding":[0.5]}]}"#, End::Whole),
            seen(Endpoint::Embeddings, Delivery::Plain, 200, r#"{"data":[]}"#, End::Whole),
            seen(Endpoint::ChatCompletions, Delivery::Plain, 429, object, End::Whole),
            seen(Endpoint::Messages, Delivery::Plain, 429, object, End::Whole),
            seen(Endpoint::ChatCompletions, Delivery::Plain, 502, "<html>", End::Whole),
        ];
        insta::assert_snapshot!(cases.join("\n"));
    }
}
