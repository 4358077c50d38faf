//! The file of a trained router.
//!
//! Owns its form, its version and every check of it: what passes here cannot fail later. Must not predict. The file says what it
//! was trained on (a fingerprint, not the data), for which models and with which embedder, and how good it was on data it had
//! not seen; a file for another embedder or another set of features is refused, because its numbers would mean something else.

use super::numbers::{Bytes, Numbers};
use super::text::{HASHED, LEXICAL};
use crate::features::embed;
use serde::{Deserialize, Serialize};
use std::fmt;
use trunkline_embed::{DIMENSIONS, MOST_DIMENSIONS};

/// What the first field of the file says.
pub const FORMAT_NAME: &str = "trunkline-router";

/// The version of the form that this program reads and writes.
pub const FORMAT: u32 = 1;

/// The most models of one file.
const MOST_MODELS: usize = 256;

/// The neighbours of one file where nothing else is said; with the table of the embedder they keep below 20 MB.
pub const USUAL_NEIGHBOURS: usize = 24_000;

/// The most neighbours of one file: some 135 MB in memory with two models, and 260 bytes and one per model for each.
pub const MOST_NEIGHBOURS: usize = 500_000;

/// A trained router.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artefact {
    /// [`FORMAT_NAME`].
    pub format: String,
    /// [`FORMAT`].
    pub version: u32,
    /// What it predicts.
    pub kind: Kind,
    /// When it was trained, RFC 3339.
    pub created: String,
    /// What it was trained on.
    pub data: DataFacts,
    /// The counted features, in order.
    pub features: Vec<String>,
    /// What made its vectors.
    pub embedder: EmbedderFacts,
    /// The larger encoder whose vectors its head reads beside them; absent where it needs none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder: Option<EmbedderFacts>,
    /// The models it predicts for, as the data names them.
    pub models: Vec<String>,
    /// How good it was on rows it had not seen.
    pub metrics: TrainingMetrics,
    /// The linear part.
    pub head: Head,
    /// The nearest training prompts; absent when they did not help.
    pub neighbours: Option<NeighbourFacts>,
    /// What prompts must look like for a prediction to be trusted.
    pub guard: GuardFacts,
    /// Rows with what was predicted for them while they were held out, for thresholds.
    pub calibration: Calibration,
}

/// What a file predicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The quality of each model's answer, 0 to 1.
    Quality,
}

/// What a router was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataFacts {
    /// SHA-256 of the rows, hexadecimal.
    pub fingerprint: String,
    /// How many rows.
    pub rows: u32,
    /// Where they came from, in words.
    pub source: String,
}

/// What makes the vectors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmbedderFacts {
    /// Its name.
    pub name: String,
    /// Components per vector.
    pub dimensions: u32,
    /// See [`embedder_fingerprint`].
    pub fingerprint: String,
}

impl EmbedderFacts {
    /// Those of the embedder in this program.
    #[must_use]
    pub fn bundled() -> Self {
        Self {
            name: "minilm-static-256".to_owned(),
            dimensions: DIMENSIONS as u32,
            fingerprint: embedder_fingerprint(),
        }
    }
}

impl fmt::Display for EmbedderFacts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({} components, {})", self.name, self.dimensions, self.fingerprint)
    }
}

/// How good a router was on rows it had not seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingMetrics {
    /// Mean quality when the best predicted model answers.
    pub quality: f64,
    /// Lower end of its 95 % bootstrap interval: the bound a new file is compared by.
    pub quality_lower: f64,
    /// Mean quality of the best single model.
    pub best_single: f64,
    /// With two models: area under the curve of recovered quality over the share of the better one; 0.5 is chance.
    pub apgr: Option<f64>,
    /// Lower end of its 95 % bootstrap interval.
    pub apgr_lower: Option<f64>,
    /// The same area for prompt length alone.
    pub length_apgr: Option<f64>,
}

/// The linear part: one weight per feature and model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Subtracted from each counted feature.
    pub lexical_mean: Vec<f32>,
    /// Multiplied with each afterwards.
    pub lexical_factor: Vec<f32>,
    /// One per model.
    pub intercepts: Vec<f32>,
    /// Feature by feature, a weight per model.
    pub lexical: Numbers,
    /// Component by component, a weight per model.
    pub vector: Numbers,
    /// Bucket by bucket, a weight per model.
    pub hashed: Numbers,
    /// Component by component of the larger encoder's vector, a weight per model.
    #[serde(default, skip_serializing_if = "Numbers::is_empty")]
    pub encoded: Numbers,
}

/// The training prompts a prediction may lean on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NeighbourFacts {
    /// Share of the neighbours' mean residual that is added, 0 to 1.
    pub blend: f32,
    /// How many neighbours' worth the cluster's mean counts.
    pub prior: f32,
    /// The first row of each cluster, and the number of rows at the end.
    pub starts: Vec<u32>,
    /// The centre of each cluster, as bytes.
    pub centres: Bytes,
    /// What the bytes of each centre are multiplied by.
    pub centre_scales: Numbers,
    /// Each row's vector, as bytes, cluster by cluster.
    pub rows: Bytes,
    /// What the bytes of each row are multiplied by.
    pub row_scales: Numbers,
    /// Each row's residual per model, in hundredths.
    pub residuals: Bytes,
    /// Each cluster's mean residual per model, shrunk towards zero.
    pub cluster_residuals: Numbers,
}

/// What familiar prompts look like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuardFacts {
    /// The least each counted feature may be.
    pub lexical_low: Vec<f32>,
    /// The most each may be.
    pub lexical_high: Vec<f32>,
    /// Whether prompts have lettered choices, where practically all or none of the training prompts have.
    pub choices: Option<bool>,
    /// The least mean similarity to the nearest neighbours.
    pub least_similarity: Option<f32>,
    /// Which prompts may be judged at all: the least known pieces.
    pub least_pieces: u32,
}

/// Held-out rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// Row by row, what was predicted per model.
    pub predicted: Numbers,
    /// Row by row, what was measured per model.
    pub actual: Numbers,
    /// The length of each row's prompt, in bytes.
    pub lengths: Numbers,
}

/// Why a file cannot be used. Reads after "failed to".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ArtefactError {
    /// It is not JSON, or not of this form.
    #[error("read the trained router: {cause}")]
    Form {
        /// What is wrong and where.
        cause: String,
    },
    /// It is something else.
    #[error("read the trained router: this is a `{found}` file, not a `{FORMAT_NAME}`")]
    Name {
        /// What it says it is.
        found: String,
    },
    /// It is of another version.
    #[error(
        "read the trained router: the file has version {found}, this program reads version {FORMAT}; train it again"
    )]
    Version {
        /// The file's version.
        found: u32,
    },
    /// It was trained with another embedder or other features.
    #[error(
        "use the trained router: it was trained with {what} {found}, this program has {expected}; train it again"
    )]
    Mismatch {
        /// What differs.
        what: &'static str,
        /// In the file.
        found: String,
        /// Here.
        expected: String,
    },
    /// A list has the wrong length or holds something that is no number.
    #[error("use the trained router: `{field}` {problem}; the file is damaged")]
    Field {
        /// Which.
        field: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// The start of a file, read first so that another version is named as such and not as a wrong form.
#[derive(Deserialize)]
struct Heading {
    format: Option<String>,
    version: Option<u32>,
}

impl Artefact {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// What is wrong with it and what to do.
    pub fn parse(text: &[u8]) -> Result<Self, ArtefactError> {
        let form = |error: serde_json::Error| ArtefactError::Form { cause: error.to_string() };
        let heading: Heading = serde_json::from_slice(text).map_err(form)?;
        match (heading.format.as_deref(), heading.version) {
            (Some(FORMAT_NAME), Some(FORMAT)) => {}
            (Some(FORMAT_NAME), Some(found)) => return Err(ArtefactError::Version { found }),
            (Some(FORMAT_NAME), None) => {
                return Err(ArtefactError::Form { cause: "`version` is missing".to_owned() });
            }
            (found, _) => {
                let found = found.map_or("plain JSON", |found| &found[..found.floor_char_boundary(40)]);
                return Err(ArtefactError::Name { found: found.to_owned() });
            }
        }
        let artefact: Self = serde_json::from_slice(text).map_err(form)?;
        artefact.check()?;
        Ok(artefact)
    }

    /// The file's text.
    #[must_use]
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("a tree of numbers and texts is always JSON")
    }

    /// Checks that all its parts fit each other and this program.
    ///
    /// # Errors
    /// The first part that does not.
    pub fn check(&self) -> Result<(), ArtefactError> {
        let expected = EmbedderFacts::bundled();
        if self.embedder != expected {
            return Err(ArtefactError::Mismatch {
                what: "the embedder",
                found: self.embedder.to_string(),
                expected: expected.to_string(),
            });
        }
        if self.features != LEXICAL {
            return Err(ArtefactError::Mismatch {
                what: "the features",
                found: self.features.join(", "),
                expected: LEXICAL.join(", "),
            });
        }
        let models = self.models.len();
        if !(1..=MOST_MODELS).contains(&models) {
            return field("models", format!("holds {models} models, not 1 to {MOST_MODELS}"));
        }
        let head = &self.head;
        numbers("head.lexical_mean", &head.lexical_mean, LEXICAL.len())?;
        numbers("head.lexical_factor", &head.lexical_factor, LEXICAL.len())?;
        numbers("head.intercepts", &head.intercepts, models)?;
        numbers("head.lexical", &head.lexical.0, LEXICAL.len() * models)?;
        numbers("head.vector", &head.vector.0, DIMENSIONS * models)?;
        numbers("head.hashed", &head.hashed.0, HASHED * models)?;
        let encoded = self.encoder.as_ref().map_or(0, |encoder| encoder.dimensions as usize);
        if self.encoder.is_some() && !(1..=MOST_DIMENSIONS).contains(&encoded) {
            return field("encoder.dimensions", format!("is {encoded}, not from 1 to {MOST_DIMENSIONS}"));
        }
        numbers("head.encoded", &head.encoded.0, encoded * models)?;
        numbers("guard.lexical_low", &self.guard.lexical_low, LEXICAL.len())?;
        numbers("guard.lexical_high", &self.guard.lexical_high, LEXICAL.len())?;
        let rows = self.calibration.lengths.0.len();
        if rows == 0 {
            return field("calibration.lengths", "is empty".to_owned());
        }
        numbers("calibration.lengths", &self.calibration.lengths.0, rows)?;
        numbers("calibration.predicted", &self.calibration.predicted.0, rows * models)?;
        numbers("calibration.actual", &self.calibration.actual.0, rows * models)?;
        self.neighbours.as_ref().map_or(Ok(()), |neighbours| neighbours.check(models))
    }
}

impl NeighbourFacts {
    fn check(&self, models: usize) -> Result<(), ArtefactError> {
        let clusters = self.starts.len().saturating_sub(1);
        let rows = self.starts.last().map_or(0, |rows| *rows as usize);
        if clusters == 0 || rows == 0 || !self.starts.is_sorted() || self.starts.first() != Some(&0) {
            return field("neighbours.starts", "does not rise from 0".to_owned());
        }
        if rows > MOST_NEIGHBOURS {
            return field("neighbours.starts", format!("counts {rows} rows, more than {MOST_NEIGHBOURS}"));
        }
        numbers("neighbours.centre_scales", &self.centre_scales.0, clusters)?;
        numbers("neighbours.row_scales", &self.row_scales.0, rows)?;
        numbers("neighbours.cluster_residuals", &self.cluster_residuals.0, clusters * models)?;
        numbers("neighbours.blend", &[self.blend, self.prior], 2)?;
        length("neighbours.centres", self.centres.0.len(), clusters * DIMENSIONS)?;
        length("neighbours.rows", self.rows.0.len(), rows * DIMENSIONS)?;
        length("neighbours.residuals", self.residuals.0.len(), rows * models)
    }
}

fn field<T>(field: &'static str, problem: String) -> Result<T, ArtefactError> {
    Err(ArtefactError::Field { field, problem })
}

fn length(name: &'static str, found: usize, expected: usize) -> Result<(), ArtefactError> {
    if found == expected { Ok(()) } else { field(name, format!("has {found} values, not {expected}")) }
}

fn numbers(name: &'static str, values: &[f32], expected: usize) -> Result<(), ArtefactError> {
    length(name, values.len(), expected)?;
    match values.iter().position(|value| !value.is_finite()) {
        Some(at) => field(name, format!("holds something that is no number at {at}")),
        None => Ok(()),
    }
}

/// A name for the embedder in this program: a hash of what it makes of one sentence. Another table or tokenizer gives another.
#[must_use]
pub fn embedder_fingerprint() -> String {
    let probe = embed("The quick brown fox, naturally, jumps over 13 lazy dogs; does it?");
    let hash = probe
        .vector
        .iter()
        .flat_map(|component| component.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    format!("{hash:016x}")
}
