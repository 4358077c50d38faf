//! Messages of an answer: their parts as they come, and the item they become.
//!
//! Owns the events of a message and its content. Must not know other items. A message may hold several parts, text and refusals, one
//! after the other; each is told whole once more when it is done.

use super::encoder::{Encoder, Item, Part};
use crate::cited;
use crate::responses::citation;
use crate::responses::output::{write_refusal, write_text};
use crate::write::{Object, array};
use bytes::BytesMut;
use trunkline_model::citation::Citation;

/// A message under way.
pub(super) struct Message {
    id: String,
    /// Finished parts, with commas between.
    parts: BytesMut,
    count: u32,
    pub(super) content: Option<Content>,
}

/// The part of a message under way.
pub(super) struct Content {
    is_refusal: bool,
    text: String,
    annotations: Vec<String>,
    logprobs: Vec<String>,
}

impl Encoder {
    /// The message under way, opened if there is none.
    pub(super) fn open_content(&mut self, is_refusal: bool, out: &mut BytesMut) {
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

    pub(super) fn text(&mut self, text: &str, is_refusal: bool, out: &mut BytesMut) {
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

    /// Tells a source of the text part of that number. One that is done was told whole.
    pub(super) fn cite(&mut self, part: u32, cited: &Citation, out: &mut BytesMut) {
        if !matches!(self.part, Part::Text) || self.number != part {
            self.lost.source();
            return;
        }
        let Some(text) = citation::written(cited, self.said, &mut self.lost) else { return };
        self.open_content(false, out);
        self.on_content("response.output_text.annotation.added", out, |content, event| {
            event.whole("annotation_index", content.annotations.len());
            event.raw("annotation", &text);
        });
        if let Item::Message(Message { content: Some(content), .. }) = &mut self.item {
            content.annotations.push(text);
        }
    }

    pub(super) fn close_content(&mut self, out: &mut BytesMut) {
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
            if let Some(content) = message.content.take().filter(|content| !content.is_refusal) {
                self.said += cited::characters(&content.text);
            }
        }
    }

    pub(super) fn close_message(&mut self, out: &mut BytesMut) {
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
