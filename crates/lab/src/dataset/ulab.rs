//! The form of LLMRouter's preprocessed data: a JSON array of questions with the scores of several models.
//!
//! Owns the reading of that form. The models are those of the first row, by name; every row must have the same.

use super::{Dataset, DatasetError, Place, Row};

/// Reads `[{question, scores: {model: score}, ...}]`.
///
/// # Errors
/// The first element that is not of this form.
pub fn ulab(file: &str, text: &str) -> Result<Dataset, DatasetError> {
    let whole = Place { file, row: 0 };
    let values: Vec<serde_json::Value> = serde_json::from_str(text)
        .map_err(|error| whole.error("", format!("expected a JSON array of questions: {error}")))?;
    let mut models: Vec<String> = Vec::new();
    let mut rows = Vec::with_capacity(values.len());
    for (number, value) in values.iter().enumerate() {
        let place = Place { file, row: number + 1 };
        let scored = value.get("scores").and_then(serde_json::Value::as_object);
        let scored = scored.ok_or_else(|| place.error("scores", "expected an object of scores by model"))?;
        if number == 0 {
            models = scored.keys().cloned().collect();
            models.sort();
        }
        if let Some(unknown) = scored.keys().find(|name| !models.contains(name)) {
            return Err(place.error(&format!("scores.{unknown}"), "the first row does not have this model"));
        }
        let mut scores = Vec::with_capacity(models.len());
        for model in &models {
            let field = format!("scores.{model}");
            let score = scored.get(model).ok_or_else(|| place.error(&field, "it is missing"))?;
            scores.push(place.score(score, &field)?);
        }
        rows.push(Row {
            prompt: place.text(value, "question")?.to_owned(),
            features: None,
            group: String::new(),
            scores,
            costs: Vec::new(),
            weights: Vec::new(),
        });
    }
    Ok(Dataset { name: "ulab".to_owned(), models, rows })
}
