//! What chunks and whole answers of the dialect say alike beside what was said: the head, and the usage.
//!
//! Owns names and forms. Must not know parts.

use crate::codec::EncodeContext;
use crate::write::Object;
use bytes::BytesMut;
use trunkline_model::usage::Usage;

/// What both encoders know of the answer as a whole.
pub(super) struct Head {
    pub(super) id: String,
    pub(super) model: String,
    pub(super) created: u64,
}

impl Head {
    pub(super) fn new(context: &EncodeContext) -> Self {
        let id = context.request_id.encode();
        Self {
            id: format!("chatcmpl-{}", std::str::from_utf8(&id).unwrap_or_default()),
            model: context.model.clone(),
            created: context.created,
        }
    }

    pub(super) fn start(&mut self, id: &str, model: &str, created: Option<u64>) {
        if !id.is_empty() {
            id.clone_into(&mut self.id);
        }
        if !model.is_empty() {
            model.clone_into(&mut self.model);
        }
        self.created = created.unwrap_or(self.created);
    }

    pub(super) fn write(&self, object: &mut Object<'_, BytesMut>, kind: &str) {
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
