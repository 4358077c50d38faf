//! Sealed state of providers, found in bytes and taken out of requests.
//!
//! Owns the names under which signatures, redacted thoughts and encrypted reasoning stand in every dialect. Must not read a value
//! or decide who made it. It searches bytes in place of parsing them: an answer that passes is never decoded, and nearly every
//! frame of it holds none of these names. A text that only looks like state is found too, which does no harm: nobody made it.

use crate::anthropic::error::contains_ignoring_case;
use crate::{carried, gemini};
use memchr::memmem::Finder;
use std::borrow::Cow;
use std::sync::LazyLock;
use trunkline_model::content::Content;
use trunkline_model::dialect::Dialect;
use trunkline_model::request::Request;
use trunkline_model::warning::Warning;

/// What ends each of the names, with the rest of the name in front: `signature`, `thoughtSignature`, `thought_signature`,
/// `encrypted_content`, `redactedContent`. Made once: every frame of an answer is searched for them.
static ENDINGS: LazyLock<[Finder<'static>; 3]> =
    LazyLock::new(|| ["ignature\"", "ncrypted_content\"", "edactedContent\""].map(Finder::new));
/// The name of redacted thoughts, whose member `data` is too common to be searched alone.
static REDACTED: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("redacted_thinking\""));
static DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"data\""));
/// Shorter texts are no state.
const SHORTEST: usize = 8;

/// Calls with each value of sealed state in a text of JSON, in order of name and place. State of another dialect is given as its
/// provider made it.
pub fn each(text: &[u8], found: &mut dyn FnMut(&str)) {
    for ending in &*ENDINGS {
        values(text, ending, found);
    }
    if REDACTED.find(text).is_some() {
        values(text, &DATA, found);
    }
}

fn values(text: &[u8], name: &Finder<'_>, found: &mut dyn FnMut(&str)) {
    for place in name.find_iter(text) {
        if let Some(value) = value(&text[place + name.needle().len()..]) {
            let unwrapped = gemini::unwrapped(&value);
            let carried = carried::unpack(unwrapped.as_deref().unwrap_or(&value));
            let value = carried.as_ref().map_or(&*value, |(opaque, _)| &*opaque.value);
            if value.len() >= SHORTEST {
                found(value);
            }
        }
    }
}

/// The string behind a name's closing quote.
fn value(rest: &[u8]) -> Option<Cow<'_, str>> {
    let rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let mut end = 0;
    loop {
        end += memchr::memchr2(b'"', b'\\', &rest[end..])?;
        if rest[end] == b'"' {
            break;
        }
        end += 2;
        if end > rest.len() {
            return None;
        }
    }
    let raw = std::str::from_utf8(&rest[..end]).ok()?;
    if !raw.contains('\\') {
        return Some(Cow::Borrowed(raw));
    }
    // Some servers escape `=` and `/` in base64.
    serde_json::from_str(&format!("\"{raw}\"")).ok().map(Cow::Owned)
}

/// Whether a refusal says that the provider cannot read state in the request, which another one made. Wording of Anthropic (also
/// on Bedrock and Vertex AI), Gemini and OpenAI.
pub(crate) fn is_refused(message: &str) -> bool {
    const WORDING: [&str; 5] = [
        "invalid `signature` in `thinking` block",
        "invalid `data` in `redacted_thinking` block",
        "thought signature is not valid",
        "corrupted thought signature",
        "encrypted content could not be verified",
    ];
    WORDING.iter().any(|words| contains_ignoring_case(message, words))
}

/// Takes out of a request the state that providers of a dialect made: another provider of it answers, which cannot read it.
pub fn strip(request: &mut Request, dialect: Dialect) -> Vec<Warning> {
    let Request::Chat(chat) = request else { return Vec::new() };
    let mut stripped = 0;
    for message in &mut chat.messages {
        message.parts.retain_mut(|part| {
            if part.opaque.as_ref().is_none_or(|opaque| opaque.origin != dialect) {
                return true;
            }
            stripped += 1;
            part.opaque = None;
            !matches!(part.content, Content::RedactedThinking)
        });
    }
    if stripped == 0 {
        return Vec::new();
    }
    let feature = match dialect {
        Dialect::Responses => "input[].encrypted_content",
        _ => "messages[] signatures",
    };
    let reason = format!("{stripped} pieces made by another provider than the one that answers now");
    vec![Warning::dropped(feature, reason)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(text: &str) -> Vec<String> {
        let mut values = Vec::new();
        each(text.as_bytes(), &mut |value| values.push(value.to_owned()));
        values
    }

    #[test]
    fn state_is_found_under_the_names_of_every_dialect() {
        for (text, expected) in [
            (r#"{"type":"signature_delta","signature":"EqQBCgIYAhIM"}"#, "EqQBCgIYAhIM"),
            (r#"{"text":"x","thoughtSignature" : "EqQBCgIYAg\u003d\u003d"}"#, "EqQBCgIYAg=="),
            (r#"{"google":{"thought_signature":"EqQBCgIYAhIM"}}"#, "EqQBCgIYAhIM"),
            (r#"{"type":"reasoning","encrypted_content":"gAAAAABo\/x"}"#, "gAAAAABo/x"),
            (r#"{"type":"redacted_thinking","data":"EqQBCgIYAhIM"}"#, "EqQBCgIYAhIM"),
            (r#"{"reasoningContent":{"redactedContent":"EqQBCgIYAhIM"}}"#, "EqQBCgIYAhIM"),
            (r#"{"signature":"trunkline:gemini:own:EqQBCgIYAhIM"}"#, "EqQBCgIYAhIM"),
            (r#"{"thoughtSignature":"dHJ1bmtsaW5lOmFudGhyb3BpYzpvd246RXFRQkNnSVlBaElN"}"#, "EqQBCgIYAhIM"),
        ] {
            assert_eq!(found(text), [expected], "{text}");
        }
        for text in [
            r#"{"type":"text","data":"EqQBCgIYAhIM"}"#,
            r#"{"signature":""}"#,
            r#"{"signature":null}"#,
            r#"{"signature":"EqQBCgIYAhIM"#,
            r#"{"text":"my signature"}"#,
            r#"{"signature":"\"#,
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn refusals_of_state_are_told_from_other_ones() {
        for message in [
            "messages.1.content.0: Invalid `signature` in `thinking` block",
            "The model returned the following errors: messages.1: Invalid `signature` in `thinking` block",
            "Thought signature is not valid at 'contents[1].parts[0]'.",
            "The encrypted content gAAA could not be verified. Reason: Encrypted content could not be verified.",
        ] {
            assert!(is_refused(message), "{message}");
        }
        assert!(!is_refused("messages.1.content.0.thinking.signature: Field required"));
        assert!(!is_refused("Function call is missing a thought_signature in functionCall parts."));
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in ".{0,60}", value in "[A-Za-z0-9+/]{8,40}={0,2}") {
            found(&text);
            found(&format!("{{\"signature\":\"{text}"));
            let text = serde_json::to_string(&text).unwrap();
            let framed = format!("{{\"text\":{text},\"signature\":\"{value}\"}}");
            prop_assert!(found(&framed).contains(&value));
        }
    }
}
