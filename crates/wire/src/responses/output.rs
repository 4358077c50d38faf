//! The response object being made: what is complete of its output, and how it is written.
//!
//! Owns the finished items as JSON and the object around them. Must not know events. It holds the whole answer, because the
//! dialect repeats it: the last event of every stream carries all that was said.

use super::echo::Echo;
use super::{error, usage};
use crate::codec::EncodeContext;
use crate::write::{Object, array};
use bytes::BytesMut;
use std::ops::Range;
use std::sync::Arc;
use trunkline_model::error::ClientError;
use trunkline_model::event::Finish;
use trunkline_model::usage::Usage;

/// An answer as far as it has come.
pub(super) struct Output {
    id: String,
    /// Our id of the request, of which ids of items are made.
    tail: String,
    model: String,
    created: u64,
    echo: Arc<Echo>,
    /// Finished items, with commas between.
    items: BytesMut,
    count: u32,
    pub(super) usage: Option<Usage>,
    pub(super) finish: Option<Finish>,
    /// The model declined in words.
    pub(super) declined: bool,
}

/// How a response stands.
pub(super) enum Status<'e> {
    /// Being made.
    InProgress,
    /// As its provider ended it.
    Ended,
    /// Broken off.
    Failed(&'e ClientError),
}

impl Output {
    pub(super) fn new(context: &EncodeContext) -> Self {
        let tail = context.request_id.encode();
        let tail = std::str::from_utf8(&tail).unwrap_or_default().to_ascii_lowercase();
        let echo = context.echo.clone().unwrap_or_else(|| Arc::new(Echo::unknown()));
        Self {
            id: echo.id.clone().unwrap_or_else(|| format!("resp_{tail}")),
            tail,
            model: context.model.clone(),
            created: context.created,
            echo,
            items: BytesMut::new(),
            count: 0,
            usage: None,
            finish: None,
            declined: false,
        }
    }

    /// What the provider says of its answer. Its id is not ours to give: it names nothing at this gateway.
    pub(super) fn start(&mut self, model: &str, created: Option<u64>) {
        if !model.is_empty() {
            model.clone_into(&mut self.model);
        }
        self.created = created.unwrap_or(self.created);
    }

    /// Whether a tool takes free text.
    pub(super) fn is_custom(&self, tool: &str) -> bool {
        self.echo.custom_tools.iter().any(|name| name == tool)
    }

    /// How many items are finished: the place of the next one.
    pub(super) const fn count(&self) -> u32 {
        self.count
    }

    /// The id of the next item.
    pub(super) fn item_id(&self, prefix: &str) -> String {
        format!("{prefix}_{}{:02}", self.tail, self.count)
    }

    /// Takes a finished item.
    pub(super) fn push(&mut self, item: &[u8]) {
        self.push_written(|items| items.extend_from_slice(item));
    }

    /// Takes a finished item as it is written, and tells where it stands.
    pub(super) fn push_written(&mut self, write: impl FnOnce(&mut BytesMut)) -> Range<usize> {
        if !self.items.is_empty() {
            self.items.extend_from_slice(b",");
        }
        let start = self.items.len();
        write(&mut self.items);
        self.count += 1;
        start..self.items.len()
    }

    /// A finished item.
    pub(super) fn written(&self, place: Range<usize>) -> &[u8] {
        &self.items[place]
    }

    /// The word for how the answer ended, and what made it incomplete.
    pub(super) fn ended(&self) -> (&'static str, Option<&'static str>) {
        match self.finish {
            Some(Finish::Length) => ("incomplete", Some("max_output_tokens")),
            Some(Finish::ContentFilter) if !self.declined => ("incomplete", Some("content_filter")),
            Some(Finish::Error) => ("failed", None),
            Some(Finish::Stop | Finish::ToolCalls | Finish::Pause | Finish::ContentFilter) | None => {
                ("completed", None)
            }
        }
    }

    /// Writes the response object.
    pub(super) fn write(&self, status: &Status<'_>, out: &mut BytesMut) {
        let (word, reason) = match status {
            Status::InProgress => ("in_progress", None),
            Status::Ended => self.ended(),
            Status::Failed(_) => ("failed", None),
        };
        let mut object = Object::open(out);
        object.text("id", &self.id);
        object.text("object", "response");
        object.whole("created_at", self.created);
        object.text("status", word);
        // The echo ends with a comma of its own.
        let echo = self.echo.fields.trim_end_matches(',');
        if !echo.is_empty() {
            object.out.extend_from_slice(b",");
            object.out.extend_from_slice(echo.as_bytes());
        }
        match status {
            Status::Failed(failed) => {
                write_error(object.key("error"), error::response_code(failed), &failed.message);
            }
            Status::Ended if word == "failed" => {
                write_error(object.key("error"), "server_error", "the provider broke its own answer off");
            }
            Status::Ended | Status::InProgress => object.raw("error", "null"),
        }
        match reason {
            Some(reason) => {
                let mut details = Object::open(object.key("incomplete_details"));
                details.text("reason", reason);
                details.close();
            }
            None => object.raw("incomplete_details", "null"),
        }
        object.text("model", &self.model);
        let list = object.key("output");
        list.extend_from_slice(b"[");
        list.extend_from_slice(&self.items);
        list.extend_from_slice(b"]");
        match &self.usage {
            Some(counted) if !matches!(status, Status::InProgress) => {
                usage::write(object.key("usage"), counted)
            }
            _ => object.raw("usage", "null"),
        }
        object.close();
    }
}

fn write_error(out: &mut BytesMut, code: &str, message: &str) {
    let mut object = Object::open(out);
    object.text("code", code);
    object.text("message", message);
    object.close();
}

/// Writes a text part of a message.
pub(super) fn write_text(out: &mut BytesMut, text: &str, annotations: &[String], logprobs: &[String]) {
    let raw = |out: &mut BytesMut, json: &String| out.extend_from_slice(json.as_bytes());
    let mut part = Object::open(out);
    part.text("type", "output_text");
    part.text("text", text);
    array(part.key("annotations"), annotations, raw);
    array(part.key("logprobs"), logprobs, raw);
    part.close();
}

/// Writes a refusal part of a message.
pub(super) fn write_refusal(out: &mut BytesMut, text: &str) {
    let mut part = Object::open(out);
    part.text("type", "refusal");
    part.text("refusal", text);
    part.close();
}

/// Writes a part of a summary.
pub(super) fn write_summary(out: &mut BytesMut, text: &str) {
    let mut part = Object::open(out);
    part.text("type", "summary_text");
    part.text("text", text);
    part.close();
}
