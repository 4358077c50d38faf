//! The text of a conversation, in place: what the user said last and what the system prompt says.
//!
//! Owns where the dialects keep those texts. Must not decode anything else nor copy before it is asked to: only routes with a
//! step that reads text pay for this second look, and they pay for the fields the first look already found. Tool results, pictures
//! and the model's own turns are not what the user said; a turn that holds nothing else is passed over.

use super::reader::{Fault, Kind, Reader, Text};
use super::unescape::unescape;
use super::{fields_of, string_of, utf8};
use crate::codec::Envelope;
use std::borrow::Cow;
use trunkline_model::dialect::{Dialect, Operation};

/// The most that is kept of one text, in bytes: far more than steps read, far less than a body may hold.
const LONGEST: usize = 256 << 10;

/// The texts of one request, borrowed from its body.
#[derive(Clone, Debug, Default)]
pub struct PromptText<'a> {
    user: Vec<Text<'a>>,
    /// What stands apart from the conversation.
    system: Vec<Text<'a>>,
    /// Turns of the conversation that instruct.
    system_turns: Vec<Text<'a>>,
}

impl<'a> PromptText<'a> {
    /// The text of the user's last turn, its parts on lines of their own; at most 256 KiB.
    #[must_use]
    pub fn last_user(&self) -> Cow<'a, str> {
        joined(&self.user)
    }

    /// The text of the system prompt, its parts on lines of their own; at most 256 KiB.
    #[must_use]
    pub fn system(&self) -> Cow<'a, str> {
        match (self.system.as_slice(), self.system_turns.as_slice()) {
            (apart, []) => joined(apart),
            ([], turns) => joined(turns),
            (apart, turns) => joined(&[apart, turns].concat()),
        }
    }
}

/// Finds the texts of a body that [`super::envelope`] has accepted. What is not where the dialect keeps it is not found, and
/// is no error: the decoder or the provider judges it.
#[must_use]
pub fn prompt_text<'a>(
    dialect: Dialect,
    operation: Operation,
    envelope: &Envelope,
    body: &'a [u8],
) -> PromptText<'a> {
    let mut found = PromptText::default();
    let Ok(text) = utf8(body) else { return found };
    for field in &envelope.fields {
        let (Some(name), Some(value)) = (text.get(field.name.clone()), text.get(field.value.clone())) else {
            continue;
        };
        let name = if name.contains('\\') { unescape(name).into() } else { Cow::Borrowed(name) };
        // The first look has found the body sound, so that nothing is lost where this one stops.
        let _ = read_field(&mut found, dialect, operation, &name, &mut Reader::new(value));
    }
    found
}

fn read_field<'a>(
    found: &mut PromptText<'a>,
    dialect: Dialect,
    operation: Operation,
    name: &str,
    reader: &mut Reader<'a>,
) -> Result<(), Fault> {
    match (dialect, name) {
        (Dialect::OpenAi | Dialect::Anthropic, "messages") => {
            found.system_turns.clear();
            conversation(found, reader, "")
        }
        (Dialect::Responses, "input") => {
            found.user.clear();
            found.system_turns.clear();
            // A text alone is the user's turn.
            if reader.kind() == Kind::Text {
                content(reader, &mut found.user)
            } else {
                conversation(found, reader, "")
            }
        }
        (Dialect::Responses, "instructions") => {
            found.system.clear();
            content(reader, &mut found.system)
        }
        (Dialect::OpenAi, "input") if operation == Operation::Embeddings => content(reader, &mut found.user),
        (Dialect::OpenAi, "input" | "prompt") if operation != Operation::Chat => {
            found.user.clear();
            content(reader, &mut found.user)
        }
        (Dialect::Anthropic, "system") => {
            found.system.clear();
            content(reader, &mut found.system)
        }
        (Dialect::Gemini, "contents") => conversation(found, reader, "user"),
        (Dialect::Gemini, "content") => {
            found.user.clear();
            parts(reader, &mut found.user)
        }
        (Dialect::Gemini, "systemInstruction" | "system_instruction") => {
            found.system.clear();
            parts(reader, &mut found.system)
        }
        (Dialect::Gemini, "generateContentRequest" | "generate_content_request") => {
            fields_of(reader, |reader, key| {
                let value = reader.skip()?;
                read_field(found, dialect, operation, &key.resolve(), &mut Reader::new(value))
            })
        }
        _ => Ok(()),
    }
}

/// Reads messages: the last one of the user that holds text, and those that instruct.
fn conversation<'a>(
    found: &mut PromptText<'a>,
    reader: &mut Reader<'a>,
    role_when_absent: &str,
) -> Result<(), Fault> {
    found.user.clear();
    match reader.kind() {
        Kind::Array => reader.array(|reader, _| turn(found, reader, role_when_absent)),
        // Gemini's servers take one alone.
        Kind::Object => turn(found, reader, role_when_absent),
        _ => Ok(()),
    }
}

fn turn<'a>(
    found: &mut PromptText<'a>,
    reader: &mut Reader<'a>,
    role_when_absent: &str,
) -> Result<(), Fault> {
    let mut role = Cow::Borrowed(role_when_absent);
    let mut said = None;
    fields_of(reader, |reader, key| {
        match &*key.resolve() {
            "role" => {
                if let Some(name) = string_of(reader)? {
                    role = name.resolve().into_owned().into();
                }
            }
            "content" | "parts" => said = Some(reader.skip()?),
            _ => {
                reader.skip()?;
            }
        }
        Ok(())
    })?;
    let Some(said) = said else { return Ok(()) };
    match &*role {
        "user" => {
            let mut texts = Vec::new();
            content(&mut Reader::new(said), &mut texts)?;
            if !texts.is_empty() {
                found.user = texts;
            }
            Ok(())
        }
        "system" | "developer" => content(&mut Reader::new(said), &mut found.system_turns),
        _ => Ok(()),
    }
}

/// Reads a string, or an array of strings and of parts with a `text`.
fn content<'a>(reader: &mut Reader<'a>, texts: &mut Vec<Text<'a>>) -> Result<(), Fault> {
    match reader.kind() {
        Kind::Text => keep(reader.string()?, texts),
        Kind::Array => reader.array(|reader, _| match reader.kind() {
            Kind::Text => {
                keep(reader.string()?, texts);
                Ok(())
            }
            _ => part(reader, texts),
        })?,
        Kind::Object => part(reader, texts)?,
        _ => {
            reader.skip()?;
        }
    }
    Ok(())
}

fn part<'a>(reader: &mut Reader<'a>, texts: &mut Vec<Text<'a>>) -> Result<(), Fault> {
    fields_of(reader, |reader, key| match key.raw {
        "text" => {
            if let Some(text) = string_of(reader)? {
                keep(text, texts);
            }
            Ok(())
        }
        _ => reader.skip().map(drop),
    })
}

/// Reads a Gemini content: its `parts`.
fn parts<'a>(reader: &mut Reader<'a>, texts: &mut Vec<Text<'a>>) -> Result<(), Fault> {
    if reader.kind() != Kind::Object {
        return content(reader, texts);
    }
    fields_of(reader, |reader, key| match key.raw {
        "parts" => content(reader, texts),
        _ => reader.skip().map(drop),
    })
}

fn keep<'a>(text: Text<'a>, texts: &mut Vec<Text<'a>>) {
    if !text.raw.is_empty() {
        texts.push(text);
    }
}

fn joined<'a>(texts: &[Text<'a>]) -> Cow<'a, str> {
    match texts {
        [] => Cow::Borrowed(""),
        [one] => cut(*one, LONGEST).resolve(),
        several => {
            let mut joined = String::new();
            for text in several {
                let left = LONGEST.saturating_sub(joined.len());
                if left == 0 {
                    break;
                }
                if !joined.is_empty() {
                    joined.push('\n');
                }
                joined.push_str(&cut(*text, left).resolve());
            }
            Cow::Owned(joined)
        }
    }
}

/// The first bytes of a text, cut neither within a character nor within an escape.
fn cut(text: Text<'_>, limit: usize) -> Text<'_> {
    if text.raw.len() <= limit {
        return text;
    }
    let mut end = text.raw.floor_char_boundary(limit);
    let bytes = text.raw.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes.get(at..end).and_then(|rest| memchr::memchr(b'\\', rest)) {
        let escape = at + found;
        let length = if bytes.get(escape + 1) == Some(&b'u') { 6 } else { 2 };
        if escape + length > end {
            end = escape;
        }
        at = escape + length;
    }
    Text { raw: &text.raw[..end], ..text }
}

#[cfg(test)]
mod tests {
    use super::super::envelope;
    use super::*;
    use crate::codec::PathParts;
    use proptest::prelude::*;
    use serde_json::json;

    fn texts(dialect: Dialect, operation: Operation, body: &serde_json::Value) -> (String, String) {
        let body = body.to_string();
        let path = PathParts { model: Some("m".to_owned()), ..PathParts::default() };
        let envelope = envelope(dialect, operation, body.as_bytes(), &path).unwrap();
        let found = prompt_text(dialect, operation, &envelope, body.as_bytes());
        (found.last_user().into_owned(), found.system().into_owned())
    }

    fn pair(user: &str, system: &str) -> (String, String) {
        (user.to_owned(), system.to_owned())
    }

    #[test]
    fn the_last_words_of_the_user_are_found_in_every_dialect() {
        let openai = json!({"model": "m", "messages": [
            {"role": "system", "content": "be brief"},
            {"role": "user", "content": "first"},
            {"role": "assistant", "content": "answer"},
            {"content": [{"type": "text", "text": "a \"quoted\""}, {"type": "image_url", "image_url": {"url": "x"}},
                {"type": "text", "text": "word"}], "role": "user"},
            {"role": "tool", "tool_call_id": "t", "content": "result"},
            {"role": "developer", "content": [{"type": "text", "text": "and kind"}]},
        ]});
        assert_eq!(
            texts(Dialect::OpenAi, Operation::Chat, &openai),
            pair("a \"quoted\"\nword", "be brief\nand kind")
        );
        let anthropic = json!({"model": "m", "max_tokens": 5, "system": [{"type": "text", "text": "be brief"}], "messages": [
            {"role": "user", "content": "question"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"text": "no"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "no"}]},
        ]});
        assert_eq!(texts(Dialect::Anthropic, Operation::Chat, &anthropic), pair("question", "be brief"));
        let gemini = json!({"systemInstruction": {"parts": [{"text": "be brief"}]}, "contents": [
            {"parts": [{"text": "one"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}, {"text": "two"}]},
            {"role": "model", "parts": [{"text": "no"}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"text": "no"}}}]},
        ]});
        assert_eq!(texts(Dialect::Gemini, Operation::Chat, &gemini), pair("one\ntwo", "be brief"));
    }

    #[test]
    fn the_items_of_the_responses_api_are_turns() {
        let items = json!({"model": "m", "instructions": "be brief", "input": [
            {"role": "developer", "content": "and kind"},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "one"},
                {"type": "input_image", "image_url": "x"}, {"type": "input_text", "text": "two"}]},
            {"type": "function_call_output", "call_id": "c", "output": "no"},
        ]});
        assert_eq!(
            texts(Dialect::Responses, Operation::Chat, &items),
            pair("one\ntwo", "be brief\nand kind")
        );
        let plain = json!({"model": "m", "input": "one"});
        assert_eq!(texts(Dialect::Responses, Operation::Chat, &plain), pair("one", ""));
    }

    #[test]
    fn inputs_to_embed_are_text_and_what_is_missing_is_empty() {
        let several = json!({"model": "m", "input": ["one", "two"]});
        assert_eq!(texts(Dialect::OpenAi, Operation::Embeddings, &several), pair("one\ntwo", ""));
        let content = json!({"content": {"parts": [{"text": "one"}]}});
        assert_eq!(texts(Dialect::Gemini, Operation::Embeddings, &content), pair("one", ""));
        let none = json!({"model": "m", "messages": [{"role": "user"}, {"role": "user", "content": null}]});
        assert_eq!(texts(Dialect::OpenAi, Operation::Chat, &none), pair("", ""));
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_escapes() {
        for prefix in 0..8 {
            let text = format!("{}{}", "x".repeat(prefix), "\u{1}\n\u{e9}\\".repeat(LONGEST / 4));
            let body = json!({"model": "m", "messages": [{"role": "user", "content": text}]});
            let (found, _) = texts(Dialect::OpenAi, Operation::Chat, &body);
            assert!(text.starts_with(&found), "cut after {} bytes", found.len());
            assert!(found.len() > LONGEST / 4 && found.len() <= LONGEST);
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_back_as_it_was_sent(user in ".{0,80}", system in ".{0,80}") {
            let body = json!({"model": "m", "messages": [
                {"role": "system", "content": system}, {"role": "user", "content": user}]});
            prop_assert_eq!(texts(Dialect::OpenAi, Operation::Chat, &body), (user, system));
        }
    }
}
