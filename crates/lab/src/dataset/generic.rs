//! The form for one's own data: JSONL, a prompt and what models made of it.
//!
//! Owns the reading of that form. A row may know only some of the models, as rows from a log do; a model nobody scored is a
//! mistake of spelling more often than not, and is named.

use super::{Dataset, DatasetError, Place, Row, lines};
use std::collections::BTreeMap;

/// Reads `{"prompt": ..., "models": {"provider/model": {"score": 0.8, "cost": 0.0012}}, "group": ...}` per line. A bare number
/// or a boolean in place of the object is a score. Scores are 0 to 1, costs dollars per request.
///
/// # Errors
/// The first row that is not of this form.
pub fn generic(file: &str, text: &str) -> Result<Dataset, DatasetError> {
    let mut read = Vec::new();
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    let mut last = 0;
    for line in lines(file, text) {
        let (place, value) = line?;
        last = place.row;
        if let Some(unknown) = value
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .find(|name| !matches!(name.as_str(), "prompt" | "models" | "group" | "id"))
        {
            return Err(
                place.error(unknown, "unknown; expected `prompt`, `models`, and optionally `group` and `id`")
            );
        }
        let prompt = place.text(&value, "prompt")?.to_owned();
        if prompt.trim().is_empty() {
            return Err(place.error("prompt", "it is empty"));
        }
        let group = if value.get("group").is_some() {
            place.text(&value, "group")?.to_owned()
        } else {
            String::new()
        };
        let models = value.get("models").and_then(serde_json::Value::as_object);
        let models = models.ok_or_else(|| {
            place.error("models", "expected an object such as {\"openai/gpt-5\": {\"score\": 0.8}}")
        })?;
        if models.is_empty() {
            return Err(place.error("models", "it is empty: nothing is known of this prompt"));
        }
        let mut known = Vec::with_capacity(models.len());
        for (model, value) in models {
            positions.entry(model.clone()).or_default();
            known.push((model.clone(), outcome(place, model, value)?));
        }
        read.push((prompt, group, known));
    }
    if read.is_empty() {
        return Err(Place { file, row: last }.error("", "it holds no row"));
    }
    for (position, place) in positions.values_mut().enumerate() {
        *place = position;
    }
    let any_cost = read.iter().any(|(_, _, known)| known.iter().any(|(_, (_, cost))| !cost.is_nan()));
    let rows = read
        .into_iter()
        .map(|(prompt, group, known)| {
            let mut scores = vec![f32::NAN; positions.len()];
            let mut costs = vec![f32::NAN; if any_cost { positions.len() } else { 0 }];
            for (model, (score, cost)) in known {
                let position = positions[&model];
                scores[position] = score;
                if let Some(place) = costs.get_mut(position) {
                    *place = cost;
                }
            }
            Row { prompt, features: None, group, scores, costs, weights: Vec::new() }
        })
        .collect();
    Ok(Dataset { name: file.to_owned(), models: positions.into_keys().collect(), rows })
}

/// Score and cost of one model.
fn outcome(place: Place<'_>, model: &str, value: &serde_json::Value) -> Result<(f32, f32), DatasetError> {
    let Some(fields) = value.as_object() else {
        return Ok((place.score(value, &format!("models.{model}"))?, f32::NAN));
    };
    if let Some(unknown) = fields.keys().find(|name| !matches!(name.as_str(), "score" | "cost")) {
        return Err(place
            .error(&format!("models.{model}.{unknown}"), "unknown; expected `score` and optionally `cost`"));
    }
    let field = format!("models.{model}.score");
    let score = fields.get("score").ok_or_else(|| place.error(&field, "it is missing"))?;
    let score = place.score(score, &field)?;
    let field = format!("models.{model}.cost");
    let cost = match fields.get("cost") {
        None => f32::NAN,
        Some(cost) => match cost.as_f64() {
            Some(cost) if cost >= 0.0 && cost.is_finite() => cost as f32,
            _ => return Err(place.error(&field, "expected dollars, a number of at least 0")),
        },
    };
    Ok((score, cost))
}
