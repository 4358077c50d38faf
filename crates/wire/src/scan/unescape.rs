//! Escapes in strings, resolved.
//!
//! Owns what a backslash and the letters after it stand for. Must not check: the reader has. Long prompts are mostly plain letters
//! with an escape here and there, so that moving them in steps of fixed size beats a search and an exact copy for each.

use super::reader::Escapes;
use super::specials::STEP;
use memchr::memmem;
use std::borrow::Cow;
use wide::u8x16;

/// Resolves escapes already checked by the reader.
pub(crate) fn unescape(raw: &str) -> String {
    // Of letters only, most prompts can be moved in steps of fixed size; that the result is text is then seen just as fast.
    if raw.len() >= 2 * STEP && raw.is_ascii() { unescape_ascii(raw) } else { unescape_runs(raw) }
}

/// As `unescape`, of the inside of a string with these escapes; `None` where it holds half a surrogate pair.
pub(crate) fn exact(raw: &str, escapes: Escapes) -> Option<Cow<'_, str>> {
    if escapes == Escapes::None {
        return Some(Cow::Borrowed(raw));
    }
    let text = unescape(raw);
    // What stands for half a pair may have been said as itself: the strict reader tells.
    if escapes == Escapes::Numbers && memmem::find(text.as_bytes(), "\u{fffd}".as_bytes()).is_some() {
        return serde_json::from_str::<String>(&format!("\"{raw}\"")).ok().map(Cow::Owned);
    }
    Some(Cow::Owned(text))
}

/// Each step is moved whole and then counted up to its first escape: two instructions where a copy of exact length is a call.
fn unescape_ascii(raw: &str) -> String {
    let bytes = raw.as_bytes();
    // No escape is shorter than what it stands for.
    let mut out = vec![0; bytes.len() + STEP];
    let (mut from, mut to) = (0, 0);
    while let Some(step) = bytes[from..].first_chunk::<STEP>() {
        out[to..to + STEP].copy_from_slice(step);
        let escapes = u8x16::new(*step).simd_eq(u8x16::splat(b'\\')).to_bitmask();
        if escapes == 0 {
            (from, to) = (from + STEP, to + STEP);
            continue;
        }
        let plain = escapes.trailing_zeros() as usize;
        (from, to) = (from + plain, to + plain);
        let letter = bytes.get(from + 1).map_or(0, |letter| MEANT[usize::from(*letter)]);
        if letter != 0 {
            out[to] = letter;
            (from, to) = (from + 2, to + 1);
        } else {
            let (character, length) = escaped_character(&raw[from + 1..]);
            from += 1 + length;
            to += character.encode_utf8(&mut out[to..]).len();
        }
    }
    out.truncate(to);
    let mut text = String::from_utf8(out).expect("letters, and whole characters for escapes, are text");
    push_unescaped(&mut text, &raw[from..]);
    text
}

/// What a letter after a backslash stands for, where that is one byte.
const MEANT: [u8; 128] = {
    let mut table = [0; 128];
    let (letters, meant) = (b"\"\\/bfnrt", b"\"\\/\x08\x0c\n\r\t");
    let mut index = 0;
    while index < letters.len() {
        table[letters[index] as usize] = meant[index];
        index += 1;
    }
    table
};

fn unescape_runs(raw: &str) -> String {
    let mut text = String::with_capacity(raw.len());
    push_unescaped(&mut text, raw);
    text
}

fn push_unescaped(text: &mut String, raw: &str) {
    let mut rest = raw;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let (character, length) = escaped_character(rest);
        text.push(character);
        rest = rest.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
}

/// What the letters after a backslash stand for, and how many they are.
fn escaped_character(rest: &str) -> (char, usize) {
    match rest.as_bytes().first().copied().unwrap_or(b'\\') {
        b'n' => ('\n', 1),
        b'b' => ('\u{8}', 1),
        b'f' => ('\u{c}', 1),
        b'r' => ('\r', 1),
        b't' => ('\t', 1),
        b'u' => {
            let (character, length) = unicode_escape(rest.get(1..).unwrap_or_default());
            (character, length + 1)
        }
        other => (char::from(other), 1),
    }
}

/// The character of the four digits at the start (and of the low surrogate that may follow), and how long it is.
fn unicode_escape(rest: &str) -> (char, usize) {
    let unit = |at: usize| rest.get(at..at + 4).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let Some(first) = unit(0) else { return (char::REPLACEMENT_CHARACTER, 0) };
    if let Some(character) = char::from_u32(first) {
        return (character, 4);
    }
    if first < 0xdc00
        && rest.get(4..6) == Some("\\u")
        && let Some(second @ 0xdc00..=0xdfff) = unit(6)
    {
        let scalar = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER), 10);
    }
    (char::REPLACEMENT_CHARACTER, 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn long_texts_resolve_as_serde_does(pieces in proptest::collection::vec(("[a-z]{0,40}", "\\\\(n|\"|\\\\|/|u00e9|u6f22|ud83d\\\\ude00)|"), 0..12), end in "[a-zé]{0,20}") {
            let raw: String = pieces.iter().flat_map(|(plain, escape)| [plain.as_str(), escape]).chain([end.as_str()]).collect();
            let expected: String = serde_json::from_str(&format!("\"{raw}\"")).unwrap();
            prop_assert_eq!(unescape(&raw), expected);
        }
    }
}
