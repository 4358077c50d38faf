//! Reasoning of an answer: its summary as it comes, and the item it becomes.
//!
//! Owns the events of a summary. Must not read state, which travels sealed in the item. There is one summary part per item: where
//! one ends and the next begins is not known of other providers' thoughts.

use super::encoder::{Encoder, Item};
use crate::responses::output::write_summary;
use crate::write::{Object, array};
use bytes::BytesMut;

/// Reasoning under way.
pub(super) struct Reasoning {
    id: String,
    text: String,
    pub(super) state: Option<String>,
}

impl Encoder {
    /// The reasoning under way, opened if there is none.
    pub(super) fn open_reasoning(&mut self, out: &mut BytesMut) -> &mut Reasoning {
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

    pub(super) fn thought(&mut self, text: &str, out: &mut BytesMut) {
        let is_first = self.open_reasoning(out).text.is_empty();
        if is_first {
            self.on_summary("response.reasoning_summary_part.added", out, |_, event| {
                write_summary(event.key("part"), "");
            });
        }
        self.on_summary("response.reasoning_summary_text.delta", out, |_, event| event.text("delta", text));
        self.open_reasoning(out).text.push_str(text);
    }

    pub(super) fn close_reasoning(&mut self, out: &mut BytesMut) {
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
