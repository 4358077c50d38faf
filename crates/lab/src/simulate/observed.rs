//! Behaviour and traffic as the request log shows them.
//!
//! Owns the reading of records into distributions. Must not smooth: what was observed is drawn again as it was. Calls that were
//! cancelled because another was quicker are left out, so a log with hedges shows tails a little shorter than they were.

use super::provider::{Behaviour, Faults, Rest, Slow, Spread};
use super::scenario::VirtualRequest;
use crate::past::{caller, shape};
use std::collections::{BTreeMap, HashMap};
use trunkline_model::dialect::{Delivery, Operation};
use trunkline_model::failure::FailureClass;
use trunkline_model::id::Name;
use trunkline_model::record::{AttemptRecord, RequestRecord};

/// What a log shows.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// How each deployment behaves that was called often enough.
    pub behaviours: HashMap<Name, Behaviour>,
    /// The requests, or an even selection of them.
    pub requests: Vec<VirtualRequest>,
    /// How many came per second between the first and the last.
    pub per_second: f64,
    /// How many records it rests on.
    pub records: usize,
}

/// Answers of a deployment below which nothing is said of it.
const LEAST_ANSWERS: usize = 20;
/// Most requests kept to draw from.
const MOST_REQUESTS: usize = 20_000;

#[derive(Default)]
struct Calls {
    streamed: Times,
    whole: Times,
    failures: BTreeMap<FailureClass, u32>,
    cuts: u32,
}

#[derive(Default)]
struct Times {
    first: Vec<u32>,
    per_token: Vec<u32>,
}

/// Reads records, in any order.
#[must_use]
pub fn observe(records: &[RequestRecord]) -> Observed {
    let mut calls: HashMap<Name, Calls> = HashMap::new();
    let mut requests = Vec::new();
    let chats: Vec<&RequestRecord> = records
        .iter()
        .filter(|record| record.operation == Operation::Chat && !record.attempts.is_empty())
        .collect();
    let step = chats.len().div_ceil(MOST_REQUESTS).max(1);
    for (number, record) in chats.iter().enumerate() {
        for attempt in &record.attempts {
            calls.entry(attempt.deployment.clone()).or_default().add(attempt, record.delivery);
        }
        if number % step == 0 {
            requests.push(request(record));
        }
    }
    let times = chats.iter().map(|record| record.id.unix_milliseconds());
    let span = times.clone().max().unwrap_or(0).saturating_sub(times.min().unwrap_or(0));
    #[expect(clippy::cast_precision_loss, reason = "a rate needs few digits")]
    let per_second = if span == 0 { 1.0 } else { chats.len() as f64 * 1_000.0 / span as f64 };
    let behaviours = calls.into_iter().filter_map(|(name, calls)| Some((name, calls.behaviour()?))).collect();
    Observed { behaviours, requests, per_second, records: chats.len() }
}

impl Calls {
    fn add(&mut self, attempt: &AttemptRecord, delivery: Delivery) {
        let micros = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        match attempt.failure {
            None => {
                let first = attempt.phases.first_token_us.unwrap_or(attempt.phases.total_us);
                let times = match delivery {
                    Delivery::Stream => &mut self.streamed,
                    Delivery::Plain => &mut self.whole,
                };
                times.first.push(micros(first));
                let tokens = attempt.usage.completion().max(1);
                times.per_token.push(micros(attempt.phases.total_us.saturating_sub(first) / tokens));
            }
            Some(class) if attempt.phases.first_token_us.is_some() && breaks_off(class) => self.cuts += 1,
            Some(class) if is_providers_fault(class) => *self.failures.entry(class).or_default() += 1,
            Some(_) => {}
        }
    }

    fn behaviour(self) -> Option<Behaviour> {
        let begun = self.streamed.first.len() + self.whole.first.len();
        if begun < LEAST_ANSWERS {
            return None;
        }
        // A whole answer hides when its first token came; where enough streams show it, they alone say.
        let Times { mut first, mut per_token } = self.streamed;
        if first.len() < LEAST_ANSWERS {
            first.extend(self.whole.first);
            per_token.extend(self.whole.per_token);
        }
        let failed: u32 = self.failures.values().sum();
        #[expect(clippy::cast_precision_loss, reason = "counts of calls are far below 2^53")]
        let begun = begun as f64 + f64::from(self.cuts);
        let all = begun + f64::from(failed);
        Some(Behaviour {
            first_token: Spread::Observed(first),
            rest: Rest::Observed(per_token),
            slow: Slow::default(),
            faults: Faults {
                before: self
                    .failures
                    .iter()
                    .map(|(class, count)| (*class, f64::from(*count) / all))
                    .collect(),
                cut: f64::from(self.cuts) / begun,
            },
            slots: None,
            requests_per_minute: None,
        })
    }
}

fn request(record: &RequestRecord) -> VirtualRequest {
    let input_tokens = record.attempts.iter().map(|attempt| attempt.usage.prompt()).max().unwrap_or(0);
    let output_tokens =
        record.attempts.iter().map(|attempt| attempt.usage.completion()).max().unwrap_or(0).max(1);
    let (shape, caller) = (shape(record), caller(record));
    VirtualRequest { shape, caller, input_tokens, output_tokens }
}

const fn breaks_off(class: FailureClass) -> bool {
    matches!(class, FailureClass::Cut | FailureClass::Stall | FailureClass::Malformed | FailureClass::Server)
}

/// Failures that the same provider would show another caller as well.
const fn is_providers_fault(class: FailureClass) -> bool {
    matches!(
        class,
        FailureClass::Resolve
            | FailureClass::Connect
            | FailureClass::Tls
            | FailureClass::Server
            | FailureClass::Overloaded
            | FailureClass::RateLimited
            | FailureClass::ConnectTimeout
            | FailureClass::FirstTokenTimeout
            | FailureClass::Stall
            | FailureClass::Cut
            | FailureClass::Malformed
    )
}
