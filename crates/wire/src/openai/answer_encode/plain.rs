//! Events written as one whole answer.
//!
//! Owns the message of each choice, collected. Must not know streams.

use super::super::citation;
use super::head::{Head, write_usage};
use super::logprobs::write_logprobs;
use super::picture;
use super::state::{signature, write_redacted_block, write_signature, write_thinking_block};
use crate::cited::Lost;
use crate::codec::{Encode, EncodeContext};
use crate::openai::encode_error;
use crate::openai::finish::finish_word;
use crate::picture::Picture;
use crate::token_ids;
use crate::write::{Object, array};
use bytes::BytesMut;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// Writes a whole answer.
pub(in crate::openai) struct PlainEncoder {
    context: EncodeContext,
    head: Head,
    choices: Vec<PlainChoice>,
    usage: Option<Usage>,
    lost: Lost,
}

#[derive(Default)]
struct PlainChoice {
    content: Option<String>,
    refusal: Option<String>,
    reasoning: String,
    /// Thinking blocks, calls and annotations, as JSON ready to be joined by commas.
    blocks: BytesMut,
    annotations: BytesMut,
    images: BytesMut,
    calls: Vec<PlainCall>,
    text_signature: Option<String>,
    /// The reasoning of the open part, and the kind of that part.
    thinking: String,
    kind: Option<PartKind>,
    logprobs: Vec<Json>,
    finish: Option<Finish>,
}

struct PlainCall {
    id: String,
    name: String,
    arguments: String,
    signature: Option<String>,
}

impl PlainEncoder {
    pub(in crate::openai) fn new(context: EncodeContext) -> Self {
        let head = Head::new(&context);
        Self { context, head, choices: Vec::new(), usage: None, lost: Lost::default() }
    }

    fn choice(&mut self, choice: u32) -> &mut PlainChoice {
        let index = choice as usize;
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, PlainChoice::default);
        }
        &mut self.choices[index]
    }
}

impl PlainChoice {
    fn part_start(&mut self, kind: &PartKind) {
        self.kind = Some(kind.clone());
        self.thinking.clear();
        match kind {
            PartKind::Text => {
                self.content.get_or_insert_default();
            }
            PartKind::Refusal => {
                self.refusal.get_or_insert_default();
            }
            PartKind::ToolCall { id, name } => self.calls.push(PlainCall {
                id: id.clone(),
                name: name.clone(),
                arguments: String::new(),
                signature: None,
            }),
            PartKind::Thinking | PartKind::RedactedThinking => {}
        }
    }

    fn delta(&mut self, delta: &Delta) {
        match (delta, &self.kind) {
            (Delta::Text(text), Some(PartKind::Thinking)) => {
                self.reasoning.push_str(text);
                self.thinking.push_str(text);
            }
            (Delta::Text(text), Some(PartKind::Refusal)) => {
                self.refusal.get_or_insert_default().push_str(text)
            }
            (Delta::Text(text), _) => self.content.get_or_insert_default().push_str(text),
            (Delta::Arguments(text), _) => {
                if let Some(call) = self.calls.last_mut() {
                    call.arguments.push_str(text);
                }
            }
            (Delta::Opaque(opaque), Some(PartKind::RedactedThinking)) => {
                comma(&mut self.blocks);
                write_redacted_block(&mut self.blocks, &signature(opaque));
            }
            (Delta::Opaque(opaque), Some(PartKind::Thinking)) if opaque.origin != Dialect::Gemini => {
                comma(&mut self.blocks);
                let text = std::mem::take(&mut self.thinking);
                write_thinking_block(&mut self.blocks, &text, &signature(opaque));
            }
            (Delta::Opaque(opaque), Some(PartKind::ToolCall { .. })) => {
                if let Some(call) = self.calls.last_mut() {
                    call.signature = Some(opaque.value.clone());
                }
            }
            (Delta::Opaque(opaque), _) => self.text_signature = Some(opaque.value.clone()),
        }
    }

    fn write_message(&self, out: &mut BytesMut) {
        let mut message = Object::open(out);
        message.text("role", "assistant");
        for (name, text) in [("content", &self.content), ("refusal", &self.refusal)] {
            match text {
                Some(text) => message.text(name, text),
                None => message.raw(name, "null"),
            }
        }
        if !self.reasoning.is_empty() {
            message.text("reasoning_content", &self.reasoning);
        }
        for (name, list) in
            [("thinking_blocks", &self.blocks), ("annotations", &self.annotations), ("images", &self.images)]
        {
            if !list.is_empty() {
                let out = message.key(name);
                out.extend_from_slice(b"[");
                out.extend_from_slice(list);
                out.extend_from_slice(b"]");
            }
        }
        if !self.calls.is_empty() {
            array(message.key("tool_calls"), &self.calls, write_plain_call);
        }
        if let Some(signature) = &self.text_signature {
            write_signature(message.key("extra_content"), signature);
        }
        message.close();
    }
}

fn write_plain_call(out: &mut BytesMut, call: &PlainCall) {
    let mut object = Object::open(out);
    object.text("id", &call.id);
    object.text("type", "function");
    let mut function = Object::open(object.key("function"));
    function.text("name", &call.name);
    function.text("arguments", if call.arguments.is_empty() { "{}" } else { &call.arguments });
    function.close();
    if let Some(signature) = &call.signature {
        write_signature(object.key("extra_content"), signature);
    }
    object.close();
}

fn comma(list: &mut BytesMut) {
    if !list.is_empty() {
        list.extend_from_slice(b",");
    }
}

impl Encode for PlainEncoder {
    fn event(&mut self, event: &Event, _: &mut BytesMut) {
        match event {
            Event::Start { id, model, created } => self.head.start(id, model, *created),
            Event::PartStart { choice, kind, .. } => self.choice(*choice).part_start(kind),
            Event::Delta { choice, delta, .. } => self.choice(*choice).delta(delta),
            Event::Citation { choice, citation, .. } => {
                let mut annotation = BytesMut::new();
                if citation::write(citation, &mut self.lost, &mut annotation) {
                    let annotations = &mut self.choice(*choice).annotations;
                    comma(annotations);
                    annotations.extend_from_slice(&annotation);
                }
            }
            Event::PartEnd { choice, .. } => self.choice(*choice).kind = None,
            Event::Logprobs { choice, json } => {
                self.choice(*choice).logprobs.push(token_ids::without(json).into_owned());
            }
            Event::Finish { choice, reason, .. } => self.choice(*choice).finish = Some(*reason),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Extra { name, json } => {
                if let Some(picture) = Picture::of(name, json) {
                    let images = &mut self.choice(0).images;
                    comma(images);
                    picture::write(images, &picture);
                }
            }
            Event::Embedding { .. } | Event::Ranked { .. } | Event::End => {}
        }
    }

    fn finish(&mut self, out: &mut BytesMut) {
        let mut body = Object::open(out);
        self.head.write(&mut body, "chat.completion");
        array(body.key("choices"), self.choices.iter().enumerate(), |out, (index, choice)| {
            let mut object = Object::open(out);
            object.whole("index", index);
            choice.write_message(object.key("message"));
            write_logprobs(object.key("logprobs"), &choice.logprobs);
            object.text("finish_reason", finish_word(choice.finish.unwrap_or(Finish::Stop)));
            object.close();
        });
        if let Some(usage) = &self.usage {
            write_usage(body.key("usage"), usage);
        }
        body.close();
    }

    fn warnings(&self) -> Vec<Warning> {
        self.lost.warnings()
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&encode_error(error, self.context.request_id));
    }
}
