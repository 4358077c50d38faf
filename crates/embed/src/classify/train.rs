//! Fitting a head to examples.
//!
//! Owns the two ways: means of the labels, and multinomial logistic regression by stochastic gradient descent. Must be
//! deterministic: the order of the examples is shuffled with a fixed seed. Few passes with a falling step instead of a penalty:
//! stopping early regularises as well and needs no second parameter to choose.

use super::grams::{Counts, Lexicon};
use super::softmax::softmax;
use super::weights::{Seen, Weights};
use super::{Head, members::Members};

/// The step of the first pass; it falls linearly to nothing. Texts have a squared length of two, for which steps to about two
/// are stable.
const FIRST_STEP: f32 = 1.6;
/// The share of a step that the constants get: labels with many examples must not win by that alone.
const BIAS_SHARE: f32 = 0.1;
/// Passes over the examples: few are enough for many examples, and few examples need many.
const LEAST_PASSES: usize = 8;
const MOST_PASSES: usize = 40;
/// Examples seen in all passes together, between those bounds.
const VISITS: usize = 60_000;
/// Errors below this are not worth a step; after the first pass that is nearly every label of nearly every example.
const NEGLIGIBLE: f32 = 1e-3;

/// An example, read once for all fits.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) label: usize,
    pub(super) vector: Box<[f32]>,
    pub(super) counts: Counts,
}

/// A head fitted to some examples.
#[derive(Clone, Debug)]
pub(super) struct Fitted {
    pub(super) lexicon: Lexicon,
    pub(super) weights: Weights,
    pub(super) members: Members,
}

/// Fits a head.
pub(super) fn fit(head: Head, labels: usize, examples: &[&Prepared]) -> Fitted {
    let lexicon = Lexicon::of(examples.iter().map(|example| &example.counts));
    let width = examples.first().map_or(0, |example| example.vector.len());
    let mut members = Members::new(labels, width);
    let mut grams = Vec::new();
    let texts: Vec<Text<'_>> = examples
        .iter()
        .map(|example| {
            members.push(example.label, &example.vector);
            lexicon.weigh(&example.counts, &mut grams);
            Text { label: example.label, vector: &example.vector, grams: grams.clone() }
        })
        .collect();
    let mut weights = Weights::zero(labels, width, lexicon.len());
    match head {
        Head::Centroid => means(&mut weights, labels, &texts),
        Head::Logistic => descend(&mut weights, labels, &texts),
    }
    Fitted { lexicon, weights, members }
}

struct Text<'a> {
    label: usize,
    vector: &'a [f32],
    grams: Vec<(u16, f32)>,
}

fn means(weights: &mut Weights, labels: usize, texts: &[Text<'_>]) {
    let mut factors = vec![0.0; labels];
    for text in texts {
        factors[text.label] = 1.0;
        weights.add_dense(text.label, 1.0, text.vector);
        weights.add_sparse(&factors, &text.grams);
        factors[text.label] = 0.0;
    }
    weights.normalize();
}

fn descend(weights: &mut Weights, labels: usize, texts: &[Text<'_>]) {
    let passes = (VISITS / texts.len().max(1)).clamp(LEAST_PASSES, MOST_PASSES);
    let steps = (passes * texts.len()) as f32;
    let mut order: Vec<usize> = (0..texts.len()).collect();
    let mut shuffle = Shuffle(0x2545_F491_4F6C_DD1D);
    let mut errors = Vec::with_capacity(labels);
    let mut done = 0;
    for _ in 0..passes {
        shuffle.apply(&mut order);
        for at in &order {
            let text = &texts[*at];
            let step = FIRST_STEP * (1.0 - done as f32 / steps);
            done += 1;
            weights.logits(Seen { vector: text.vector, grams: &text.grams }, &mut errors);
            softmax(&mut errors);
            errors[text.label] -= 1.0;
            for error in &mut errors {
                *error = if error.abs() < NEGLIGIBLE { 0.0 } else { *error * -step };
            }
            for (label, factor) in errors.iter().enumerate().filter(|(_, factor)| **factor != 0.0) {
                weights.add_dense(label, *factor, text.vector);
            }
            weights.add_sparse(&errors, &text.grams);
            weights.add_bias(&errors, BIAS_SHARE);
        }
    }
}

/// The same permutations on every run (xorshift, Fisher and Yates).
pub(super) struct Shuffle(pub(super) u64);

impl Shuffle {
    pub(super) fn apply<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            items.swap(last, (self.0 % (last as u64 + 1)) as usize);
        }
    }
}
