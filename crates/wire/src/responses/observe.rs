//! Watching responses pass to clients of the same dialect.
//!
//! Owns what the gateway must know of an answer it does not touch: that it is one, when its first token came, its usage, how it
//! ended. Must not build anything: frames are read in place.

use super::answer_collect::string;
use super::answer_decode::{Head, failure_in};
use super::error::failure_of;
use super::usage;
use crate::codec::{Frame, Observe, Seen, Summary};
use crate::openai;
use crate::scan::reader::{Fault, Kind, Reader};
use serde_json::value::RawValue;
use trunkline_model::dialect::Delivery;
use trunkline_model::event::Finish;
use trunkline_model::failure::Failure;

const NOTHING: Seen = Seen { semantic: false, hide: false };
const SEMANTIC: Seen = Seen { semantic: true, hide: false };

/// Watches one answer.
pub(super) struct Observer {
    delivery: Delivery,
    summary: Summary,
    called: bool,
}

/// What one event shows.
#[derive(Default)]
struct Look<'a> {
    kind: &'a str,
    delta: &'a str,
    item: &'a str,
    response: &'a str,
    number: &'a str,
    has_error: bool,
    code: Option<&'a str>,
    message: Option<&'a str>,
}

impl<'a> Look<'a> {
    fn read(text: &'a str) -> Result<Self, Fault> {
        let mut look = Self::default();
        let mut reader = Reader::new(text);
        reader.blanks();
        if reader.kind() != Kind::Object {
            return Err(reader.unexpected("`{`"));
        }
        reader.object(|reader, key| {
            if reader.kind() == Kind::Text {
                let value = reader.string()?;
                match key.raw {
                    "type" => look.kind = value.raw,
                    "delta" => look.delta = value.raw,
                    "code" => look.code = Some(value.raw),
                    "message" => look.message = Some(value.raw),
                    _ => {}
                }
                return Ok(());
            }
            let value = reader.skip()?;
            match key.raw {
                "item" => look.item = value,
                "response" => look.response = value,
                "sequence_number" => look.number = value,
                "error" => look.has_error = value != "null",
                _ => {}
            }
            Ok(())
        })?;
        reader.end()?;
        Ok(look)
    }
}

impl Observer {
    pub(super) fn new(delivery: Delivery) -> Self {
        Self { delivery, summary: Summary::default(), called: false }
    }

    fn plain(&mut self, text: &str) -> Result<Seen, Failure> {
        let head: Head<'_> =
            serde_json::from_str(text).map_err(|_| openai::not_an_answer(text.as_bytes()))?;
        if head.output.is_none() && head.error.is_some() {
            return Err(openai::error_in(text.as_bytes()));
        }
        let Some(output) = head.output.filter(|output| output.get().starts_with('[')) else {
            return Err(openai::not_an_answer(text.as_bytes()));
        };
        if let Some(failure) = failure_in("", &head) {
            return Err(failure);
        }
        self.called |= has_call(output.get());
        self.summary.output_bytes = output.get().len() as u64;
        self.ended("", &head);
        if self.summary.usage.is_none() {
            self.summary.beginning = output.get().into();
        }
        Ok(SEMANTIC)
    }

    fn ended(&mut self, kind: &str, head: &Head<'_>) {
        self.summary.usage = usage::told(head);
        let is_incomplete =
            kind == "response.incomplete" || string(head.status).as_deref() == Some("incomplete");
        let is_filtered =
            head.incomplete_details.is_some_and(|details| details.get().contains("\"content_filter\""));
        self.summary.finish = Some(match (is_incomplete, is_filtered, self.called) {
            (true, true, _) => Finish::ContentFilter,
            (true, false, _) => Finish::Length,
            (false, _, true) => Finish::ToolCalls,
            (false, _, false) => Finish::Stop,
        });
        self.summary.complete = true;
    }

    fn event(&mut self, text: &str, name: &str) -> Result<Seen, Failure> {
        let look = Look::read(text).map_err(|_| openai::not_an_answer(text.as_bytes()))?;
        if let Ok(number) = look.number.parse::<u64>() {
            self.summary.next_event = number.saturating_add(1);
        }
        let kind = if look.kind.is_empty() { name } else { look.kind };
        if look.has_error {
            return Err(openai::error_in(text.as_bytes()));
        }
        if kind == "error" {
            return Err(failure_of(look.code, look.message));
        }
        let Some(kind) = kind.strip_prefix("response.") else {
            return Err(openai::not_an_answer(text.as_bytes()));
        };
        match kind {
            "completed" | "incomplete" | "failed" => {
                let head = serde_json::from_str::<Head<'_>>(look.response)
                    .map_err(|_| openai::not_an_answer(text.as_bytes()))?;
                let kind = match kind {
                    "incomplete" => "response.incomplete",
                    "failed" => "response.failed",
                    _ => "response.completed",
                };
                if let Some(failure) = failure_in(kind, &head) {
                    return Err(failure);
                }
                self.ended(kind, &head);
                Ok(SEMANTIC)
            }
            "output_item.added" => {
                let is_call = has_call(look.item);
                self.called |= is_call;
                Ok(Seen { semantic: is_call, hide: false })
            }
            // Sealed reasoning comes with the end of its item, and so do calls of the provider's own tools.
            "output_item.done" => {
                let sealed = look.item.contains("\"encrypted_content\":\"");
                Ok(Seen { semantic: sealed, hide: false })
            }
            "output_text.annotation.added" => Ok(SEMANTIC),
            _ if kind.ends_with(".delta") && !look.delta.is_empty() => {
                self.summary.output_bytes += look.delta.len() as u64;
                self.summary.beginning.push(look.delta);
                Ok(SEMANTIC)
            }
            _ => Ok(NOTHING),
        }
    }
}

/// Whether an item, or one of several, is a call of the client's tools.
fn has_call(json: &str) -> bool {
    #[derive(serde::Deserialize)]
    struct Item<'a> {
        #[serde(rename = "type", borrow, default)]
        kind: Option<&'a RawValue>,
    }
    let is_call =
        |item: &Item<'_>| matches!(string(item.kind).as_deref(), Some("function_call" | "custom_tool_call"));
    if json.starts_with('[') {
        return serde_json::from_str::<Vec<Item<'_>>>(json).is_ok_and(|items| items.iter().any(is_call));
    }
    serde_json::from_str::<Item<'_>>(json).is_ok_and(|item| is_call(&item))
}

impl Observe for Observer {
    fn frame(&mut self, frame: Frame<'_>) -> Result<Seen, Failure> {
        let data = frame.data.trim_ascii();
        if data.is_empty() || data == b"[DONE]" {
            return Ok(NOTHING);
        }
        let text = simdutf8::basic::from_utf8(data).map_err(|_| openai::not_an_answer(data))?;
        if self.delivery.is_stream() { self.event(text, frame.event) } else { self.plain(text) }
    }

    fn end(&mut self) -> Result<(), Failure> {
        if self.summary.complete { Ok(()) } else { Err(openai::cut()) }
    }

    fn summary(&self) -> &Summary {
        &self.summary
    }
}
