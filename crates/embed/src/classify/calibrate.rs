//! What held-out examples say of a head: how sure it may be, and what belongs.
//!
//! Owns cross-fitting, the temperature and the scale of the scope score. Must use no example that the head in question was
//! fitted to. Many examples need few folds: one fold of some thousand tells a quantile as well as five, at a fifth of the time.

use super::Head;
use super::grams::Lexicon;
use super::softmax::{log_odds, log_probability, two_largest};
use super::train::{Fitted, Prepared, Shuffle, fit};
use super::weights::Seen;

/// Each fold holds out one in so many examples of every label.
const FOLDS: usize = 5;
/// Folds are fitted until so many examples were held out.
const ENOUGH: usize = 2_500;
/// Below so many held-out examples nothing can be said of what belongs.
const TOO_FEW: usize = 10;
/// Confidence is measured at this many times the temperature that makes probabilities honest: sharp ones are all alike near 1,
/// and tell the unknown from the known no more.
const SOFTENING: f32 = 3.0;
/// How firmly the temperature is held near 1: when no held-out example is wrong, the likelihood alone would make every answer
/// certain.
const PRIOR: f64 = 0.5;
/// The weight of nearness against confidence.
const NEARNESS: f32 = 0.5;

/// The scale of the scope score: confidence and nearness, each in deviations from what is usual for a text that belongs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scope {
    confidence: Usual,
    nearness: Usual,
    /// Texts below do not belong; `None` when there were too few examples to tell.
    pub(super) threshold: Option<f32>,
}

#[derive(Clone, Copy, Debug)]
struct Usual {
    mean: f32,
    deviation: f32,
}

/// What cross-fitting found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calibration {
    pub(super) temperature: f32,
    pub(super) scope: Scope,
    /// The share of held-out examples whose label was found; `None` when none could be held out.
    pub(super) accuracy: Option<f32>,
    /// How many were held out.
    pub(super) held_out: usize,
}

impl Scope {
    /// How much a text is like one that belongs: 0 is usual, lower is less.
    pub(super) fn score(&self, logits: &[f32], label: usize, temperature: f32, nearest: f32) -> f32 {
        let confidence = log_odds(logits, label, temperature * SOFTENING);
        self.confidence.deviations(confidence) + NEARNESS * self.nearness.deviations(nearest)
    }
}

impl Usual {
    fn of(values: impl Iterator<Item = f32> + Clone) -> Self {
        let number = values.clone().count().max(1) as f64;
        let mean = values.clone().map(f64::from).sum::<f64>() / number;
        let variance = values.map(|value| (f64::from(value) - mean).powi(2)).sum::<f64>() / number;
        Self { mean: mean as f32, deviation: variance.sqrt().max(1e-3) as f32 }
    }

    fn deviations(&self, value: f32) -> f32 {
        (value - self.mean) / self.deviation
    }
}

/// One held-out example.
struct HeldOut {
    logits: Vec<f32>,
    label: usize,
    chosen: usize,
    nearest: f32,
}

/// Fits heads to parts of the examples and judges them by the rest. `keep` is the share of texts that belong which the
/// threshold lets pass.
pub(super) fn calibrate(head: Head, labels: usize, examples: &[Prepared], keep: f32) -> Calibration {
    let held = hold_out(head, labels, examples);
    let temperature = temperature(&held);
    let odds = |held: &HeldOut| log_odds(&held.logits, held.chosen, temperature * SOFTENING);
    let mut scope = Scope {
        confidence: Usual::of(held.iter().map(odds)),
        nearness: Usual::of(held.iter().map(|held| held.nearest)),
        threshold: None,
    };
    if held.len() >= TOO_FEW {
        let mut scores: Vec<f32> = held
            .iter()
            .map(|held| scope.score(&held.logits, held.chosen, temperature, held.nearest))
            .collect();
        scores.sort_by(f32::total_cmp);
        // The conformal quantile: of a new text that belongs, the chance to score below is at most what is not to be kept.
        let rejected = ((1.0 - keep.clamp(0.0, 1.0)) * (scores.len() + 1) as f32).floor() as usize;
        scope.threshold = scores.get(rejected.saturating_sub(1)).copied();
    }
    let right = held.iter().filter(|held| held.chosen == held.label).count();
    let accuracy = (!held.is_empty()).then(|| right as f32 / held.len() as f32);
    Calibration { temperature, scope, accuracy, held_out: held.len() }
}

fn hold_out(head: Head, labels: usize, examples: &[Prepared]) -> Vec<HeldOut> {
    let folds = folds(labels, examples);
    let mut found = Vec::new();
    for fold in 0..FOLDS {
        if found.len() >= ENOUGH || !folds.contains(&Some(fold)) {
            break;
        }
        let kept: Vec<&Prepared> = examples
            .iter()
            .zip(&folds)
            .filter(|(_, assigned)| **assigned != Some(fold))
            .map(|(example, _)| example)
            .collect();
        let fitted = fit(head, labels, &kept);
        let mut grams = Vec::new();
        for (example, _) in examples.iter().zip(&folds).filter(|(_, assigned)| **assigned == Some(fold)) {
            found.push(judge(&fitted, &fitted.lexicon, example, &mut grams));
        }
    }
    found
}

fn judge(fitted: &Fitted, lexicon: &Lexicon, example: &Prepared, grams: &mut Vec<(u16, f32)>) -> HeldOut {
    lexicon.weigh(&example.counts, grams);
    let mut logits = Vec::new();
    fitted.weights.logits(Seen { vector: &example.vector, grams }, &mut logits);
    let (chosen, _) = two_largest(&logits);
    let nearest = fitted.members.nearest(chosen, &example.vector);
    HeldOut { logits, label: example.label, chosen, nearest }
}

/// The fold of each example: every label is spread over all folds; the only example of a label is never held out.
fn folds(labels: usize, examples: &[Prepared]) -> Vec<Option<usize>> {
    let mut of_label: Vec<Vec<usize>> = vec![Vec::new(); labels];
    for (position, example) in examples.iter().enumerate() {
        of_label[example.label].push(position);
    }
    let mut folds = vec![None; examples.len()];
    let mut shuffle = Shuffle(0x9E37_79B9_7F4A_7C15);
    for (label, mut positions) in of_label.into_iter().enumerate() {
        shuffle.apply(&mut positions);
        if positions.len() < 2 {
            continue;
        }
        for (rank, position) in positions.into_iter().enumerate() {
            // Labels with few examples begin at different folds, so that no fold holds out all of them.
            folds[position] = Some((rank + label) % FOLDS);
        }
    }
    folds
}

/// The temperature at which the held-out labels are most likely, by golden section over its logarithm.
fn temperature(held: &[HeldOut]) -> f32 {
    if held.is_empty() {
        return 1.0;
    }
    let loss = |logarithm: f32| -> f64 {
        let temperature = logarithm.exp();
        // Some thousand examples settle one number.
        let likelihood: f64 = held
            .iter()
            .step_by(held.len().div_ceil(1_000))
            .map(|held| f64::from(log_probability(&held.logits, held.label, temperature)))
            .sum();
        PRIOR * f64::from(logarithm * logarithm) - likelihood
    };
    let (mut low, mut high) = (-5.0f32, 3.0f32);
    let golden = 0.618_034f32;
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut left_loss, mut right_loss) = (loss(left), loss(right));
    for _ in 0..24 {
        if left_loss <= right_loss {
            (high, right, right_loss) = (right, left, left_loss);
            left = high - golden * (high - low);
            left_loss = loss(left);
        } else {
            (low, left, left_loss) = (left, right, right_loss);
            right = low + golden * (high - low);
            right_loss = loss(right);
        }
    }
    f32::midpoint(low, high).exp()
}
