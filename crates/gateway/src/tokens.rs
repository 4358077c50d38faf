//! Tokens of a text of which only the beginning is at hand.
//!
//! Owns the step from an excerpt to the whole: as many tokens a byte as its beginning has. Must not decide when an estimate is wanted.
//! It runs where a provider gave no usage or an answer was cut, never on the way of an answer.

use bytes::Bytes;
use std::borrow::Cow;
use trunkline_model::excerpt::Excerpt;
use trunkline_model::usage::Usage;
use trunkline_wire::codec::Envelope;

/// Bytes of a token where nothing of the text was kept.
const TOKEN: u64 = 4;

/// What is kept of a prompt for an estimate of its tokens.
#[derive(Clone, Debug, Default)]
pub(crate) struct Prompt {
    /// Bytes of its text.
    bytes: u64,
    /// How its longest text begins.
    beginning: Excerpt,
}

impl Prompt {
    /// What is kept of a request's; nothing where its text has no long string.
    #[must_use]
    pub(crate) fn of(envelope: &Envelope, body: &Bytes) -> Option<Self> {
        let beginning = envelope.strings.longest(body)?;
        Some(Self { bytes: envelope.shape.text_bytes, beginning })
    }

    /// What a call takes in, from what it was taken for before anybody looked at the text.
    #[must_use]
    pub(crate) fn usage(&self, estimated: Usage) -> Usage {
        if self.beginning.as_str().is_empty() {
            return estimated;
        }
        let none = Excerpt::default();
        let others = estimated.input.saturating_sub(of(self.bytes, &none));
        Usage { input: others.saturating_add(of(self.bytes, &self.beginning)), ..estimated }
    }
}

/// Tokens of a text of this many bytes that begins like this, both as they stand in JSON.
#[must_use]
pub(crate) fn of(bytes: u64, beginning: &Excerpt) -> u64 {
    let kept = beginning.as_str();
    if kept.is_empty() {
        return bytes.div_ceil(TOKEN);
    }
    let tokens = u128::from(trunkline_embed::tokens(&unescaped(kept)));
    let scaled = (tokens * u128::from(bytes)).div_ceil(kept.len() as u128);
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

/// What JSON's escapes stand for. One that the end cut in two is left out.
fn unescaped(text: &str) -> Cow<'_, str> {
    if !text.contains('\\') {
        return Cow::Borrowed(text);
    }
    let (mut out, mut letters) = (String::with_capacity(text.len()), text.chars());
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            out.push(letter);
            continue;
        }
        match letters.next() {
            Some('n' | 'r') => out.push('\n'),
            Some('t' | 'b' | 'f') => out.push(' '),
            Some('u') => {
                let digits = letters.as_str();
                let Some(code) = digits.get(..4).and_then(|code| u32::from_str_radix(code, 16).ok()) else {
                    continue;
                };
                letters = digits[4..].chars();
                // Half of a pair stands for a pictograph, the half that follows for nothing.
                let is_first_half = (0xd800..0xdc00).contains(&code);
                out.extend(if is_first_half { Some('\u{1f600}') } else { char::from_u32(code) });
            }
            Some(letter) => out.push(letter),
            None => {}
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn escapes_are_read_as_what_they_stand_for() {
        for (escaped, plain) in [
            (r#"a \"b\" c"#, "a \"b\" c"),
            (r"one\ntwo\tthree\\four", "one\ntwo three\\four"),
            (r"gr\u00fc\u00dfe", "grüße"),
            (r"\ud83c\udf89!", "\u{1f600}!"),
            (r"cut \u00", "cut 00"),
            ("cut \\", "cut "),
            ("plain", "plain"),
        ] {
            assert_eq!(unescaped(escaped), plain, "{escaped}");
        }
    }

    #[test]
    fn a_text_has_as_many_tokens_a_byte_as_its_beginning() {
        let sentence = "The committee met on Tuesday to discuss the proposed changes. ";
        let whole = sentence.repeat(100);
        let estimate = of(whole.len() as u64, &whole.as_str().into());
        let of_sentence = trunkline_embed::tokens(sentence);
        assert!((of_sentence * 95..=of_sentence * 105).contains(&estimate), "{estimate}");
        assert_eq!(of(400, &Excerpt::default()), 100);
        assert_eq!(of(0, &Excerpt::default()), 0);
    }

    proptest! {
        #[test]
        fn whatever_was_kept_gives_an_estimate(text in "\\PC{0,40}(\\\\[nu\"\\\\d08]{0,3}\\PC{0,9}){0,6}", more in 0..1_000_000_u64) {
            let excerpt = Excerpt::from(text.as_str());
            let bytes = text.len() as u64 + more;
            prop_assert!(of(bytes, &excerpt) <= bytes.saturating_mul(2) + 1);
        }
    }
}
