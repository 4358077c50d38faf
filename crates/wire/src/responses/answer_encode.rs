//! Canonical events as the dialect's stream events, or as one response object.
//!
//! Owns the order the official SDKs accumulate by: the response is created, items are added, filled and done in turn, the last
//! event repeats all of it. Must not know the provider. A plain answer is the same walk with the events left out. Items are opened
//! by what they hold, not by their announcement: clients send answers back as they got them, and empty items help nobody.

use super::custom;
use super::error;
use super::output::{Output, Status, write_refusal, write_summary, write_text};
use crate::carried::{self, Place};
use crate::codec::{Encode, EncodeContext};
use crate::tally::Tally;
use crate::write::{Object, array, whole};
use bytes::BytesMut;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::{Delivery, Dialect};
use trunkline_model::error::ClientError;
use trunkline_model::event::{Delta, Event, PartKind};
use trunkline_model::json::Json;

/// Writes one answer.
pub(super) struct Encoder {
    context: EncodeContext,
    delivery: Delivery,
    output: Output,
    sequence: u64,
    has_started: bool,
    /// What the part under way is.
    part: Part,
    item: Item,
    /// Log-probabilities of the text that comes next.
    logprobs: Vec<String>,
    /// State of another provider that hangs on the part under way.
    foreign: Option<Opaque>,
    /// What the answer cost, for the last event.
    tally: Option<Tally>,
}

/// The part under way, as its decoder announced it.
#[derive(Default)]
enum Part {
    #[default]
    None,
    Text,
    Refusal,
    Thinking,
    Redacted,
    Call,
}

/// The item under way.
#[derive(Default)]
enum Item {
    #[default]
    None,
    Message(Message),
    Reasoning(Reasoning),
    Call(Call),
}

struct Message {
    id: String,
    /// Finished parts, with commas between.
    parts: BytesMut,
    count: u32,
    content: Option<Content>,
}

/// The part of a message under way.
struct Content {
    is_refusal: bool,
    text: String,
    annotations: Vec<String>,
    logprobs: Vec<String>,
}

struct Reasoning {
    id: String,
    text: String,
    state: Option<String>,
}

struct Call {
    id: String,
    call_id: String,
    name: String,
    arguments: String,
    is_custom: bool,
}

impl Encoder {
    pub(super) fn new(delivery: Delivery, context: EncodeContext) -> Self {
        let output = Output::new(&context);
        Self {
            context,
            delivery,
            output,
            sequence: 0,
            has_started: false,
            part: Part::None,
            item: Item::None,
            logprobs: Vec::new(),
            foreign: None,
            tally: None,
        }
    }

    /// Writes an event; `fields` writes what it holds beside type and number.
    fn emit(
        &mut self,
        name: &str,
        out: &mut BytesMut,
        fields: impl FnOnce(&Self, &mut Object<'_, BytesMut>),
    ) {
        if !self.delivery.is_stream() {
            return;
        }
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: {\"type\":\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\",\"sequence_number\":");
        whole(out, self.sequence);
        let mut object = Object::continued(out);
        fields(self, &mut object);
        object.close();
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }

    fn start(&mut self, out: &mut BytesMut) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        for name in ["response.created", "response.in_progress"] {
            self.emit(name, out, |this, event| {
                this.output.write(&Status::InProgress, event.key("response"));
            });
        }
    }

    /// Tells of a new item; `write` writes it as it stands.
    fn added(&mut self, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
        self.start(out);
        self.emit("response.output_item.added", out, |this, event| {
            event.whole("output_index", this.output.count());
            write(event.key("item"));
        });
    }

    /// Tells of a finished item and keeps it.
    fn done(&mut self, item: &BytesMut, out: &mut BytesMut) {
        self.emit("response.output_item.done", out, |this, event| {
            event.whole("output_index", this.output.count());
            event.key("item").extend_from_slice(item);
        });
        self.output.push(item);
    }

    fn part_start(&mut self, kind: &PartKind, out: &mut BytesMut) {
        self.part_end(out);
        self.part = match kind {
            PartKind::Text => Part::Text,
            PartKind::Refusal => {
                self.output.declined = true;
                Part::Refusal
            }
            PartKind::Thinking => Part::Thinking,
            PartKind::RedactedThinking => Part::Redacted,
            PartKind::ToolCall { id, name } => {
                self.close_item(out);
                self.open_call(id, name, out);
                Part::Call
            }
        };
    }

    fn open_call(&mut self, call_id: &str, name: &str, out: &mut BytesMut) {
        let is_custom = self.output.is_custom(name);
        let call = Call {
            id: self.output.item_id(if is_custom { "ctc" } else { "fc" }),
            call_id: call_id.to_owned(),
            name: name.to_owned(),
            arguments: String::new(),
            is_custom,
        };
        self.added(out, |out| call.write("in_progress", "", out));
        self.item = Item::Call(call);
    }

    fn delta(&mut self, delta: &Delta, out: &mut BytesMut) {
        match (delta, &self.part) {
            (Delta::Text(text), _) if text.is_empty() => {}
            (Delta::Text(text), Part::Text) => self.text(text, false, out),
            (Delta::Text(text), Part::Refusal) => self.text(text, true, out),
            (Delta::Text(text), Part::Thinking) => self.thought(text, out),
            (Delta::Arguments(text), Part::Call) => self.arguments(text, out),
            (Delta::Opaque(opaque), Part::Thinking) => {
                let state = match opaque.origin {
                    Dialect::Responses => opaque.value.clone(),
                    _ => carried::carry(opaque, Place::Own),
                };
                self.open_reasoning(out).state = Some(state);
            }
            (Delta::Opaque(opaque), Part::Redacted) => {
                let state = match opaque.origin {
                    Dialect::Responses => opaque.value.clone(),
                    _ => carried::carry(opaque, Place::Redacted),
                };
                self.open_reasoning(out).state = Some(state);
            }
            (Delta::Opaque(opaque), Part::Text | Part::Call) => self.foreign = Some(opaque.clone()),
            (Delta::Annotation(json), Part::Text) => self.annotation(json, out),
            _ => {}
        }
    }

    /// The message under way, opened if there is none.
    fn open_content(&mut self, is_refusal: bool, out: &mut BytesMut) {
        if let Item::Message(Message { content: Some(content), .. }) = &self.item
            && content.is_refusal == is_refusal
        {
            return;
        }
        self.close_content(out);
        if !matches!(self.item, Item::Message(_)) {
            self.close_item(out);
            let id = self.output.item_id("msg");
            self.added(out, |out| write_message(&id, "in_progress", b"", out));
            self.item = Item::Message(Message { id, parts: BytesMut::new(), count: 0, content: None });
        }
        if let Item::Message(message) = &mut self.item {
            message.content = Some(Content {
                is_refusal,
                text: String::new(),
                annotations: Vec::new(),
                logprobs: Vec::new(),
            });
        }
        self.on_content("response.content_part.added", out, |content, event| {
            content.write("", event.key("part"));
        });
    }

    /// Writes an event about the part of the message under way.
    fn on_content(
        &mut self,
        name: &str,
        out: &mut BytesMut,
        fields: impl FnOnce(&Content, &mut Object<'_, BytesMut>),
    ) {
        self.emit(name, out, |this, event| {
            let Item::Message(message) = &this.item else { return };
            event.text("item_id", &message.id);
            event.whole("output_index", this.output.count());
            event.whole("content_index", message.count);
            if let Some(content) = &message.content {
                fields(content, event);
            }
        });
    }

    fn text(&mut self, text: &str, is_refusal: bool, out: &mut BytesMut) {
        self.open_content(is_refusal, out);
        let logprobs = std::mem::take(&mut self.logprobs);
        let name = if is_refusal { "response.refusal.delta" } else { "response.output_text.delta" };
        self.on_content(name, out, |_, event| {
            event.text("delta", text);
            if !is_refusal {
                array(event.key("logprobs"), &logprobs, |out, json| out.extend_from_slice(json.as_bytes()));
            }
        });
        if let Item::Message(Message { content: Some(content), .. }) = &mut self.item {
            content.text.push_str(text);
            content.logprobs.extend(logprobs);
        }
    }

    fn annotation(&mut self, json: &Json, out: &mut BytesMut) {
        // Citations of other dialects have no place here: their positions count otherwise.
        let Some(json) = super::annotation(json) else { return };
        self.open_content(false, out);
        let text = json.text().replace(['\n', '\r'], " ");
        self.on_content("response.output_text.annotation.added", out, |content, event| {
            event.whole("annotation_index", content.annotations.len());
            event.raw("annotation", &text);
        });
        if let Item::Message(Message { content: Some(content), .. }) = &mut self.item {
            content.annotations.push(text);
        }
    }

    fn close_content(&mut self, out: &mut BytesMut) {
        let Item::Message(Message { content: Some(_), .. }) = &self.item else { return };
        let mut part = BytesMut::new();
        let mut name = "response.output_text.done";
        if let Item::Message(Message { content: Some(content), .. }) = &self.item {
            content.write(&content.text, &mut part);
            if content.is_refusal {
                name = "response.refusal.done";
            }
        }
        self.on_content(name, out, |content, event| {
            if content.is_refusal {
                event.text("refusal", &content.text);
                return;
            }
            event.text("text", &content.text);
            array(event.key("logprobs"), &content.logprobs, |out, json| {
                out.extend_from_slice(json.as_bytes());
            });
        });
        self.on_content("response.content_part.done", out, |_, event| {
            event.key("part").extend_from_slice(&part);
        });
        if let Item::Message(message) = &mut self.item {
            if message.count > 0 {
                message.parts.extend_from_slice(b",");
            }
            message.parts.extend_from_slice(&part);
            message.count += 1;
            message.content = None;
        }
    }

    /// The reasoning under way, opened if there is none.
    fn open_reasoning(&mut self, out: &mut BytesMut) -> &mut Reasoning {
        if !matches!(self.item, Item::Reasoning(_)) {
            self.close_item(out);
            let id = self.output.item_id("rs");
            let reasoning = Reasoning { id, text: String::new(), state: None };
            self.added(out, |out| reasoning.write("in_progress", out));
            self.item = Item::Reasoning(reasoning);
        }
        match &mut self.item {
            Item::Reasoning(reasoning) => reasoning,
            _ => unreachable!("it was opened above"),
        }
    }

    /// Writes an event about the summary under way.
    fn on_summary(
        &mut self,
        name: &str,
        out: &mut BytesMut,
        fields: impl FnOnce(&Reasoning, &mut Object<'_, BytesMut>),
    ) {
        self.emit(name, out, |this, event| {
            let Item::Reasoning(reasoning) = &this.item else { return };
            event.text("item_id", &reasoning.id);
            event.whole("output_index", this.output.count());
            event.whole("summary_index", 0);
            fields(reasoning, event);
        });
    }

    fn thought(&mut self, text: &str, out: &mut BytesMut) {
        let is_first = self.open_reasoning(out).text.is_empty();
        if is_first {
            self.on_summary("response.reasoning_summary_part.added", out, |_, event| {
                write_summary(event.key("part"), "");
            });
        }
        self.on_summary("response.reasoning_summary_text.delta", out, |_, event| event.text("delta", text));
        self.open_reasoning(out).text.push_str(text);
    }

    fn arguments(&mut self, text: &str, out: &mut BytesMut) {
        let Item::Call(call) = &mut self.item else { return };
        call.arguments.push_str(text);
        // The text of a custom tool is inside the arguments: it is told when they are whole.
        if text.is_empty() || call.is_custom {
            return;
        }
        self.on_call("response.function_call_arguments.delta", out, |_, event| event.text("delta", text));
    }

    /// Writes an event about the call under way.
    fn on_call(
        &mut self,
        name: &str,
        out: &mut BytesMut,
        fields: impl FnOnce(&Call, &mut Object<'_, BytesMut>),
    ) {
        self.emit(name, out, |this, event| {
            let Item::Call(call) = &this.item else { return };
            event.text("item_id", &call.id);
            event.whole("output_index", this.output.count());
            fields(call, event);
        });
    }

    fn close_call(&mut self, out: &mut BytesMut) {
        let Item::Call(call) = &mut self.item else { return };
        if call.arguments.trim().is_empty() {
            // Clients parse the arguments; nothing at all is not JSON.
            "{}".clone_into(&mut call.arguments);
        }
        let mut item = BytesMut::new();
        if call.is_custom {
            let input = custom::input(&call.arguments);
            call.write("completed", &input, &mut item);
            self.on_call("response.custom_tool_call_input.delta", out, |_, event| {
                event.text("delta", &input)
            });
            self.on_call("response.custom_tool_call_input.done", out, |_, event| event.text("input", &input));
        } else {
            call.write("completed", &call.arguments, &mut item);
            self.on_call("response.function_call_arguments.done", out, |call, event| {
                event.text("name", &call.name);
                event.text("arguments", &call.arguments);
            });
        }
        self.item = Item::None;
        self.done(&item, out);
    }

    fn close_reasoning(&mut self, out: &mut BytesMut) {
        let Item::Reasoning(reasoning) = &self.item else { return };
        let mut item = BytesMut::new();
        reasoning.write("completed", &mut item);
        if !reasoning.text.is_empty() {
            self.on_summary("response.reasoning_summary_text.done", out, |reasoning, event| {
                event.text("text", &reasoning.text);
            });
            self.on_summary("response.reasoning_summary_part.done", out, |reasoning, event| {
                write_summary(event.key("part"), &reasoning.text);
            });
        }
        self.item = Item::None;
        self.done(&item, out);
    }

    fn close_message(&mut self, out: &mut BytesMut) {
        self.close_content(out);
        let Item::Message(message) = &self.item else { return };
        let status = if self.output.finish.is_some() && self.output.ended().0 == "incomplete" {
            "incomplete"
        } else {
            "completed"
        };
        let mut item = BytesMut::new();
        write_message(&message.id, status, &message.parts, &mut item);
        self.item = Item::None;
        self.done(&item, out);
    }

    fn close_item(&mut self, out: &mut BytesMut) {
        match self.item {
            Item::None => {}
            Item::Message(_) => self.close_message(out),
            Item::Reasoning(_) => self.close_reasoning(out),
            Item::Call(_) => self.close_call(out),
        }
    }

    fn part_end(&mut self, out: &mut BytesMut) {
        let has_written = match &self.item {
            Item::Message(message) => message.content.is_some(),
            Item::Reasoning(_) | Item::Call(_) => true,
            Item::None => false,
        };
        match std::mem::take(&mut self.part) {
            Part::None => return,
            // The next part may belong to the same message.
            Part::Text | Part::Refusal => self.close_content(out),
            Part::Thinking | Part::Redacted | Part::Call => self.close_item(out),
        }
        if let Some(opaque) = self.foreign.take() {
            let place = if has_written { Place::Before } else { Place::Alone };
            let state = carried::carry(&opaque, place);
            self.open_reasoning(out).state = Some(state);
            self.close_item(out);
        }
    }

    /// Text of an answer that said nothing: clients expect a message.
    fn fill(&mut self, out: &mut BytesMut) {
        if self.output.count() == 0 && self.output.ended().0 == "completed" {
            self.open_content(false, out);
            self.close_item(out);
        }
    }
}

impl Call {
    fn write(&self, status: &str, value: &str, out: &mut BytesMut) {
        let mut item = Object::open(out);
        item.text("id", &self.id);
        item.text("type", if self.is_custom { "custom_tool_call" } else { "function_call" });
        item.text("status", status);
        item.text(if self.is_custom { "input" } else { "arguments" }, value);
        item.text("call_id", &self.call_id);
        item.text("name", &self.name);
        item.close();
    }
}

impl Reasoning {
    fn write(&self, status: &str, out: &mut BytesMut) {
        let mut item = Object::open(out);
        item.text("id", &self.id);
        item.text("type", "reasoning");
        item.text("status", status);
        let texts: &[&String] = if self.text.is_empty() { &[] } else { &[&self.text] };
        array(item.key("summary"), texts, |out, text| write_summary(out, text));
        match &self.state {
            Some(state) => item.text("encrypted_content", state),
            None => item.raw("encrypted_content", "null"),
        }
        item.close();
    }
}

impl Content {
    fn write(&self, text: &str, out: &mut BytesMut) {
        if self.is_refusal {
            write_refusal(out, text);
        } else {
            write_text(out, text, &self.annotations, &self.logprobs);
        }
    }
}

fn write_message(id: &str, status: &str, parts: &[u8], out: &mut BytesMut) {
    let mut item = Object::open(out);
    item.text("id", id);
    item.text("type", "message");
    item.text("status", status);
    item.text("role", "assistant");
    let list = item.key("content");
    list.extend_from_slice(b"[");
    list.extend_from_slice(parts);
    list.extend_from_slice(b"]");
    item.close();
}

impl Encode for Encoder {
    fn event(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { model, created, .. } => {
                self.output.start(model, *created);
                self.start(out);
            }
            Event::PartStart { choice: 0, kind, .. } => self.part_start(kind, out),
            Event::Delta { choice: 0, delta, .. } => self.delta(delta, out),
            Event::PartEnd { choice: 0, .. } => self.part_end(out),
            Event::Logprobs { choice: 0, json } => self.logprobs.extend(super::logprobs(json)),
            Event::Finish { choice: 0, reason, .. } => {
                self.part_end(out);
                self.output.finish = Some(*reason);
                self.close_item(out);
            }
            Event::Usage(usage) => self.output.usage = Some(*usage),
            Event::Extra { name, json } if super::is_item(name, json) => {
                self.part_end(out);
                self.close_item(out);
                let item = BytesMut::from(json.text().replace(['\n', '\r'], " ").as_bytes());
                self.added(out, |out| out.extend_from_slice(&item));
                self.done(&item, out);
            }
            // One answer per response; what others know beside it has no place here.
            Event::PartStart { .. }
            | Event::Delta { .. }
            | Event::PartEnd { .. }
            | Event::Logprobs { .. }
            | Event::Finish { .. }
            | Event::Embedding { .. }
            | Event::Extra { .. }
            | Event::End => {}
        }
    }

    fn tally(&mut self, tally: Tally) {
        self.tally = Some(tally);
    }

    fn finish(&mut self, out: &mut BytesMut) {
        self.start(out);
        self.part_end(out);
        self.close_item(out);
        self.fill(out);
        if !self.delivery.is_stream() {
            self.output.write(&Status::Ended, out);
            return;
        }
        let name = match self.output.ended().0 {
            "incomplete" => "response.incomplete",
            "failed" => "response.failed",
            _ => "response.completed",
        };
        self.emit(name, out, |this, event| {
            this.output.write(&Status::Ended, event.key("response"));
            if let Some(tally) = &this.tally {
                tally.write_value(event.key("trunkline"));
            }
        });
    }

    fn fail(&mut self, failed: &ClientError, out: &mut BytesMut) {
        // First what the specification has for it, then what makes official clients raise.
        self.start(out);
        self.emit("response.failed", out, |this, event| {
            this.output.write(&Status::Failed(failed), event.key("response"));
        });
        error::write_event(failed, self.context.request_id, self.sequence, out);
    }
}
