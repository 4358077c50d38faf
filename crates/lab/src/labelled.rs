//! Rows that the gateway's own record yields: what one deployment made of one prompt.
//!
//! Owns the form such rows come in and the bringing together of rows of one prompt. Must not read a store: who keeps the record
//! implements [`LabelledRows`]. Most rows of a log know one model only; training takes them as they are.

use crate::dataset::{Dataset, Row};
use std::collections::{BTreeMap, HashMap};

/// One answer and how good it was.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledRow {
    /// The text of the user's last turn.
    pub prompt: String,
    /// The model that answered, as `provider/model`.
    pub model: String,
    /// How good the answer was, 0 to 1: from feedback, a check, a judge.
    pub score: f32,
    /// What it cost in dollars, where known.
    pub cost: Option<f32>,
    /// The route, for grouping.
    pub route: String,
    /// The probability with which the policy chose this model for this request, 0 to 1.
    pub propensity: f64,
}

/// A record that yields labelled rows.
pub trait LabelledRows {
    /// What can go wrong while reading.
    type Error: std::error::Error + Send + Sync + 'static;

    /// The rows, oldest first, at most `limit`.
    ///
    /// # Errors
    /// When the record cannot be read.
    fn labelled_rows(&self, limit: usize) -> Result<Vec<LabelledRow>, Self::Error>;
}

/// Rows as a dataset: one row per prompt and route, of several answers of one model the mean. Rows without text, or whose score
/// is no number from 0 to 1, are left out and counted.
#[must_use]
pub fn dataset(rows: Vec<LabelledRow>) -> (Dataset, usize) {
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    let before = rows.len();
    let rows: Vec<LabelledRow> = rows
        .into_iter()
        .filter(|row| !row.prompt.trim().is_empty() && (0.0..=1.0).contains(&row.score))
        .collect();
    let left_out = before - rows.len();
    for row in &rows {
        positions.entry(row.model.clone()).or_default();
    }
    for (position, place) in positions.values_mut().enumerate() {
        *place = position;
    }
    let models = positions.len();
    let mut places: HashMap<(String, String), usize> = HashMap::new();
    let mut gathered: Vec<(Row, Vec<f32>)> = Vec::new();
    for row in rows {
        let key = (row.route, row.prompt);
        let place = *places.entry(key).or_insert_with_key(|(route, prompt)| {
            let scores = vec![f32::NAN; models];
            let empty =
                Row { prompt: prompt.clone(), group: route.clone(), scores: scores.clone(), costs: scores };
            gathered.push((empty, vec![0.0; models]));
            gathered.len() - 1
        });
        let (gathered, counts) = &mut gathered[place];
        let model = positions[&row.model];
        let (score, count) = (&mut gathered.scores[model], counts[model]);
        // The running mean; the first score replaces what is no number.
        *score = if count == 0.0 { row.score } else { *score + (row.score - *score) / (count + 1.0) };
        if let Some(cost) = row.cost {
            gathered.costs[model] = cost;
        }
        counts[model] += 1.0;
    }
    let rows = gathered.into_iter().map(|(row, _)| row).collect();
    (Dataset { name: "log".to_owned(), models: positions.into_keys().collect(), rows }, left_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(prompt: &str, model: &str, score: f32) -> LabelledRow {
        LabelledRow {
            prompt: prompt.to_owned(),
            model: model.to_owned(),
            score,
            cost: Some(0.01),
            route: "auto".to_owned(),
            propensity: 1.0,
        }
    }

    #[test]
    fn answers_to_one_prompt_come_together() {
        let rows = vec![
            row("one", "b", 0.0),
            row("two", "a", 1.0),
            row("one", "b", 1.0),
            row("one", "a", 0.25),
            row(" ", "a", 1.0),
            row("three", "a", f32::NAN),
        ];
        let (data, left_out) = dataset(rows);
        assert_eq!((data.models.len(), data.rows.len(), left_out), (2, 2, 2));
        assert_eq!(data.rows[0].scores, [0.25, 0.5]);
        assert!(data.rows[1].scores[1].is_nan());
    }
}
