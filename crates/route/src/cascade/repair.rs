//! Taking away what surrounds a JSON value.
//!
//! Owns finding the one JSON value in a text: models put it in a fence of backticks, or explain it first. Must not change the
//! value itself: what is inside is the model's own.

use serde_json::Value;

/// So many places are tried before a text is given up: a long essay full of brackets is no near miss.
const MOST_STARTS: usize = 64;

/// The JSON object or array inside a text, without what stands around it; `None` when there is none, or nothing stands
/// around it.
#[must_use]
pub fn repaired(text: &str) -> Option<&str> {
    let trimmed = text.trim();
    let starts = trimmed.char_indices().filter(|(_, letter)| matches!(letter, '{' | '['));
    for (start, _) in starts.take(MOST_STARTS) {
        let rest = &trimmed[start..];
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        if let Some(Ok(Value::Object(_) | Value::Array(_))) = values.next() {
            let value = &rest[..values.byte_offset()];
            // Brackets in prose, `[1]` for a footnote, are not what a text is about.
            return (value.len() > 3 && value.len() < text.len()).then_some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fences_and_prose_are_taken_away() {
        assert_eq!(repaired("```json\n{\"a\": [1]}\n```"), Some("{\"a\": [1]}"));
        assert_eq!(repaired("Sure! Here it is: [1, 2, 3]. Enjoy."), Some("[1, 2, 3]"));
        assert_eq!(repaired("{\"a\": 1}"), None);
        assert_eq!(repaired("no JSON here {at all}"), None);
        assert_eq!(repaired("{\"a\": 1"), None);
    }

    proptest! {
        #[test]
        fn what_comes_out_is_json_of_the_text(text in ".{0,80}", inner in "[a-z]{1,8}") {
            let whole = format!("{text}{{\"{inner}\": 1}}{text}");
            if let Some(value) = repaired(&whole) {
                prop_assert!(whole.contains(value));
                prop_assert!(serde_json::from_str::<Value>(value).is_ok());
            }
        }
    }
}
