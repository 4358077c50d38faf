//! Events written as OpenAI chat answers, whole and streamed.
//!
//! Owns what clients of the dialect rely on: the role delta first, tool calls by index, the usage chunk, `[DONE]`. Must not
//! keep a stream's text, with one exception: reasoning that its maker will want back is given once more, whole and signed,
//! because clients return `thinking_blocks` as they got them.

use super::finish::finish_word;
use super::{encode_error, encode_error_frame};
use crate::carried::{self, Place};
use crate::codec::{Encode, EncodeContext};
use crate::picture::Picture;
use crate::tally::Tally;
use crate::token_ids;
use crate::write::{Object, array, escaped, string, whole};
use bytes::BytesMut;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, Finish, PartKind};
use trunkline_model::json::Json;
use trunkline_model::usage::Usage;

/// What both encoders know of the answer as a whole.
struct Head {
    id: String,
    model: String,
    created: u64,
}

impl Head {
    fn new(context: &EncodeContext) -> Self {
        let id = context.request_id.encode();
        Self {
            id: format!("chatcmpl-{}", std::str::from_utf8(&id).unwrap_or_default()),
            model: context.model.clone(),
            created: context.created,
        }
    }

    fn start(&mut self, id: &str, model: &str, created: Option<u64>) {
        if !id.is_empty() {
            id.clone_into(&mut self.id);
        }
        if !model.is_empty() {
            model.clone_into(&mut self.model);
        }
        self.created = created.unwrap_or(self.created);
    }

    fn write(&self, object: &mut Object<'_, BytesMut>, kind: &str) {
        object.text("id", &self.id);
        object.text("object", kind);
        object.whole("created", self.created);
        object.text("model", &self.model);
    }
}

/// Writes usage as the dialect counts: cached tokens inside the prompt, reasoning inside the completion.
pub(crate) fn write_usage(out: &mut BytesMut, usage: &Usage) {
    let mut object = Object::open(out);
    object.whole("prompt_tokens", usage.prompt());
    object.whole("completion_tokens", usage.completion());
    object.whole("total_tokens", usage.total());
    let mut prompt = Object::open(object.key("prompt_tokens_details"));
    prompt.whole("cached_tokens", usage.cache_read);
    let written = usage.cache_write.saturating_add(usage.cache_write_long);
    if written > 0 {
        prompt.whole("cache_write_tokens", written);
    }
    if usage.media.audio_input > 0 {
        prompt.whole("audio_tokens", usage.media.audio_input);
    }
    prompt.close();
    let mut completion = Object::open(object.key("completion_tokens_details"));
    completion.whole("reasoning_tokens", usage.reasoning);
    if usage.media.audio_output > 0 {
        completion.whole("audio_tokens", usage.media.audio_output);
    }
    completion.close();
    object.close();
}

fn write_signature(out: &mut BytesMut, signature: &str) {
    let mut extra = Object::open(out);
    let mut google = Object::open(extra.key("google"));
    google.text("thought_signature", signature);
    google.close();
    extra.close();
}

fn write_thinking_block(out: &mut BytesMut, text: &str, signature: &str) {
    let mut block = Object::open(out);
    block.text("type", "thinking");
    block.text("thinking", text);
    block.text("signature", signature);
    block.close();
}

/// What stands for a part's state: Anthropic's as it is, which the clients' own libraries pass on, another maker's by name, so
/// that it goes back to none but its maker.
fn signature(opaque: &Opaque) -> Cow<'_, str> {
    match opaque.origin {
        Dialect::Anthropic => Cow::Borrowed(&opaque.value),
        _ => Cow::Owned(carried::carry(opaque, Place::Own)),
    }
}

fn write_redacted_block(out: &mut BytesMut, data: &str) {
    let mut block = Object::open(out);
    block.text("type", "redacted_thinking");
    block.text("data", data);
    block.close();
}

/// Writes a stream.
pub(super) struct StreamEncoder {
    context: EncodeContext,
    head: Head,
    /// Everything of a chunk before the number of its choice, written once.
    prefix: BytesMut,
    choices: Vec<StreamChoice>,
    usage: Option<Usage>,
    tally: Option<Tally>,
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
    pub(super) fn new(context: EncodeContext) -> Self {
        let head = Head::new(&context);
        Self { context, head, prefix: BytesMut::new(), choices: Vec::new(), usage: None, tally: None }
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
            (Delta::Annotation(json), _) => {
                self.chunk(choice, None, out, |delta| {
                    array(delta.key("annotations"), [json], |out, json| {
                        out.extend_from_slice(json.text().as_bytes())
                    });
                });
            }
        }
        self.choice(choice).kind = kind;
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

/// A picture that the model made. The dialect has no place for it; where its look-alikes put pictures (`images` of a message), clients
/// of models that make some look for it.
fn write_picture(out: &mut BytesMut, picture: &Picture<'_>) {
    out.reserve(picture.data.len() + 80);
    let mut object = Object::open(out);
    object.text("type", "image_url");
    let mut place = Object::open(object.key("image_url"));
    let url = place.key("url");
    url.extend_from_slice(b"\"data:");
    escaped(url, &picture.media_type);
    url.extend_from_slice(b";base64,");
    escaped(url, &picture.data);
    url.extend_from_slice(b"\"");
    place.close();
    object.close();
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
                        array(delta.key("images"), [picture], |out, picture| write_picture(out, &picture));
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

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        encode_error_frame(error, self.context.request_id, out);
    }
}

/// Writes a whole answer.
pub(super) struct PlainEncoder {
    context: EncodeContext,
    head: Head,
    choices: Vec<PlainChoice>,
    usage: Option<Usage>,
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
    pub(super) fn new(context: EncodeContext) -> Self {
        let head = Head::new(&context);
        Self { context, head, choices: Vec::new(), usage: None }
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
            (Delta::Annotation(json), _) => {
                comma(&mut self.annotations);
                self.annotations.extend_from_slice(json.text().as_bytes());
            }
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

#[derive(Default, Deserialize)]
struct Logprobs<'a> {
    #[serde(borrow, default)]
    content: Option<Vec<&'a RawValue>>,
    #[serde(borrow, default)]
    refusal: Option<Vec<&'a RawValue>>,
}

/// Joins the log-probabilities of an answer's pieces.
fn write_logprobs(out: &mut BytesMut, pieces: &[Json]) {
    match pieces {
        [] => out.extend_from_slice(b"null"),
        [one] => out.extend_from_slice(one.text().as_bytes()),
        several => {
            let lists: Vec<Logprobs<'_>> =
                several.iter().map(|piece| piece.read().unwrap_or_default()).collect();
            let mut object = Object::open(out);
            let content: Vec<_> = lists.iter().filter_map(|list| list.content.as_ref()).flatten().collect();
            let refusal: Vec<_> = lists.iter().filter_map(|list| list.refusal.as_ref()).flatten().collect();
            for (name, tokens) in [("content", content), ("refusal", refusal)] {
                if tokens.is_empty() {
                    object.raw(name, "null");
                } else {
                    array(object.key(name), tokens, |out, token| {
                        out.extend_from_slice(token.get().as_bytes())
                    });
                }
            }
            object.close();
        }
    }
}

impl Encode for PlainEncoder {
    fn event(&mut self, event: &Event, _: &mut BytesMut) {
        match event {
            Event::Start { id, model, created } => self.head.start(id, model, *created),
            Event::PartStart { choice, kind, .. } => self.choice(*choice).part_start(kind),
            Event::Delta { choice, delta, .. } => self.choice(*choice).delta(delta),
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
                    write_picture(images, &picture);
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

    fn fail(&mut self, error: &ClientError, out: &mut BytesMut) {
        out.extend_from_slice(&encode_error(error, self.context.request_id));
    }
}
