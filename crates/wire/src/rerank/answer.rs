//! Rerank answers, read, watched and written.
//!
//! Owns the lenient reading of what look-alikes send, and Cohere's form for clients.

use crate::codec::{Decode, Encode, EncodeContext, Frame, Observe, Seen, Summary};
use crate::openai;
use crate::write::{Object, array, float};
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::error::ClientError;
use trunkline_model::event::{Event, Finish};
use trunkline_model::failure::{Failure, FailureClass};
use trunkline_model::json::Json;
use trunkline_model::usage::{Unbilled, Usage};

/// The most documents of one answer.
const RESULT_LIMIT: usize = 100_000;

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "data")]
    results: Vec<Ranked<'a>>,
    #[serde(default)]
    usage: Option<Tokens>,
    #[serde(default)]
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Ranked<'a> {
    index: u32,
    #[serde(alias = "score")]
    relevance_score: f64,
    #[serde(borrow, default)]
    document: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Tokens {
    #[serde(default)]
    prompt_tokens: Option<u64>,
    #[serde(default)]
    total_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(default)]
    billed_units: Option<Units>,
    #[serde(default)]
    tokens: Option<Units>,
}

#[derive(Deserialize)]
struct Units {
    #[serde(default)]
    search_units: Option<f64>,
    #[serde(default)]
    input_tokens: Option<f64>,
}

impl Answer<'_> {
    fn usage(&self) -> Option<Usage> {
        let count = |number: f64| if number >= 0.0 { number as u64 } else { 0 };
        let meta = |of: fn(&Meta) -> Option<f64>| self.meta.as_ref().and_then(of).map(count);
        let billed = meta(|meta| meta.billed_units.as_ref()?.input_tokens);
        let went = self.usage.as_ref().and_then(|usage| usage.total_tokens.or(usage.prompt_tokens));
        let went = went.or(meta(|meta| meta.tokens.as_ref()?.input_tokens)).or(billed);
        let searches = meta(|meta| meta.billed_units.as_ref()?.search_units)
            .or(meta(|meta| meta.tokens.as_ref()?.search_units));
        if went.is_none() && searches.is_none() {
            return None;
        }
        let input = went.unwrap_or(0).max(billed.unwrap_or(0));
        let unbilled = Unbilled { prompt: billed.map_or(0, |billed| input - billed), completion: 0 };
        Some(Usage { input, searches: searches.unwrap_or(0), unbilled, ..Usage::default() })
    }
}

/// Reads answers.
#[derive(Default)]
pub(crate) struct Decoder {
    has_ended: bool,
}

impl Decode for Decoder {
    fn frame(&mut self, frame: Frame<'_>, events: &mut Vec<Event>) -> Result<(), Failure> {
        let answer: Answer<'_> = serde_json::from_slice(frame.data).map_err(|_| not_an_answer(frame.data))?;
        if answer.results.len() > RESULT_LIMIT {
            return Err(Failure::new(FailureClass::Malformed, "the answer has too many results"));
        }
        let usage = answer.usage();
        events.push(Event::Start {
            id: answer.id.unwrap_or_default().into_owned(),
            model: answer.model.unwrap_or_default().into_owned(),
            created: None,
        });
        for result in answer.results {
            let document = result.document.filter(|raw| raw.get() != "null");
            events.push(Event::Ranked {
                index: result.index,
                score: result.relevance_score,
                document: document.map(|raw| Json::from_raw(raw.to_owned())),
            });
        }
        events.extend(usage.map(Event::Usage));
        events.push(Event::End);
        self.has_ended = true;
        Ok(())
    }

    fn end(&mut self, _: &mut Vec<Event>) -> Result<(), Failure> {
        if self.has_ended {
            return Ok(());
        }
        Err(Failure::new(FailureClass::Malformed, "the provider's answer is empty"))
    }
}

/// The failure that something is which is no answer.
fn not_an_answer(data: &[u8]) -> Failure {
    let failure = openai::decode_error(200, data);
    match failure.class {
        FailureClass::BadRequest | FailureClass::Malformed | FailureClass::Server => {
            Failure::new(FailureClass::Malformed, "the provider's answer is not one of its dialect")
        }
        _ => failure,
    }
}

/// Watches answers pass.
#[derive(Default)]
pub(crate) struct Observer {
    decoder: Decoder,
    summary: Summary,
}

impl Observe for Observer {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        let mut events = Vec::new();
        self.decoder.frame(frame, &mut events)?;
        self.summary.usage = events.iter().find_map(|event| match event {
            Event::Usage(usage) => Some(*usage),
            _ => None,
        });
        self.summary.finish = Some(Finish::Stop);
        self.summary.complete = true;
        Ok(Seen { semantic: true, hide: false })
    }

    fn end(&mut self) -> Result<(), Failure> {
        self.decoder.end(&mut Vec::new())
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}

/// Writes Cohere's answer for a client.
pub(crate) struct Encoder {
    context: EncodeContext,
    id: String,
    results: Vec<(u32, f64, Option<Json>)>,
    usage: Option<Usage>,
}

impl Encoder {
    pub(crate) const fn new(context: EncodeContext) -> Self {
        Self { context, id: String::new(), results: Vec::new(), usage: None }
    }
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, _: &mut BytesMut) {
        match event {
            Event::Start { id, .. } => self.id.clone_from(id),
            Event::Ranked { index, score, document } => self.results.push((*index, *score, document.clone())),
            Event::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        // The most relevant come first, in whatever order the provider had them.
        self.results.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
        let mut body = Object::open(out);
        if self.id.is_empty() {
            let id = self.context.request_id.encode();
            body.text("id", std::str::from_utf8(&id).unwrap_or_default());
        } else {
            body.text("id", &self.id);
        }
        array(body.key("results"), &self.results, |out, (index, score, document)| {
            let mut result = Object::open(out);
            result.whole("index", *index);
            float(result.key("relevance_score"), *score);
            match document.as_ref().map(Json::text) {
                // Some repeat the text alone.
                Some(text) if text.starts_with('"') => {
                    result.raw("document", &format!("{{\"text\":{text}}}"))
                }
                Some(text) => result.raw("document", text),
                None => {}
            }
            result.close();
        });
        let mut meta = Object::open(body.key("meta"));
        meta.raw("api_version", r#"{"version":"2"}"#);
        if let Some(usage) = self.usage {
            let mut units = Object::open(meta.key("billed_units"));
            if usage.searches > 0 {
                units.whole("search_units", usage.searches);
            }
            let billed = usage.billed();
            if billed.input > 0 {
                units.whole("input_tokens", billed.input);
            }
            units.close();
        }
        meta.close();
        body.close();
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&crate::cohere::encode_error(error, self.context.request_id));
    }
}
