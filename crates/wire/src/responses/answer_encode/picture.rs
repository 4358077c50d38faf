//! What stands for itself in an answer: pictures, as the call of a tool that the dialect has for them, and items of its own.
//!
//! Owns the events and the item of a picture (`ImageGenToolCall` of the vendor's OpenAPI document). Must not copy a picture more often than the
//! dialect repeats it: a stream has it in the item's last event and in the last event of all.

use super::encoder::Encoder;
use crate::carried::{self, Place};
use crate::picture::Picture;
use crate::responses::{GENERATED, GENERATED_STEPS};
use crate::write::Object;
use bytes::BytesMut;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;
use trunkline_model::json::Json;

impl Encoder {
    /// Tells of what only providers know: items of this dialect stay as they are, a picture becomes one.
    pub(super) fn extra(&mut self, name: &str, json: &Json, out: &mut BytesMut) {
        if let Some(picture) = Picture::of(name, json) {
            self.part_end(out);
            self.close_item(out);
            self.picture(&picture, out);
        } else if crate::responses::is_item(name, json) {
            self.part_end(out);
            self.close_item(out);
            let item = BytesMut::from(json.text().replace(['\n', '\r'], " ").as_bytes());
            self.added(out, |out| out.extend_from_slice(&item));
            self.done(&item, out);
        }
    }

    /// Tells of a picture, whole as it came.
    fn picture(&mut self, picture: &Picture<'_>, out: &mut BytesMut) {
        let id = self.output.item_id("ig");
        self.added(out, |out| write(&id, "in_progress", None, out));
        for step in GENERATED_STEPS {
            self.emit(step, out, |this, event| {
                event.text("item_id", &id);
                event.whole("output_index", this.output.count());
            });
        }
        let place = self.output.count();
        let item = self.output.push_written(|out| write(&id, "completed", Some(picture), out));
        self.emit("response.output_item.done", out, |this, event| {
            event.whole("output_index", place);
            event.key("item").extend_from_slice(this.output.written(item));
        });
        if let Some(signature) = &picture.signature {
            let state = Opaque { origin: Dialect::Gemini, value: signature.clone().into_owned() };
            self.open_reasoning(out).state = Some(carried::carry(&state, Place::Before));
            self.close_item(out);
        }
    }
}

fn write(id: &str, status: &str, picture: Option<&Picture<'_>>, out: &mut BytesMut) {
    out.reserve(picture.map_or(0, |picture| picture.data.len()) + 160);
    let mut item = Object::open(out);
    item.text("id", id);
    item.text("type", GENERATED);
    item.text("status", status);
    match picture {
        Some(picture) => {
            // Not in the document, but in the vendor's answers: what the bytes are.
            let format = picture.media_type.strip_prefix("image/").unwrap_or_default();
            item.text("output_format", format);
            item.text("result", &*picture.data);
        }
        None => item.raw("result", "null"),
    }
    item.close();
}
