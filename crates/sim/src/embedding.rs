//! Embedding vectors: a hashed bag of words, so that texts with words in common lie close together.
//!
//! Owns the arithmetic; deterministic, and of unit length like the vendors' vectors.

use crate::chance::{Chance, fingerprint};

/// The vector of `text`.
pub(crate) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let mut sum = vec![0.0_f32; dimensions];
    let lower = text.to_lowercase();
    let words = lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    let mut any = false;
    for word in words {
        add(&mut sum, word);
        any = true;
    }
    if !any {
        add(&mut sum, text);
    }
    let length = sum.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    sum.iter().map(|number| number / length).collect()
}

fn add(sum: &mut [f32], word: &str) {
    let mut chance = Chance::new(fingerprint(0, word.as_bytes()));
    for number in sum {
        *number += (chance.unit() - 0.5) as f32;
    }
}

/// Documents by relevance, the most relevant first: index and score between 0 and 1.
pub(crate) fn ranked(query: &str, texts: &[&str], top: Option<u64>) -> Vec<(usize, f64)> {
    let wanted = vector(query, 256);
    let similar = |text: &str| -> f64 {
        let found = vector(text, 256);
        let dot: f64 =
            wanted.iter().zip(&found).map(|(one, other)| f64::from(*one) * f64::from(*other)).sum();
        (dot.clamp(0.0, 1.0) * 1e6).round() / 1e6
    };
    let mut scores: Vec<(usize, f64)> = texts.iter().map(|text| similar(text)).enumerate().collect();
    scores.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    scores.truncate(top.map_or(usize::MAX, |top| top as usize));
    scores
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_have_unit_length_and_kinship() {
        let dot = |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(a, b)| a * b).sum::<f32>();
        let refund = vector("I want a refund for my order", 256);
        let other = vector("please refund the order", 256);
        let poem = vector("write poems about winter nights", 256);
        assert!((dot(&refund, &refund) - 1.0).abs() < 1e-4);
        assert!(dot(&refund, &other) > dot(&refund, &poem) + 0.2);
        assert_eq!(vector("", 4).len(), 4);
    }
}
