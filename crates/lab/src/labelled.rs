//! Rows that the gateway's own record yields: what one deployment made of one prompt.
//!
//! Owns the form such rows come in and the bringing together of rows of one prompt. Must not know where scores come from: that is
//! [`crate::from_log`]'s. Most rows of a log know one model only; training takes them as they are.

use crate::dataset::{Dataset, Row};
use std::collections::{BTreeMap, HashMap};
use trunkline_route::learned::KeptPrompt;

/// One answer and how good it was.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelledRow {
    /// The user's last turn, as it was kept.
    pub prompt: KeptPrompt,
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

/// Rows as a dataset: one row per prompt and route, of several answers of one model the mean. Rows without a prompt, or whose score
/// is no number from 0 to 1, are left out and counted.
#[must_use]
pub fn dataset(rows: Vec<LabelledRow>) -> (Dataset, usize) {
    let mut positions: BTreeMap<String, usize> = BTreeMap::new();
    let before = rows.len();
    let rows: Vec<LabelledRow> =
        rows.into_iter().filter(|row| !is_empty(&row.prompt) && (0.0..=1.0).contains(&row.score)).collect();
    let left_out = before - rows.len();
    for row in &rows {
        positions.entry(row.model.clone()).or_default();
    }
    for (position, place) in positions.values_mut().enumerate() {
        *place = position;
    }
    let models = positions.len();
    let mut places: HashMap<(String, Vec<u8>), usize> = HashMap::new();
    let mut gathered: Vec<(Row, Vec<f32>)> = Vec::new();
    for row in rows {
        let key = (row.route.clone(), row.prompt.to_bytes());
        let (route, prompt) = (row.route, row.prompt);
        let place = *places.entry(key).or_insert_with(|| {
            let scores = vec![f32::NAN; models];
            let (prompt, features) = match prompt {
                KeptPrompt::Text(text) => (text, None),
                KeptPrompt::Features(features) => (String::new(), Some(features)),
            };
            let empty = Row { prompt, features, group: route, scores: scores.clone(), costs: scores };
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

fn is_empty(prompt: &KeptPrompt) -> bool {
    match prompt {
        KeptPrompt::Text(text) => text.trim().is_empty(),
        KeptPrompt::Features(features) => features.length == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trunkline_route::learned::KeepPrompts;

    fn row(prompt: &str, model: &str, score: f32) -> LabelledRow {
        LabelledRow {
            prompt: KeptPrompt::Text(prompt.to_owned()),
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

    #[test]
    fn features_come_together_too_and_have_no_text() {
        let kept = || KeptPrompt::of("one", KeepPrompts::Vectors);
        let rows = [0.0, 1.0].map(|score| LabelledRow { prompt: kept(), ..row("one", "a", score) });
        let (data, left_out) = dataset(rows.to_vec());
        assert_eq!((data.rows.len(), left_out, data.rows[0].scores[0]), (1, 0, 0.5));
        assert!(data.rows[0].prompt.is_empty() && data.rows[0].features.is_some());
        let text = dataset(vec![row("one", "a", 0.5)]).0;
        assert_ne!(data.fingerprint(), text.fingerprint());
    }
}
