//! Events written as chunks of a stream.
//!
//! Owns what clients of the dialect rely on: the role delta first, tool calls by index, the usage chunk, `[DONE]`. Must not
//! keep a stream's text, with one exception: reasoning that its maker will want back is given once more, whole and signed,
//! because clients return `thinking_blocks` as they got them.

use super::super::citation;
use super::head::{Head, write_usage};
use super::logprobs::write_logprobs;
use super::picture;
use super::state::{signature, write_redacted_block, write_signature, write_thinking_block};
use crate::cited::Lost;
use crate::codec::{Encode, EncodeContext};
use crate::openai::encode_error_frame;
use crate::openai::finish::finish_word;
use crate::picture::Picture;
use crate::tally::Tally;
use crate::token_ids;
use crate::write::{Object, array, string, whole};
use bytes::BytesMut;
use trunkline_model::citation::Citation;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;
use trunkline_model::warning::Warning;

/// Writes a stream.
pub(in crate::openai) struct StreamEncoder {
    context: EncodeContext,
    head: Head,
    /// Everything of a chunk before the number of its choice, written once.
    prefix: BytesMut,
    choices: Vec<StreamChoice>,
    usage: Option<Usage>,
    tally: Option<Tally>,
    lost: Lost,
}

#[derive(Default)]
struct StreamChoice {
    has_role: bool,
    kind: Option<PartKind>,
    calls: u32,
    has_arguments: bool,
    thinking: String,
    /// Of the text that comes next.
    logprobs: Vec<Json>,
}

impl StreamEncoder {
    pub(in crate::openai) fn new(context: EncodeContext) -> Self {
        let head = Head::new(&context);
        Self {
            context,
            head,
            prefix: BytesMut::new(),
            choices: Vec::new(),
            usage: None,
            tally: None,
            lost: Lost::default(),
        }
    }

    fn choice(&mut self, choice: u32) -> &mut StreamChoice {
        let index = choice as usize;
        if self.choices.len() <= index {
            self.choices.resize_with(index + 1, StreamChoice::default);
        }
        &mut self.choices[index]
    }

    /// Writes a chunk of one choice; `delta` writes the fields of its delta.
    fn chunk(
        &mut self,
        choice: u32,
        finish: Option<Finish>,
        out: &mut BytesMut,
        delta: impl FnOnce(&mut Object<'_, BytesMut>),
    ) {
        if self.prefix.is_empty() {
            let mut object = Object::open(&mut self.prefix);
            self.head.write(&mut object, "chat.completion.chunk");
            object.key("choices").extend_from_slice(b"[{\"index\":");
        }
        let logprobs = std::mem::take(&mut self.choice(choice).logprobs);
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&self.prefix);
        whole(out, choice);
        out.extend_from_slice(b",\"delta\":");
        let mut object = Object::open(out);
        delta(&mut object);
        object.close();
        out.extend_from_slice(b",\"logprobs\":");
        write_logprobs(out, &logprobs);
        out.extend_from_slice(b",\"finish_reason\":");
        match finish {
            Some(finish) => string(out, finish_word(finish)),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b"}]");
        if self.context.stream_usage {
            // The specification wants the key in every chunk once usage was asked for.
            out.extend_from_slice(b",\"usage\":null");
        }
        out.extend_from_slice(b"}\n\n");
    }

    fn role(&mut self, choice: u32, out: &mut BytesMut) {
        let state = self.choice(choice);
        if std::mem::replace(&mut state.has_role, true) {
            return;
        }
        // Log-probabilities belong to the text that follows.
        let logprobs = std::mem::take(&mut state.logprobs);
        self.chunk(choice, None, out, |delta| {
            delta.text("role", "assistant");
            delta.text("content", "");
        });
        self.choice(choice).logprobs = logprobs;
    }

    fn part_start(&mut self, choice: u32, kind: &PartKind, out: &mut BytesMut) {
        self.role(choice, out);
        let state = self.choice(choice);
        state.thinking.clear();
        state.has_arguments = false;
        state.kind = Some(kind.clone());
        if let PartKind::ToolCall { id, name } = kind {
            let index = state.calls;
            state.calls += 1;
            self.chunk(choice, None, out, |delta| {
                write_call(delta, index, |call| {
                    call.text("id", id);
                    call.text("type", "function");
                    let mut function = Object::open(call.key("function"));
                    function.text("name", name);
                    function.text("arguments", "");
                    function.close();
                });
            });
        }
    }

    fn delta(&mut self, choice: u32, delta: &Delta, out: &mut BytesMut) {
        let state = self.choice(choice);
        let call = state.calls.saturating_sub(1);
        let kind = state.kind.take();
        match (delta, &kind) {
            (Delta::Text(text), _) if text.is_empty() => {}
            (Delta::Text(text), Some(PartKind::Thinking)) => {
                state.thinking.push_str(text);
                self.chunk(choice, None, out, |delta| delta.text("reasoning_content", text));
            }
            (Delta::Text(text), Some(PartKind::Refusal)) => {
                self.chunk(choice, None, out, |delta| delta.text("refusal", text));
            }
            (Delta::Text(text), _) => self.chunk(choice, None, out, |delta| delta.text("content", text)),
            (Delta::Arguments(text), _) if text.is_empty() => {}
            (Delta::Arguments(text), _) => {
                state.has_arguments = true;
                self.chunk(choice, None, out, |delta| write_arguments(delta, call, text));
            }
            (Delta::Opaque(opaque), Some(PartKind::RedactedThinking)) => {
                self.chunk(choice, None, out, |delta| {
                    array(delta.key("thinking_blocks"), [()], |out, ()| {
                        write_redacted_block(out, &signature(opaque))
                    });
                });
            }
            (Delta::Opaque(opaque), Some(PartKind::Thinking)) if opaque.origin != Dialect::Gemini => {
                let text = std::mem::take(&mut state.thinking);
                self.chunk(choice, None, out, |delta| {
                    array(delta.key("thinking_blocks"), [()], |out, ()| {
                        write_thinking_block(out, &text, &signature(opaque));
                    });
                });
            }
            (Delta::Opaque(opaque), Some(PartKind::ToolCall { .. })) => {
                self.chunk(choice, None, out, |delta| {
                    write_call(delta, call, |call| {
                        // The official Python client's stream helper insists on a function in every piece of a call, and
                        // simple clients append its arguments without a look.
                        let mut function = Object::open(call.key("function"));
                        function.text("arguments", "");
                        function.close();
                        write_signature(call.key("extra_content"), &opaque.value);
                    });
                });
            }
            (Delta::Opaque(opaque), _) => {
                self.chunk(choice, None, out, |delta| {
                    write_signature(delta.key("extra_content"), &opaque.value)
                });
            }
        }
        self.choice(choice).kind = kind;
    }

    fn cite(&mut self, choice: u32, cited: &Citation, out: &mut BytesMut) {
        let mut annotation = BytesMut::new();
        if citation::write(cited, &mut self.lost, &mut annotation) {
            self.chunk(choice, None, out, |delta| {
                array(delta.key("annotations"), [annotation], |out, json| out.extend_from_slice(&json));
            });
        }
    }

    fn part_end(&mut self, choice: u32, out: &mut BytesMut) {
        let state = self.choice(choice);
        let call = state.calls.saturating_sub(1);
        let is_bare_call = matches!(state.kind, Some(PartKind::ToolCall { .. })) && !state.has_arguments;
        state.kind = None;
        if is_bare_call {
            // Clients parse the arguments; nothing at all is not JSON.
            self.chunk(choice, None, out, |delta| write_arguments(delta, call, "{}"));
        }
    }
}

fn write_call(delta: &mut Object<'_, BytesMut>, index: u32, fields: impl FnOnce(&mut Object<'_, BytesMut>)) {
    let out = delta.key("tool_calls");
    out.extend_from_slice(b"[");
    let mut call = Object::open(&mut *out);
    call.whole("index", index);
    fields(&mut call);
    call.close();
    out.extend_from_slice(b"]");
}

fn write_arguments(delta: &mut Object<'_, BytesMut>, index: u32, text: &str) {
    write_call(delta, index, |call| {
        let mut function = Object::open(call.key("function"));
        function.text("arguments", text);
        function.close();
    });
}

impl Encode for StreamEncoder {
    fn event(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { id, model, created } => {
                self.head.start(id, model, *created);
                self.prefix.clear();
            }
            Event::PartStart { choice, kind, .. } => self.part_start(*choice, kind, out),
            Event::Delta { choice, delta, .. } => self.delta(*choice, delta, out),
            Event::Citation { choice, citation, .. } => self.cite(*choice, citation, out),
            Event::PartEnd { choice, .. } => self.part_end(*choice, out),
            Event::Logprobs { choice, json } => {
                self.choice(*choice).logprobs.push(token_ids::without(json).into_owned());
            }
            Event::Finish { choice, reason, .. } => {
                self.role(*choice, out);
                self.chunk(*choice, Some(*reason), out, |_| {});
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Extra { name, json } => {
                if let Some(picture) = Picture::of(name, json) {
                    self.role(0, out);
                    self.chunk(0, None, out, |delta| {
                        array(delta.key("images"), [picture], |out, picture| picture::write(out, &picture));
                    });
                }
            }
            Event::Embedding { .. } | Event::Ranked { .. } | Event::End => {}
        }
    }

    fn tally(&mut self, tally: Tally) {
        self.tally = Some(tally);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.lost.comment(out);
        if let (true, Some(usage)) = (self.context.stream_usage, self.usage) {
            out.extend_from_slice(b"data: ");
            let mut object = Object::open(out);
            self.head.write(&mut object, "chat.completion.chunk");
            object.raw("choices", "[]");
            write_usage(object.key("usage"), &usage);
            if let Some(tally) = &self.tally {
                tally.write_value(object.key("trunkline"));
            }
            object.close();
            out.extend_from_slice(b"\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn warnings(&self) -> Vec<Warning> {
        self.lost.warnings()
    }

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        encode_error_frame(error, self.context.request_id, out);
    }
}
