//! From logits to probabilities and to how sure they are.
//!
//! Owns three formulas, written so that no exponential overflows.

/// The position of the largest logit and that of the second; the same when there is one only.
pub(super) fn two_largest(logits: &[f32]) -> (usize, usize) {
    let (mut first, mut second) = (0, 0);
    for (position, logit) in logits.iter().enumerate().skip(1) {
        if *logit > logits[first] {
            second = first;
            first = position;
        } else if second == first || *logit > logits[second] {
            second = position;
        }
    }
    (first, second)
}

/// Logits to probabilities, in place.
pub(super) fn softmax(logits: &mut [f32]) {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut sum = 0.0;
    for logit in logits.iter_mut() {
        *logit = (*logit - largest).exp();
        sum += *logit;
    }
    let factor = sum.recip();
    logits.iter_mut().for_each(|value| *value *= factor);
}

/// The logarithm of the odds of one position against all others, at a temperature.
pub(super) fn log_odds(logits: &[f32], position: usize, temperature: f32) -> f32 {
    let chosen = logits[position];
    let others: f32 = logits
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != position)
        .map(|(_, logit)| ((logit - chosen) / temperature).exp())
        .sum();
    -others.max(f32::MIN_POSITIVE).ln()
}

/// The logarithm of a position's probability at a temperature.
pub(super) fn log_probability(logits: &[f32], position: usize, temperature: f32) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| ((logit - largest) / temperature).exp()).sum();
    (logits[position] - largest) / temperature - sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_agree_with_each_other() {
        let logits = [1.0, 4.0, 2.5];
        assert_eq!(two_largest(&logits), (1, 2));
        assert_eq!(two_largest(&[3.0, 1.0, 2.0]), (0, 2));
        assert_eq!(two_largest(&[3.0]), (0, 0));
        let mut probabilities = logits;
        softmax(&mut probabilities);
        assert!((probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((log_probability(&logits, 1, 1.0) - probabilities[1].ln()).abs() < 1e-5);
        let odds = probabilities[1] / (1.0 - probabilities[1]);
        assert!((log_odds(&logits, 1, 1.0) - odds.ln()).abs() < 1e-4);
        let mut far = [1e4, -1e4];
        softmax(&mut far);
        assert_eq!(far, [1.0, 0.0]);
        assert!(log_odds(&[1e4, -1e4], 0, 1.0).is_finite());
    }
}
