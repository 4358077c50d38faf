//! What the log teaches: requests with a score and a prompt become rows to train on, labelled texts become examples.
//!
//! Owns which score belongs to which model and what is said of requests that teach nothing. Must not read a store: records,
//! feedback and kept prompts are handed in. The non-obvious part: feedback is on the answer that was served, a judge's score on
//! the answer it saw, which after an escalation is another one; both are rows of one prompt. Where both speak of one answer,
//! people are believed.

use crate::labelled::LabelledRow;
use crate::past;
use serde::Serialize;
use std::collections::BTreeMap;
use trunkline_model::feedback::Feedback;
use trunkline_model::id::Name;
use trunkline_model::record::{AttemptKind, Outcome, RequestRecord};
use trunkline_route::learned::{KeptPrompt, UnknownForm};

/// What is known of one request.
#[derive(Clone, Debug)]
pub struct Logged<'a> {
    /// Its record.
    pub record: &'a RequestRecord,
    /// What was said of its answer.
    pub feedback: Option<Feedback>,
    /// Its prompt, as far as it was kept.
    pub prompt: Option<Result<KeptPrompt, UnknownForm>>,
}

/// What was gathered, and what was not and why.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Gathered {
    /// One for each answer with a score and a prompt.
    #[serde(skip)]
    pub rows: Vec<LabelledRow>,
    /// Texts by the label that feedback gave them; of several labels of one text the newest.
    #[serde(skip)]
    pub examples: BTreeMap<String, String>,
    /// Requests looked at.
    pub requests: usize,
    /// Requests with a score.
    pub scored: usize,
    /// Requests with a label that is a class.
    pub labelled: usize,
    /// Requests with a score or label whose prompt was not kept, by route.
    pub without_prompt: BTreeMap<String, usize>,
    /// Labelled requests of which only the vector was kept, by route.
    pub without_text: BTreeMap<String, usize>,
    /// Prompts kept in a form that is not known.
    pub unreadable: usize,
}

impl Gathered {
    /// Adds a request.
    pub fn add(&mut self, logged: Logged<'_>) {
        self.requests += 1;
        let scores = scores(logged.record, logged.feedback.as_ref());
        let class = logged.feedback.as_ref().and_then(Feedback::class);
        self.scored += usize::from(!scores.is_empty());
        self.labelled += usize::from(class.is_some());
        if scores.is_empty() && class.is_none() {
            return;
        }
        let route = logged.record.route.as_deref().unwrap_or(&logged.record.requested_model);
        let prompt = match logged.prompt {
            Some(Ok(prompt)) => prompt,
            Some(Err(UnknownForm)) => {
                self.unreadable += 1;
                return;
            }
            None => {
                *self.without_prompt.entry(route.to_owned()).or_default() += 1;
                return;
            }
        };
        match (class, &prompt) {
            (Some(class), KeptPrompt::Text(text)) => {
                self.examples.insert(text.clone(), class.to_owned());
            }
            (Some(_), KeptPrompt::Features(_)) => {
                *self.without_text.entry(route.to_owned()).or_default() += 1;
            }
            (None, _) => {}
        }
        let propensity = propensity(logged.record);
        self.rows.extend(scores.into_iter().map(|scored| LabelledRow {
            prompt: prompt.clone(),
            model: scored.model,
            score: scored.score as f32,
            cost: scored.cost,
            route: route.to_owned(),
            propensity,
        }));
    }

    /// What keeps requests from being learned from, each with what to do about it.
    #[must_use]
    pub fn shortcomings(&self) -> Vec<String> {
        let mut told = Vec::new();
        if self.requests > 0 && self.scored == 0 && self.labelled == 0 {
            told.push(format!(
                "none of {} requests has a score: give feedback (POST /v1/feedback), or let a cascade's judge score answers",
                self.requests
            ));
        }
        for (route, count) in &self.without_prompt {
            told.push(format!(
                "{count} scored or labelled requests of `{route}` have no kept prompt: `learn: {{ keep: vectors }}` (or `text`) \
                 under `routes.{route}` keeps those to come"
            ));
        }
        for (route, count) in &self.without_text {
            told.push(format!(
                "{count} labelled requests of `{route}` are kept as vectors, and examples need their text: \
                 `learn: {{ keep: text }}` under `routes.{route}` keeps those to come"
            ));
        }
        if self.unreadable > 0 {
            told.push(format!(
                "{} kept prompts are in a form that this version does not read",
                self.unreadable
            ));
        }
        told
    }
}

struct Scored {
    model: String,
    score: f64,
    cost: Option<f32>,
}

/// The scores of a request's answers, the served one's first.
fn scores(record: &RequestRecord, feedback: Option<&Feedback>) -> Vec<Scored> {
    let mut scores: Vec<(Name, f64)> = Vec::new();
    if record.outcome == Outcome::Served
        && let (Some(deployment), Some(quality)) = (&record.deployment, feedback.and_then(Feedback::quality))
    {
        scores.push((Name::clone(deployment), quality));
    }
    // A deployment that was asked again was judged again: the last word counts.
    for judged in record.judged.iter().rev() {
        if scores.iter().all(|(deployment, _)| *deployment != judged.deployment) {
            scores.push((Name::clone(&judged.deployment), judged.score));
        }
    }
    scores
        .into_iter()
        .map(|(deployment, score)| Scored {
            model: model(record, &deployment),
            score,
            cost: cost(record, &deployment),
        })
        .collect()
}

/// The model behind a deployment, as `provider/model` where the record says.
fn model(record: &RequestRecord, deployment: &Name) -> String {
    match (&record.provider, &record.model) {
        (Some(provider), Some(model)) if record.deployment.as_ref() == Some(deployment) => {
            format!("{provider}/{model}")
        }
        _ => deployment.to_string(),
    }
}

fn cost(record: &RequestRecord, deployment: &Name) -> Option<f32> {
    let answer = |attempt: &&trunkline_model::record::AttemptRecord| {
        attempt.deployment == *deployment
            && !matches!(
                attempt.kind,
                AttemptKind::Sample | AttemptKind::Judge | AttemptKind::Classifier | AttemptKind::Encoder
            )
    };
    let attempt = match record.deployment.as_ref() {
        Some(served) if served == deployment => past::answer(record),
        _ => record.attempts.iter().rev().find(answer),
    };
    attempt?.cost.amount.map(|amount| amount.to_f64() as f32)
}

/// The probability with which the policy chose the tier; 1 where the record does not say.
fn propensity(record: &RequestRecord) -> f64 {
    #[derive(serde::Deserialize)]
    struct Decided {
        propensity: Option<f64>,
    }
    let decided: Option<Decided> =
        record.decision.as_deref().and_then(|decision| serde_json::from_str(decision).ok());
    decided.and_then(|decided| decided.propensity).unwrap_or(1.0)
}

#[cfg(test)]
mod tests;
