//! How much two answers agree.
//!
//! Owns the measure. Exact wherever an answer has a form: the same tool calls, the same JSON value (a fence or prose around it does
//! not count), the same number, the same words, the same verdict (a text that begins with yes or no), the same stated result.
//! Otherwise near meaning, by the static embedding, which tells topics apart and not one claim from its opposite: two texts without
//! such a form can be called alike and say the contrary. Must not ask for samples itself.

use super::answer::Answer;
use super::repair::repaired;
use serde_json::Value;
use trunkline_embed::Embedder;

/// Texts up to this many words agree only when they are the same words, or the same number.
const SHORT: usize = 4;
/// Words that state a verdict, by what they mean.
const VERDICTS: [(&str, bool); 8] = [
    ("yes", true),
    ("no", false),
    ("true", true),
    ("false", false),
    ("correct", true),
    ("incorrect", false),
    ("right", true),
    ("wrong", false),
];
/// Words before a stated result.
const RESULTS: [&str; 4] = ["answer", "result", "total", "therefore"];
/// Words between them and the result at the most.
const REACH: usize = 8;

/// The mean similarity of further samples with the first, 0 to 1; `None` without further samples.
#[must_use]
pub fn agreement(first: &Answer, others: &[Answer]) -> Option<f64> {
    let mut embedder = Embedder::bundled();
    let sum: f64 = others.iter().map(|other| similarity(first, other, &mut embedder)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a handful of samples")]
    let count = others.len() as f64;
    (!others.is_empty()).then(|| sum / count)
}

/// The similarity of two answers, 0 to 1.
#[must_use]
pub fn similarity(one: &Answer, other: &Answer, embedder: &mut Embedder<'_>) -> f64 {
    if one.calls.len() != other.calls.len() {
        return 0.0;
    }
    if !one.calls.is_empty() {
        let same = one.calls.iter().zip(&other.calls).all(|(one, other)| {
            one.name == other.name && same_json(&one.arguments, &other.arguments).unwrap_or(false)
        });
        return f64::from(u8::from(same));
    }
    match same_form(&one.text, &other.text) {
        Some(same) => f64::from(u8::from(same)),
        None => likeness(&one.text, &other.text, embedder),
    }
}

/// Whether two texts say the same, where their form tells; `None` where only their meaning could.
fn same_form(one: &str, other: &str) -> Option<bool> {
    if let Some(same) = same_json(one, other) {
        return Some(same);
    }
    let (left, right) = (words(one), words(other));
    if left == right {
        return Some(true);
    }
    if left.len() <= SHORT && right.len() <= SHORT {
        return Some(match (only_number(&left), only_number(&right)) {
            (Some(left), Some(right)) => is_same_number(left, right),
            _ => false,
        });
    }
    if let (Some(left), Some(right)) = (verdict(&left), verdict(&right))
        && left != right
    {
        return Some(false);
    }
    let (left_result, right_result) = (result(&left), result(&right));
    // A bare number beside a text is that text's result or another.
    let left_result = left_result.or_else(|| only_number(&left));
    let right_result = right_result.or_else(|| only_number(&right));
    match (left_result, right_result) {
        (Some(left), Some(right)) => Some(is_same_number(left, right)),
        _ if left.len() <= SHORT || right.len() <= SHORT => {
            Some(verdict(&left).is_some() && verdict(&left) == verdict(&right))
        }
        _ => None,
    }
}

fn likeness(one: &str, other: &str, embedder: &mut Embedder<'_>) -> f64 {
    let left = embedder.embed(one);
    let right = embedder.embed(other);
    let cosine: f32 = left.iter().zip(&right).map(|(left, right)| left * right).sum();
    f64::from(cosine.clamp(0.0, 1.0))
}

/// Whether two texts are the same JSON, with or without something around it; `None` unless both are objects or arrays.
fn same_json(one: &str, other: &str) -> Option<bool> {
    let read = |text: &str| {
        serde_json::from_str::<Value>(text).ok().filter(|value| value.is_object() || value.is_array())
    };
    // Brackets in prose are no value that a text is about, unless the other text is one.
    let (bare_one, bare_other) = (read(one), read(other));
    if bare_one.is_none() && bare_other.is_none() && !(is_fenced(one) && is_fenced(other)) {
        return None;
    }
    let inner = |bare: Option<Value>, text: &str| bare.or_else(|| repaired(text).and_then(read));
    Some(inner(bare_one, one)? == inner(bare_other, other)?)
}

fn is_fenced(text: &str) -> bool {
    text.trim_start().starts_with("```")
}

fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric() && !matches!(letter, '-' | '.' | ',' | '%'))
        .map(|word| word.trim_matches(['.', ',']))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The number of a text that has one and hardly anything else.
fn only_number(words: &[String]) -> Option<f64> {
    let mut numbers = words.iter().filter_map(|word| number(word));
    let first = numbers.next().filter(|_| words.len() <= SHORT)?;
    numbers.next().is_none().then_some(first)
}

/// A number as people write it: `1,200.50`, `-3`, `12%`.
fn number(word: &str) -> Option<f64> {
    let digits = word.trim_end_matches('%');
    if !digits.trim_start_matches('-').starts_with(|letter: char| letter.is_ascii_digit()) {
        return None;
    }
    digits.replace(',', "").parse().ok()
}

fn is_same_number(one: f64, other: f64) -> bool {
    (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1.0)
}

/// What a text begins with, where that is a yes or a no.
fn verdict(words: &[String]) -> Option<bool> {
    let first = words.first()?;
    VERDICTS.iter().find(|(word, _)| word == first).map(|(_, means)| *means)
}

/// The number that a text states as its result: the one after the last word such as `answer`.
fn result(words: &[String]) -> Option<f64> {
    let at = words.iter().rposition(|word| RESULTS.contains(&word.as_str()))?;
    words[at..].iter().take(REACH).filter_map(|word| number(word)).next_back()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn said(text: &str) -> Answer {
        Answer { text: text.to_owned(), ..Answer::default() }
    }

    fn like(one: &str, other: &str) -> f64 {
        similarity(&said(one), &said(other), &mut Embedder::bundled())
    }

    #[test]
    fn what_has_a_form_is_compared_by_it() {
        let same = [
            ("Yes.", "yes"),
            ("{\"a\":1,\"b\":2}", "{ \"b\": 2, \"a\": 1 }"),
            ("{\"a\":[1]}", "```json\n{\"a\": [1]}\n```"),
            ("```json\n{\"a\":1}\n```", "```\n{ \"a\": 1 }\n```"),
            ("42", "42.0"),
            ("$1,200", "1200"),
            ("The parcels weigh 3 and 4 kg, so the answer is 7.", "Adding both weights gives a total of 7."),
            ("It is 7 minus 2 times 1, therefore 5", "5"),
            ("Yes", "Yes, the warranty covers it for two years from the day of delivery."),
        ];
        for (one, other) in same {
            assert!((like(one, other) - 1.0).abs() < 1e-9, "{one} | {other}");
            assert!((like(other, one) - 1.0).abs() < 1e-9, "{other} | {one}");
        }
        let different = [
            ("Yes.", "No."),
            ("{\"a\":1}", "{\"a\":2}"),
            ("{\"a\":1}", "```json\n{\"a\": 2}\n```"),
            ("42", "43"),
            ("Paris", "London"),
            (
                "The parcels weigh 3 and 4 kg, so the answer is 7.",
                "The parcels weigh 3 and 4 kg, so the answer is 8.",
            ),
            (
                "Yes, the warranty covers it for two years from the day of delivery.",
                "No, the warranty does not cover it for two years from the day of delivery.",
            ),
        ];
        for (one, other) in different {
            assert!(like(one, other) < 1e-9, "{one} | {other}");
            assert!(like(other, one) < 1e-9, "{other} | {one}");
        }
    }

    #[test]
    fn the_rest_is_compared_by_meaning() {
        let near = like("The capital of France is Paris.", "Paris is the capital city of France.");
        let far = like("The capital of France is Paris.", "Boil the eggs for seven minutes in water.");
        assert!(near > 0.8 && far < 0.4, "{near} {far}");
    }

    #[test]
    fn the_mean_is_over_the_further_samples() {
        let first = said("Paris");
        assert_eq!(agreement(&first, &[]), None);
        let half = agreement(&first, &[said("Paris"), said("London")]).unwrap();
        assert!((half - 0.5).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn an_answer_is_like_itself_and_likeness_goes_both_ways(one in "\\PC{0,60}", other in "\\PC{0,60}") {
            prop_assert!(like(&one, &one) > 0.999 || words(&one).is_empty());
            let (there, back) = (like(&one, &other), like(&other, &one));
            prop_assert!((there - back).abs() < 1e-6 && (0.0..=1.0).contains(&there));
        }
    }
}
