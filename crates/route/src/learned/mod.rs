//! Learned routing: from a trained file to a predicted quality per model, a threshold, and a decision.
//!
//! Owns the file's form ([`Artefact`]), the features of a text, the prediction, the guard against prompts unlike those it was
//! trained on, thresholds, and the step. Pure inference: training is the lab's, and it uses the same features, so that a figure
//! measured offline is one the server reaches. The non-obvious reason for heads that are linear: with the few thousand labels
//! anyone has, they beat deeper models on every benchmark tried here, and cost microseconds.
//!
//! A prediction is a ridge head on the embedding, counted features and hashed pieces of the text, plus the mean residual of the
//! nearest training prompts: the more of them are near, the more they say; the fewer, the more their cluster's mean stands in for
//! them. A head may read the vector of a larger encoder beside; who is near and what is unknown is told by the embedding alone, so
//! that the encoder is asked only for prompts that its answer can help with.

mod artefact;
mod guard;
mod kept;
mod neighbours;
mod numbers;
mod predictor;
mod step;
mod text;
mod threshold;

#[cfg(test)]
mod tests;

pub use artefact::{
    Artefact, ArtefactError, Calibration, DataFacts, EmbedderFacts, FORMAT, FORMAT_NAME, GuardFacts, Head,
    Kind, MOST_NEIGHBOURS, NeighbourFacts, TrainingMetrics, USUAL_NEIGHBOURS, embedder_fingerprint,
};
pub use guard::Unfamiliar;
pub use kept::{KeepPrompts, KeptPrompt, LONGEST_TEXT, PromptFeatures, UnknownForm};
pub use neighbours::{LocalEstimate, Neighbours, Settings as NeighbourSettings, centres, quantized};
pub use numbers::{Bytes, Numbers};
pub use predictor::{Familiarity, Predictor, Scratch, unit_factor};
pub use step::{Budget, LearnedStep, Mode, OnUnknown, StepError};
pub use text::{BUCKETS, HASHED, LEXICAL, LONGEST, Lexical, TextFeatures};
pub use threshold::{LengthRank, Thresholds, paced_share};
