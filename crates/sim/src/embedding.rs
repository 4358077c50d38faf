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
