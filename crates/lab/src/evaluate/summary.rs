//! Targets side by side.
//!
//! Owns figures with intervals, the paired comparison with the first target, and the minimums of a CI job. Must not grade.

use super::grade::Grade;
use crate::estimate::{Estimate, Settings, mean_of, share_of};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// One row asked of one target; a line of the state file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which row and target, and under which circumstances.
    #[serde(rename = "of")]
    pub asked: Asked,
    /// Why there is no answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The answer's text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What it is worth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grade: Option<Grade>,
    /// Who answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<String>,
    /// Dollars for the answer; `None` when unknown.
    pub cost_usd: Option<f64>,
    /// Dollars for its judges; `None` when unknown.
    pub judge_cost_usd: Option<f64>,
    /// Milliseconds to the whole answer.
    pub total_ms: f64,
}

/// Which row and target, and under which circumstances: an outcome is used again only when all are the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Asked {
    /// The row's id.
    pub row: String,
    /// The row's fingerprint.
    pub fingerprint: String,
    /// The deployment, model or route.
    pub target: String,
    /// The configuration's fingerprint.
    pub config: String,
    /// The judge; empty without one.
    pub judge: String,
}

/// What an evaluation found.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The data set.
    pub data: String,
    /// Rows.
    pub rows: usize,
    /// The targets side by side, in the order in which they were named.
    pub targets: Vec<Summary>,
    /// Minimums that were missed, in sentences.
    pub missed: Vec<String>,
    /// Answers that were not asked for because the spend cap was reached.
    pub left: usize,
    /// Answers taken from an earlier run.
    pub resumed: usize,
    /// Every outcome.
    pub outcomes: Vec<Outcome>,
}

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Its name.
    pub target: String,
    /// Rows that were asked.
    pub asked: usize,
    /// Rows without an answer; they count as worth nothing.
    pub errors: usize,
    /// The mean score of its rows, 0 to 1.
    pub quality: Option<Estimate>,
    /// The share of rows that passed every check.
    pub passed: Option<Estimate>,
    /// The share of answers that declined.
    pub refusals: Option<Estimate>,
    /// The share of answers with the form that was asked for, of those for which one was.
    pub format: Option<Estimate>,
    /// Dollars for each answer, of those whose cost is known.
    pub cost_usd: Option<Estimate>,
    /// Dollars for all of them.
    pub spent_usd: f64,
    /// Answers whose cost is not known.
    pub unknown_cost: usize,
    /// Dollars for judges.
    pub judges_usd: f64,
    /// Mean milliseconds to the whole answer.
    pub total_ms: Option<Estimate>,
    /// Their 95th percentile.
    pub total_p95_ms: Option<f64>,
    /// How much better its scores are than the first target's, row by row; `None` for the first.
    pub against_first: Option<Estimate>,
    /// How many of its answers each deployment gave.
    pub deployments: BTreeMap<String, usize>,
}

/// What a target must reach.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Minimum {
    /// The least mean score.
    pub quality: Option<f64>,
    /// The least share that passes every check.
    pub passed: Option<f64>,
    /// The least share with the right form.
    pub format: Option<f64>,
    /// The largest share of refusals.
    pub refusals: Option<f64>,
    /// The largest mean cost of an answer in dollars.
    pub cost_usd: Option<f64>,
    /// The largest 95th percentile of milliseconds.
    pub total_p95_ms: Option<f64>,
    /// Whether the bound of the interval must reach it, and not only the figure.
    pub surely: bool,
}

/// Puts targets side by side.
#[must_use]
pub fn summarize(targets: &[String], outcomes: &[Outcome]) -> Vec<Summary> {
    let of = |target: &String| -> Vec<&Outcome> {
        outcomes.iter().filter(|outcome| outcome.asked.target == *target).collect()
    };
    let first = targets.first().map(of).unwrap_or_default();
    targets
        .iter()
        .enumerate()
        .map(|(number, target)| {
            let own = of(target);
            let mut summary = summary(target, &own);
            if number > 0 {
                summary.against_first = difference(&first, &own);
            }
            summary
        })
        .collect()
}

fn summary(target: &str, outcomes: &[&Outcome]) -> Summary {
    let settings = Settings::default();
    let scores: Vec<f64> = outcomes.iter().map(|outcome| score(outcome)).collect();
    let grades: Vec<&Grade> = outcomes.iter().filter_map(|outcome| outcome.grade.as_ref()).collect();
    let formats: Vec<bool> = grades.iter().filter_map(|grade| grade.format).collect();
    let hits = |hit: &dyn Fn(&Grade) -> bool| grades.iter().filter(|grade| hit(grade)).count();
    let answered: Vec<&&Outcome> = outcomes.iter().filter(|outcome| outcome.error.is_none()).collect();
    let costs: Vec<f64> = answered.iter().filter_map(|outcome| outcome.cost_usd).collect();
    let mut times: Vec<f64> = answered.iter().map(|outcome| outcome.total_ms).collect();
    times.sort_by(f64::total_cmp);
    let mut deployments = BTreeMap::new();
    for deployment in answered.iter().filter_map(|outcome| outcome.deployment.clone()) {
        *deployments.entry(deployment).or_insert(0) += 1;
    }
    Summary {
        target: target.to_owned(),
        asked: outcomes.len(),
        errors: outcomes.len() - answered.len(),
        quality: mean_of(&scores, &settings),
        passed: share_of(hits(&|grade| grade.passed), outcomes.len()),
        refusals: share_of(hits(&|grade| grade.refused), grades.len()),
        format: share_of(formats.iter().filter(|format| **format).count(), formats.len()),
        cost_usd: mean_of(&costs, &settings),
        spent_usd: costs.iter().sum(),
        unknown_cost: answered.len() - costs.len(),
        judges_usd: outcomes.iter().filter_map(|outcome| outcome.judge_cost_usd).sum(),
        total_ms: mean_of(&times, &settings),
        total_p95_ms: times.get((times.len() * 95).div_ceil(100).saturating_sub(1)).copied(),
        against_first: None,
        deployments,
    }
}

/// A row without an answer is worth nothing: a target must not gain by failing.
fn score(outcome: &Outcome) -> f64 {
    outcome.grade.as_ref().map_or(0.0, |grade| grade.score)
}

/// By rows that both were asked: hard rows are hard for both, and only the differences count.
fn difference(first: &[&Outcome], other: &[&Outcome]) -> Option<Estimate> {
    let known: HashMap<&str, f64> =
        first.iter().map(|outcome| (outcome.asked.row.as_str(), score(outcome))).collect();
    let differences: Vec<f64> = other
        .iter()
        .filter_map(|outcome| Some(score(outcome) - known.get(outcome.asked.row.as_str())?))
        .collect();
    mean_of(&differences, &Settings::default())
}

impl Minimum {
    /// What the targets miss, in sentences.
    #[must_use]
    pub fn missed(&self, targets: &[Summary]) -> Vec<String> {
        let mut missed = Vec::new();
        for target in targets {
            let at_least = [
                ("quality", self.quality, target.quality),
                ("passed", self.passed, target.passed),
                ("format", self.format, target.format),
            ];
            for (name, least, found) in at_least {
                let found = found.map(|found| if self.surely { found.low } else { found.value });
                missed.extend(told(&target.target, name, least, found, |found, least| found >= least));
            }
            let at_most =
                [("refusals", self.refusals, target.refusals), ("cost_usd", self.cost_usd, target.cost_usd)];
            for (name, most, found) in at_most {
                let found = found.map(|found| if self.surely { found.high } else { found.value });
                missed.extend(told(&target.target, name, most, found, |found, most| found <= most));
            }
            let p95 = (self.total_p95_ms, target.total_p95_ms);
            missed.extend(told(&target.target, "total_p95_ms", p95.0, p95.1, |found, most| found <= most));
        }
        missed
    }
}

fn told(
    target: &str,
    name: &str,
    wanted: Option<f64>,
    found: Option<f64>,
    reached: impl Fn(f64, f64) -> bool,
) -> Option<String> {
    let wanted = wanted?;
    match found {
        Some(found) if reached(found, wanted) => None,
        Some(found) => Some(format!("{target}: {name} is {found:.4}, wanted is {wanted}")),
        // What is not known is not reached: a job must not pass because nothing was measured.
        None => Some(format!("{target}: {name} is not known, wanted is {wanted}")),
    }
}
