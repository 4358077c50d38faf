//! From a text to a quality per model.
//!
//! Owns the sum: head, then neighbours. Must not choose. Weights lie feature by feature with all models side by side, so that
//! one pass over a prompt's features serves every model, whether there are two or twenty.

use super::artefact::{
    Artefact, ArtefactError, Calibration, EmbedderFacts, GuardFacts, Head, TrainingMetrics,
};
use super::guard::{Unfamiliar, judge_place, judge_text};
use super::neighbours::{LocalEstimate, Neighbours};
use super::text::TextFeatures;
use crate::features::PromptVector;
use trunkline_model::id::Name;

/// A trained router in memory.
#[derive(Clone, Debug)]
pub struct Predictor {
    models: Vec<Name>,
    head: Head,
    encoder: Option<EmbedderFacts>,
    neighbours: Option<Neighbours>,
    guard: GuardFacts,
    calibration: Calibration,
    metrics: TrainingMetrics,
}

/// Buffers of a prediction and its result. One per thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    /// What was read of the text.
    pub text: TextFeatures,
    /// Per model, the predicted quality.
    pub quality: Vec<f32>,
    local: LocalEstimate,
}

/// Whether a prediction can be trusted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Familiarity {
    /// The prompt is like the training prompts.
    Familiar,
    /// It is not; what was predicted is a guess.
    Unfamiliar(Unfamiliar),
}

impl Predictor {
    /// Takes a file into use.
    ///
    /// # Errors
    /// What is wrong with the file.
    pub fn new(artefact: Artefact) -> Result<Self, ArtefactError> {
        artefact.check()?;
        let models: Vec<Name> = artefact.models.iter().map(|model| Name::from(model.as_str())).collect();
        Ok(Self {
            neighbours: artefact.neighbours.map(|facts| Neighbours::new(models.len(), facts)),
            models,
            encoder: artefact.encoder,
            head: artefact.head,
            guard: artefact.guard,
            calibration: artefact.calibration,
            metrics: artefact.metrics,
        })
    }

    /// The models it knows, in the order of predictions.
    #[must_use]
    pub fn models(&self) -> &[Name] {
        &self.models
    }

    /// The position of a model by any of its names: the whole name, or what follows the last `/` of the one or the other.
    #[must_use]
    pub fn position(&self, names: &[&str]) -> Option<usize> {
        let last = |name: &str| name.rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
        let exact = self.models.iter().position(|model| names.contains(&&**model));
        exact.or_else(|| {
            let mut same = (0..).zip(&self.models).filter(|(_, model)| {
                let model = last(model);
                names.iter().any(|name| last(name) == model)
            });
            // Two models of one bare name are not told apart by it.
            same.next().filter(|_| same.next().is_none()).map(|(position, _)| position)
        })
    }

    /// The larger encoder whose vectors it needs.
    #[must_use]
    pub const fn encoder(&self) -> Option<&EmbedderFacts> {
        self.encoder.as_ref()
    }

    /// Whether this is a vector of as many components as the encoder gave when it was trained.
    #[must_use]
    pub fn reads(&self, encoded: &[f32]) -> bool {
        self.encoder.as_ref().is_some_and(|encoder| encoder.dimensions as usize == encoded.len())
    }

    /// The held-out rows thresholds are made from.
    #[must_use]
    pub const fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// How good it was on rows it had not seen.
    #[must_use]
    pub const fn metrics(&self) -> &TrainingMetrics {
        &self.metrics
    }

    /// Bytes it keeps in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let head = &self.head;
        let calibration = &self.calibration;
        let numbers = head.lexical.0.len()
            + head.vector.0.len()
            + head.hashed.0.len()
            + head.encoded.0.len()
            + calibration.predicted.0.len()
            + calibration.actual.0.len()
            + calibration.lengths.0.len();
        4 * numbers + self.neighbours.as_ref().map_or(0, Neighbours::bytes)
    }

    /// Predicts into `scratch.quality`, per model about 0 to 1. Not cut to that range: order matters, also at its ends. `encoded` is
    /// the vector of the larger encoder, where it needs one; without it the prediction says how familiar the text is and no more.
    pub fn predict(
        &self,
        text: &str,
        vector: &PromptVector,
        encoded: Option<&[f32]>,
        scratch: &mut Scratch,
    ) -> Familiarity {
        scratch.text.read(text);
        self.predict_read(vector, encoded, scratch)
    }

    /// Predicts for a text that `scratch.text` has read already.
    pub fn predict_read(
        &self,
        vector: &PromptVector,
        encoded: Option<&[f32]>,
        scratch: &mut Scratch,
    ) -> Familiarity {
        let Scratch { text, quality, local, .. } = scratch;
        self.head.apply(text, vector, encoded, quality);
        let mut unfamiliar = judge_text(&self.guard, text, vector.coverage);
        if let Some(neighbours) = &self.neighbours {
            neighbours.estimate(&vector.vector, None, local);
            for (quality, residual) in quality.iter_mut().zip(&local.residuals) {
                *quality += residual;
            }
            unfamiliar = unfamiliar.or_else(|| judge_place(&self.guard, local.similarity));
        }
        unfamiliar.map_or(Familiarity::Familiar, Familiarity::Unfamiliar)
    }
}

impl Head {
    /// The linear sum per model, not clamped.
    pub fn apply(
        &self,
        text: &TextFeatures,
        vector: &PromptVector,
        encoded: Option<&[f32]>,
        quality: &mut Vec<f32>,
    ) {
        let models = self.intercepts.len();
        quality.clear();
        quality.extend_from_slice(&self.intercepts);
        let mut add = |weights: &[f32], value: f32| {
            for (quality, weight) in quality.iter_mut().zip(weights) {
                *quality += weight * value;
            }
        };
        let scaled = text.lexical.iter().zip(&self.lexical_mean).zip(&self.lexical_factor);
        for (((value, mean), factor), weights) in scaled.zip(self.lexical.0.chunks_exact(models)) {
            add(weights, standard(*value, *mean, *factor));
        }
        for (value, weights) in vector.vector.iter().zip(self.vector.0.chunks_exact(models)) {
            add(weights, *value);
        }
        if let Some(encoded) = encoded {
            let factor = unit_factor(encoded);
            for (value, weights) in encoded.iter().zip(self.encoded.0.chunks_exact(models)) {
                add(weights, *value * factor);
            }
        }
        for (bucket, value) in &text.hashed {
            add(&self.hashed.0[usize::from(*bucket) * models..][..models], *value);
        }
    }

    /// A counted feature as the head sees it.
    #[must_use]
    pub fn lexical_value(&self, position: usize, value: f32) -> f32 {
        standard(value, self.lexical_mean[position], self.lexical_factor[position])
    }
}

/// What brings a vector to unit length; not every encoder does so itself.
#[must_use]
pub fn unit_factor(vector: &[f32]) -> f32 {
    let squares: f64 = vector.iter().map(|component| f64::from(*component).powi(2)).sum();
    if squares > 0.0 { squares.sqrt().recip() as f32 } else { 0.0 }
}

/// In standard deviations, at most four either way: one odd prompt must not rule a fit or a prediction.
fn standard(value: f32, mean: f32, factor: f32) -> f32 {
    ((value - mean) * factor).clamp(-4.0, 4.0)
}
