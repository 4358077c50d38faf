//! Canonical events as one Gemini answer, or one token count.
//!
//! Owns the whole-answer object. Must not know streams. Parts are written as their pieces come, so that the answer is held
//! once, as the text it will be sent as.

use super::answer_encode::{has_own_grounds, keep_extra, write_fields, write_tail};
use super::answer_part::{Candidate, candidate};
use super::{error, usage};
use crate::cited::Lost;
use crate::codec::{Encode, EncodeContext};
use crate::json_text::JsonText;
use bytes::BytesMut;
use trunkline_model::dialect::Delivery;
use trunkline_model::error::ClientError;
use trunkline_model::event::Event;
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// Encodes one answer.
pub(super) struct PlainEncoder {
    context: EncodeContext,
    id: String,
    model: String,
    candidates: Vec<Candidate>,
    fields: Vec<(String, Json)>,
    usage: Option<Usage>,
    lost: Lost,
}

impl PlainEncoder {
    pub(super) fn new(context: EncodeContext) -> Self {
        Self {
            context,
            id: String::new(),
            model: String::new(),
            candidates: Vec::new(),
            fields: Vec::new(),
            usage: None,
            lost: Lost::default(),
        }
    }

    fn candidate(&mut self, index: u32) -> &mut Candidate {
        candidate(&mut self.candidates, index, Delivery::Plain)
    }
}

impl Encode for PlainEncoder {
    fn event(&mut self, event: &Event, _out: &mut BytesMut) {
        match event {
            Event::Start { id, model, .. } => {
                self.id.clone_from(id);
                self.model.clone_from(model);
            }
            Event::PartStart { choice, kind, .. } => self.candidate(*choice).part_start(kind),
            Event::Delta { choice, delta, .. } => {
                self.candidate(*choice).delta(delta);
            }
            Event::Citation { choice, citation, .. } => {
                let candidate = candidate(&mut self.candidates, *choice, Delivery::Plain);
                candidate.cite(citation, &mut self.lost);
            }
            Event::PartEnd { choice, .. } => self.candidate(*choice).part_end(),
            Event::Finish { choice, reason, native, .. } => self.candidate(*choice).finish(*reason, native),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Logprobs { choice, json } => self.candidate(*choice).logprobs.push(json),
            Event::Extra { name, json } => {
                keep_extra(name, json, &mut self.candidates, &mut self.fields, Delivery::Plain);
            }
            // What other dialects know only has no place here.
            Event::Embedding { .. } | Event::Ranked { .. } | Event::End => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.candidate(0);
        out.open_object();
        out.key("candidates");
        out.open_array();
        for candidate in &mut self.candidates {
            candidate.part_end();
            out.open_object();
            out.key("content");
            out.open_object();
            if !candidate.parts.is_empty() {
                out.key("parts");
                out.open_array();
                out.extend_from_slice(&candidate.parts);
                out.close_array();
            }
            out.field("role", "model");
            out.close_object();
            candidate.write_ending(out);
            write_fields(candidate, &self.fields, out);
            out.close_object();
        }
        out.close_array();
        if let Some(usage) = &self.usage {
            out.key("usageMetadata");
            usage::write(usage, out);
        }
        write_tail(&self.id, &self.model, &self.context, out);
        out.close_object();
    }

    fn warnings(&self) -> Vec<Warning> {
        // Nothing was lost of what stays in its provider's own words.
        if has_own_grounds(&self.fields) { Vec::new() } else { self.lost.warnings() }
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&error::encode_error(error, self.context.request_id));
    }
}

/// Encodes the answer of `countTokens`.
pub(super) struct CountEncoder {
    context: EncodeContext,
    usage: Usage,
}

impl CountEncoder {
    pub(super) fn new(context: EncodeContext) -> Self {
        Self { context, usage: Usage::default() }
    }
}

impl Encode for CountEncoder {
    fn event(&mut self, event: &Event, _out: &mut BytesMut) {
        if let Event::Usage(usage) = event {
            self.usage = *usage;
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        out.open_object();
        out.field_unsigned("totalTokens", self.usage.prompt());
        if self.usage.cache_read > 0 {
            out.field_unsigned("cachedContentTokenCount", self.usage.cache_read);
        }
        out.close_object();
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&error::encode_error(error, self.context.request_id));
    }
}
