//! The endpoints of the gateway, and a request for each as an official SDK writes it.
//!
//! Owns paths and bodies, and what a complete answer says. Must not send or judge anything.

use bytes::Bytes;
use serde::Serialize;
use serde_json::json;
use trunkline_model::dialect::{Delivery, Dialect, Operation};
use trunkline_sim::Fault;
use trunkline_wire::codec::{BadRequest, Envelope, PathParts};
use trunkline_wire::dispatch;
use trunkline_wire::relayed::{self, BodyForm};

/// What every simulator answers to a text: the words of the prompt, so that a missing one shows.
pub(super) const ANSWER: &str =
    "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike";
/// What every simulator hears.
pub(super) const HEARD: &str = "The quick brown fox jumps over the lazy dog.";
/// How many bytes of sound a simulator makes of [`ANSWER`]: 64 for a character.
pub(super) const SOUND_BYTES: usize = ANSWER.len() * 64;
/// What is ordered, by what it has to do with `alpha bravo`.
pub(super) const DOCUMENTS: [&str; 3] = ["alpha bravo charlie", "delta echo", "bravo alpha"];

/// What stands between the parts of a form.
const EDGE: &str = "the-edge-of-a-part";
const FORM: &str = "multipart/form-data; boundary=the-edge-of-a-part";
const JSON: &str = "application/json";

/// An endpoint of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Endpoint {
    /// OpenAI chat completions.
    #[serde(rename = "/v1/chat/completions")]
    ChatCompletions,
    /// OpenAI responses.
    #[serde(rename = "/v1/responses")]
    Responses,
    /// OpenAI completions.
    #[serde(rename = "/v1/completions")]
    Completions,
    /// Anthropic messages.
    #[serde(rename = "/v1/messages")]
    Messages,
    /// Anthropic's count of tokens.
    #[serde(rename = "/v1/messages/count_tokens")]
    CountTokens,
    /// OpenAI embeddings.
    #[serde(rename = "/v1/embeddings")]
    Embeddings,
    /// OpenAI moderations.
    #[serde(rename = "/v1/moderations")]
    Moderations,
    /// Pictures of a text.
    #[serde(rename = "/v1/images/generations")]
    Images,
    /// Pictures of a picture and a text, as a form.
    #[serde(rename = "/v1/images/edits")]
    ImageEdits,
    /// Pictures of a picture, as a form.
    #[serde(rename = "/v1/images/variations")]
    ImageVariations,
    /// Sound to text, as a form.
    #[serde(rename = "/v1/audio/transcriptions")]
    Transcriptions,
    /// Sound to English text, as a form.
    #[serde(rename = "/v1/audio/translations")]
    Translations,
    /// Text to sound, byte by byte.
    #[serde(rename = "/v1/audio/speech")]
    Speech,
    /// Text to sound, in events.
    #[serde(rename = "/v1/audio/speech (events)")]
    SpeechEvents,
    /// Cohere's order of documents.
    #[serde(rename = "/v2/rerank")]
    Rerank,
    /// Gemini generateContent and streamGenerateContent, the stream as events.
    #[serde(rename = "/v1beta/models/{model}:generateContent")]
    GenerateContent,
    /// Gemini streamGenerateContent, the stream as one JSON array.
    #[serde(rename = "/v1beta/models/{model}:streamGenerateContent")]
    GenerateArray,
    /// Gemini countTokens.
    #[serde(rename = "/v1beta/models/{model}:countTokens")]
    CountContent,
    /// Gemini embedContent.
    #[serde(rename = "/v1beta/models/{model}:embedContent")]
    EmbedContent,
    /// Gemini batchEmbedContents.
    #[serde(rename = "/v1beta/models/{model}:batchEmbedContents")]
    EmbedBatch,
}

impl Endpoint {
    /// Every endpoint.
    pub(super) const ALL: [Self; 20] = [
        Self::ChatCompletions,
        Self::Responses,
        Self::Completions,
        Self::Messages,
        Self::CountTokens,
        Self::Embeddings,
        Self::Moderations,
        Self::Images,
        Self::ImageEdits,
        Self::ImageVariations,
        Self::Transcriptions,
        Self::Translations,
        Self::Speech,
        Self::SpeechEvents,
        Self::Rerank,
        Self::GenerateContent,
        Self::GenerateArray,
        Self::CountContent,
        Self::EmbedContent,
        Self::EmbedBatch,
    ];

    /// Its path.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::ChatCompletions => "/v1/chat/completions",
            Self::Responses => "/v1/responses",
            Self::Completions => "/v1/completions",
            Self::Messages => "/v1/messages",
            Self::CountTokens => "/v1/messages/count_tokens",
            Self::Embeddings => "/v1/embeddings",
            Self::Moderations => "/v1/moderations",
            Self::Images => "/v1/images/generations",
            Self::ImageEdits => "/v1/images/edits",
            Self::ImageVariations => "/v1/images/variations",
            Self::Transcriptions => "/v1/audio/transcriptions",
            Self::Translations => "/v1/audio/translations",
            Self::Speech | Self::SpeechEvents => "/v1/audio/speech",
            Self::Rerank => "/v2/rerank",
            Self::GenerateContent => "/v1beta/models/{model}:generateContent",
            Self::GenerateArray => "/v1beta/models/{model}:streamGenerateContent",
            Self::CountContent => "/v1beta/models/{model}:countTokens",
            Self::EmbedContent => "/v1beta/models/{model}:embedContent",
            Self::EmbedBatch => "/v1beta/models/{model}:batchEmbedContents",
        }
    }

    /// The path and query of a request for a route: some protocols put the model there, and how the answer travels.
    pub(super) fn target(self, route: &str, delivery: Delivery) -> String {
        let path = match (self, delivery) {
            (Self::GenerateContent, Delivery::Stream) => {
                "/v1beta/models/{model}:streamGenerateContent?alt=sse"
            }
            _ => self.path(),
        };
        path.replace("{model}", &escaped(route))
    }

    /// The protocol it belongs to.
    pub(super) const fn dialect(self) -> Dialect {
        match self {
            Self::Messages | Self::CountTokens => Dialect::Anthropic,
            Self::Responses => Dialect::Responses,
            Self::Rerank => Dialect::Cohere,
            Self::GenerateContent
            | Self::GenerateArray
            | Self::CountContent
            | Self::EmbedContent
            | Self::EmbedBatch => Dialect::Gemini,
            _ => Dialect::OpenAi,
        }
    }

    /// What it does.
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Embeddings | Self::EmbedContent | Self::EmbedBatch => Operation::Embeddings,
            Self::ChatCompletions
            | Self::Responses
            | Self::Messages
            | Self::GenerateContent
            | Self::GenerateArray => Operation::Chat,
            Self::Completions => Operation::Completions,
            Self::CountTokens | Self::CountContent => Operation::CountTokens,
            Self::Moderations => Operation::Moderations,
            Self::Images => Operation::Images,
            Self::ImageEdits => Operation::ImageEdits,
            Self::ImageVariations => Operation::ImageVariations,
            Self::Transcriptions => Operation::Transcriptions,
            Self::Translations => Operation::Translations,
            Self::Speech | Self::SpeechEvents => Operation::Speech,
            Self::Rerank => Operation::Rerank,
        }
    }

    /// The ways its answers can travel. Sound always comes bit by bit.
    pub(super) const fn deliveries(self) -> &'static [Delivery] {
        match self {
            Self::GenerateArray | Self::Speech | Self::SpeechEvents => &[Delivery::Stream],
            Self::ChatCompletions
            | Self::Responses
            | Self::Completions
            | Self::Messages
            | Self::GenerateContent
            | Self::Images
            | Self::Transcriptions => &[Delivery::Stream, Delivery::Plain],
            _ => &[Delivery::Plain],
        }
    }

    /// Whether a fault can be told from an answer there. In bare sound, nothing tells an event from what is to be heard, and
    /// no provider sends one.
    pub(super) const fn shows(self, fault: Fault) -> bool {
        !matches!(
            (self, fault),
            (
                Self::Speech,
                Fault::MalformedEvent
                    | Fault::MalformedFirstEvent
                    | Fault::QuotaBeforeFirstToken
                    | Fault::QuotaMidStream(_)
            )
        )
    }

    /// What is said of its requests' bodies.
    pub(super) const fn content_type(self) -> &'static str {
        match self {
            Self::ImageEdits | Self::ImageVariations | Self::Transcriptions | Self::Translations => FORM,
            _ => JSON,
        }
    }

    /// A request for a route.
    pub(super) fn body(self, route: &str, delivery: Delivery) -> Bytes {
        let prompt = format!("{ANSWER} [[sim: echo]]");
        let messages = json!([{"role": "user", "content": prompt}]);
        let contents = json!([{"role": "user", "parts": [{"text": prompt}]}]);
        let embedded = json!({"parts": [{"text": ANSWER}]});
        let mut body = match self {
            Self::ChatCompletions => json!({"model": route, "messages": messages}),
            Self::Responses => json!({"model": route, "input": prompt}),
            Self::Completions => json!({"model": route, "prompt": prompt, "max_tokens": 512}),
            Self::Messages => json!({"model": route, "max_tokens": 512, "messages": messages}),
            Self::CountTokens => json!({"model": route, "messages": messages}),
            Self::Embeddings | Self::Moderations => json!({"model": route, "input": ANSWER}),
            Self::Images => json!({"model": route, "prompt": ANSWER}),
            Self::Speech => json!({"model": route, "input": ANSWER, "voice": "alloy"}),
            Self::SpeechEvents => {
                json!({"model": route, "input": ANSWER, "voice": "alloy", "stream_format": "sse"})
            }
            Self::Rerank => json!({"model": route, "query": "alpha bravo", "documents": DOCUMENTS}),
            Self::GenerateContent | Self::GenerateArray | Self::CountContent => json!({"contents": contents}),
            Self::EmbedContent => json!({"content": embedded}),
            Self::EmbedBatch => {
                let request = json!({"model": format!("models/{route}"), "content": embedded});
                json!({"requests": [request, request]})
            }
            Self::ImageEdits => return form(&[("model", route), ("prompt", ANSWER)], "image"),
            Self::ImageVariations => return form(&[("model", route)], "image"),
            Self::Translations => return form(&[("model", route)], "file"),
            Self::Transcriptions if delivery.is_stream() => {
                return form(&[("model", route), ("stream", "true")], "file");
            }
            Self::Transcriptions => return form(&[("model", route)], "file"),
        };
        let says_so = !matches!(self, Self::Speech | Self::SpeechEvents) && self.dialect() != Dialect::Gemini;
        if delivery.is_stream() && says_so {
            body["stream"] = true.into();
        }
        if self == Self::Images && delivery.is_stream() {
            body["partial_images"] = 2.into();
        }
        Bytes::from(body.to_string())
    }

    /// What the gateway sees of a request at first sight.
    ///
    /// # Errors
    /// When the request is none, which is a defect of the drill.
    pub(super) fn envelope(
        self,
        route: &str,
        delivery: Delivery,
        body: &[u8],
    ) -> Result<Envelope, BadRequest> {
        if self.operation().is_relayed() {
            return relayed::envelope(self.operation(), BodyForm::of(Some(self.content_type())), body);
        }
        let path = match self.dialect() {
            Dialect::Gemini => PathParts { model: Some(route.to_owned()), delivery: Some(delivery) },
            _ => PathParts::default(),
        };
        dispatch::envelope(self.dialect(), self.operation(), body, &path)
    }
}

/// A form with fields and a file.
fn form(fields: &[(&str, &str)], file: &str) -> Bytes {
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!(
            "--{EDGE}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ));
    }
    body.push_str(&format!(
        "--{EDGE}\r\nContent-Disposition: form-data; name=\"{file}\"; filename=\"a.bin\"\r\nContent-Type: application/octet-stream\r\n\r\n{ANSWER}\r\n--{EDGE}--\r\n"
    ));
    Bytes::from(body)
}

/// A name as part of a path.
fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_request_is_one() {
        for endpoint in Endpoint::ALL {
            for delivery in endpoint.deliveries() {
                let body = endpoint.body("a/b", *delivery);
                let envelope = endpoint.envelope("a/b", *delivery, &body);
                let envelope = envelope.unwrap_or_else(|error| panic!("{}: {error}", endpoint.path()));
                assert_eq!(envelope.shape.model, "a/b", "{}", endpoint.path());
                assert_eq!(envelope.shape.delivery, *delivery, "{}", endpoint.path());
                assert_eq!(envelope.shape.operation, endpoint.operation(), "{}", endpoint.path());
            }
        }
    }
}
