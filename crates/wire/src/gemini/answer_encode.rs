//! Canonical events as Gemini stream chunks.
//!
//! Owns the chunk: a whole answer object with what is new, as Google sends it (`data: {json}`, CRLF, blank line). Must not
//! hold the answer. Text goes out at once; calls and signatures wait for the next chunk, so that the last of them travels
//! with the finish reason, as clients know it. The framing is in two functions, for the form as a JSON array to come.

use super::answer_decode::CANDIDATE_FIELDS;
use super::answer_part::{Candidate, candidate, is_part};
use super::{error, usage};
use crate::cited::Lost;
use crate::codec::{Encode, EncodeContext};
use crate::json_text::JsonText;
use crate::tally::Tally;
use bytes::BytesMut;
use trunkline_model::dialect::Delivery;
use trunkline_model::error::ClientError;
use trunkline_model::event::Event;
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// Encodes the stream.
pub(super) struct StreamEncoder {
    context: EncodeContext,
    /// What every chunk ends with: model and id.
    tail: BytesMut,
    candidates: Vec<Candidate>,
    fields: Vec<(String, Json)>,
    usage: Option<Usage>,
    lost: Lost,
    tally: Option<Tally>,
}

impl StreamEncoder {
    pub(super) fn new(context: EncodeContext) -> Self {
        let mut tail = BytesMut::new();
        write_tail("", "", &context, &mut tail);
        Self {
            context,
            tail,
            candidates: Vec::new(),
            fields: Vec::new(),
            usage: None,
            lost: Lost::default(),
            tally: None,
        }
    }

    fn candidate(&mut self, index: u32) -> &mut Candidate {
        candidate(&mut self.candidates, index, Delivery::Stream)
    }

    /// Sends what a candidate has.
    fn flush(&mut self, index: u32, out: &mut BytesMut) {
        let candidate = candidate(&mut self.candidates, index, Delivery::Stream);
        open_chunk(out);
        out.extend_from_slice(b"\"candidates\":[{\"content\":{\"parts\":[");
        out.extend_from_slice(&candidate.parts);
        out.extend_from_slice(b"],\"role\":\"model\"},\"index\":");
        out.extend_from_slice(itoa::Buffer::new().format(index).as_bytes());
        candidate.logprobs.write(out);
        out.extend_from_slice(b"}]");
        candidate.parts.clear();
        out.extend_from_slice(&self.tail);
        close_chunk(out);
    }
}

impl Encode for StreamEncoder {
    fn event(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Delta { choice, delta, .. } => {
                if self.candidate(*choice).delta(delta) {
                    self.flush(*choice, out);
                }
            }
            Event::Start { id, model, .. } => {
                self.tail.clear();
                write_tail(id, model, &self.context, &mut self.tail);
            }
            Event::PartStart { choice, kind, .. } => self.candidate(*choice).part_start(kind),
            Event::Citation { choice, citation, .. } => {
                let candidate = candidate(&mut self.candidates, *choice, Delivery::Stream);
                candidate.cite(citation, &mut self.lost);
            }
            Event::PartEnd { choice, .. } => self.candidate(*choice).part_end(),
            Event::Finish { choice, reason, native, .. } => self.candidate(*choice).finish(*reason, native),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Logprobs { choice, json } => self.candidate(*choice).logprobs.push(json),
            Event::Extra { name, json } => {
                keep_extra(name, json, &mut self.candidates, &mut self.fields, Delivery::Stream)
            }
            // What other dialects know only has no place here.
            Event::Embedding { .. } | Event::Ranked { .. } | Event::End => {}
        }
    }

    fn tally(&mut self, tally: Tally) {
        self.tally = Some(tally);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.candidate(0);
        open_chunk(out);
        out.key("candidates");
        out.open_array();
        for candidate in &mut self.candidates {
            candidate.part_end();
            out.open_object();
            out.extend_from_slice(b"\"content\":{\"parts\":[");
            if candidate.parts.is_empty() {
                // SDKs take a content without parts for a broken answer.
                out.extend_from_slice(b"{\"text\":\"\"}");
            }
            out.extend_from_slice(&candidate.parts);
            candidate.parts.clear();
            out.extend_from_slice(b"],\"role\":\"model\"}");
            candidate.write_ending(out);
            write_fields(candidate, &self.fields, out);
            out.close_object();
        }
        out.close_array();
        if let Some(usage) = &self.usage {
            out.key("usageMetadata");
            usage::write(usage, out);
            if let Some(tally) = &self.tally {
                out.extend_from_slice(b",");
                tally.write(out);
            }
        }
        let warnings = self.warnings();
        if !warnings.is_empty() && (self.usage.is_none() || self.tally.is_none()) {
            // Headers are gone, and Google's own client takes a comment for a broken answer.
            out.key("trunklineWarnings");
            out.open_array();
            warnings.iter().for_each(|warning| out.string(&*warning.to_string()));
            out.close_array();
        }
        out.extend_from_slice(&self.tail);
        close_chunk(out);
    }

    fn warnings(&self) -> Vec<Warning> {
        // Nothing was lost of what stays in its provider's own words.
        if has_own_grounds(&self.fields) { Vec::new() } else { self.lost.warnings() }
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        error::encode_error_frame(error, self.context.request_id, out);
    }
}

/// Takes an extra of this dialect: a part of the first candidate, or a field of it. Others have no place here.
pub(super) fn keep_extra(
    name: &str,
    json: &Json,
    candidates: &mut Vec<Candidate>,
    fields: &mut Vec<(String, Json)>,
    delivery: Delivery,
) {
    if is_part(name, json) {
        candidate(candidates, 0, delivery).other(json);
    } else if CANDIDATE_FIELDS.contains(&name) {
        // A later one replaces the one before: streams repeat and complete them.
        fields.retain(|(kept, _)| kept != name);
        fields.push((name.to_owned(), json.clone()));
    }
}

/// Writes the fields of a candidate: the provider's own where it speaks this dialect, what they become where it does not.
pub(super) fn write_fields(candidate: &Candidate, fields: &[(String, Json)], out: &mut BytesMut) {
    let own: &[(String, Json)] = if candidate.index == 0 { fields } else { &[] };
    own.iter().for_each(|(name, json)| out.field_raw(name, json.text()));
    if !has_own_grounds(own) {
        candidate.write_grounds(out);
    }
}

/// Whether what a candidate rests on is among the fields that its provider wrote.
pub(super) fn has_own_grounds(fields: &[(String, Json)]) -> bool {
    fields.iter().any(|(name, _)| name == CANDIDATE_FIELDS[0] || name == CANDIDATE_FIELDS[1])
}

/// Writes model and id, with a comma before each.
pub(super) fn write_tail(id: &str, model: &str, context: &EncodeContext, out: &mut BytesMut) {
    let model = if model.is_empty() { &context.model } else { model };
    out.extend_from_slice(b",\"modelVersion\":");
    write_text(model, out);
    out.extend_from_slice(b",\"responseId\":");
    if id.is_empty() {
        write_text(&context.request_id.to_string(), out);
    } else {
        write_text(id, out);
    }
}

fn write_text(text: &str, out: &mut BytesMut) {
    out.extend_from_slice(b"\"");
    out.escaped(text);
    out.extend_from_slice(b"\"");
}

fn open_chunk(out: &mut BytesMut) {
    out.extend_from_slice(b"data: {");
}

fn close_chunk(out: &mut BytesMut) {
    out.extend_from_slice(b"}\r\n\r\n");
}
