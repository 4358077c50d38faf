//! The classifier: trained from examples, asked with a text.
//!
//! Owns the checks of the examples and the answer's form. Must not allocate per question once a [`Reader`]'s buffers have
//! grown.

use super::calibrate::{Calibration, calibrate};
use super::grams::{Counts, count};
use super::softmax::{softmax, two_largest};
use super::train::{Fitted, Prepared, fit};
use super::weights::Seen;
use crate::embedder::{Bounds, Embedder, normalize};
use crate::table::{DIMENSIONS, Embedding};

/// A labelled text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Example<'a> {
    /// The text.
    pub text: &'a str,
    /// The position of its label in the list of labels.
    pub label: usize,
}

/// How a label is told from the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Head {
    /// By weights that set the labels apart: the better one from about five examples per label on.
    #[default]
    Logistic,
    /// By nearness to the mean of each label's examples.
    Centroid,
}

/// How to train.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Training {
    /// The head.
    pub head: Head,
    /// The share of texts that belong which pass as such, 0 to 1. Higher lets more through that does not belong.
    pub keep: f32,
}

impl Default for Training {
    fn default() -> Self {
        Self { head: Head::Logistic, keep: 0.95 }
    }
}

/// The most labels of one classifier.
const MOST_LABELS: usize = 1_000;
/// The most examples of one classifier.
const MOST_EXAMPLES: usize = 100_000;

/// Why examples make no classifier; reads after "failed to train the classifier: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrainError {
    /// Nothing to tell apart.
    #[error("{labels} labels; it takes two to tell them apart, for example one called `other`")]
    TooFewLabels {
        /// How many there are.
        labels: usize,
    },
    /// More labels than are supported.
    #[error("{labels} labels; at most {MOST_LABELS} are supported")]
    TooManyLabels {
        /// How many there are.
        labels: usize,
    },
    /// Another number of vectors than of examples.
    #[error("{vectors} vectors for {examples} examples")]
    Vectors {
        /// How many vectors there are.
        vectors: usize,
        /// How many examples there are.
        examples: usize,
    },
    /// A vector of another length than the first.
    #[error("the vector of example {example} has {found} components, that of the first {expected}")]
    VectorLength {
        /// Its position.
        example: usize,
        /// Its components.
        found: usize,
        /// Those of the first.
        expected: usize,
    },
    /// A vector with something that is no number.
    #[error("the vector of example {example} holds something that is no number")]
    VectorNumbers {
        /// Its position.
        example: usize,
    },
    /// More examples than are supported.
    #[error("{examples} examples; at most {MOST_EXAMPLES} are supported")]
    TooManyExamples {
        /// How many there are.
        examples: usize,
    },
    /// A label without examples.
    #[error("no example of `{label}`")]
    EmptyLabel {
        /// The label.
        label: Box<str>,
    },
    /// An example whose label is not in the list.
    #[error("example {example} has label number {label} of {labels}")]
    UnknownLabel {
        /// The example, counted from zero.
        example: usize,
        /// Its label.
        label: usize,
        /// How many labels there are.
        labels: usize,
    },
    /// A share outside 0 to 1.
    #[error("a share of {keep} texts to keep; it must be above 0 and at most 1")]
    Keep {
        /// The share, as written.
        keep: Box<str>,
    },
}

/// What a classifier says of a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// The most likely label.
    pub label: usize,
    /// Its probability, calibrated on held-out examples, 0 to 1.
    pub probability: f32,
    /// The second most likely label.
    pub runner_up: usize,
    /// Its probability.
    pub runner_up_probability: f32,
    /// How much the text is like one that belongs to any label, in deviations: 0 is usual, lower is less.
    pub scope: f32,
    /// Below this score a text belongs to none; absent when there were too few examples to tell.
    pub threshold: Option<f32>,
}

impl Reading {
    /// Whether the text is like the examples at all.
    #[must_use]
    pub fn is_in_scope(&self) -> bool {
        self.threshold.is_none_or(|threshold| self.scope >= threshold)
    }
}

/// Labels learned from examples. Immutable; shared by all threads, each with its own [`Reader`].
#[derive(Clone, Debug)]
pub struct Classifier {
    labels: Vec<Box<str>>,
    /// Components of its vectors.
    width: usize,
    fitted: Fitted,
    calibration: Calibration,
}

/// The buffers of whoever asks. One per thread; making one is cheap.
#[derive(Clone, Debug)]
pub struct Reader {
    embedder: Embedder<'static>,
    vector: Box<Embedding>,
    buckets: Vec<u16>,
    counts: Counts,
    grams: Vec<(u16, f32)>,
    logits: Vec<f32>,
}

/// What of a text is read.
const BOUNDS: Bounds = Bounds { pieces: 2_048, bytes: 32 << 10 };

impl Reader {
    /// Buffers over the bundled table.
    #[must_use]
    pub fn bundled() -> Self {
        Self {
            embedder: Embedder::bundled().with_bounds(BOUNDS),
            vector: Box::new([0.0; DIMENSIONS]),
            buckets: Vec::new(),
            counts: Counts::new(),
            grams: Vec::new(),
            logits: Vec::new(),
        }
    }

    fn read(&mut self, text: &str) {
        self.embedder.embed_parts([text], &mut self.vector);
        count(self.embedder.pieces(), &mut self.buckets, &mut self.counts);
    }
}

impl Classifier {
    /// Learns labels from examples. Takes two seconds for 150 labels of 100 examples each, milliseconds for some hundred.
    ///
    /// # Errors
    /// [`TrainError`] when there is nothing to learn from.
    pub fn train(
        labels: Vec<Box<str>>,
        examples: &[Example<'_>],
        training: &Training,
    ) -> Result<Self, TrainError> {
        training.check(&labels, examples)?;
        let mut reader = Reader::bundled();
        let prepare = |example: &Example<'_>| {
            reader.read(example.text);
            let vector = Box::from(reader.vector.as_slice());
            Prepared { label: example.label, vector, counts: reader.counts.clone() }
        };
        Ok(Self::fitted(labels, examples.iter().map(prepare).collect(), training))
    }

    /// As [`Classifier::train`], with the vectors of another encoder, one per example. Their length in space does not matter.
    ///
    /// # Errors
    /// As there, and when the vectors are not comparable.
    pub fn train_encoded<V: AsRef<[f32]>>(
        labels: Vec<Box<str>>,
        examples: &[Example<'_>],
        vectors: &[V],
        training: &Training,
    ) -> Result<Self, TrainError> {
        training.check(&labels, examples)?;
        check_vectors(examples.len(), vectors)?;
        let mut reader = Reader::bundled();
        let prepare = |(example, vector): (&Example<'_>, &V)| {
            reader.read(example.text);
            let mut vector: Box<[f32]> = vector.as_ref().into();
            normalize(&mut vector);
            Prepared { label: example.label, vector, counts: reader.counts.clone() }
        };
        Ok(Self::fitted(labels, examples.iter().zip(vectors).map(prepare).collect(), training))
    }

    fn fitted(labels: Vec<Box<str>>, prepared: Vec<Prepared>, training: &Training) -> Self {
        let width = prepared.first().map_or(0, |example| example.vector.len());
        let calibration = calibrate(training.head, labels.len(), &prepared, training.keep);
        let all: Vec<&Prepared> = prepared.iter().collect();
        let fitted = fit(training.head, labels.len(), &all);
        Self { labels, width, fitted, calibration }
    }

    /// The labels, in the order they were given.
    #[must_use]
    pub fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    /// The share of held-out examples whose label was found, and how many were held out; `None` when none could be.
    #[must_use]
    pub fn held_out_accuracy(&self) -> Option<(f32, usize)> {
        self.calibration.accuracy.map(|accuracy| (accuracy, self.calibration.held_out))
    }

    /// Which label a text has.
    #[must_use]
    pub fn classify(&self, text: &str, reader: &mut Reader) -> Reading {
        reader.read(text);
        let Reader { vector, counts, grams, logits, .. } = reader;
        self.judge(vector.as_slice(), counts, grams, logits)
    }

    /// Which label a text has by the vector of the encoder that its examples had; `None` when the vector has another length or
    /// holds something that is no number.
    #[must_use]
    pub fn classify_encoded(&self, text: &str, vector: &[f32], reader: &mut Reader) -> Option<Reading> {
        if vector.len() != self.width || !vector.iter().all(|component| component.is_finite()) {
            return None;
        }
        reader.read(text);
        let mut unit = vector.to_vec();
        normalize(&mut unit);
        let Reader { counts, grams, logits, .. } = reader;
        Some(self.judge(&unit, counts, grams, logits))
    }

    fn judge(
        &self,
        vector: &[f32],
        counts: &Counts,
        grams: &mut Vec<(u16, f32)>,
        logits: &mut Vec<f32>,
    ) -> Reading {
        self.fitted.lexicon.weigh(counts, grams);
        self.fitted.weights.logits(Seen { vector, grams }, logits);
        let (label, runner_up) = two_largest(logits);
        let nearest = self.fitted.members.nearest(label, vector);
        let temperature = self.calibration.temperature;
        let scope = self.calibration.scope.score(logits, label, temperature, nearest);
        logits.iter_mut().for_each(|logit| *logit /= temperature);
        softmax(logits);
        Reading {
            label,
            probability: logits[label],
            runner_up,
            runner_up_probability: logits[runner_up],
            scope,
            threshold: self.calibration.scope.threshold,
        }
    }

    /// Which label a text has, and the probabilities of all, in the order of the labels.
    pub fn probabilities<'r>(&self, text: &str, reader: &'r mut Reader) -> (Reading, &'r [f32]) {
        let reading = self.classify(text, reader);
        (reading, &reader.logits)
    }
}

impl Training {
    /// Checks that there is something to learn from.
    ///
    /// # Errors
    /// [`TrainError`] when there is not.
    pub fn check(&self, labels: &[Box<str>], examples: &[Example<'_>]) -> Result<(), TrainError> {
        check(labels, examples, self)
    }
}

/// Vectors are comparable that have one length and hold numbers.
fn check_vectors<V: AsRef<[f32]>>(examples: usize, vectors: &[V]) -> Result<(), TrainError> {
    if vectors.len() != examples {
        return Err(TrainError::Vectors { vectors: vectors.len(), examples });
    }
    let expected = vectors.first().map_or(0, |vector| vector.as_ref().len());
    for (example, vector) in vectors.iter().enumerate() {
        let vector = vector.as_ref();
        if vector.is_empty() || vector.len() != expected {
            return Err(TrainError::VectorLength { example, found: vector.len(), expected });
        }
        if !vector.iter().all(|component| component.is_finite()) {
            return Err(TrainError::VectorNumbers { example });
        }
    }
    Ok(())
}

fn check(labels: &[Box<str>], examples: &[Example<'_>], training: &Training) -> Result<(), TrainError> {
    let number = labels.len();
    if number < 2 {
        return Err(TrainError::TooFewLabels { labels: number });
    }
    if number > MOST_LABELS {
        return Err(TrainError::TooManyLabels { labels: number });
    }
    if examples.len() > MOST_EXAMPLES {
        return Err(TrainError::TooManyExamples { examples: examples.len() });
    }
    if !(training.keep > 0.0 && training.keep <= 1.0) {
        return Err(TrainError::Keep { keep: training.keep.to_string().into() });
    }
    let mut seen = vec![false; number];
    for (position, example) in examples.iter().enumerate() {
        match seen.get_mut(example.label) {
            Some(seen) => *seen = true,
            None => {
                return Err(TrainError::UnknownLabel {
                    example: position,
                    label: example.label,
                    labels: number,
                });
            }
        }
    }
    match seen.iter().position(|seen| !seen) {
        Some(empty) => Err(TrainError::EmptyLabel { label: labels[empty].clone() }),
        None => Ok(()),
    }
}
