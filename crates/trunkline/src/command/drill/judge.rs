//! What an answer is to a client.
//!
//! Owns reading answers as the official SDKs read them, written for the drill alone: it must not use the gateway's own codecs,
//! whose mistakes it is there to find. An answer counts as complete only if every word of it came and its protocol says that
//! this was all.

use super::client::{End, Exchange};
use super::endpoint::{ANSWER, DOCUMENTS, Endpoint, HEARD, SOUND_BYTES};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_TYPE;
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
    /// A part of a sound whose connection then broke: the one way in which bare sound can be told to be incomplete.
    BrokenOff,
    /// Nothing, for too long.
    Hang,
}

/// Judges an exchange.
pub(super) fn judge(endpoint: Endpoint, delivery: Delivery, exchange: &Exchange) -> Seen {
    if exchange.end == End::GivenUp {
        return Seen::Hang;
    }
    let Some((status, headers)) = &exchange.head else {
        return untyped(match &exchange.end {
            End::Broken(error) => format!("no response: {error}"),
            _ => "no response".to_owned(),
        });
    };
    if *status != 200 {
        return refusal(endpoint, *status, &exchange.body);
    }
    if endpoint == Endpoint::Speech {
        return sound(exchange);
    }
    // A model that does not stream answers as a whole what has one form only, and says so.
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_whole = endpoint.operation().is_relayed() && content_type.starts_with("application/json");
    if delivery.is_stream() && !is_whole { stream(endpoint, exchange) } else { plain(endpoint, exchange) }
}

/// Bare sound: complete when every byte came and HTTP says that this was all.
fn sound(exchange: &Exchange) -> Seen {
    match &exchange.end {
        End::Broken(_) if exchange.body.len() <= SOUND_BYTES => Seen::BrokenOff,
        End::Broken(error) => untyped(format!("more sound than there is, and then: {error}")),
        _ if exchange.body.len() == SOUND_BYTES => Seen::Answer,
        _ => silent(format!("{} of {SOUND_BYTES} bytes of sound", exchange.body.len())),
    }
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
    if endpoint == Endpoint::Rerank {
        // The official client reads the message; the code is ours.
        let word = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        return Some((word("code").unwrap_or_default(), word("message")?));
    }
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
    if endpoint.dialect() == Dialect::Anthropic && value.get("type").and_then(Value::as_str) != Some("error")
    {
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
    let word = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    match endpoint {
        Endpoint::Embeddings => vectors(&value, "/data", "/embedding", 1),
        Endpoint::EmbedBatch => vectors(&value, "/embeddings", "/values", 2),
        Endpoint::EmbedContent => match value.pointer("/embedding/values") {
            Some(Value::Array(numbers)) if !numbers.is_empty() => Seen::Answer,
            _ => silent("there is no vector in the answer"),
        },
        Endpoint::CountTokens => counted(&value, "/input_tokens"),
        Endpoint::CountContent => counted(&value, "/totalTokens"),
        Endpoint::Moderations => match value.pointer("/results/0/flagged") {
            Some(Value::Bool(_)) => Seen::Answer,
            _ => silent("there is no judgement in the answer"),
        },
        Endpoint::Images | Endpoint::ImageEdits | Endpoint::ImageVariations => {
            match word("/data/0/b64_json").or(word("/data/0/url")) {
                Some(picture) if !picture.is_empty() => Seen::Answer,
                _ => silent("there is no picture in the answer"),
            }
        }
        Endpoint::Transcriptions | Endpoint::Translations => {
            complete(HEARD, word("/text").unwrap_or_default(), true)
        }
        Endpoint::Rerank => ordered(&value),
        Endpoint::GenerateContent | Endpoint::GenerateArray => complete(
            ANSWER,
            &candidate_text(&value),
            value.pointer("/candidates/0/finishReason").is_some_and(Value::is_string),
        ),
        Endpoint::ChatCompletions => complete(
            ANSWER,
            word("/choices/0/message/content").unwrap_or_default(),
            word("/choices/0/finish_reason").is_some(),
        ),
        Endpoint::Completions => complete(
            ANSWER,
            word("/choices/0/text").unwrap_or_default(),
            word("/choices/0/finish_reason").is_some(),
        ),
        Endpoint::Responses => complete(ANSWER, &output_text(&value), word("/status") == Some("completed")),
        Endpoint::Messages => {
            let blocks = value.get("content").and_then(Value::as_array);
            let texts = blocks.into_iter().flatten().filter_map(|block| block.get("text")?.as_str());
            complete(ANSWER, &texts.collect::<String>(), word("/stop_reason").is_some())
        }
        Endpoint::Speech | Endpoint::SpeechEvents => untyped("an answer in JSON where sound was asked for"),
    }
}

/// A list with a vector for each input.
fn vectors(value: &Value, list: &str, inside: &str, number: usize) -> Seen {
    let list = value.pointer(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_vector = |one: &Value| {
        one.pointer(inside).and_then(Value::as_array).is_some_and(|numbers| !numbers.is_empty())
    };
    if list.len() == number && list.iter().all(is_vector) {
        return Seen::Answer;
    }
    silent(format!("there are {} of {number} vectors in the answer", list.len()))
}

fn counted(value: &Value, place: &str) -> Seen {
    match value.pointer(place).and_then(Value::as_u64) {
        Some(tokens) if tokens > 0 => Seen::Answer,
        _ => silent("there is no number of tokens in the answer"),
    }
}

/// Every document has a place and a score, the best first.
fn ordered(value: &Value) -> Seen {
    let results = value.get("results").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut places: Vec<u64> = results.iter().filter_map(|one| one.get("index")?.as_u64()).collect();
    let scores: Vec<f64> = results.iter().filter_map(|one| one.get("relevance_score")?.as_f64()).collect();
    places.sort_unstable();
    let all: Vec<u64> = (0..DOCUMENTS.len() as u64).collect();
    if places == all && scores.len() == all.len() && scores.is_sorted_by(|one, other| one >= other) {
        return Seen::Answer;
    }
    silent(format!("{} of {} documents have a place", scores.len(), DOCUMENTS.len()))
}

/// The text of a response, thoughts and calls apart.
fn output_text(value: &Value) -> String {
    let items = value.get("output").and_then(Value::as_array).into_iter().flatten();
    let said = items.filter(|item| item.get("type").and_then(Value::as_str) == Some("message"));
    let parts = said.filter_map(|item| item.get("content")?.as_array()).flatten();
    parts.filter_map(|part| part.get("text")?.as_str()).collect()
}

/// The text of the first candidate, thoughts apart.
fn candidate_text(value: &Value) -> String {
    let parts = value.pointer("/candidates/0/content/parts").and_then(Value::as_array);
    let said = |part: &&Value| part.get("thought") != Some(&Value::Bool(true));
    parts.into_iter().flatten().filter(said).filter_map(|part| part.get("text")?.as_str()).collect()
}

fn complete(wanted: &str, text: &str, finished: bool) -> Seen {
    if text.trim() != wanted {
        silent(format!("it looks complete but holds {} of {} characters", text.trim().len(), wanted.len()))
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
    /// What is not text: bytes of sound, pictures.
    pieces: usize,
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
    seen.verdict(endpoint, &exchange.end)
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
    seen.verdict(endpoint, &exchange.end)
}

impl Stream {
    fn take(&mut self, endpoint: Endpoint, value: &Value) {
        if value.get("error").is_some_and(Value::is_object) {
            let nameless = || ("nameless".to_owned(), value.to_string());
            self.error = Some(error_object(endpoint, value).unwrap_or_else(nameless));
            return;
        }
        let word = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        match endpoint {
            Endpoint::Responses => {
                if word("/type") == Some("response.output_text.delta") {
                    self.text.push_str(word("/delta").unwrap_or_default());
                }
                let is_over = word("/type") == Some("response.completed");
                self.finished |= is_over;
                self.closed |= is_over;
                return;
            }
            Endpoint::Completions => {
                self.text.push_str(word("/choices/0/text").unwrap_or_default());
                self.finished |= word("/choices/0/finish_reason").is_some();
                return;
            }
            Endpoint::Images | Endpoint::Transcriptions | Endpoint::SpeechEvents => {
                return self.take_relayed(word("/type").unwrap_or_default(), value);
            }
            _ => {}
        }
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

    /// Takes an event of an endpoint that makes pictures or sound, or hears.
    fn take_relayed(&mut self, kind: &str, value: &Value) {
        let word = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
        match kind {
            "transcript.text.delta" => self.text.push_str(word("delta")),
            "speech.audio.delta" => {
                self.pieces += STANDARD.decode(word("audio")).map_or(0, |sound| sound.len())
            }
            "image_generation.completed" => self.pieces += usize::from(!word("b64_json").is_empty()),
            _ => {}
        }
        let is_over =
            matches!(kind, "transcript.text.done" | "speech.audio.done" | "image_generation.completed");
        self.finished |= is_over;
        self.closed |= is_over;
    }

    /// Whether everything came that was asked for.
    fn whole(&self, endpoint: Endpoint) -> Seen {
        let text = self.text.trim();
        match endpoint {
            Endpoint::Images if self.pieces == 1 => complete("", text, self.finished),
            Endpoint::Images => silent(format!("{} pictures in place of one", self.pieces)),
            Endpoint::SpeechEvents if self.pieces == SOUND_BYTES => complete("", text, self.finished),
            Endpoint::SpeechEvents => silent(format!("{} of {SOUND_BYTES} bytes of sound", self.pieces)),
            Endpoint::Transcriptions => complete(HEARD, text, self.finished),
            _ => complete(ANSWER, text, self.finished),
        }
    }

    fn verdict(self, endpoint: Endpoint, end: &End) -> Seen {
        let text = self.text.trim();
        let wanted = if endpoint == Endpoint::Transcriptions { HEARD } else { ANSWER };
        match (&self.error, end) {
            (Some(_), _) if self.finished || self.closed => {
                untyped("an error event beside an end of the answer")
            }
            (Some(_), _) if !wanted.starts_with(text) => {
                untyped(format!("what came before the error event is no part of the answer: {text:?}"))
            }
            (Some((code, _)), _) if code == "nameless" => untyped("an error event without type or message"),
            (Some((code, message)), _) => Seen::ErrorEvent { code: code.clone(), message: message.clone() },
            (None, End::Broken(error)) => {
                untyped(format!("the connection broke without an error event: {error}"))
            }
            (None, _) if !self.closed => {
                silent(format!("the stream ended after {} characters without its last event", text.len()))
            }
            (None, _) => self.whole(endpoint),
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
    fn what_is_no_conversation_is_judged_by_its_form() {
        let sound = "x".repeat(SOUND_BYTES);
        let heard = format!(r#"{{"text":"{HEARD}"}}"#);
        let order = |places: &[u64]| {
            let results: Vec<Value> = places
                .iter()
                .enumerate()
                .map(|(rank, place)| serde_json::json!({"index": place, "relevance_score": 1.0 - rank as f64 / 10.0}))
                .collect();
            serde_json::json!({"results": results}).to_string()
        };
        let spoken = |sound: &[u8]| {
            format!(
                "data: {{\"type\":\"speech.audio.delta\",\"audio\":\"{}\"}}\n\ndata: {{\"type\":\"speech.audio.done\"}}\n\n",
                STANDARD.encode(sound)
            )
        };
        let response = r#"{"status":"completed","output":[{"type":"reasoning"},{"type":"message","content":[{"text":"ALL"}]}]}"#;
        let drawn = "data: {\"type\":\"image_generation.partial_image\",\"b64_json\":\"eA==\"}\n\n";
        let done = "data: {\"type\":\"image_generation.completed\",\"b64_json\":\"eA==\"}\n\n";
        use Delivery::{Plain, Stream};
        let whole = End::Whole;
        let broken = || End::Broken("cut".to_owned());
        let cases = [
            (Endpoint::Responses, Plain, response.to_owned(), whole.clone()),
            (Endpoint::Responses, Plain, response.replace("completed", "incomplete"), whole.clone()),
            (Endpoint::CountTokens, Plain, r#"{"input_tokens":9}"#.to_owned(), whole.clone()),
            (Endpoint::CountTokens, Plain, "{}".to_owned(), whole.clone()),
            (Endpoint::Moderations, Plain, r#"{"results":[{"flagged":false}]}"#.to_owned(), whole.clone()),
            (Endpoint::Moderations, Plain, r#"{"results":[]}"#.to_owned(), whole.clone()),
            (Endpoint::Images, Plain, r#"{"data":[{"b64_json":"eA=="}]}"#.to_owned(), whole.clone()),
            (Endpoint::Images, Stream, format!("{drawn}{done}"), whole.clone()),
            (Endpoint::Images, Stream, drawn.to_owned(), whole.clone()),
            (Endpoint::Transcriptions, Plain, heard, whole.clone()),
            (Endpoint::Transcriptions, Plain, r#"{"text":"The quick"}"#.to_owned(), whole.clone()),
            (Endpoint::Rerank, Plain, order(&[2, 0, 1]), whole.clone()),
            (Endpoint::Rerank, Plain, order(&[2, 0]), whole.clone()),
            (Endpoint::Rerank, Plain, order(&[2, 0, 0]), whole.clone()),
            (Endpoint::Speech, Stream, sound.clone(), whole.clone()),
            (Endpoint::Speech, Stream, sound[1..].to_owned(), whole.clone()),
            (Endpoint::Speech, Stream, sound[1..].to_owned(), broken()),
            (Endpoint::SpeechEvents, Stream, spoken(sound.as_bytes()), whole.clone()),
            (Endpoint::SpeechEvents, Stream, spoken(b"x"), whole.clone()),
        ];
        let lines: Vec<String> = cases
            .into_iter()
            .map(|(endpoint, delivery, body, end)| seen(endpoint, delivery, 200, &body, end))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
        let refused = r#"{"id":"x","message":"m","code":"upstream_failed"}"#;
        assert!(seen(Endpoint::Rerank, Plain, 502, refused, whole).contains("error_status"));
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
