//! The layout of Gemini's contents.
//!
//! Owns what its decoder joins: contents that follow each other from the model are one turn, with texts and thoughts that go on
//! from one to the next as one part, and state that was written apart goes to the thought before it.

use super::layout::{Layout, one_or_more, within};
use crate::carried::Place as Carried;
use crate::gemini::opaque;
use serde_json::Value;
use trunkline_model::content::Opaque;
use trunkline_model::dialect::Dialect;

/// A part on its way.
struct Part {
    place: String,
    kind: Kind,
    state: Option<Opaque>,
    is_empty: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Result,
    Other,
}

pub(super) fn layout(body: &Value) -> Layout {
    let (conversation, contents) =
        within(body, "", "contents").unwrap_or_else(|| ("contents".to_owned(), &Value::Null));
    let mut layout = Layout { conversation: conversation.clone(), ..Layout::default() };
    if let Some((place, system)) = within(body, "", "systemInstruction") {
        let parts = match (system, within(system, &place, "parts")) {
            (Value::String(_), _) => vec![place.clone()],
            (_, Some((at, parts))) => one_or_more(parts, &at).into_iter().map(|(place, _)| place).collect(),
            _ => Vec::new(),
        };
        if !parts.is_empty() {
            layout.push(place, parts);
        }
    }
    // The parts of the model's turn under way.
    let mut said: Vec<Part> = Vec::new();
    for (place, content) in one_or_more(contents, &conversation) {
        let mut parts = Vec::new();
        for (at, item) in
            within(content, &place, "parts").map(|(at, list)| one_or_more(list, &at)).unwrap_or_default()
        {
            let (part, carried) = part(at, item);
            attach(&mut parts, part, carried);
        }
        if content["role"] != "model" {
            said.clear();
            let parts = parts.into_iter().map(|part| (part.place, part.kind == Kind::Result)).collect();
            layout.push_user(&place, parts);
            continue;
        }
        if layout.messages.last().is_none_or(|last| !last.is_said) {
            said = parts;
        } else {
            parts.into_iter().for_each(|part| join(&mut said, part));
        }
        *layout.said(&place) = said.iter().map(|part| part.place.clone()).collect();
    }
    layout.tools = tools(body);
    layout
}

fn part(place: String, item: &Value) -> (Part, Carried) {
    let signature = within(item, "", "thoughtSignature").and_then(|(_, state)| state.as_str());
    let (state, carried) = match signature.filter(|state| !state.is_empty()) {
        Some(state) => {
            let (state, carried) = opaque(state.to_owned());
            (Some(state), carried)
        }
        None => (None, Carried::Own),
    };
    let has = |name: &str| within(item, "", name).is_some();
    let text = item["text"].as_str();
    let kind = if has("functionResponse") {
        Kind::Result
    } else if has("functionCall") || has("inlineData") || has("fileData") || text.is_none() {
        Kind::Other
    } else if item["thought"] == true {
        if carried == Carried::Redacted { Kind::Other } else { Kind::Thinking }
    } else {
        Kind::Text
    };
    let is_empty = text.is_none_or(str::is_empty);
    (Part { place, kind, state, is_empty }, carried)
}

/// Appends a part; state carried for the thoughts before it goes to them instead.
fn attach(parts: &mut Vec<Part>, part: Part, carried: Carried) {
    if carried == Carried::Before {
        while let [.., before, last] = &parts[..] {
            let are_thoughts = before.kind == Kind::Thinking && last.kind == Kind::Thinking;
            if !are_thoughts || before.state.is_some() || last.state.is_some() {
                break;
            }
            parts.pop();
        }
        if let Some(last) = parts.last_mut().filter(|last| last.state.is_none()) {
            last.state = part.state;
            return;
        }
    }
    parts.push(part);
}

/// Appends a part of the next content of the same turn.
fn join(parts: &mut Vec<Part>, part: Part) {
    let is_carried = part.kind == Kind::Thinking
        && part.is_empty
        && part.state.as_ref().is_some_and(|state| state.origin != Dialect::Gemini);
    let goes_on = parts.last().is_some_and(|last| {
        matches!(part.kind, Kind::Text | Kind::Thinking)
            && last.kind == part.kind
            && last.state.is_none()
            && part.state.is_none()
    });
    if !goes_on {
        attach(parts, part, if is_carried { Carried::Before } else { Carried::Own });
    }
}

/// Functions are declared in groups, beside the tools that the provider runs.
fn tools(body: &Value) -> Vec<String> {
    let Some((place, groups)) = within(body, "", "tools") else { return Vec::new() };
    let mut tools = Vec::new();
    for (place, group) in one_or_more(groups, &place) {
        for name in group.as_object().into_iter().flatten().map(|(name, _)| name) {
            let Some((at, value)) = within(group, &place, name) else { continue };
            if matches!(name.as_str(), "functionDeclarations" | "function_declarations") {
                tools.extend(one_or_more(value, &at).into_iter().map(|(place, _)| place));
            } else {
                tools.push(at);
            }
        }
    }
    tools
}
