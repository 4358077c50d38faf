//! Files that a model makes in the middle of an answer.
//!
//! Owns reading one from the only form in which a provider hands it out (a part with `inlineData`, the bytes as base64), and which
//! clients' protocols have a place for it. Must not decode the bytes, nor copy them: they are shares of the event they came in.

use serde::Deserialize;
use std::borrow::Cow;
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::event::Event;
use trunkline_model::json::Json;
use trunkline_model::warning::Warning;

/// The name of the part.
const PART: &str = "inlineData";

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Picture<'a> {
    /// The MIME type, `image/` and what follows.
    pub(crate) media_type: Cow<'a, str>,
    /// Its bytes in base64.
    pub(crate) data: Cow<'a, str>,
    /// What the provider wants back with it.
    pub(crate) signature: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(borrow)]
    inline_data: Blob<'a>,
    #[serde(borrow)]
    thought_signature: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    #[serde(borrow)]
    mime_type: Cow<'a, str>,
    #[serde(borrow)]
    data: Cow<'a, str>,
}

impl<'a> Picture<'a> {
    /// The picture that an extra of an answer is.
    pub(crate) fn of(name: &str, json: &'a Json) -> Option<Self> {
        let part: Part<'_> = (name == PART).then(|| json.read().ok()).flatten()?;
        let Blob { mime_type: media_type, data } = part.inline_data;
        media_type.starts_with("image/").then_some(Self {
            media_type,
            data,
            signature: part.thought_signature.filter(|signature| !signature.is_empty()),
        })
    }
}

/// A file that the client's answer had to leave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// A picture.
    Picture,
    /// Something else: sound, moving pictures.
    File,
}

impl LeftOut {
    /// What the client and the record are told.
    #[must_use]
    pub fn warning(self) -> Warning {
        let feature = match self {
            Self::Picture => "picture",
            Self::File => "file",
        };
        Warning::dropped(feature, "the model made one, and answers of this protocol have no place for it")
    }
}

/// What a client's answer leaves out of an event; `None` where it leaves out nothing.
#[must_use]
pub fn left_out(client: Dialect, operation: Operation, event: &Event) -> Option<LeftOut> {
    let Event::Extra { name, json } = event else { return None };
    let is_own = client == Dialect::Gemini && operation == Operation::Chat;
    if name != PART || is_own {
        return None;
    }
    let shows_pictures =
        matches!(client, Dialect::OpenAi | Dialect::Responses) && operation == Operation::Chat;
    match Picture::of(name, json) {
        Some(_) if shows_pictures => None,
        Some(_) => Some(LeftOut::Picture),
        None => Some(LeftOut::File),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extra(media_type: &str) -> Event {
        let json = format!(
            r#"{{"inlineData":{{"mimeType":"{media_type}","data":"AA=="}},"thoughtSignature":"c2ln"}}"#
        );
        Event::Extra { name: PART.to_owned(), json: Json::parse(json).expect("it is JSON") }
    }

    #[test]
    fn what_a_protocol_has_no_place_for_is_told() {
        let told =
            |client, operation, media_type: &str| left_out(client, operation, &extra(media_type)).is_some();
        assert!(!told(Dialect::OpenAi, Operation::Chat, "image/png"));
        assert!(!told(Dialect::Responses, Operation::Chat, "image/png"));
        assert!(!told(Dialect::Gemini, Operation::Chat, "audio/wav"));
        assert!(told(Dialect::OpenAi, Operation::Completions, "image/png"));
        assert!(told(Dialect::OpenAi, Operation::Chat, "audio/wav"));
        assert!(told(Dialect::Anthropic, Operation::Chat, "image/png"));
        let Event::Extra { name, json } = extra("image/webp") else { unreachable!("it is one") };
        let picture = Picture::of(&name, &json).expect("it is a picture");
        assert_eq!((&*picture.media_type, &*picture.data), ("image/webp", "AA=="));
        assert!(matches!(picture.data, Cow::Borrowed(_)) && picture.signature.as_deref() == Some("c2ln"));
        assert_eq!(left_out(Dialect::Anthropic, Operation::Chat, &Event::End), None);
    }
}
