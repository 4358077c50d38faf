//! Where in a client's own body the thing stands that a warning or a refusal is about.
//!
//! Owns the way from places of canonical form (`messages[2].content[0]`, `reasoning_effort`) to those of the body as its client
//! wrote it: by the fields of its protocol, in its spelling, counted as it counted. Must not decode: the request is there already,
//! and this only finds out which of its messages came from where. Encoders do not know for whom they encode, and decoders run for
//! every request; a place is looked for only where there is something to tell, so that it costs nobody else anything.

mod gemini;
mod layout;
mod names;
mod path;

#[cfg(test)]
mod tests;

use crate::codec::EncodeError;
use layout::Layout;
use serde_json::Value;
use std::borrow::Cow;
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Request;
use trunkline_model::warning::{Treatment, Warning};

/// What is added to the name of something that does not stand in the body: the gateway or the target brought it in.
pub const OURS: &str = " (not in the request)";

/// What is asked for, which stands in no body.
const OPERATIONS: [&str; 4] = ["completions", "count_tokens", "embeddings", "rerank"];

/// The places of one body.
#[derive(Debug)]
pub struct Places<'r> {
    dialect: Dialect,
    request: &'r Request,
    body: Value,
    layout: Layout,
    earlier: Option<Earlier>,
}

/// Items that were put before those of the client: a stored conversation that its body names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Earlier {
    /// How many they are.
    pub items: usize,
    /// The field that names the conversation.
    pub named_by: &'static str,
    /// The client's own input is a text alone.
    pub is_text: bool,
}

impl<'r> Places<'r> {
    /// The places of a body and of the request that was read from it. `None` for what is no JSON.
    #[must_use]
    pub fn of(dialect: Dialect, request: &'r Request, body: &[u8], earlier: Option<Earlier>) -> Option<Self> {
        let body: Value = serde_json::from_slice(body).ok()?;
        let layout = match request {
            Request::Chat(chat) => layout::of(dialect, &body).fitting(chat),
            Request::Embeddings(_) | Request::Rerank(_) => Layout::default(),
        };
        Some(Self { dialect, request, body, layout, earlier })
    }

    /// Gives the features of warnings the names by which the client knows them.
    pub fn rename(&self, warnings: &mut [Warning]) {
        // What somebody else said is not the body's.
        for warning in warnings.iter_mut().filter(|warning| warning.treatment != Treatment::Overridden) {
            if let Cow::Owned(name) = self.name(&warning.feature) {
                warning.feature = Cow::Owned(name);
            }
        }
    }

    /// The same for the reason why a request cannot be sent.
    #[must_use]
    pub fn rename_error(&self, error: EncodeError) -> EncodeError {
        match error {
            EncodeError::Unsupported { feature, reason } => {
                EncodeError::Unsupported { feature: self.name(&feature).into_owned(), reason }
            }
            EncodeError::Invalid { path, reason } => {
                EncodeError::Invalid { path: self.name(&path).into_owned(), reason }
            }
        }
    }

    /// The client's name for a feature.
    #[must_use]
    pub fn name<'f>(&self, feature: &'f str) -> Cow<'f, str> {
        // What qualifies a place follows it after a blank: `messages[0] signature`.
        let (place, rest) = feature.split_at(feature.find(' ').unwrap_or(feature.len()));
        if OPERATIONS.contains(&feature) {
            return Cow::Borrowed(feature);
        }
        let found = match self.parameter(feature) {
            Some(found) => Some(found),
            None => self.place(place).map(|found| found + rest),
        };
        match found {
            Some(found) if found == feature => Cow::Borrowed(feature),
            Some(found) => Cow::Owned(found),
            None => Cow::Owned(format!("{feature}{OURS}")),
        }
    }

    fn place(&self, place: &str) -> Option<String> {
        if self.is_kept(place) {
            // The decoder took the name from the body, but for the spelling.
            return Some(
                path::resolve(&self.body, place).map_or_else(|| place.to_owned(), |at| self.counted(&at)),
            );
        }
        let (head, rest) = place.split_at(place.find(['[', '.']).unwrap_or(place.len()));
        let found = match (head, path::index(rest)) {
            ("messages", Some((index, rest))) => self.message(index, rest),
            ("messages", None) => Some(self.layout.conversation.clone()),
            ("tools", Some((index, rest))) => self.tool(index, rest),
            ("tools", None) => self.any_tool(rest.trim_start_matches("[]")),
            ("input", None) if rest.starts_with("[]") => {
                let sealed = path::find(&self.body, "encrypted_content");
                Some(sealed.unwrap_or_else(|| self.layout.conversation.clone()))
            }
            ("input", Some((index, rest))) => self.input(index, rest),
            ("cache_control", None) => path::find(&self.body, "cache_control"),
            _ => None,
        };
        let found = found.filter(|found| !found.is_empty()).or_else(|| path::resolve(&self.body, place))?;
        Some(self.counted(&found))
    }

    /// Whether a name is that of an extra, and so the client's already.
    fn is_kept(&self, place: &str) -> bool {
        match self.request {
            Request::Chat(chat) => chat.extras.iter().any(|extra| {
                extra.name == place && (extra.origin == self.dialect || extra.name.contains(['[', '.']))
            }),
            Request::Embeddings(_) | Request::Rerank(_) => false,
        }
    }

    fn parameter(&self, feature: &str) -> Option<String> {
        let candidates = names::candidates(self.dialect, feature);
        candidates.iter().find_map(|candidate| path::resolve(&self.body, candidate))
    }

    fn message(&self, index: usize, rest: &str) -> Option<String> {
        let Some(message) = self.layout.messages.get(index) else {
            return Some(self.layout.conversation.clone());
        };
        let Some((position, rest)) = rest.strip_prefix(".content").and_then(path::index) else {
            return Some(self.with_tail(&message.place, rest));
        };
        let part = message.parts.get(position).unwrap_or(&message.place);
        // A part of a tool's result.
        if let Some((inner, rest)) = rest.strip_prefix(".content").and_then(path::index) {
            let held = ["content", "output", "functionResponse.parts"].iter().find_map(|name| {
                let list = path::resolve(&self.body, &format!("{part}.{name}"))?;
                Some(path::resolve(&self.body, &format!("{list}[{inner}]")).unwrap_or(list))
            });
            return Some(self.with_tail(held.as_ref().unwrap_or(part), rest));
        }
        Some(self.with_tail(part, rest))
    }

    fn tool(&self, index: usize, rest: &str) -> Option<String> {
        Some(self.with_tail(self.layout.tools.get(index)?, rest))
    }

    /// Of several tools the first that has what is named.
    fn any_tool(&self, rest: &str) -> Option<String> {
        let having = self.layout.tools.iter().find_map(|tool| self.tail(tool, rest));
        having
            .or_else(|| path::resolve(&self.body, "tools"))
            .or_else(|| path::resolve(&self.body, "functions"))
    }

    /// One of the texts to be embedded.
    fn input(&self, index: usize, rest: &str) -> Option<String> {
        let places = ["input", "requests", "texts"];
        let listed =
            places.iter().find_map(|name| path::resolve(&self.body, &format!("{name}[{index}]{rest}")));
        let alone = || ["input", "content"].iter().find_map(|name| path::resolve(&self.body, name));
        listed.or_else(alone)
    }

    /// A place with what follows it, as far as the body has that.
    fn with_tail(&self, place: &str, rest: &str) -> String {
        self.tail(place, rest).unwrap_or_else(|| place.to_owned())
    }

    fn tail(&self, place: &str, rest: &str) -> Option<String> {
        let holders = ["", ".function", ".functionCall", ".functionResponse"];
        let names = names::tails(rest).iter().copied().chain([rest]);
        let mut ways =
            names.flat_map(|name| holders.iter().map(move |holder| format!("{place}{holder}{name}")));
        ways.find_map(|way| path::resolve(&self.body, &way))
    }

    fn counted(&self, place: &str) -> String {
        counted(place, self.earlier)
    }
}

/// A place by the client's own count: what was put before its items is not among them.
#[must_use]
pub fn counted(place: &str, earlier: Option<Earlier>) -> String {
    let Some(earlier) = earlier else { return place.to_owned() };
    let Some((index, rest)) = place.strip_prefix("input").and_then(path::index) else {
        return place.to_owned();
    };
    match index.checked_sub(earlier.items) {
        None => earlier.named_by.to_owned(),
        Some(_) if earlier.is_text => "input".to_owned(),
        Some(own) => format!("input[{own}]{rest}"),
    }
}
