//! Pictures in an answer of the dialect.
//!
//! Owns where they stand. Must not know the rest of a message.

use crate::write::Object;
use bytes::BytesMut;
use serde::Deserialize;
use std::borrow::Cow;
use trunkline_model::json::Json;

/// A picture that the model made. The dialect has no place for it; where its look-alikes put pictures (`images` of a message), clients
/// of models that make some look for it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Picture<'a> {
    #[serde(borrow)]
    mime_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl<'a> Picture<'a> {
    pub(super) fn of(name: &str, json: &'a Json) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Part<'a> {
            #[serde(borrow)]
            inline_data: Picture<'a>,
        }
        let part: Part<'_> = (name == "inlineData").then(|| json.read().ok()).flatten()?;
        Some(part.inline_data).filter(|picture| picture.mime_type.starts_with("image/"))
    }

    pub(super) fn write(&self, out: &mut BytesMut) {
        let mut object = Object::open(out);
        object.text("type", "image_url");
        let mut place = Object::open(object.key("image_url"));
        place.text("url", &format!("data:{};base64,{}", self.mime_type, self.data));
        place.close();
        object.close();
    }
}
