//! What a token is to a simulator.
//!
//! Owns one rule, used for every count and every streamed piece: a token is the white space in front of a run of at
//! most four other characters, together with that run; white space at the end of a text is a token of its own. It is
//! about right for English (four characters to a token) and, unlike a real tokenizer, can be checked by eye.

/// The longest run of characters other than white space in one token.
const RUN: usize = 4;

/// The tokens of `text`, in order; joined they are `text` again.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (token, tail) = rest.split_at(token_length(rest));
        rest = tail;
        Some(token)
    })
}

/// How many tokens `text` has.
pub(crate) fn count(text: &str) -> u64 {
    split(text).count() as u64
}

/// The longest prefix of `text` of at most `limit` tokens.
pub(crate) fn truncate(text: &str, limit: u64) -> &str {
    let length = split(text).take(usize::try_from(limit).unwrap_or(usize::MAX)).map(str::len).sum();
    &text[..length]
}

/// `text` in pieces of `tokens` tokens each.
pub(crate) fn pieces(text: &str, tokens: usize) -> impl Iterator<Item = (&str, u64)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (mut length, mut number) = (0, 0);
        for token in split(rest).take(tokens.max(1)) {
            length += token.len();
            number += 1;
        }
        let (piece, tail) = rest.split_at(length);
        rest = tail;
        Some((piece, number))
    })
}

fn token_length(text: &str) -> usize {
    let mut run = 0;
    for (index, character) in text.char_indices() {
        if character.is_whitespace() {
            if run > 0 {
                return index;
            }
        } else {
            run += 1;
            if run > RUN {
                return index;
            }
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn words_are_cut_after_four_characters() {
        assert_eq!(split("Hello big  world ").collect::<Vec<_>>(), ["Hell", "o", " big", "  worl", "d", " "]);
        assert_eq!(count(""), 0);
        assert_eq!(truncate("Hello world", 2), "Hello");
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_text_and_add_up(text in ".{0,80}", size in 1_usize..5) {
            prop_assert_eq!(&split(&text).collect::<String>(), &text);
            let parts: Vec<_> = pieces(&text, size).collect();
            prop_assert_eq!(&parts.iter().map(|part| part.0).collect::<String>(), &text);
            prop_assert_eq!(parts.iter().map(|part| part.1).sum::<u64>(), count(&text));
        }
    }
}
