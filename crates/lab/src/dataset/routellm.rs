//! The compact form of RouteLLM's evaluation data: one line per prompt, right or wrong for a weak and a strong model.
//!
//! Owns the reading of that form. Must not drop rows: which of them count is the benchmark's decision.

use super::{Dataset, DatasetError, Row, lines};

/// Reads `{bench, domain, prompt, weak, strong, contaminated}` per line. Models are `weak` and `strong`, the group is the
/// benchmark.
///
/// # Errors
/// The first row that is not of this form.
pub fn routellm(file: &str, text: &str) -> Result<Dataset, DatasetError> {
    let mut rows = Vec::new();
    for line in lines(file, text) {
        let (place, value) = line?;
        let mut scores = Vec::with_capacity(2);
        for field in ["weak", "strong"] {
            let score = value.get(field).ok_or_else(|| place.error(field, "it is missing"))?;
            scores.push(place.score(score, field)?);
        }
        rows.push(Row {
            prompt: place.text(&value, "prompt")?.to_owned(),
            features: None,
            group: place.text(&value, "bench")?.to_owned(),
            scores,
            costs: Vec::new(),
            weights: Vec::new(),
        });
    }
    Ok(Dataset { name: "routellm".to_owned(), models: vec!["weak".to_owned(), "strong".to_owned()], rows })
}
