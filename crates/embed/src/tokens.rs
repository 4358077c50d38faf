//! How many tokens a text has, about.
//!
//! Owns the estimate for calls whose provider does not say. Every provider has a tokenizer of its own and most do not publish it,
//! so this is none of theirs: the bundled one for Latin letters, digits and punctuation, and a rate by the script for others, of
//! which its vocabulary knows single letters only. `tests/golden/tokens.tsv` holds what two published tokenizers (OpenAI's `o200k_base`
//! and `cl100k_base`) make of texts of many kinds, and how far off this may be. Must not know who asks.

use crate::tokenizer::Tokenizer;

/// Tokens of a text.
///
/// In time it is linear in the text; it is meant for excerpts.
#[must_use]
pub fn tokens(text: &str) -> u64 {
    let is_latin = |character: char| character < '\u{250}' || matches!(character, '\u{2000}'..='\u{206f}');
    let mut spelt = String::with_capacity(text.len());
    let mut run = 0;
    for character in text.chars().map(|character| if is_latin(character) { character } else { ' ' }) {
        run = if character.is_alphanumeric() { run + 1 } else { 0 };
        // The tokenizer gives up on words that are longer than any word is; those are keys, sums and bytes, and not one token.
        if run > LONGEST_RUN {
            spelt.push(' ');
            run = 1;
        }
        spelt.push(character);
    }
    // Lines are told apart by tokenizers of models that write them; the bundled one drops all white space.
    let lines = text.matches('\n').count() as f64;
    let others: f64 = text.chars().filter(|character| !is_latin(*character)).map(rate).sum();
    let pieces = Tokenizer::bundled().encode(&spelt).len() as f64;
    // An excerpt has fewer than 2^52 of them.
    (pieces + others + lines * PER_LINE).ceil() as u64
}

/// Letters and digits in a row that are spelt as one word.
const LONGEST_RUN: usize = 48;

/// Tokens of a line's end: often a part of the token before it or of the indentation after it.
const PER_LINE: f64 = 0.25;

/// Tokens of a character beyond the Latin script.
const fn rate(character: char) -> f64 {
    match character {
        // Ideographs, kana and what goes with them.
        '\u{2e80}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}' => 0.9,
        // Hangul.
        '\u{ac00}'..='\u{d7af}' | '\u{1100}'..='\u{11ff}' => 0.75,
        // Pictographs, and planes beyond the first.
        '\u{2600}'..='\u{27bf}' | '\u{10000}'.. => 1.5,
        // The Indian alphabets.
        '\u{900}'..='\u{dff}' => 0.6,
        // Other alphabets: Greek, Cyrillic, Hebrew, Arabic.
        _ => 0.4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_word_is_not_one_token() {
        let bytes = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk".repeat(40);
        let counted = tokens(&bytes);
        // Published tokenizers take one and a half to three letters of such text at a time.
        let (least, most) = (bytes.len() as u64 / 4, bytes.len() as u64);
        assert!((least..most).contains(&counted), "{counted} of {}", bytes.len());
        assert!(tokens(&"a".repeat(1_000)) > 50);
    }

    #[test]
    fn it_lies_about_where_published_tokenizers_do() {
        let mut kinds = 0;
        for line in include_str!("../tests/golden/tokens.tsv").lines().filter(|line| !line.starts_with('#')) {
            let [kind, newer, older, text] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let text: String = serde_json::from_str(text).expect("a text");
            let counts = [newer, older].map(|count| count.parse::<f64>().expect("a count"));
            let (least, most) = (counts[0].min(counts[1]) * 0.75, counts[0].max(counts[1]) * 1.3);
            let estimate = tokens(&text) as f64;
            assert!((least..=most).contains(&estimate), "{kind}: {estimate} is not in {least}..={most}");
            kinds += 1;
        }
        assert_eq!(kinds, 18);
        assert_eq!(tokens(""), 0);
    }

    proptest! {
        #[test]
        fn a_text_has_a_token_at_least_and_no_more_than_bytes(text in "\\PC{1,300}") {
            let estimate = tokens(&text);
            prop_assert!(estimate <= text.len() as u64 + 1, "{estimate}");
            prop_assert!(estimate >= 1 || text.trim().is_empty());
        }
    }
}
