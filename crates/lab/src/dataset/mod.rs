//! Labelled prompts: what several models made of the same prompts.
//!
//! Owns the form all sources are brought into and its checks. Must not open files: a text and its name are arguments, and every
//! error names the file, the line and the field. A score that is not there is not a number and is left out of fits and means; a
//! score that cannot be (no number, outside 0 to 1) is refused.

mod generic;
mod routellm;
mod ulab;

pub use generic::generic;
pub use routellm::routellm;
pub use ulab::ulab;

use sha2::{Digest, Sha256};
use std::fmt;
use trunkline_route::learned::{KeptPrompt, PromptFeatures};

/// Prompts and what models made of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// What it is called in reports.
    pub name: String,
    /// The models, in the order of scores.
    pub models: Vec<String>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// One prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its text; empty where only [`Row::features`] are known.
    pub prompt: String,
    /// What it looks like, of a prompt whose text was not kept.
    pub features: Option<Box<PromptFeatures>>,
    /// What it belongs to: a benchmark, a task; may be empty.
    pub group: String,
    /// Per model, the quality of its answer, 0 to 1; not a number where it is not known.
    pub scores: Vec<f32>,
    /// Per model, what it cost in dollars; not a number where it is not known. Empty when no cost is known.
    pub costs: Vec<f32>,
    /// Per model, for how many rows its score counts in a fit; empty where each counts for one.
    pub weights: Vec<f32>,
}

/// What is wrong with a dataset and where. Reads after "failed to".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetError {
    /// The file.
    pub file: String,
    /// The line or the element, counted from 1; `None` for the file as a whole.
    pub row: Option<usize>,
    /// The field; empty for the row as a whole.
    pub field: String,
    /// What is wrong and what to do.
    pub problem: String,
}

impl fmt::Display for DatasetError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "read the dataset {}", self.file)?;
        if let Some(row) = self.row {
            write!(formatter, ", row {row}")?;
        }
        if !self.field.is_empty() {
            write!(formatter, ", field `{}`", self.field)?;
        }
        write!(formatter, ": {}", self.problem)
    }
}

impl std::error::Error for DatasetError {}

/// Where in a file a reader is.
#[derive(Clone, Copy)]
struct Place<'a> {
    file: &'a str,
    row: usize,
}

impl Place<'_> {
    fn error(self, field: &str, problem: impl Into<String>) -> DatasetError {
        DatasetError {
            file: self.file.to_owned(),
            row: (self.row > 0).then_some(self.row),
            field: field.to_owned(),
            problem: problem.into(),
        }
    }

    fn text<'v>(self, row: &'v serde_json::Value, field: &str) -> Result<&'v str, DatasetError> {
        match row.get(field) {
            None => Err(self.error(field, "it is missing")),
            Some(value) => value
                .as_str()
                .ok_or_else(|| self.error(field, format!("expected a text, found {}", shown(value)))),
        }
    }

    /// A score: a number from 0 to 1, or true or false.
    fn score(self, value: &serde_json::Value, field: &str) -> Result<f32, DatasetError> {
        let score = match value {
            serde_json::Value::Bool(right) => f64::from(u8::from(*right)),
            value => value.as_f64().ok_or_else(|| {
                self.error(field, format!("expected a number from 0 to 1, found {}", shown(value)))
            })?,
        };
        if (0.0..=1.0).contains(&score) {
            Ok(score as f32)
        } else {
            Err(self.error(field, format!("{score} is outside 0 to 1; scale the scores first")))
        }
    }
}

fn shown(value: &serde_json::Value) -> String {
    let text = value.to_string();
    let end = text.floor_char_boundary(40);
    if end < text.len() { format!("{}...", &text[..end]) } else { text }
}

/// The lines of a JSONL file as values, blank ones skipped.
fn lines<'a>(
    file: &'a str,
    text: &'a str,
) -> impl Iterator<Item = Result<(Place<'a>, serde_json::Value), DatasetError>> {
    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).map(move |(number, line)| {
        let place = Place { file, row: number + 1 };
        let value: serde_json::Value =
            serde_json::from_str(line).map_err(|error| place.error("", format!("not JSON: {error}")))?;
        if value.is_object() { Ok((place, value)) } else { Err(place.error("", "expected an object")) }
    })
}

impl Dataset {
    /// The rows of one group, as a dataset of its name.
    #[must_use]
    pub fn of_group(&self, name: &str, keep: impl Fn(&Row) -> bool) -> Self {
        Self {
            name: name.to_owned(),
            models: self.models.clone(),
            rows: self.rows.iter().filter(|row| keep(row)).cloned().collect(),
        }
    }

    /// Several datasets as one: models by name, what a dataset does not know is not known.
    #[must_use]
    pub fn joined(name: &str, parts: Vec<Self>) -> Self {
        let mut models: Vec<String> = parts.iter().flat_map(|part| part.models.iter().cloned()).collect();
        models.sort();
        models.dedup();
        let mut rows = Vec::with_capacity(parts.iter().map(|part| part.rows.len()).sum());
        for part in parts {
            let places: Vec<usize> =
                part.models.iter().filter_map(|model| models.binary_search(model).ok()).collect();
            let spread = |values: &[f32]| {
                let mut spread = vec![f32::NAN; models.len()];
                for (place, value) in places.iter().zip(values) {
                    spread[*place] = *value;
                }
                spread
            };
            rows.extend(part.rows.into_iter().map(|row| Row {
                scores: spread(&row.scores),
                costs: if row.costs.is_empty() { row.costs } else { spread(&row.costs) },
                weights: if row.weights.is_empty() { row.weights } else { spread(&row.weights) },
                ..row
            }));
        }
        Self { name: name.to_owned(), models, rows }
    }

    /// The same without some models, and without the rows that knew none but them.
    #[must_use]
    pub fn without(&self, left_out: &[String]) -> Self {
        let kept: Vec<usize> =
            (0..self.models.len()).filter(|model| !left_out.contains(&self.models[*model])).collect();
        let of = |values: &[f32]| kept.iter().filter_map(|model| values.get(*model).copied()).collect();
        let rows = self.rows.iter().map(|row| Row {
            scores: of(&row.scores),
            costs: of(&row.costs),
            weights: of(&row.weights),
            ..row.clone()
        });
        Self {
            name: self.name.clone(),
            models: kept.iter().map(|model| self.models[*model].clone()).collect(),
            rows: rows.filter(|row| row.scores.iter().any(|score| !score.is_nan())).collect(),
        }
    }

    /// The mean score of each model over the rows where it is known; not a number where it never is.
    #[must_use]
    pub fn means(&self) -> Vec<f64> {
        (0..self.models.len())
            .map(|model| {
                let known =
                    self.rows.iter().map(|row| f64::from(row.scores[model])).filter(|score| !score.is_nan());
                let (sum, count) = known.fold((0.0, 0u32), |(sum, count), score| (sum + score, count + 1));
                sum / f64::from(count)
            })
            .collect()
    }

    /// SHA-256 over models, prompts and scores, hexadecimal.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for model in &self.models {
            hash.update(model.as_bytes());
            hash.update([0]);
        }
        for row in &self.rows {
            hash.update((row.prompt.len() as u64).to_le_bytes());
            hash.update(row.prompt.as_bytes());
            if let Some(features) = &row.features {
                hash.update(KeptPrompt::Features(features.clone()).to_bytes());
            }
            for score in &row.scores {
                hash.update(score.to_le_bytes());
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests;
