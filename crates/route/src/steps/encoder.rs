//! Larger encoders of texts, for steps that compare meanings.
//!
//! Owns what such a step would like to have encoded, and the examples that are learned once their vectors are there. Must not
//! encode: a decision is pure and has microseconds, so it says what it needs, the gateway obtains it (from a deployment or from a
//! model in process), and decides again. Whatever goes wrong on the way is a reason for the next step, never for a failed request.

use super::classifier::may_see;
use super::semantic::NO_TEXT;
use super::{QuestionKey, StepAnswer, StepInput};
use crate::fleet::DeploymentIndex;
use crate::plan::EligibleDeployment;
use sha2::{Digest, Sha256};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use trunkline_embed::Encode;
use trunkline_embed::classify::{Classifier, Example, Reader, Reading, TrainError, Training};
use trunkline_model::dialect::{Dialect, Operation};
use trunkline_model::id::Name;
use trunkline_model::shape::Shape;

/// The longest text that is encoded, in bytes; models of 8,192 tokens take all of it, because a token has at least one byte.
pub const LONGEST_ENCODED: usize = 8_000;

/// The vector of a text.
pub type TextVector = Arc<[f32]>;

/// An encoder of the configuration.
#[derive(Clone, Debug)]
pub struct Encoder {
    /// Its name.
    pub name: Name,
    /// What encodes.
    pub by: EncodeBy,
    /// Of what encodes, as a fingerprint: vectors of another one are not comparable.
    pub identity: [u8; 16],
    /// How long a vector is waited for.
    pub timeout: Duration,
    /// How long the vector of a text is kept.
    pub keep: Duration,
}

/// What encodes.
#[derive(Clone, Debug)]
pub enum EncodeBy {
    /// A deployment that serves embeddings.
    Deployment {
        /// Which.
        deployment: DeploymentIndex,
        /// Components to ask for, where the model can shorten its vectors.
        dimensions: Option<u32>,
    },
    /// A model in process.
    Local(Arc<dyn Encode>),
}

/// A text that a decision would like to have encoded before it is made again.
#[derive(Clone, Debug)]
pub struct TextToEncode {
    /// By what.
    pub encoder: Arc<Encoder>,
    /// The deployment that may see this request; `None` for a model in process.
    pub whom: Option<EligibleDeployment>,
    /// The text, cut.
    pub text: String,
}

impl Encoder {
    /// Its identity in words, for files that need its vectors.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        self.identity.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Under which key the vector of a text may be kept.
    #[must_use]
    pub fn key(&self, text: &str) -> QuestionKey {
        let mut hash = Sha256::new();
        hash.update(self.identity);
        hash.update(text.as_bytes());
        let mut key = QuestionKey::default();
        key.copy_from_slice(&hash.finalize()[..16]);
        key
    }
}

/// The part of a text that is encoded.
#[must_use]
pub fn encoded_part(text: &str) -> &str {
    &text[..text.floor_char_boundary(LONGEST_ENCODED)]
}

/// Labelled examples that are learned by the vectors of an encoder, once they are there.
#[derive(Debug)]
pub struct EncodedIntents {
    /// The encoder.
    pub encoder: Arc<Encoder>,
    labels: Vec<Box<str>>,
    /// Texts and the positions of their labels.
    examples: Vec<(Box<str>, usize)>,
    training: Training,
    trained: OnceLock<Classifier>,
}

impl EncodedIntents {
    /// Examples that are not learned yet.
    ///
    /// # Errors
    /// When there is nothing to learn from, whatever the vectors.
    pub fn new(
        encoder: Arc<Encoder>,
        labels: Vec<Box<str>>,
        examples: &[Example<'_>],
        training: Training,
    ) -> Result<Self, TrainError> {
        training.check(&labels, examples)?;
        let examples =
            examples.iter().map(|example| (Box::from(encoded_part(example.text)), example.label)).collect();
        Ok(Self { encoder, labels, examples, training, trained: OnceLock::new() })
    }

    /// The labels, in order.
    #[must_use]
    pub fn labels(&self) -> &[Box<str>] {
        &self.labels
    }

    /// The texts whose vectors are needed, in order.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.examples.iter().map(|(text, _)| &**text)
    }

    /// Whether they are learned.
    #[must_use]
    pub fn is_trained(&self) -> bool {
        self.trained.get().is_some()
    }

    /// Learns them by their vectors, in the order of the texts. What was learned before stays.
    ///
    /// # Errors
    /// When the vectors are not comparable.
    pub fn train(&self, vectors: &[TextVector]) -> Result<(), TrainError> {
        if self.is_trained() {
            return Ok(());
        }
        let examples: Vec<Example<'_>> =
            self.examples.iter().map(|(text, label)| Example { text, label: *label }).collect();
        let classifier = Classifier::train_encoded(self.labels.clone(), &examples, vectors, &self.training)?;
        // Another thread may have been first; it learned the same.
        let _ = self.trained.set(classifier);
        Ok(())
    }

    /// Takes over what the same examples taught under an earlier configuration.
    pub fn adopt(&self, before: &Self) {
        let same = self.encoder.identity == before.encoder.identity
            && self.labels == before.labels
            && self.examples == before.examples
            && self.training == before.training;
        if same && let Some(classifier) = before.trained.get() {
            let _ = self.trained.set(classifier.clone());
        }
    }

    /// The class of the user's last turn, or what keeps it from being told.
    pub(super) fn read(&self, input: &StepInput<'_>, reader: &mut Reader) -> Result<Reading, StepAnswer> {
        let no_answer = |why: &'static str| StepAnswer::NoAnswer { why: why.into() };
        let classifier = self.trained.get().ok_or_else(|| no_answer(NOT_TRAINED))?;
        let text = input.features.user_text().ok_or_else(|| no_answer(NO_TEXT))?;
        let vector = vector(input, &self.encoder, text)?;
        classifier.classify_encoded(text, &vector, reader).ok_or_else(|| no_answer(OTHER_LENGTH))
    }
}

/// Why a step has no answer before its examples are learned.
const NOT_TRAINED: &str = "its examples are not encoded yet";
/// Why a vector is of no use.
const OTHER_LENGTH: &str = "the encoder's vector has another length than those of the examples";

/// The vector of the user's last turn, or the wish for it.
pub(crate) fn vector(
    input: &StepInput<'_>,
    encoder: &Arc<Encoder>,
    text: &str,
) -> Result<TextVector, StepAnswer> {
    match input.decide.prompt.and_then(|prompt| prompt.encoded(&encoder.name)) {
        Some(Ok(vector)) => Ok(vector),
        Some(Err(why)) => Err(StepAnswer::NoAnswer { why: why.into() }),
        None => {
            let text = encoded_part(text);
            let whom = match &encoder.by {
                EncodeBy::Local(_) => None,
                EncodeBy::Deployment { deployment, .. } => {
                    let shape = embedding_shape(text.len());
                    let Some(whom) = may_see(input, *deployment, &shape) else {
                        let why = "its encoder may not see this request, or takes no requests now";
                        return Err(StepAnswer::NoAnswer { why: why.into() });
                    };
                    Some(whom)
                }
            };
            let (encoder, text) = (Arc::clone(encoder), text.to_owned());
            Err(StepAnswer::Encode(Box::new(TextToEncode { encoder, whom, text })))
        }
    }
}

/// A request for the vectors of texts of this many bytes together.
#[must_use]
pub fn embedding_shape(bytes: usize) -> Shape {
    let mut shape = Shape::new(Dialect::OpenAi, Operation::Embeddings);
    shape.text_bytes = bytes as u64;
    shape.messages = 1;
    shape
}
