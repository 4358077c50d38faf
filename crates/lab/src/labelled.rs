//! Rows that the gateway's own record yields: what one deployment made of one prompt.
//!
//! Owns the form such rows come in, the bringing together of rows of one prompt, and how much each counts. Must not know where
//! scores come from: that is [`crate::from_log`]'s. Most rows of a log know one model only, the one that the policy chose, so a
//! model's rows are the prompts that were sent to it and not those that may be. Where the policy explored, a row counts by the
//! reciprocal of the probability with which it came about: the rare prompt that a policy sent elsewhere stands for all like it.

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

/// The most that a row may count, in rows of a policy that always chooses the same: beyond, one lucky draw would rule a fit.
const MOST_WEIGHT: f64 = 10.0;

/// How much a row counts that came about with this probability; one for no probability.
fn weight(propensity: f64) -> f32 {
    if propensity > 0.0 && propensity <= 1.0 { propensity.recip().min(MOST_WEIGHT) as f32 } else { 1.0 }
}

/// The weights of each model in relation to their mean, so that a fit's penalty means what it means without them. Empty where all
/// are equal.
fn relative(gathered: &mut [(Row, Vec<f32>)], models: usize) {
    for model in 0..models {
        let known = gathered.iter().filter(|(row, _)| !row.scores[model].is_nan());
        let (sum, count) = known
            .fold((0.0f64, 0u32), |(sum, count), (row, _)| (sum + f64::from(row.weights[model]), count + 1));
        let mean = if count > 0 { sum / f64::from(count) } else { 1.0 };
        for (row, _) in gathered.iter_mut() {
            row.weights[model] = (f64::from(row.weights[model]) / mean) as f32;
        }
    }
    let known = |row: &Row| {
        let pairs = row.weights.iter().zip(&row.scores);
        pairs.filter(|(_, score)| !score.is_nan()).all(|(weight, _)| (weight - 1.0).abs() < 1e-6)
    };
    if gathered.iter().all(|(row, _)| known(row)) {
        gathered.iter_mut().for_each(|(row, _)| row.weights.clear());
    }
}

/// Rows as a dataset: one row per prompt and route, of several answers of one model the mean. Rows weigh by the reciprocal of
/// their propensity, at most ten times as much as one without choice. Rows without a prompt, or whose score
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
            let weights = vec![0.0; models];
            let empty =
                Row { prompt, features, group: route, scores: scores.clone(), costs: scores, weights };
            gathered.push((empty, vec![0.0; models]));
            gathered.len() - 1
        });
        let (gathered, counts) = &mut gathered[place];
        let model = positions[&row.model];
        let count = counts[model];
        let score = &mut gathered.scores[model];
        // The running mean; the first score replaces what is no number.
        *score = if count == 0.0 { row.score } else { *score + (row.score - *score) / (count + 1.0) };
        gathered.weights[model] += (weight(row.propensity) - gathered.weights[model]) / (count + 1.0);
        if let Some(cost) = row.cost {
            gathered.costs[model] = cost;
        }
        counts[model] += 1.0;
    }
    relative(&mut gathered, models);
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
    fn rare_choices_count_for_those_they_stand_for_and_no_more_than_ten() {
        let chosen =
            |prompt: &str, model: &str, propensity| LabelledRow { propensity, ..row(prompt, model, 1.0) };
        let plain = dataset(vec![row("one", "a", 1.0), row("two", "b", 0.0)]).0;
        assert!(plain.rows.iter().all(|row| row.weights.is_empty()), "nothing was explored");
        let (data, _) = dataset(vec![
            chosen("one", "a", 1.0),
            chosen("two", "a", 0.25),
            chosen("three", "a", 0.001),
            chosen("four", "b", 0.5),
            chosen("four", "b", 0.25),
            chosen("five", "b", 0.0),
        ]);
        // Of `a` the weights are 1, 4 and 10, of mean 5; of `b` 3 (the mean of two rows of one prompt) and 1, of mean 2.
        let weights: Vec<(f32, f32)> = data.rows.iter().map(|row| (row.weights[0], row.weights[1])).collect();
        assert_eq!(weights, [(0.2, 0.0), (0.8, 0.0), (2.0, 0.0), (0.0, 1.5), (0.0, 0.5)]);
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
