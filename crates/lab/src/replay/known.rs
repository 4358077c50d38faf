//! What the log shows of each deployment.
//!
//! Owns the figures by which a choice that was not made is judged. Must not extrapolate: too few answers say nothing.

use crate::past::answer;
use std::collections::HashMap;
use trunkline_config::Snapshot;
use trunkline_model::catalogue::{ServiceTier, TokenCounts, price};
use trunkline_model::dialect::Delivery;
use trunkline_model::id::{Name, RequestId};
use trunkline_model::record::{AttemptKind, RequestRecord};

/// The deployments of a log.
pub(super) struct Known(HashMap<Name, Figures>);

#[derive(Default)]
struct Figures {
    first_token_us: Vec<u64>,
    answers: u64,
    output_tokens: u64,
    scores: Vec<f64>,
}

/// Answers below which nothing is said of a deployment.
const LEAST: u64 = 20;

impl Known {
    pub(super) fn of(records: &[RequestRecord], scores: &HashMap<RequestId, f64>) -> Self {
        let mut all: HashMap<Name, Figures> = HashMap::new();
        for record in records {
            let judges = |kind| matches!(kind, AttemptKind::Sample | AttemptKind::Judge);
            let answers =
                record.attempts.iter().filter(|attempt| attempt.failure.is_none() && !judges(attempt.kind));
            for attempt in answers {
                let figures = all.entry(attempt.deployment.clone()).or_default();
                // That of a whole answer is the time of the answer.
                let is_stream = record.delivery == Delivery::Stream;
                figures.first_token_us.extend(attempt.phases.first_token_us.filter(|_| is_stream));
                figures.answers += 1;
                figures.output_tokens += attempt.usage.completion();
            }
            if let (Some(deployment), Some(score)) = (&record.deployment, scores.get(&record.id)) {
                all.entry(deployment.clone()).or_default().scores.push(*score);
            }
        }
        all.values_mut().for_each(|figures| figures.first_token_us.sort_unstable());
        Self(all)
    }

    /// What a request would have cost there in dollars, by the tokens it used: the prompt uncached, the answer longer or shorter
    /// as that deployment's answers are, where both are known.
    pub(super) fn cost(&self, record: &RequestRecord, deployment: &Name, policy: &Snapshot) -> Option<f64> {
        let answer = answer(record)?;
        if answer.deployment == *deployment {
            return record.cost.amount.map(trunkline_model::money::NanoDollars::to_f64);
        }
        let index = policy.fleet.find(deployment)?;
        let entry = policy.fleet.deployment(index).entry.as_ref()?;
        let ratio = match (self.length(deployment), self.length(&answer.deployment)) {
            (Some(there), Some(here)) if here > 0.0 => there / here,
            _ => 1.0,
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "an estimate of a length"
        )]
        let output = (answer.usage.completion() as f64 * ratio).round() as u64;
        let tokens = TokenCounts { input: answer.usage.prompt(), output, ..TokenCounts::default() };
        price(entry, ServiceTier::Standard, &tokens).amount.map(trunkline_model::money::NanoDollars::to_f64)
    }

    /// The median time to the first token there, in milliseconds.
    pub(super) fn first_token_ms(&self, deployment: &str) -> Option<f64> {
        let times = &self.0.get(deployment)?.first_token_us;
        #[expect(clippy::cast_precision_loss, reason = "a time for readers")]
        let median = *times.get(times.len() / 2)? as f64 / 1_000.0;
        (times.len() as u64 >= LEAST).then_some(median)
    }

    /// The mean measured quality there.
    pub(super) fn quality(&self, deployment: &str) -> Option<f64> {
        let scores = &self.0.get(deployment)?.scores;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        (scores.len() as u64 >= LEAST).then_some(mean)
    }

    fn length(&self, deployment: &str) -> Option<f64> {
        let figures = self.0.get(deployment)?;
        #[expect(clippy::cast_precision_loss, reason = "far fewer than 2^53")]
        let mean = figures.output_tokens as f64 / figures.answers as f64;
        (figures.answers >= LEAST).then_some(mean)
    }
}
