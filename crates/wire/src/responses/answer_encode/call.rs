//! Calls of tools in an answer: their arguments as they come, and the item they become.
//!
//! Owns the events of a call, of functions and of custom tools. Must not judge arguments. The text of a custom tool is inside the
//! arguments that the canonical form has of it, so that it is told when they are whole.

use super::encoder::{Encoder, Item};
use crate::responses::custom;
use crate::write::Object;
use bytes::BytesMut;

/// A call under way.
pub(super) struct Call {
    id: String,
    call_id: String,
    name: String,
    arguments: String,
    is_custom: bool,
}

impl Encoder {
    pub(super) fn open_call(&mut self, call_id: &str, name: &str, out: &mut BytesMut) {
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

    pub(super) fn arguments(&mut self, text: &str, out: &mut BytesMut) {
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

    pub(super) fn close_call(&mut self, out: &mut BytesMut) {
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
