//! How much two answers agree.
//!
//! Owns the measure: the same tool calls or JSON value, the same text, or near meaning. Must not ask for samples itself.
//! Meaning is compared by the static embedding, which tells topics apart and not a `yes` from a `no`; that is why short texts
//! must be equal.

use super::answer::Answer;
use serde_json::Value;
use trunkline_embed::Embedder;

/// Texts up to this many words agree only when they are the same words.
const SHORT: usize = 4;

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
    if let Some(same) = same_json(&one.text, &other.text) {
        return f64::from(u8::from(same));
    }
    let (left, right) = (words(&one.text), words(&other.text));
    if left == right {
        return 1.0;
    }
    if left.len() <= SHORT || right.len() <= SHORT {
        return 0.0;
    }
    let left = embedder.embed(&one.text);
    let right = embedder.embed(&other.text);
    let cosine: f32 = left.iter().zip(&right).map(|(left, right)| left * right).sum();
    f64::from(cosine.clamp(0.0, 1.0))
}

/// Whether two texts are the same JSON; `None` unless both are objects or arrays.
fn same_json(one: &str, other: &str) -> Option<bool> {
    let value = |text: &str| {
        serde_json::from_str::<Value>(text).ok().filter(|value| value.is_object() || value.is_array())
    };
    Some(value(one)? == value(other)?)
}

fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric() && letter != '-')
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Answer {
        Answer { text: text.to_owned(), ..Answer::default() }
    }

    #[test]
    fn equal_values_agree_and_different_short_answers_do_not() {
        let mut embedder = Embedder::bundled();
        let mut like = |one: &str, other: &str| similarity(&said(one), &said(other), &mut embedder);
        assert!((like("Yes.", "yes") - 1.0).abs() < 1e-9);
        assert!(like("Yes.", "No.") < 1e-9);
        assert!((like("{\"a\":1,\"b\":2}", "{ \"b\": 2, \"a\": 1 }") - 1.0).abs() < 1e-9);
        assert!(like("{\"a\":1}", "{\"a\":2}") < 1e-9);
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
}
