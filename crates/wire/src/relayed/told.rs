//! What an answer of any protocol tells of its cost, read from a piece of it.
//!
//! Owns finding `usage` and `model` in bytes whose protocol nobody has said. Must not be used where the protocol is known: a guess
//! by shape is less than a reading. Inside strings the quotes would be escaped, so a look at the bytes finds members only.

use super::usage;
use crate::scan::reader::Reader;
use memchr::memmem;
use serde::Deserialize;
use trunkline_model::dialect::Operation;
use trunkline_model::usage::Usage;

/// The longest name of a model.
const LONGEST_MODEL: usize = 200;

/// Anthropic's counts, which do not overlap (its Messages API, `Usage`).
#[derive(Deserialize)]
struct Disjoint {
    #[serde(default)]
    input_tokens: u64,
    #[serde(default)]
    output_tokens: u64,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

/// Gemini's counts (`UsageMetadata`).
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    prompt_token_count: u64,
    #[serde(default)]
    cached_content_token_count: u64,
    #[serde(default)]
    candidates_token_count: u64,
    #[serde(default)]
    thoughts_token_count: u64,
}

/// The last usage that the end of an answer tells.
#[must_use]
pub fn usage_told(tail: &[u8]) -> Option<Usage> {
    if let Some(json) = last_object(tail, b"\"usageMetadata\"") {
        let told: Metadata = serde_json::from_str(json).ok()?;
        let made = told.candidates_token_count.saturating_add(told.thoughts_token_count);
        return Some(Usage::from_inclusive(
            told.prompt_token_count,
            told.cached_content_token_count,
            made,
            told.thoughts_token_count,
        ));
    }
    let json = last_object(tail, b"\"usage\"")?;
    match serde_json::from_str::<Disjoint>(json) {
        Ok(told) if told.cache_read_input_tokens.is_some() || told.cache_creation_input_tokens.is_some() => {
            Some(Usage {
                input: told.input_tokens,
                cache_read: told.cache_read_input_tokens.unwrap_or(0),
                cache_write: told.cache_creation_input_tokens.unwrap_or(0),
                output: told.output_tokens,
                ..Usage::default()
            })
        }
        _ => usage::read(Operation::Chat, json),
    }
}

/// The model that the beginning of an answer names.
#[must_use]
pub fn model_told(head: &[u8]) -> Option<String> {
    let at = memmem::find(head, b"\"model\"")?;
    let rest = std::str::from_utf8(&head[at + b"\"model\"".len()..]).ok().or_else(|| {
        // The piece may end inside of a character.
        let rest = &head[at + b"\"model\"".len()..];
        std::str::from_utf8(&rest[..rest.len().min(LONGEST_MODEL + 16)]).ok()
    })?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let name = &rest[..rest.find('"')?];
    (!name.is_empty() && name.len() <= LONGEST_MODEL && !name.contains('\\')).then(|| name.to_owned())
}

fn last_object<'a>(tail: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let mut end = tail.len();
    while let Some(at) = memmem::rfind(&tail[..end], name) {
        end = at;
        let rest = tail[at + name.len()..].trim_ascii_start();
        let Some(rest) = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start) else { continue };
        if rest.first() != Some(&b'{') {
            continue;
        }
        let rest = match std::str::from_utf8(rest) {
            Ok(rest) => rest,
            Err(error) => std::str::from_utf8(&rest[..error.valid_up_to()]).ok()?,
        };
        if let Ok(object) = Reader::new(rest).skip() {
            return Some(object);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn usage_of_every_protocol_is_found() {
        for (tail, expected) in [
            (
                r#"x"},"usage":{"prompt_tokens":10,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":4}}}"#,
                Usage { input: 6, cache_read: 4, output: 5, ..Usage::default() },
            ),
            (
                "data: {\"type\":\"message_delta\",\"usage\":{\"input_tokens\":10,\"cache_read_input_tokens\":4,\"output_tokens\":5}}\n\ndata: {\"type\":\"message_stop\"}\n\n",
                Usage { input: 10, cache_read: 4, output: 5, ..Usage::default() },
            ),
            (
                r#""usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 5, "thoughtsTokenCount": 2, "totalTokenCount": 17}}]"#,
                Usage { input: 10, output: 5, reasoning: 2, ..Usage::default() },
            ),
            (
                r#"{"usage":{"prompt_tokens":1}}{"usage":null,"text":"\"usage\":{"}"#,
                Usage { input: 1, ..Usage::default() },
            ),
        ] {
            assert_eq!(usage_told(tail.as_bytes()), Some(expected), "{tail}");
        }
        for tail in ["", r#"{"usage":{}}"#, r#"{"usage":{"prompt_tok"#, r#"{"usage":3}"#] {
            assert_eq!(usage_told(tail.as_bytes()), None, "{tail}");
        }
    }

    #[test]
    fn the_model_is_found() {
        assert_eq!(model_told(br#"{"id":"a","model" : "gpt-5","x":"#).as_deref(), Some("gpt-5"));
        assert_eq!(model_told(br#"{"model":"gpt"#), None);
        assert_eq!(model_told(b"\xff\xfe"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let piece = [b"\"usage\":{".as_slice(), &bytes, b"\"model\":\"".as_slice(), &bytes].concat();
            // Whatever is found, it is no more than what stands there.
            prop_assert!(model_told(&piece).is_none_or(|name| name.len() <= LONGEST_MODEL));
            prop_assert!(usage_told(&piece).is_none_or(|usage| usage.searches == 0));
        }
    }
}
