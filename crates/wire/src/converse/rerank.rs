//! Ordering documents: the operation `Rerank`, which a sister service of the models' own serves.
//!
//! Owns its body and its answer. Must not know where that service is or how its requests are signed. A request names the model
//! by its ARN: the profile has it, because only there the region is known. Source: the service's model
//! (`bedrock-agent-runtime` 2023-07-26) and "Use a reranker model" in the user guide.

use crate::anthropic::malformed;
use crate::codec::{Decode, EncodeError, Encoded, Frame, Profile, whole};
use crate::json_text::JsonText;
use bytes::BytesMut;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use trunkline_model::event::Event;
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;
use trunkline_model::rerank::RerankRequest;
use trunkline_model::warning::Warning;

/// The most documents of one request (`RerankSourcesList`).
const MOST_DOCUMENTS: usize = 1_000;
/// The most characters of a document or a query (`RerankTextDocumentTextString`).
const MOST_CHARACTERS: usize = 32_000;
/// Why something is left out.
const UNKNOWN: &str = "Bedrock has nothing like it";

/// Writes a request.
pub(super) fn encode(request: &RerankRequest, profile: &Profile) -> Result<Encoded, EncodeError> {
    let documents = &request.documents;
    if documents.len() > MOST_DOCUMENTS {
        return Err(unsupported("documents", format!("Bedrock orders at most {MOST_DOCUMENTS} at once")));
    }
    fits("query", &request.query)?;
    for (index, text) in documents.iter().enumerate() {
        fits(&format!("documents[{index}]"), text)?;
    }
    let all = documents.len() as u64;
    let top = match request.top {
        Some(0) => {
            let reason = "at least one document must be asked for: leave it out for all".to_owned();
            return Err(EncodeError::Invalid { path: "top_n".to_owned(), reason });
        }
        top => top.map_or(all, |top| top.min(all)),
    };
    let mut out = BytesMut::with_capacity(256);
    out.open_object();
    out.key("queries");
    out.open_array();
    out.open_object();
    out.field("type", "TEXT");
    out.key("textQuery");
    text_object(&request.query, &mut out);
    out.close_object();
    out.close_array();
    out.key("sources");
    out.open_array();
    for text in documents {
        out.open_object();
        out.field("type", "INLINE");
        out.key("inlineDocumentSource");
        out.open_object();
        out.field("type", "TEXT");
        out.key("textDocument");
        text_object(text, &mut out);
        out.close_object();
        out.close_object();
    }
    out.close_array();
    out.key("rerankingConfiguration");
    out.open_object();
    out.field("type", "BEDROCK_RERANKING_MODEL");
    out.key("bedrockRerankingConfiguration");
    out.open_object();
    out.key("modelConfiguration");
    out.open_object();
    out.field("modelArn", profile.rerank_model.as_deref().unwrap_or(&profile.model));
    out.close_object();
    // How many there are when nothing is said is documented nowhere.
    out.field_unsigned("numberOfResults", top);
    out.close_object();
    out.close_object();
    out.close_object();
    Ok(Encoded::new(out.freeze(), warnings(request)))
}

/// What does not go along.
fn warnings(request: &RerankRequest) -> Vec<Warning> {
    let mut warnings = Vec::new();
    if request.return_documents {
        warnings.push(Warning::dropped("return_documents", UNKNOWN));
    }
    if request.max_tokens_per_document.is_some() {
        warnings.push(Warning::dropped("max_tokens_per_doc", UNKNOWN));
    }
    warnings.extend(request.extras.iter().map(|extra| Warning::dropped(extra.name.clone(), UNKNOWN)));
    warnings
}

fn text_object(text: &str, out: &mut BytesMut) {
    out.open_object();
    out.field("text", text);
    out.close_object();
}

/// Refuses a text that the service refuses, so that another deployment can be asked.
fn fits(feature: &str, text: &str) -> Result<(), EncodeError> {
    if text.is_empty() {
        return Err(unsupported(feature, "Bedrock takes no empty text".to_owned()));
    }
    // Bytes are never fewer than characters.
    if text.len() > MOST_CHARACTERS && text.chars().count() > MOST_CHARACTERS {
        return Err(unsupported(feature, format!("Bedrock takes at most {MOST_CHARACTERS} characters")));
    }
    Ok(())
}

fn unsupported(feature: &str, reason: String) -> EncodeError {
    EncodeError::Unsupported { feature: feature.to_owned(), reason }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireAnswer<'a> {
    #[serde(borrow)]
    results: Vec<WireResult<'a>>,
    next_token: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireResult<'a> {
    index: u32,
    relevance_score: f64,
    #[serde(borrow, default)]
    document: Option<WireDocument<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WireDocument<'a> {
    #[serde(borrow, default)]
    text_document: Option<WireText<'a>>,
    #[serde(borrow, default)]
    json_document: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireText<'a> {
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
}

/// Reads answers. They say nothing of what they cost.
#[derive(Default)]
pub(super) struct RerankDecoder {
    seen: bool,
}

impl Decode for RerankDecoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let answer: WireAnswer<'_> = serde_json::from_slice(frame.data).map_err(|error| malformed(&error))?;
        if answer.next_token.is_some() {
            // A client that is shown the first page takes it for the whole.
            return Err(Failure::new(
                FailureClass::Malformed,
                "the provider sent only the first page of its results",
            ));
        }
        if answer.results.len() > MOST_DOCUMENTS {
            return Err(Failure::new(FailureClass::Malformed, "the answer has too many results"));
        }
        events.push(Event::Start { id: String::new(), model: String::new(), created: None });
        for WireResult { index, relevance_score, document } in answer.results {
            let repeated = document.and_then(|document| {
                document.text_document.and_then(|document| document.text).or(document.json_document)
            });
            events.push(Event::Ranked {
                index,
                score: relevance_score,
                document: repeated.map(|raw| Json::from_raw(raw.to_owned())),
            });
        }
        events.push(Event::End);
        self.seen = true;
        Ok(())
    }

    fn end(&mut self, _events: &mut Vec<Event>) -> Result<(), Failure> {
        whole(self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use trunkline_model::dialect::Dialect;
    use trunkline_model::request::Extra;

    const ARN: &str = "arn:aws:bedrock:eu-west-3::foundation-model/amazon.rerank-v1:0";

    fn profile() -> Profile {
        Profile { rerank_model: Some(ARN.to_owned()), ..Profile::new("amazon.rerank-v1:0") }
    }

    fn request(documents: &[&str]) -> RerankRequest {
        RerankRequest {
            query: "wärme".to_owned(),
            documents: documents.iter().map(|text| (*text).to_owned()).collect(),
            ..RerankRequest::default()
        }
    }

    fn written(request: &RerankRequest) -> Result<(String, String), String> {
        let encoded = encode(request, &profile()).map_err(|error| error.to_string())?;
        let warnings: Vec<String> = encoded.warnings.iter().map(ToString::to_string).collect();
        Ok((String::from_utf8(encoded.body.to_vec()).unwrap(), warnings.join("\n")))
    }

    fn read(body: &str) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        let mut decoder = RerankDecoder::default();
        let frame = Frame { event: "", data: body.as_bytes() };
        decoder.frame(frame, &mut events).map_err(|failure| failure.message)?;
        decoder.end(&mut events).map_err(|failure| failure.message)?;
        Ok(events)
    }

    #[test]
    fn requests_name_the_model_by_its_arn_and_every_number() {
        let (body, warnings) = written(&request(&["a", "b \"c\""])).unwrap();
        insta::assert_snapshot!(body);
        assert_eq!(warnings, "");
        let one = RerankRequest { top: Some(1), ..request(&["a", "b"]) };
        assert!(written(&one).unwrap().0.contains(r#""numberOfResults":1"#));
        let more = RerankRequest { top: Some(9), ..request(&["a", "b"]) };
        assert!(written(&more).unwrap().0.contains(r#""numberOfResults":2"#));
        let plain = Profile::new(ARN);
        let body = encode(&request(&["a"]), &plain).unwrap().body;
        assert!(String::from_utf8_lossy(&body).contains(ARN), "a model named by its ARN keeps it");
    }

    #[test]
    fn what_is_left_out_is_told() {
        let value = Json::parse("1".to_owned()).unwrap();
        let odd = RerankRequest {
            return_documents: true,
            max_tokens_per_document: Some(100),
            extras: vec![Extra { origin: Dialect::Cohere, name: "priority".to_owned(), value }],
            ..request(&["a"])
        };
        insta::assert_snapshot!(written(&odd).unwrap().1, @r"
        return_documents dropped: Bedrock has nothing like it
        max_tokens_per_doc dropped: Bedrock has nothing like it
        priority dropped: Bedrock has nothing like it
        ");
    }

    #[test]
    fn what_the_service_refuses_is_not_sent() {
        let long = "ä".repeat(MOST_CHARACTERS + 1);
        let just = "ä".repeat(MOST_CHARACTERS);
        let many = vec!["a"; MOST_DOCUMENTS + 1];
        let told: Vec<String> = [
            request(&["a", ""]),
            request(&["a", &long]),
            request(&many),
            RerankRequest { query: String::new(), ..request(&["a"]) },
            RerankRequest { top: Some(0), ..request(&["a"]) },
        ]
        .iter()
        .map(|request| written(request).unwrap_err())
        .collect();
        insta::assert_snapshot!(told.join("\n"));
        assert!(written(&request(&[&just])).is_ok());
    }

    #[test]
    fn answers_are_read_whole_or_not_at_all() {
        let whole = r#"{"results":[
            {"index":1,"relevanceScore":0.9,"document":{"type":"TEXT","textDocument":{"text":"b"}}},
            {"index":0,"relevanceScore":0.1,"document":{"type":"JSON","jsonDocument":{"k":1}}},
            {"index":2,"relevanceScore":0.05}]}"#;
        let told: Vec<String> = read(whole)
            .unwrap()
            .iter()
            .filter_map(|event| match event {
                Event::Ranked { index, score, document } => {
                    Some(format!("{index} {score} {}", document.as_ref().map_or("-", Json::text)))
                }
                _ => None,
            })
            .collect();
        assert_eq!(told, ["1 0.9 \"b\"", "0 0.1 {\"k\":1}", "2 0.05 -"]);
        assert!(!read(whole).unwrap().iter().any(|event| matches!(event, Event::Usage(_))));
        assert!(read(r#"{"results":[]}"#).is_ok());
        assert_eq!(read(r#"{"results":[],"nextToken":null}"#).unwrap().len(), 2);
        for nonsense in [r#"{"results":[],"nextToken":"x"}"#, "{}", "<html>", r#"{"results":[{"index":-1}]}"#]
        {
            assert!(read(nonsense).is_err(), "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_crash_it(data in "[\\[\\]{}:,\"a-zA-Z0-9 ]{0,60}") {
            let _ = read(&data);
        }

        #[test]
        fn every_text_arrives_as_it_is(texts in prop::collection::vec(".{1,20}", 1..5)) {
            let documents: Vec<&str> = texts.iter().map(String::as_str).collect();
            let (body, _) = written(&request(&documents)).unwrap();
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            for (index, text) in texts.iter().enumerate() {
                let source = &body["sources"][index]["inlineDocumentSource"]["textDocument"]["text"];
                prop_assert_eq!(source.as_str(), Some(text.as_str()));
            }
        }
    }
}
