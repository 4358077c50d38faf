//! Prompts as features, worked out once.
//!
//! Owns the columns that fits read, in the layout they read fastest. The features are those of inference, called the same way.

use crate::dataset::Row;
use trunkline_route::features::{PromptVector, embed};
use trunkline_route::learned::{EmbedderFacts, LEXICAL, Lexical, PromptFeatures, TextFeatures, unit_factor};

/// All prompts of a dataset as features.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    pub(crate) lexical: Vec<Lexical>,
    pub(crate) has_choices: Vec<bool>,
    pub(crate) vectors: Vec<PromptVector>,
    /// Bytes of each prompt.
    pub(crate) lengths: Vec<f32>,
    /// Where the pieces of each prompt start, and their number at the end.
    pub(crate) starts: Vec<usize>,
    pub(crate) buckets: Vec<u16>,
    pub(crate) values: Vec<f32>,
    /// Per prompt and model how much the score counts; empty where all count alike.
    pub(crate) weights: Vec<Vec<f32>>,
    /// The larger encoder that read the prompts too.
    pub(crate) encoder: Option<EmbedderFacts>,
    /// Its vectors one behind the other, each of unit length.
    encoded: Vec<f32>,
}

impl Prepared {
    /// Reads prompts.
    #[must_use]
    pub fn new<'a>(prompts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut prepared = Self { starts: vec![0], ..Self::default() };
        let mut features = TextFeatures::default();
        for prompt in prompts {
            features.read(prompt);
            prepared.lexical.push(features.lexical);
            prepared.has_choices.push(features.has_choices);
            prepared.vectors.push(embed(prompt));
            prepared.lengths.push(prompt.len() as f32);
            prepared.buckets.extend(features.hashed.iter().map(|(bucket, _)| *bucket));
            prepared.values.extend(features.hashed.iter().map(|(_, value)| *value));
            prepared.starts.push(prepared.buckets.len());
        }
        prepared
    }

    /// Reads the prompts of rows. Where one is known by its features only, hashed pieces count for none of them: a weight for them
    /// would be learned on some rows and applied to all.
    #[must_use]
    pub fn of(rows: &[Row]) -> Self {
        let mut prepared = Self::read(rows);
        if rows.iter().any(|row| !row.weights.is_empty()) {
            prepared.weights = rows.iter().map(|row| row.weights.clone()).collect();
        }
        prepared
    }

    /// The same with the vectors that a larger encoder made of the prompts, in their order.
    ///
    /// # Errors
    /// The first prompt whose vector is missing or of another length than the encoder's.
    pub fn encoded_by(mut self, encoder: EmbedderFacts, vectors: &[Vec<f32>]) -> Result<Self, usize> {
        let width = encoder.dimensions as usize;
        for row in 0..self.len() {
            let vector = vectors.get(row).filter(|vector| vector.len() == width).ok_or(row)?;
            let factor = unit_factor(vector);
            self.encoded.extend(vector.iter().map(|component| component * factor));
        }
        self.encoder = Some(encoder);
        Ok(self)
    }

    /// Components of the larger encoder's vectors; none where there is no such encoder.
    pub(crate) fn width(&self) -> usize {
        self.encoder.as_ref().map_or(0, |encoder| encoder.dimensions as usize)
    }

    /// What a larger encoder made of a prompt.
    #[must_use]
    pub fn encoded(&self, row: usize) -> Option<&[f32]> {
        let width = self.width();
        (width > 0).then(|| &self.encoded[row * width..][..width])
    }

    /// How much the score of a model counts for a prompt.
    pub(crate) fn weight(&self, row: usize, model: usize) -> f32 {
        self.weights.get(row).and_then(|weights| weights.get(model)).copied().unwrap_or(1.0)
    }

    fn read(rows: &[Row]) -> Self {
        let has_pieces = rows.iter().all(|row| row.features.is_none());
        if has_pieces {
            return Self::new(rows.iter().map(|row| row.prompt.as_str()));
        }
        let mut prepared = Self { starts: vec![0; rows.len() + 1], ..Self::default() };
        for row in rows {
            let read;
            let features = match &row.features {
                Some(features) => features,
                None => {
                    read = Box::new(PromptFeatures::of(&row.prompt));
                    &read
                }
            };
            prepared.lexical.push(features.lexical);
            prepared.has_choices.push(features.has_choices);
            prepared.vectors.push(features.vector.clone());
            prepared.lengths.push(features.length as f32);
        }
        prepared
    }

    /// How many prompts.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// The lengths of the prompts, in bytes.
    #[must_use]
    pub fn lengths(&self) -> &[f32] {
        &self.lengths
    }

    /// The vector of a prompt.
    #[must_use]
    pub fn vector(&self, row: usize) -> &PromptVector {
        &self.vectors[row]
    }

    /// Puts a prompt's features where inference expects them.
    pub fn restore(&self, row: usize, features: &mut TextFeatures) {
        features.lexical = self.lexical[row];
        features.has_choices = self.has_choices[row];
        features.hashed.clear();
        features.hashed.extend(self.pieces(row));
    }

    pub(crate) fn pieces(&self, row: usize) -> impl Iterator<Item = (u16, f32)> + '_ {
        let range = self.starts[row]..self.starts[row + 1];
        self.buckets[range.clone()].iter().copied().zip(self.values[range].iter().copied())
    }

    /// Mean and reciprocal deviation of each counted feature over some rows.
    pub(crate) fn standards(&self, rows: &[usize]) -> (Vec<f32>, Vec<f32>) {
        let count = rows.len().max(1) as f64;
        (0..LEXICAL.len())
            .map(|feature| {
                let values = || rows.iter().map(|row| f64::from(self.lexical[*row][feature]));
                let mean = values().sum::<f64>() / count;
                let variance = values().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
                // A feature that never varies says nothing.
                let factor = if variance > 1e-9 { variance.sqrt().recip() } else { 0.0 };
                (mean as f32, factor as f32)
            })
            .unzip()
    }
}
